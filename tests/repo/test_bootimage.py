"""What one file is, judged by its bytes."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxed.repo.bootimage import PE_MACHINES, identify, read_pe_header
from tests.repo.images import ARM64, EFI_DRIVER, IA32, X64, bios, ipxe, pe


def header_of(content: bytes) -> object:
    return read_pe_header(io.BytesIO(content), len(content))


@pytest.mark.parametrize(("number", "name"), sorted(PE_MACHINES.items()))
def test_every_machine_is_read_from_the_header_not_from_the_name(tmp_path: Path, number: int, name: str) -> None:
    path = tmp_path / "bootx64.efi"
    path.write_bytes(pe(number))
    image = identify(path)
    assert image is not None
    assert image.machine == name


def test_an_efi_driver_is_no_boot_program(tmp_path: Path) -> None:
    (tmp_path / "ipxe.efi").write_bytes(pe(X64, subsystem=EFI_DRIVER))
    assert identify(tmp_path / "ipxe.efi") is None


def test_a_machine_nobody_boots_is_no_boot_program(tmp_path: Path) -> None:
    (tmp_path / "alpha.efi").write_bytes(pe(0x184))
    assert identify(tmp_path / "alpha.efi") is None


@pytest.mark.parametrize("machine", [X64, IA32, ARM64])
def test_a_signature_is_seen_in_pe32_and_pe32_plus(machine: int) -> None:
    signed, unsigned = pe(machine, signed=True), pe(machine)
    assert read_pe_header(io.BytesIO(signed), len(signed)).signed  # type: ignore[union-attr]
    assert not read_pe_header(io.BytesIO(unsigned), len(unsigned)).signed  # type: ignore[union-attr]


def test_a_signature_that_was_cut_off_by_an_aborted_download_does_not_count() -> None:
    whole = pe(X64, signed=True)
    header = read_pe_header(io.BytesIO(whole[:-1]), len(whole) - 1)
    assert header is not None
    assert not header.signed


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("ipxe.efi", b"\0\0UEFI SHIM\n$Version: 15.8 $", "shim"),
        ("bootx64.efi", b"grub,3,Free Software Foundation,grub,2.06", "grub"),
        ("anything.efi", b"https://ipxe.org/err/4c126035", "ipxe"),
        ("wimboot", b"wimboot v2.7.6 https://ipxe.org/wimboot", "wimboot"),
        ("vmlinuz", b"nothing known", "other"),
        ("snponly.efi", b"", "ipxe"),
        ("grubx64.efi", b"", "grub"),
        ("shimx64.efi", b"", "shim"),
    ],
)
def test_the_kind_comes_from_the_content_and_only_then_from_the_name(tmp_path: Path, name: str, text: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(pe(X64, text=text))
    image = identify(tmp_path / name)
    assert image is not None
    assert image.kind == kind


def test_bios_images_are_known_by_name_and_by_not_being_pe(tmp_path: Path) -> None:
    (tmp_path / "undionly.kpxe").write_bytes(bios())
    (tmp_path / "fake.kpxe").write_bytes(ipxe(X64))
    (tmp_path / "saved.kpxe").write_bytes(b"<html><body>404 Not Found</body></html>\n")
    (tmp_path / "empty.kpxe").write_bytes(b"")
    (tmp_path / "cut.kpxe").write_bytes(ipxe(X64)[:0x90])  # a PE image, as far as its download came
    (tmp_path / "odd.kpxe").write_bytes(ipxe(X64).replace(b"\x0b\x02", b"\x07\x01", 1))  # a ROM image's magic
    (tmp_path / "data.bin").write_bytes(bios())
    real = identify(tmp_path / "undionly.kpxe")
    disguised = identify(tmp_path / "fake.kpxe")
    assert real is not None
    assert (real.machine, real.kind) == ("x86-bios", "ipxe")
    assert disguised is not None
    assert disguised.machine == "x86_64"
    assert [identify(tmp_path / n) for n in ("saved.kpxe", "empty.kpxe", "cut.kpxe", "odd.kpxe", "data.bin", "absent")] == [None] * 6


def test_a_pipe_or_a_directory_is_left_alone_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.efi")
    (tmp_path / "dir.efi").mkdir()
    assert identify(tmp_path / "pipe.efi") is None
    assert identify(tmp_path / "dir.efi") is None


@given(st.binary(max_size=600))
def test_garbage_never_raises(content: bytes) -> None:
    header_of(content)
    header_of(b"MZ" + content)
    header_of(b"MZ" + bytes(58) + b"\x40\0\0\0" + b"PE\0\0" + content)


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 500))
def test_any_header_offset_and_any_truncation_is_survived(lfanew: int, cut: int) -> None:
    content = bytearray(ipxe(X64))
    content[60:64] = lfanew.to_bytes(4, "little")
    header_of(bytes(content[: len(content) - cut]))


@pytest.mark.parametrize("name", ["snponly.efi", "ipxe.efi"])
def test_the_hosts_own_ipxe_is_an_unsigned_x86_64_program(name: str) -> None:
    path = Path("/usr/lib/ipxe") / name
    if not path.exists():
        pytest.skip("this host has no `ipxe` package (apt install ipxe)")
    image = identify(path)
    assert image is not None
    assert (image.machine, image.kind, image.size) == ("x86_64", "ipxe", path.stat().st_size)
