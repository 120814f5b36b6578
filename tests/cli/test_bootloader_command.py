"""`pxed bootloaders` works on files, with no appliance."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.fake import run
from tests.repo.images import IA32, X64, bios, ipxe, pe
from tests.repo.test_chains import grub, shim


def test_the_list_says_which_architectures_each_program_is_given_to(tmp_path: Path) -> None:
    root = tmp_path / "tftproot"
    (root / "secureboot").mkdir(parents=True)
    (root / "snponly.efi").write_bytes(ipxe(X64))
    (root / "undionly.kpxe").write_bytes(bios())
    (root / "secureboot" / "shimx64.efi").write_bytes(pe(X64, signed=True, text=b"UEFI SHIM"))
    (root / "README").write_text("not a program")
    result = run("bootloaders", "--list", state_dir=tmp_path)
    assert result.exit_code == 0
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in result.stdout.splitlines()[1:4]}
    assert rows["snponly.efi"].startswith("x86_64 ipxe no")
    assert rows["snponly.efi"].endswith("7, 9, 16, 17")
    assert rows["undionly.kpxe"].endswith("0, 20")
    assert rows["secureboot/shimx64.efi"].startswith("x86_64 shim yes")
    assert "none for IA32 UEFI (architecture 6): build it from iPXE's source" in result.stdout


def test_the_list_goes_by_the_chain_of_the_configuration(tmp_path: Path) -> None:
    """With ``boot_chain`` firmware is given the shim, not the iPXE that is there as well."""
    folder = tmp_path / "tftproot" / "secureboot"
    folder.mkdir(parents=True)
    (folder.parent / "snponly.efi").write_bytes(ipxe(X64))
    (folder / "shimx64.efi").write_bytes(shim())
    (folder / "grubx64.efi").write_bytes(grub())
    (tmp_path / "pxed.toml").write_text(f'state_dir = "{tmp_path}"\n[dhcp]\nboot_chain = "shim-grub"\n')
    listed = run("bootloaders", "--list", "-c", str(tmp_path / "pxed.toml"), state_dir=tmp_path).stdout.splitlines()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in listed[1:4]}
    assert rows["secureboot/shimx64.efi"].endswith("7, 9, 16, 17")
    assert rows["snponly.efi"].endswith(" B"), "no architecture gets it"


def test_json_has_programs_links_and_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "ipxe.efi").write_bytes(ipxe(IA32))
    tree = json.loads(run("bootloaders", "--list", "--tftproot", str(tmp_path / "r"), "--json", state_dir=tmp_path).stdout)
    assert [(p["path"], p["machine"]) for p in tree["programs"]] == [("ipxe.efi", "i386")]
    assert {m["arch"] for m in tree["missing"]} == {0, 7, 11, 27, 39, 10}
    assert tree["linked"] == []


def test_linking_makes_the_root_and_an_empty_one_is_said(tmp_path: Path) -> None:
    assert "There is no boot program in" in run("bootloaders", "--list", state_dir=tmp_path / "absent").stdout
    assert not (tmp_path / "absent").exists()
    assert run("bootloaders", state_dir=tmp_path / "new").exit_code == 0
    assert (tmp_path / "new" / "tftproot").is_dir()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700  # `pxed up` comes after this, and puts the database there


def test_the_configuration_names_the_root_and_its_mistakes_are_named(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "pxed.toml").write_text(f'tftproot = "{tmp_path / "root"}"\n')
    tree = json.loads(run("bootloaders", "--list", "--json", "-c", str(tmp_path / "pxed.toml"), state_dir=tmp_path).stdout)
    assert tree["root"] == str(tmp_path / "root")
    (tmp_path / "bad.toml").write_text("tftprot = 1\n")
    result = run("bootloaders", "-c", str(tmp_path / "bad.toml"), state_dir=tmp_path)
    assert result.exit_code == 2
    assert "bad.toml: tftprot" in result.stderr


def test_a_root_that_can_not_be_written_is_status_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("bootloaders", "--tftproot", str(tmp_path / "file" / "x"), state_dir=tmp_path)
    assert result.exit_code == 2
    assert "can't write boot programs" in result.stderr
