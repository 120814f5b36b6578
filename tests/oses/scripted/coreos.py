"""Ignition twice: in the live system, whose one unit installs, and in the installed one, which it makes what it shall be."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.oses.scripted.ipxe import Booted
from tests.oses.scripted.node import Node

_KEEP = """
previous= base= folder=
for each in "$@"; do
	case $previous in
	-i | --ignition-file) cp "$each" "$CALLS/../config" ;;
	-b) base=$each ;;
	-V) folder=$each ;;
	esac
	previous=$each
done
"""


class Ignition(Node):
    program: str
    image: str

    def prepare(self) -> None:
        super().prepare()
        for name, body in (("readlink", 'echo "$2"\n'), ("sync", ""), ("systemctl", ""), (self.program, _KEEP + self.image)):
            self.box.fake(name, body)

    def install(self, booted: Booted) -> None:
        self._live(booted)
        restarts, written = len(self.box.calls("systemctl")), len(self.box.calls(self.program))
        self._apply(json.loads(self.text(booted.word("ignition.config.url"))), self.box.root / "live")
        unit = next((self.box.root / "live/etc/systemd/system").glob("*.service"))
        (command,) = [line.removeprefix("ExecStart=") for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
        program, script = command.split()
        assert program == "/bin/sh"
        self.work(60)
        self.run((self.box.root / "live" / script.lstrip("/")).read_text())
        assert len(self.box.calls(self.program)) == written + 1
        # The disk now holds the image with this config in it; its own first start applies it.
        self._apply(json.loads((self.box.root.parent / "config").read_text()), self.root)
        (order,) = [call.arguments for call in self.box.calls("systemctl")[restarts:]]
        self.power = order == ("reboot",)

    def _live(self, booted: Booted) -> None:
        """What the live system needs beside kernel and initrd."""

    def _apply(self, config: dict[str, Any], root: Path) -> None:
        """What Ignition does with files and units."""
        for each in config["storage"]["files"]:
            path = root / each["path"].lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            source = each["contents"]["source"]
            inside = source.removeprefix("data:;base64,")
            path.write_bytes(base64.b64decode(inside) if inside != source else self.get(source, tries=12))
            path.chmod(each["mode"])
        units = root / "etc/systemd/system"
        (units / "multi-user.target.wants").mkdir(parents=True, exist_ok=True)
        for each in config["systemd"]["units"]:
            (units / each["name"]).write_text(each["contents"])
            wanted = units / "multi-user.target.wants" / each["name"]
            if each["enabled"] and not wanted.is_symlink():
                wanted.symlink_to(f"../{each['name']}")


class Flatcar(Ignition):
    program = "flatcar-install"
    image = 'wget -q -T 60 -O "$CALLS/../image" "$base/$folder/flatcar_production_image.bin.bz2" || exit 1\n'

    @staticmethod
    def medium(_family: str, _release: str) -> Mapping[str, bytes]:
        names = ("flatcar_production_pxe.vmlinuz", "flatcar_production_pxe_image.cpio.gz", "flatcar_production_image.bin.bz2")
        return dict.fromkeys(names, b"x")

    def _live(self, booted: Booted) -> None:
        assert booted.word("flatcar.first_boot") == "1"


class Fcos(Ignition):
    clients = ("curl",)
    program = "coreos-installer"
    image = '[ "$1" = install ] || exit 1\n'

    @staticmethod
    def medium(_family: str, _release: str) -> Mapping[str, bytes]:
        return {f"images/pxeboot/{name}": b"x" for name in ("vmlinuz", "initrd.img", "rootfs.img")}

    def _live(self, booted: Booted) -> None:
        assert "ignition.firstboot" in booted.arguments.split()
        self.get(booted.word("coreos.live.rootfs_url"))
