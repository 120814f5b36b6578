"""Agama's live system: inst.script before anything else, the profile that it leaves, the profile's own scripts around the installation."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.oses.scripted.ipxe import Booted
from tests.oses.scripted.node import Node, Stopped, chroot


class Agama(Node):
    clients = ("curl",)

    @staticmethod
    def medium(_family: str, _release: str) -> Mapping[str, bytes]:
        loader = {f"boot/x86_64/loader/{name}": b"x" for name in ("linux", "initrd")}
        return {**loader, "LiveOS/squashfs.img": b"x", "install/repodata/repomd.xml": b"<repomd/>"}

    def prepare(self) -> None:
        super().prepare()
        chroot(self.box, "mnt")
        for name in ("systemd-run", "systemctl", "journalctl"):
            self.box.fake(name, "")
        (self.box.root / "proc/self").mkdir(parents=True)
        (self.box.root / "proc/self/cgroup").write_text("0::/system.slice/agama-autoinstall.service\n")
        (self.box.root / "target/etc/NetworkManager/system-connections").mkdir(parents=True)

    def here(self, script: str) -> str:
        """The profile's scripts name ours; ours name theirs below PXED_ROOT."""
        return script.replace("sh /run/pxed/", f"sh {self.box.root}/run/pxed/")

    def install(self, booted: Booted) -> None:
        live = booted.word("root")
        assert live.startswith("live:")
        self.get(live.removeprefix("live:"), tries=3)
        self.run(self.text(booted.word("inst.script")))
        auto = booted.word("inst.auto")
        assert auto.startswith("file:///")
        left = self.box.root / auto.removeprefix("file:///")
        if not left.exists():
            raise Stopped("without a profile Agama installs nothing")
        profile = json.loads(left.read_text())
        assert profile["questions"] == {"policy": "auto"}
        (drive,) = profile["storage"]["drives"]
        assert drive["search"] == "/dev/sda"
        self.get(f"{booted.word('inst.install_url')}/repodata/repomd.xml")
        for script in profile["scripts"]["postPartitioning"]:
            self.run(script["content"])
        self.work(600)
        for script in profile["scripts"]["post"]:
            assert script["chroot"] is False
            self.run(script["content"])
        self.power = booted.word("inst.finish") == "reboot"
