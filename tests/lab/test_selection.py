"""Which installer a mirror allows: Debian's own, Debian's own with parts rebuilt, or the small one."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.lab.aptroot import Stanza
from tests.lab.process import LabProblem
from tests.lab.rebuilt import names
from tests.lab.selection import choose, initrd

KERNEL = "6.1.0-1-amd64"
REBUILDABLE = names(KERNEL)


def _index(*packages: str) -> dict[str, Stanza]:
    return {name: Stanza(f"Package: {name}\nFilename: pool/{name}.udeb") for name in packages}


STOCK = _index("partman-base", "partman-xfs", "e2fsprogs-udeb", f"ext4-modules-{KERNEL}-di", f"xfs-modules-{KERNEL}-di", "grub-installer")
SMALL = _index("base-installer", "bootstrap-base")


def _without(*packages: str) -> set[str]:
    return {f"pool/{name}.udeb" for name in packages}


def test_everything_there_is_debians_own_installer() -> None:
    """Nothing is replaced without need. Fails when a reduced index is made all the same."""
    assert choose(STOCK, SMALL, set(), REBUILDABLE).kind == "stock"


def test_programs_and_modules_are_rebuilt_and_foreign_hardware_left_out() -> None:
    """Parts that exist in .debs are rebuilt; what the machines have not is dropped, with the partman that would want it."""
    choice = choose(STOCK, SMALL, _without("e2fsprogs-udeb", f"ext4-modules-{KERNEL}-di", f"xfs-modules-{KERNEL}-di"), REBUILDABLE)
    assert choice.kind == "mended"
    assert choice.rebuild == {"e2fsprogs-udeb", f"ext4-modules-{KERNEL}-di"}
    assert choice.dropped == {f"xfs-modules-{KERNEL}-di", "partman-xfs"}
    assert set(choice.keep) == {"partman-base", "grub-installer"}


def test_without_the_installers_own_steps_it_is_the_small_one() -> None:
    """partman or grub-installer can't be rebuilt from any .deb."""
    choice = choose(STOCK, SMALL, _without("grub-installer", "e2fsprogs-udeb"), REBUILDABLE)
    assert (choice.kind, set(choice.keep)) == ("small", set(SMALL))


def test_a_mirror_without_the_base_installer_is_no_use() -> None:
    """And that is said with its name. Fails when the lab starts an install that can't end."""
    with pytest.raises(LabProblem, match="base-installer"):
        choose(STOCK, SMALL, _without("grub-installer", "base-installer"), REBUILDABLE)


def _entry(name: str, content: bytes) -> bytes:
    """One file in a cpio archive, new ASCII format (cpio(5))."""
    head = b"070701" + b"".join(b"%08x" % field for field in (1, 0o100644, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0))
    named = head + name.encode() + b"\0"
    return named + b"\0" * (-len(named) % 4) + content + b"\0" * (-len(content) % 4)


def test_an_initrd_says_its_kernel_and_its_components(tmp_path: Path) -> None:
    """Read from the archive itself, though the same path is also a string in a program. Fails when that string is taken for the file."""
    status = b"Package: anna\nStatus: x\n\nPackage: udpkg\n"
    entries = [("bin/udpkg", b"ANNA\0var/lib/dpkg/status\0more"), (f"lib/modules/{KERNEL}", b""), ("var/lib/dpkg/status", status)]
    path = tmp_path / "initrd.gz"
    path.write_bytes(gzip.compress(b"".join(_entry(name, content) for name, content in entries)))
    found = initrd(path)
    assert (found.kernel, set(found.components)) == (KERNEL, {"anna", "udpkg"})


def test_what_is_no_installer_is_refused_by_name(tmp_path: Path) -> None:
    """A gzipped something else. Fails when a missing kernel is taken for none."""
    path = tmp_path / "other.gz"
    path.write_bytes(gzip.compress(b"no cpio"))
    with pytest.raises(LabProblem, match=r"other\.gz"):
        initrd(path)
