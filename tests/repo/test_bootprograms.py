"""The catalogue: what fits which architecture, and how the host's packages get below the root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pxed.errors import HostProblem
from pxed.repo.bootimage import BootImage, identify
from pxed.repo.bootprograms import HOST_DIRECTORIES, BootProgram, BootPrograms, Rescan, link_host_programs, scan
from tests.repo.images import ARM32, ARM64, IA32, LOONG64, RISCV64, X64, bios, ipxe, pe

CODES_OF = {
    "i386": (6, 15),
    "x86_64": (7, 9, 16, 17),
    "arm": (10, 18),
    "aarch64": (11, 19),
    "riscv64": (27, 28),
    "loongarch64": (39, 40),
    "x86-bios": (0, 20),
}


def put(root: Path, **files: bytes) -> None:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def full_root(root: Path) -> BootPrograms:
    for machine, number in {
        "i386": IA32,
        "x86_64": X64,
        "arm": ARM32,
        "aarch64": ARM64,
        "riscv64": RISCV64,
        "loongarch64": LOONG64,
    }.items():
        put(root, **{f"{machine}__ipxe_DOT_efi": ipxe(number)})
    put(root, undionly_DOT_kpxe=bios())
    return scan(root)


def picked(programs: BootPrograms, arch: int, prefer: str | None = None) -> str | None:
    found = programs.pick(arch, prefer=prefer)
    return found.path if found else None


def test_each_architecture_code_gets_a_program_of_its_own_machine_and_http_codes_the_same(tmp_path: Path) -> None:
    programs = full_root(tmp_path)
    for machine, codes in CODES_OF.items():
        for code in codes:
            found = programs.pick(code)
            assert found is not None, code
            assert found.machine == machine


@pytest.mark.parametrize("code", [1, 2, 8, 12, 21, 22, 25, 26, 31, 37, 38, 41, 99, 65535, -1])
def test_firmware_that_no_program_runs_on_gets_none_rather_than_a_wrong_one(tmp_path: Path, code: int) -> None:
    assert full_root(tmp_path).pick(code) is None


def test_an_x86_64_binary_is_never_given_to_ia32_firmware_whatever_its_name(tmp_path: Path) -> None:
    put(tmp_path, i386__bootia32_DOT_efi=ipxe(X64), snponly_DOT_efi=ipxe(X64))
    programs = scan(tmp_path)
    assert programs.pick(6) is None
    assert programs.pick(6, prefer="bootia32.efi") is None
    assert programs.pick(15, prefer="i386/bootia32.efi") is None


def test_snponly_goes_before_the_full_ipxe_on_uefi_and_undionly_first_on_bios(tmp_path: Path) -> None:
    put(
        tmp_path,
        ipxe_DOT_efi=ipxe(X64),
        snponly_DOT_efi=ipxe(X64),
        ipxe_DOT_pxe=bios(),
        undionly_DOT_kkpxe=bios(),
        undionly_DOT_kpxe=bios(),
    )
    programs = scan(tmp_path)
    assert picked(programs, 7) == "snponly.efi"
    assert picked(programs, 0) == "undionly.kpxe"


def test_a_preferred_program_wins_by_path_or_name_only_where_its_machine_fits(tmp_path: Path) -> None:
    put(tmp_path, ipxe_DOT_efi=ipxe(X64), snponly_DOT_efi=ipxe(X64), undionly_DOT_kpxe=bios(), arm64__ipxe_DOT_efi=ipxe(ARM64))
    programs = scan(tmp_path)
    assert picked(programs, 7, "ipxe.efi") == "ipxe.efi"
    assert picked(programs, 7, "/ipxe.efi") == "ipxe.efi"
    assert picked(programs, 11, "ipxe.efi") == "arm64/ipxe.efi"
    assert picked(programs, 0, "ipxe.efi") == "undionly.kpxe"
    assert picked(programs, 7, "absent.efi") == "snponly.efi"


def test_shim_and_grub_are_catalogued_in_their_directory_but_only_picked_when_asked_for(tmp_path: Path) -> None:
    put(
        tmp_path,
        secureboot__shimx64_DOT_efi=pe(X64, signed=True, text=b"UEFI SHIM"),
        secureboot__grubx64_DOT_efi=pe(X64, signed=True, text=b"Free Software Foundation,grub"),
    )
    programs = scan(tmp_path)
    assert picked(programs, 7) is None
    assert picked(programs, 7, "secureboot/shimx64.efi") == "secureboot/shimx64.efi"
    assert {(p.path, p.kind, p.signed) for p in programs.all()} == {
        ("secureboot/shimx64.efi", "shim", True),
        ("secureboot/grubx64.efi", "grub", True),
    }


def test_a_raspberry_pi_gets_the_boards_firmware_if_the_operator_put_it_there(tmp_path: Path) -> None:
    put(tmp_path, start4_DOT_elf=b"\x7fELF" + bytes(60))
    assert picked(scan(tmp_path), 41) == "start4.elf"


def test_what_lies_outside_the_root_is_not_catalogued(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    put(outside, ipxe_DOT_efi=ipxe(X64))
    put(root, inside_DOT_efi=ipxe(X64))
    (root / "link.efi").symlink_to(outside / "ipxe.efi")
    (root / "dir").symlink_to(outside)
    (root / "loop.efi").symlink_to(root / "loop.efi")
    (root / "alias.efi").symlink_to("inside.efi")
    assert {p.path for p in scan(root).all()} == {"inside.efi", "alias.efi"}


def test_an_absent_root_is_an_empty_catalogue_and_everything_is_missing_with_a_remedy(tmp_path: Path) -> None:
    programs = scan(tmp_path / "absent")
    assert programs.all() == ()
    missing = {each.arch: each for each in programs.missing()}
    assert set(missing) == {0, 7, 11, 6, 27, 39, 10}
    assert missing[7].remedy == "apt install ipxe"
    assert "bin-i386-efi/snponly.efi" in missing[6].remedy
    assert full_root(tmp_path).missing() == []


def host_package(directory: Path) -> Path:
    """As Debian 13's package lays it out, plus what must not be taken."""
    put(directory, snponly_DOT_efi=ipxe(X64), undionly_DOT_kpxe=bios(), ipxe_DOT_lkrn=bios())
    put(directory, **{"ipxe-amd64_DOT_efi": ipxe(X64), "ipxe-arm64_DOT_efi": ipxe(ARM64), "ipxe-riscv64_DOT_efi": ipxe(RISCV64)})
    put(directory, **{"ipxe-loong64_DOT_efi": ipxe(LOONG64)})
    put(directory, qemu__efi_DOT_rom=ipxe(X64), grubx64_DOT_efi=pe(X64, text=b"Free Software Foundation,grub"))
    (directory / "ipxe.efi").symlink_to("ipxe-amd64.efi")
    return directory


def test_host_programs_are_copied_by_machine_and_can_be_served_from_the_root(tmp_path: Path) -> None:
    host, root = host_package(tmp_path / "host"), tmp_path / "state" / "tftproot"
    outcome = {each.path: each.outcome for each in link_host_programs(root, directories=[host])}
    machines = ["aarch64/ipxe.efi", "riscv64/ipxe.efi", "loongarch64/ipxe.efi"]
    assert outcome == dict.fromkeys(["ipxe.efi", "snponly.efi", "undionly.kpxe", *machines], "new")
    assert {p.path for p in scan(root).all()} == set(outcome)
    assert not any(path.is_symlink() for path in root.rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in root.rglob("*.*pxe*") if path.is_file()} == {0o644}
    assert [picked(scan(root), arch) for arch in (11, 27, 39)] == machines


def test_fedoras_names_and_sub_directories_are_understood(tmp_path: Path) -> None:
    host, root = tmp_path / "host", tmp_path / "root"
    put(host, **{"ipxe-snponly-x86_64_DOT_efi": ipxe(X64), "ipxe-i386_DOT_efi": ipxe(IA32), "arm64-efi__snponly_DOT_efi": ipxe(ARM64)})
    assert {each.path for each in link_host_programs(root, directories=[host])} == {"snponly.efi", "i386/ipxe.efi", "aarch64/snponly.efi"}


def test_linking_again_changes_nothing_and_an_upgraded_package_is_followed(tmp_path: Path) -> None:
    host, root = host_package(tmp_path / "host"), tmp_path / "root"
    link_host_programs(root, directories=[host])
    assert {each.outcome for each in link_host_programs(root, directories=[host])} == {"unchanged"}
    newer = ipxe(X64) + b"newer"
    (host / "snponly.efi").write_bytes(newer)
    outcome = {each.path: each.outcome for each in link_host_programs(root, directories=[host])}
    assert outcome.pop("snponly.efi") == "updated"
    assert set(outcome.values()) == {"unchanged"}
    assert (root / "snponly.efi").read_bytes() == newer


def test_the_operators_own_file_is_never_replaced(tmp_path: Path) -> None:
    host, root = host_package(tmp_path / "host"), tmp_path / "root"
    own = ipxe(X64, signed=True)
    put(root, snponly_DOT_efi=own)
    result = {each.path: each for each in link_host_programs(root, directories=[host])}
    assert result["snponly.efi"].outcome == "skipped"
    assert "operator's own" in result["snponly.efi"].why
    assert (root / "snponly.efi").read_bytes() == own


def test_a_file_the_operator_changed_after_it_was_copied_is_the_operators(tmp_path: Path) -> None:
    host, root = host_package(tmp_path / "host"), tmp_path / "root"
    link_host_programs(root, directories=[host])
    own = ipxe(X64) + b"patched"
    (root / "ipxe.efi").write_bytes(own)
    (host / "ipxe-amd64.efi").write_bytes(ipxe(X64) + b"newer package")
    link_host_programs(root, directories=[host])
    assert (root / "ipxe.efi").read_bytes() == own


def test_a_link_in_the_targets_place_is_skipped_not_written_through(tmp_path: Path) -> None:
    host, root, precious = host_package(tmp_path / "host"), tmp_path / "root", tmp_path / "precious"
    precious.write_bytes(b"keep me")
    root.mkdir()
    (root / "snponly.efi").symlink_to(precious)
    result = {each.path: each.outcome for each in link_host_programs(root, directories=[host])}
    assert result["snponly.efi"] == "skipped"
    assert precious.read_bytes() == b"keep me"


def test_a_host_without_ipxe_links_nothing(tmp_path: Path) -> None:
    assert link_host_programs(tmp_path / "root", directories=[tmp_path / "absent"]) == []


def test_a_root_that_cannot_be_written_is_a_host_problem_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HostProblem, match="can't write boot programs"):
        link_host_programs(tmp_path / "file" / "root", directories=[])


def test_a_package_whose_other_half_is_not_installed_is_reported_not_fatal(tmp_path: Path) -> None:
    """Debian 12's `ipxe` links ipxe.efi to /boot/ipxe.efi, and images of small systems are stripped of /boot."""
    host = tmp_path / "host"
    put(host, snponly_DOT_efi=ipxe(X64))
    (host / "ipxe.efi").symlink_to(tmp_path / "boot" / "ipxe.efi")
    result = {each.path: (each.outcome, each.why) for each in link_host_programs(tmp_path / "root", directories=[host])}
    assert result == {"ipxe.efi": ("skipped", "its link leads nowhere"), "snponly.efi": ("new", "")}


def test_only_ipxe_is_taken_from_boot_where_kernels_live_too(tmp_path: Path) -> None:
    boot = tmp_path / "boot"
    put(boot, ipxe_DOT_efi=ipxe(X64), other_DOT_efi=ipxe(X64), EFI__ipxe_DOT_efi=ipxe(IA32))
    assert [each.source for each in link_host_programs(tmp_path / "root", directories=[boot])] == [str(boot / "ipxe.efi")]


class Reader:
    """`identify`, and which files it was asked for since the last time."""

    def __init__(self) -> None:
        self._read: list[str] = []

    def __call__(self, path: Path) -> BootImage | None:
        self._read.append(path.name)
        return identify(path)

    def read(self) -> list[str]:
        read, self._read = self._read, []
        return read


def test_a_boot_program_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    put(tmp_path, a_DOT_efi=ipxe(X64), b_DOT_efi=ipxe(ARM64), c_DOT_kpxe=bios(), notes_DOT_txt=b"text")
    reader = Reader()
    rescan = Rescan(reader)
    first = rescan(tmp_path)
    assert reader.read() == ["a.efi", "b.efi", "c.kpxe", "notes.txt"]
    again = rescan(tmp_path, chain="shim-grub")
    assert (again.all(), again.files) == (first.all(), first.files)
    assert reader.read() == ["notes.txt"]
    put(tmp_path, a_DOT_efi=ipxe(ARM64) + b"\0")
    assert {p.path: p.machine for p in rescan(tmp_path).all()} == {"a.efi": "aarch64", "b.efi": "aarch64", "c.kpxe": "x86-bios"}
    assert reader.read() == ["a.efi", "notes.txt"]


def test_another_program_with_the_times_and_the_size_of_the_old_one_is_read(tmp_path: Path) -> None:
    """As `cp -p` and `rsync -t` leave it, in place or under the old one's name."""
    put(tmp_path, a_DOT_efi=ipxe(X64))
    rescan = Rescan()
    assert [p.machine for p in rescan(tmp_path).all()] == ["x86_64"]
    info = (tmp_path / "a.efi").stat()
    while (tmp_path / "a.efi").stat().st_ctime_ns == info.st_ctime_ns:  # some kernels tick each 4 ms only
        put(tmp_path, a_DOT_efi=ipxe(ARM64))
        os.utime(tmp_path / "a.efi", ns=(info.st_atime_ns, info.st_mtime_ns))
    now = (tmp_path / "a.efi").stat()
    assert (now.st_size, now.st_mtime_ns, now.st_ino) == (info.st_size, info.st_mtime_ns, info.st_ino)
    assert [p.machine for p in rescan(tmp_path).all()] == ["aarch64"]
    put(tmp_path, new=ipxe(IA32))
    os.utime(tmp_path / "new", ns=(info.st_atime_ns, info.st_mtime_ns))
    (tmp_path / "new").rename(tmp_path / "a.efi")
    assert [p.machine for p in rescan(tmp_path).all()] == ["i386"]


def test_what_could_not_be_read_once_is_tried_again_and_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    put(tmp_path, a_DOT_efi=ipxe(X64))
    answers: list[BootImage | None] = [None, identify(tmp_path / "a.efi")]
    rescan = Rescan(lambda _path: answers.pop(0))
    assert [len(rescan(tmp_path).all()) for _ in range(3)] == [0, 1, 1]
    (tmp_path / "a.efi").unlink()
    assert rescan(tmp_path).all() == ()
    assert not rescan._known


def test_this_hosts_own_package_gives_bios_and_x86_64(tmp_path: Path) -> None:
    if not os.path.exists(HOST_DIRECTORIES[0] / "undionly.kpxe"):
        pytest.skip("this host has no `ipxe` package (apt install ipxe)")
    link_host_programs(tmp_path)
    programs = scan(tmp_path)
    assert picked(programs, 0) == "undionly.kpxe"
    assert picked(programs, 7) == "snponly.efi"


def test_the_catalogue_lists_the_best_first() -> None:
    programs = BootPrograms(
        [
            BootProgram("deep/snponly.efi", "x86_64", "ipxe", 1),
            BootProgram("grubx64.efi", "x86_64", "grub", 1),
            BootProgram("ipxe.efi", "x86_64", "ipxe", 1),
            BootProgram("snponly.efi", "x86_64", "ipxe", 1),
        ]
    )
    assert [p.path for p in programs.all()] == ["snponly.efi", "deep/snponly.efi", "ipxe.efi", "grubx64.efi"]
