"""Stand-ins for installer components (udebs) that the mirror lists and does not have, built at run time.

Programs come out of Debian's own .debs of the same release; the few scripts are in ``installer/``. Everything else of the installer
(kernel, initrd, main-menu, cdebconf, netcfg, choose-mirror, preseed, anna, base-installer, kernel modules) stays Debian's own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.process import LabProblem, run

SCRIPTS = Path(__file__).parent / "installer"
VERSION = "1+pxlab"


@dataclass(frozen=True)
class Component:
    """One udeb. `fields` are its control fields beyond the obvious; `files` maps its paths to sources, executable if the source is.

    `instead` says in words what of Debian's own it stands in for.
    """

    name: str
    instead: str
    version: str = VERSION
    arch: str = "amd64"
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    postinst: Path | None = None
    templates: Sequence[tuple[str, str, str]] = ()

    def build(self, into: Path) -> Path:
        """Write the udeb; returns its path."""
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder, "tree")
            for target, source in self.files.items():
                place = tree / target
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, place)
                place.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
            self._control(tree / "DEBIAN")
            out = into / f"{self.name}_{self.version}_{self.arch}.udeb"
            run("dpkg-deb", "--root-owner-group", "-Zxz", "-b", str(tree), str(out))
            return out

    def _control(self, folder: Path) -> None:
        folder.mkdir(parents=True, mode=0o755)
        fields = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": self.arch,
            "Maintainer": "The lab of pxed <root@localhost>",
        }
        fields |= {"Section": "debian-installer", **self.fields, "Description": f"in place of {self.instead}"}
        (folder / "control").write_text("".join(f"{name}: {value}\n" for name, value in fields.items()))
        if self.postinst:
            shutil.copyfile(self.postinst, folder / "postinst")
            (folder / "postinst").chmod(0o755)
        if self.templates:
            text = [f"Template: {name}\nType: {kind}\nDescription: {said}\n" for name, kind, said in self.templates]
            (folder / "templates").write_text("\n".join(text))


def stand_ins(unpacked: Callable[[str], Path], debootstrap_version: str) -> list[Component]:
    """The small installer's own components. `unpacked` gives the tree of a .deb of the release, by the package's name."""
    return [_debootstrap(unpacked("debootstrap"), debootstrap_version), _mapdevfs(), _disk(unpacked), _grub(), _finish()]


def _debootstrap(tree: Path, version: str) -> Component:
    files = {}
    for path in sorted(tree.rglob("*")):
        inside = path.relative_to(tree).as_posix()
        if path.is_file() and not inside.startswith(("usr/share/doc/", "usr/share/man/")):
            files[inside] = path.resolve()
    depends = {"Priority": "optional", "Depends": "mounted-partitions"}
    return Component("debootstrap-udeb", "debootstrap-udeb (the same, out of debootstrap.deb)", version, "all", depends, files)


def _mapdevfs() -> Component:
    return Component(
        "di-utils-mapdevfs", "di-utils-mapdevfs", fields={"Priority": "standard"}, files={"bin/mapdevfs": SCRIPTS / "mapdevfs"}
    )


def _disk(unpacked: Callable[[str], Path]) -> Component:
    programs = {"e2fsprogs": ["sbin/mke2fs"], "fdisk": ["sbin/sfdisk"], "dosfstools": ["sbin/mkfs.fat"]}
    libraries = {
        "libext2fs2": ["libe2p", "libext2fs"],
        "libcom-err2": ["libcom_err"],
        "libfdisk1": ["libfdisk"],
        "libsmartcols1": ["libsmartcols"],
    }
    files = {name: find(unpacked(package), name) for package, names in programs.items() for name in names}
    files["etc/mke2fs.conf"] = find(unpacked("e2fsprogs"), "etc/mke2fs.conf")
    for package, names in libraries.items():
        for name in names:
            link = find(unpacked(package), f"lib/x86_64-linux-gnu/{name}.so.[0-9]")
            files[f"usr/lib/{link.name}"] = link.resolve()
    files["usr/lib/base-installer.d/05pxlab-apt"] = SCRIPTS / "apt.hook"
    fields = {
        "Priority": "standard",
        "Installer-Menu-Item": "4200",
        "Provides": "created-fstab, made-filesystems, mounted-partitions, partitioned-harddrives",
        "Depends": "cdebconf-udeb, di-utils-mapdevfs",
    }
    templates = [
        ("debian-installer/pxlab-disk/title", "text", "Partition disks"),
        ("partman-auto/disk", "string", "Disk to use"),
        ("partman/early_command", "string", "Command to run before partitioning"),
    ]
    return Component(
        "pxlab-disk", "partman and e2fsprogs-udeb", fields=fields, files=files, postinst=SCRIPTS / "disk.postinst", templates=templates
    )


def _grub() -> Component:
    fields = {
        "Priority": "standard",
        "Installer-Menu-Item": "7400",
        "Provides": "bootable-system",
        "Depends": "cdebconf-udeb, kernel-installer, created-fstab, di-utils",
    }
    templates = [
        ("debian-installer/pxlab-grub/title", "text", "Install the GRUB boot loader"),
        ("grub-installer/bootdev", "string", "Disk to boot from"),
    ]
    return Component("pxlab-grub", "grub-installer", fields=fields, postinst=SCRIPTS / "grub.postinst", templates=templates)


def _finish() -> Component:
    fields = {
        "Priority": "required",
        "Installer-Menu-Item": "7800",
        "Depends": "cdebconf-udeb, installed-base, created-fstab, bootable-system",
    }
    questions = {
        "passwd/root-password": "password",
        "passwd/root-password-crypted": "password",
        "passwd/make-user": "boolean",
        "passwd/username": "string",
        "passwd/user-password": "password",
        "passwd/user-password-crypted": "password",
        "debian-installer/exit/poweroff": "boolean",
    }
    templates = [("debian-installer/pxlab-finish/title", "text", "Finish the installation")]
    templates += [(name, kind, name) for name, kind in questions.items()]
    files = {"usr/lib/finish-install.d/06pxlab-users": SCRIPTS / "users.hook"}
    return Component(
        "pxlab-finish",
        "user-setup, clock-setup, finish-install",
        fields=fields,
        files=files,
        postinst=SCRIPTS / "finish.postinst",
        templates=templates,
    )


def find(tree: Path, pattern: str) -> Path:
    """The one file of `tree` at `pattern` (glob), whether the release keeps it below / or /usr. LabProblem if there is none."""
    found = sorted([*tree.glob(pattern), *tree.glob(f"usr/{pattern}")])
    if not found:
        raise LabProblem(f"no {pattern} in the package unpacked for it")
    return found[0]
