"""Boot chains: known by what lies together, picked by policy, taken from the host's packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxed.repo.bootprograms import BootPrograms, link_host_programs, scan
from pxed.repo.chains import Chain
from tests.repo.images import ARM64, X64, bios, ipxe, pe


def shim(machine: int = X64, *, signed: bool = True) -> bytes:
    return pe(machine, signed=signed, text=b"UEFI SHIM\n$Version: 16.1 $\n")


def grub(machine: int = X64, *, http: bool = True) -> bytes:
    return pe(machine, signed=True, text=b"grub,4,Free Software Foundation,grub,2.12," + (b"User-Agent: %s" if http else b""))


def tree(root: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".").replace("_DASH_", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def everything(root: Path, chain: Chain = "ipxe") -> BootPrograms:
    tree(
        root,
        undionly_DOT_kpxe=bios(),
        snponly_DOT_efi=ipxe(X64),
        aarch64__ipxe_DOT_efi=ipxe(ARM64),
        secureboot__x86_64__shimx64_DOT_efi=shim(),
        secureboot__x86_64__grubx64_DOT_efi=grub(),
        secureboot__aarch64__shimaa64_DOT_efi=shim(ARM64),
        secureboot__aarch64__grubaa64_DOT_efi=grub(ARM64),
    )
    signed = root / "ipxe-signed/x86_64"
    signed.mkdir(parents=True)
    (signed / "ipxe-shimx64.efi").write_bytes(shim())
    (signed / "ipxe.efi").write_bytes(ipxe(X64, signed=True))
    return scan(root, chain=chain)


def picked(programs: BootPrograms, arch: int, prefer: str | None = None) -> str | None:
    found = programs.pick(arch, prefer=prefer)
    return found.path if found else None


@pytest.mark.parametrize(
    ("chain", "x64", "arm64"),
    [
        ("ipxe", "snponly.efi", "aarch64/ipxe.efi"),
        ("shim-grub", "secureboot/x86_64/shimx64.efi", "secureboot/aarch64/shimaa64.efi"),
        ("ipxe-signed", "ipxe-signed/x86_64/ipxe-shimx64.efi", "aarch64/ipxe.efi"),
    ],
)
def test_the_chain_says_what_firmware_is_given_first_by_tftp_and_http(tmp_path: Path, chain: Chain, x64: str, arm64: str) -> None:
    programs = everything(tmp_path, chain)
    assert [picked(programs, arch) for arch in (7, 16, 11, 19, 0)] == [x64, x64, arm64, arm64, "undionly.kpxe"]


def test_one_node_may_be_given_another_chain_or_one_program(tmp_path: Path) -> None:
    programs = everything(tmp_path)
    assert picked(programs, 7, "shim-grub") == "secureboot/x86_64/shimx64.efi"
    assert picked(programs, 11, "shim-grub") == "secureboot/aarch64/shimaa64.efi"
    assert picked(programs, 0, "shim-grub") == "undionly.kpxe"
    assert picked(programs, 7, "ipxe-signed/x86_64/ipxe.efi") == "ipxe-signed/x86_64/ipxe.efi"
    signed = scan(tmp_path, chain="shim-grub")
    assert picked(signed, 7, "ipxe") == "snponly.efi"


def test_the_signed_ipxe_behind_its_shim_is_not_taken_for_the_plain_one(tmp_path: Path) -> None:
    everything(tmp_path)
    (tmp_path / "snponly.efi").unlink()
    assert picked(scan(tmp_path), 7) is None


def test_a_shim_without_a_second_stage_of_its_own_machine_is_given_to_nobody_and_said(tmp_path: Path) -> None:
    programs = scan(tree(tmp_path, s__shimx64_DOT_efi=shim(), s__grubaa64_DOT_efi=grub(ARM64), ipxe_DOT_efi=ipxe(X64)), chain="shim-grub")
    assert picked(programs, 7) == "ipxe.efi"
    (said,) = programs.complaints()
    assert said.startswith("s/shimx64.efi: no GRUB and no iPXE beside it")
    assert "apt install shim-signed grub-efi-amd64-signed" in said


def test_a_grub_without_http_is_said(tmp_path: Path) -> None:
    (said,) = scan(tree(tmp_path, a__shimaa64_DOT_efi=shim(ARM64), a__grubaa64_DOT_efi=grub(ARM64, http=False))).complaints()
    assert said.startswith("a/grubaa64.efi: this GRUB has no HTTP")
    assert "grub-efi-arm64-signed" in said


def test_a_complete_set_has_no_complaints(tmp_path: Path) -> None:
    assert everything(tmp_path).complaints() == []


def packages(host: Path) -> Path:
    """As dpkg -x of shim-signed and grub-efi-amd64-signed leaves them."""
    for name, content in {
        "usr/lib/shim/shimx64.efi.signed": shim(),
        "usr/lib/shim/shimx64.efi": shim(signed=False),
        "usr/lib/shim/fbx64.efi.signed": shim(),
        "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed": grub(),
        "usr/lib/grub/x86_64-efi-signed/grubnetx64-installer.efi.signed": grub(http=False),
        "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed": grub(http=False),
        "usr/lib/grub/arm64-efi-signed/grubnetaa64.efi.signed": grub(ARM64),
    }.items():
        (host / name).parent.mkdir(parents=True, exist_ok=True)
        (host / name).write_bytes(content)
    return host


def test_the_packages_become_one_folder_a_machine(tmp_path: Path) -> None:
    host, root = packages(tmp_path / "host"), tmp_path / "root"
    assert {each.path: each.outcome for each in link_host_programs(root, host=host)} == {
        "secureboot/x86_64/shimx64.efi": "new",
        "secureboot/x86_64/grubx64.efi": "new",
        "secureboot/aarch64/grubaa64.efi": "new",
    }
    assert (root / "secureboot/x86_64/shimx64.efi").read_bytes() == shim()
    assert (root / "secureboot/x86_64/grubx64.efi").read_bytes() == grub()
    assert {each.outcome for each in link_host_programs(root, host=host)} == {"unchanged"}


def test_a_newer_package_replaces_our_copy_and_never_the_operators(tmp_path: Path) -> None:
    host, root = packages(tmp_path / "host"), tmp_path / "root"
    link_host_programs(root, host=host)
    (root / "secureboot/x86_64/shimx64.efi").write_bytes(shim() + b"signed by the 2023 key")
    (host / "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed").write_bytes(grub() + b"newer")
    (host / "usr/lib/shim/shimx64.efi.signed").write_bytes(shim() + b"newer")
    outcomes = {each.path: each.outcome for each in link_host_programs(root, host=host)}
    assert outcomes["secureboot/x86_64/grubx64.efi"] == "updated"
    assert outcomes["secureboot/x86_64/shimx64.efi"] == "skipped"
    assert b"2023" in (root / "secureboot/x86_64/shimx64.efi").read_bytes()
