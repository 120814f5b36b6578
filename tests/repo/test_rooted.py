"""What a name may stand for: files below the root and the operator's own links, nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxed.errors import NotFound
from pxed.repo.rooted import OutsideRoot, open_regular, resolve


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "ipxe.efi").write_bytes(b"MZ")
    root = tmp_path / "root"
    (root / "grub").mkdir(parents=True)
    (root / "grub" / "grub.cfg").write_bytes(b"set")
    (root / "snponly.efi").write_bytes(b"MZ")
    (root / "ü %41.txt").write_bytes(b"u")
    return root


@pytest.mark.parametrize(
    "name", ["snponly.efi", "/snponly.efi", "//snponly.efi", "./snponly.efi", "grub//grub.cfg", "grub/./grub.cfg", "ü %41.txt"]
)
def test_a_regular_file_below_the_root_is_found(root: Path, name: str) -> None:
    assert resolve(root, name).is_file()


@pytest.mark.parametrize(
    "name", ["", "/", ".", "grub", "grub/", "snponly.efi/", "nothing", "snponly.efi/x", "x" * 300, "x/" * 3000 + "y", "\ud800"]
)
def test_directories_and_missing_files_are_not_found(root: Path, name: str) -> None:
    with pytest.raises(NotFound):
        resolve(root, name)


@pytest.mark.parametrize(
    "name",
    [
        "../outside/ipxe.efi",
        "grub/../../outside/ipxe.efi",
        "grub/../snponly.efi",
        "..",
        "a\0b",
        "..\\outside\\ipxe.efi",
        "/../outside/ipxe.efi",
    ],
)
def test_dots_nul_and_backslashes_are_refused_even_if_they_would_stay_inside(root: Path, name: str) -> None:
    with pytest.raises(OutsideRoot):
        resolve(root, name)


def test_a_link_within_the_root_is_followed(root: Path) -> None:
    (root / "boot.efi").symlink_to("grub/grub.cfg")
    assert resolve(root, "boot.efi").name == "grub.cfg"


def test_the_operators_link_to_a_host_packages_file_is_followed(root: Path) -> None:
    (root / "ipxe.efi").symlink_to(root.parent / "outside" / "ipxe.efi")
    assert resolve(root, "ipxe.efi") == (root.parent / "outside" / "ipxe.efi").resolve()


def test_no_directory_leads_out(root: Path) -> None:
    (root / "all").symlink_to(root.parent / "outside")
    with pytest.raises(OutsideRoot):
        resolve(root, "all/ipxe.efi")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o664])
def test_a_target_that_is_private_or_writable_by_others_is_not_shown(root: Path, mode: int) -> None:
    target = root.parent / "outside" / "ipxe.efi"
    target.chmod(mode)
    (root / "ipxe.efi").symlink_to(target)
    with pytest.raises(OutsideRoot):
        resolve(root, "ipxe.efi")


def test_a_link_in_a_directory_that_others_may_write_is_not_followed_out(root: Path) -> None:
    (root / "drop").mkdir()
    (root / "drop").chmod(0o777)
    (root / "drop" / "ipxe.efi").symlink_to(root.parent / "outside" / "ipxe.efi")
    with pytest.raises(OutsideRoot):
        resolve(root, "drop/ipxe.efi")


@pytest.mark.skipif(os.geteuid() != 0, reason="changing a link's owner needs root")
def test_a_link_made_by_some_other_user_is_not_followed_out(root: Path) -> None:
    link = root / "ipxe.efi"
    link.symlink_to(root.parent / "outside" / "ipxe.efi")
    os.lchown(link, 65534, 65534)
    with pytest.raises(OutsideRoot):
        resolve(root, "ipxe.efi")


def test_a_link_loop_and_a_dangling_link_are_not_found(root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    (root / "gone").symlink_to("/nonexistent/file")
    for name in ("a", "gone"):
        with pytest.raises(NotFound):
            resolve(root, name)


def test_a_fifo_is_not_found_and_opening_one_does_not_hang(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(NotFound):
        resolve(root, "pipe")
    with pytest.raises(NotFound):
        open_regular(root / "pipe")


def test_a_root_that_is_itself_a_link_works(root: Path) -> None:
    other = root.parent / "link"
    other.symlink_to(root)
    assert resolve(other, "snponly.efi").is_file()


@given(st.text(max_size=40) | st.lists(st.sampled_from(["..", ".", "", "grub", "all", "etc", "\0", "passwd"]), max_size=6).map("/".join))
def test_whatever_the_name_it_is_a_file_below_the_root_or_not_found(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.getbasetemp() / "property"
    (root / "grub").mkdir(parents=True, exist_ok=True)
    (root / "grub" / "passwd").touch()
    try:
        found = resolve(root, name)
    except NotFound:
        return
    assert found.is_relative_to(root.resolve())
