"""Debian's own components rebuilt at run time out of Debian's own .debs of the same release: the same programs, libraries and modules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests.lab.aptroot import Stanza
from tests.lab.components import SCRIPTS, Component, find
from tests.lab.process import LabProblem

MODULES = {
    "ext4": ("ext4", "jbd2", "mbcache", "crc16", "crc32c_generic", "libcrc32c"),
    "scsi": ("virtio_blk", "virtio_scsi"),
}
"""Kernel modules of the components that can be rebuilt, as far as a virtual machine needs them and they are not built in."""
E2FSPROGS = {
    "sbin/mke2fs": ("mke2fs", "mkfs.ext2", "mkfs.ext3", "mkfs.ext4"),
    "sbin/e2fsck": ("e2fsck", "fsck.ext2", "fsck.ext3", "fsck.ext4"),
    "sbin/tune2fs": ("tune2fs",),
    "sbin/resize2fs": ("resize2fs",),
    "sbin/badblocks": ("badblocks",),
}
LIBRARIES = {"libext2fs2t64": ("libe2p", "libext2fs"), "libcom-err2": ("libcom_err",)}


def names(kernel: str) -> set[str]:
    """What can be rebuilt for the installer's kernel."""
    return {"e2fsprogs-udeb", "libmount1-udeb", *(f"{kind}-modules-{kernel}-di" for kind in MODULES)}


def rebuild(
    wanted: Iterable[str], kernel: str, official: Mapping[str, Stanza], dropped: set[str], unpacked: Callable[[str], Path]
) -> list[Component]:
    """The components `wanted`, a part of `names`; `dropped` are left out of their dependencies. LabProblem if a .deb lacks a file."""
    out = []
    for name in sorted(wanted):
        if name == "e2fsprogs-udeb":
            files = _e2fsprogs(unpacked)
        elif name == "libmount1-udeb":
            library = find(unpacked("libmount1"), "lib/x86_64-linux-gnu/libmount.so.[0-9]")
            files = {f"usr/lib/x86_64-linux-gnu/{library.name}": library.resolve()}
        else:
            files = _modules(MODULES[name.split("-", 1)[0]], unpacked(f"linux-image-{kernel}"))
        out.append(_like(official[name], files, dropped))
    return out


def unsigned_index() -> Component:
    """A hook of the lab's own: apt in the target takes the reduced index, which Debian did not sign."""
    files = {"usr/lib/base-installer.d/05pxlab-apt": SCRIPTS / "apt.hook"}
    return Component("pxlab-apt", "Debian's signature on the index", fields={"Priority": "standard"}, files=files)


def _e2fsprogs(unpacked: Callable[[str], Path]) -> dict[str, Path]:
    tree = unpacked("e2fsprogs")
    files = {f"usr/sbin/{name}": find(tree, program).resolve() for program, every in E2FSPROGS.items() for name in every}
    files["etc/mke2fs.conf"] = find(tree, "etc/mke2fs.conf")
    for package, libraries in LIBRARIES.items():
        for library in libraries:
            link = find(unpacked(package), f"lib/x86_64-linux-gnu/{library}.so.[0-9]")
            files[f"usr/lib/x86_64-linux-gnu/{link.name}"] = link.resolve()
    return files


def _modules(wanted: Iterable[str], tree: Path) -> dict[str, Path]:
    files = {}
    for name in wanted:
        for path in tree.rglob(f"{name}.ko*"):
            files[path.relative_to(tree).as_posix()] = path
    if not files:
        raise LabProblem(f"the kernel's package holds none of {', '.join(wanted)}")
    return files


def _like(official: Stanza, files: Mapping[str, Path], dropped: set[str]) -> Component:
    """The official component's name, version and relations over other files."""
    fields = {name: official.field(name) for name in ("Priority", "Provides", "Kernel-Version") if official.field(name)}
    depends = [name for name in official.depends if name not in dropped]
    if depends:
        fields["Depends"] = ", ".join(depends)
    return Component(
        official.name, f"{official.name} (the same files, out of Debian's own .debs)", official.version, fields=fields, files=files
    )
