"""casper, cloud-init and subiquity: the whole image into memory, the four files of the seed, autoinstall's commands, its own reports."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import yaml

from pxed.oses.disk import PLACEHOLDER
from tests.oses.scripted.ipxe import Booted
from tests.oses.scripted.node import Node


class Ubuntu(Node):
    imaged = True

    @staticmethod
    def medium(_family: str, _release: str) -> Mapping[str, bytes]:
        return {"casper/vmlinuz": b"kernel", "casper/initrd": b"initrd"}

    def prepare(self) -> None:
        super().prepare()
        for name, body in (("readlink", 'echo "$2"\n'), ("systemctl", ""), ("curtin", 'shift 3\nexec in-target "$@"\n')):
            self.box.fake(name, body)
        self.box.fake("python3", f'exec "{sys.executable}" "$@"\n', noted=False)
        for folder in ("etc/rsyslog.d", "target/etc/netplan", "target/etc/cloud/cloud.cfg.d"):
            (self.box.root / folder).mkdir(parents=True)

    def install(self, booted: Booted) -> None:
        words = booted.arguments.split()
        assert "autoinstall" in words
        assert "cloud-config-url=/dev/null" in words, "else cloud-init takes the image for its own"
        image = self.get(booted.word("iso-url", "url"))
        assert image[0x8001:0x8006] == b"CD001"
        kind, _, seed = booted.word("ds").partition(";s=")
        assert kind in ("nocloud", "nocloud-net")
        for name in ("meta-data", "vendor-data", "network-config"):
            yaml.safe_load(self.text(seed + name))
        text = self.text(f"{seed}user-data")
        assert text.startswith("#cloud-config\n")
        read: dict[str, Any] = yaml.safe_load(text)
        assert list(read) == ["autoinstall"]
        answers = read["autoinstall"]
        self._report(answers, "subiquity/Early/apply_autoinstall_config", "start")
        own = self.box.root / "autoinstall.yaml"
        own.write_text(yaml.safe_dump(answers))
        for command in answers["early-commands"]:
            self.run(command)
        answers = yaml.safe_load(own.read_text())
        assert answers["storage"]["layout"]["match"]["path"] == "/dev/sda"
        assert PLACEHOLDER not in own.read_text()
        self._report(answers, "subiquity/Install/install/curtin_install", "start")
        self.work(600)
        self._report(answers, "subiquity/Install/install/curtin_install", "finish")
        for command in answers["late-commands"]:
            self.run(command)
        self.power = answers["shutdown"] == "reboot"

    def _report(self, answers: dict[str, Any], name: str, kind: str) -> None:
        hook = answers["reporting"]["pxed"]
        assert hook["type"] == "webhook"
        event = {"name": name, "description": name, "event_type": kind, "origin": "curtin", "timestamp": 1.0, "level": "INFO"}
        self.post(hook["endpoint"], json.dumps(event).encode())
