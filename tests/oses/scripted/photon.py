"""Photon's installer: the kickstart's preinstall (5), whose variables stand in it, and postinstall, both by bash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.oses.sandbox import FAKES
from tests.oses.scripted.ipxe import Booted
from tests.oses.scripted.node import Node, Stopped
from tests.oses.test_photon import GRUB_CFG, checked


class Photon(Node):
    shell = "bash"
    clients = ("curl",)

    @staticmethod
    def medium(_family: str, _release: str) -> Mapping[str, bytes]:
        return dict.fromkeys(("isolinux/vmlinuz", "isolinux/initrd.img", "RPMS/repodata/repomd.xml"), b"x")

    @staticmethod
    def needed(release: str) -> Mapping[str, Any]:
        """Before 5 its installer runs nothing that could choose a disk."""
        return {} if release == "5" else {"installDisk": "/dev/sda"}

    def prepare(self) -> None:
        super().prepare()
        for name in ("etc", "root", "home", "usr", "boot"):  # postinstall runs in the new system
            (self.box.root / "target" / name).mkdir(exist_ok=True)
            (self.box.root / name).symlink_to(f"target/{name}")
        for path, text in {"usr/share/zoneinfo/UTC": "", "boot/grub2/grub.cfg": GRUB_CFG}.items():
            (self.box.root / path).parent.mkdir(parents=True)
            (self.box.root / path).write_text(text)
        for name, body in (("readlink", 'echo "$2"\n'), ("setsid", ""), ("pvs", ""), ("vgchange", "")):
            self.box.fake(name, body)
        self.box.fake("chroot", "shift\n" + FAKES["in-target"])
        self.box.fake("bash", 'exec sh "$@"\n', noted=False)

    def install(self, booted: Booted) -> None:
        assert booted.word("insecure_installation") == "1", "else it takes no kickstart by HTTP"
        config = json.loads(self.text(booted.word("ks")))
        if "preinstall" in config:
            self._preinstall(config)
        checked("5" if "preinstall" in config else "4", config)
        assert config["disk"] == "/dev/sda"
        self.get(f"{booted.word('repos', 'repo')}/repodata/repomd.xml")
        self.work(600)
        self.run("\n".join(config["postinstall"]).replace(" /root/", f" {self.box.root}/root/"))

    def _preinstall(self, config: dict[str, Any]) -> None:
        """Its variables are what values that begin with ``$`` stand for."""
        script, given = self.box.root / "tmp/preinstall", self.box.root / "tmp/given"
        script.write_text(self.here("\n".join(config["preinstall"])))
        self.run(f"set -a\nsource {script}\nenv -0 >{given}")
        known = dict(line.partition("=")[::2] for line in given.read_text().split("\0") if line)
        for place in (config, config["password"]):
            for name, value in place.items():
                if isinstance(value, str) and value.startswith("$") and not value.startswith("$$"):
                    if value[1:] not in known:
                        raise Stopped(f"{name} has the dynamic value {value}")
                    place[name] = known[value[1:]]


class OldPhoton(Photon):
    """3 and 4: nothing of ours runs until the system is installed; that it starts says the boot program."""

    hooks = False
