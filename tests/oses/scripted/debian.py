"""debian-installer: preseed, read line by line; early_command, partman's, late_command, each run by busybox."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.oses.scripted.ipxe import Booted
from tests.oses.scripted.node import Node, Stopped

_LINE = re.compile(r"(\S+)[ \t]+(\S+)[ \t]+(\S+)(?:[ \t](.*))?")


def answers(text: str) -> dict[str, str]:
    """Question > value of a preseed file: comments, continued lines, one blank before the value; the last one wins."""
    found = {}
    for line in text.replace("\\\n", "").splitlines():
        if line.strip() and not line.startswith("#"):
            matched = _LINE.fullmatch(line)
            assert matched is not None, line
            found[matched[2]] = matched[4] or ""
    return found


def mirror(images: str, suite: str) -> Mapping[str, bytes]:
    """A mirror with the installer of `suite` in the folder `images`."""
    folder = images.format(suite=suite)
    return {f"{folder}/linux": b"kernel", f"{folder}/initrd.gz": b"initrd", f"dists/{suite}/Release": b"Suite: x\n"}


class Debian(Node):
    images = "dists/{suite}/main/installer-amd64/current/images/netboot/debian-installer/amd64"
    shell = "busybox sh"
    clients = ("wget",)

    @staticmethod
    def medium(_family: str, release: str) -> Mapping[str, bytes]:
        return mirror(Debian.images, {"11": "bullseye", "12": "bookworm", "13": "trixie"}[release])

    def install(self, booted: Booted) -> None:
        assert {"auto=true", "priority=critical"} <= set(booted.arguments.split())
        preseed = answers(self.text(booted.word("url")))
        self.run(preseed["preseed/early_command"])
        protocol = preseed["mirror/protocol"]
        mirror = f"{protocol}://{preseed[f'mirror/{protocol}/hostname']}{preseed[f'mirror/{protocol}/directory']}"
        self.get(f"{mirror}/dists/{preseed['mirror/suite']}/Release")
        self.run(preseed["partman/early_command"])
        selections = self.box.root.parent / "selections"
        if not selections.exists():
            raise Stopped("partman asks for a disk")
        chosen = answers(selections.read_text())
        assert chosen["partman-auto/disk"] == chosen["grub-installer/bootdev"] == "/dev/sda"
        self.work(600)
        self.run(preseed["preseed/late_command"])
        assert preseed["finish-install/reboot_in_progress"] == ""
        self.power = preseed["debian-installer/exit/poweroff"] == "false"


class Bionic(Debian):
    """Ubuntu 18.04's, from a mirror."""

    images = "dists/{suite}-updates/main/installer-amd64/current/images/netboot/ubuntu-installer/amd64"

    @staticmethod
    def medium(_family: str, _release: str) -> Mapping[str, bytes]:
        return mirror(Bionic.images, "bionic")

    def prepare(self) -> None:
        super().prepare()
        (self.box.root / "target/etc/netplan").mkdir()
