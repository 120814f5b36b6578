"""Proxmox's automatic installer: its image in memory, one URL for every machine, a webhook. It says a thing once and runs no hook."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.oses.scripted.ipxe import Booted
from tests.oses.scripted.line import Asked, Failed
from tests.oses.scripted.node import HOME, Node, Stopped
from tests.oses.test_proxmox import taken


class Proxmox(Node):
    imaged = True
    hooks = False

    @staticmethod
    def medium(_family: str, release: str) -> Mapping[str, bytes]:
        """As proxmox-auto-install-assistant has prepared it."""
        info = f"PRODUCT='pve'\nPRODUCTLONG='Proxmox VE'\nRELEASE='{release}.1'\n".encode()
        return {".cd-info": info, "auto-installer-mode.toml": b'mode = "http"\n', "boot/linux26": b"x", "boot/initrd.img": b"x"}

    @staticmethod
    def needed(_release: str) -> Mapping[str, Any]:
        return {"installDisk": {"serial": "WD-123"}}

    def prepare(self) -> None:
        super().prepare()
        self._first_boot = ""

    def phase(self, path: str) -> str | None:
        return "started" if path == "/answer" else super().phase(path)

    def install(self, booted: Booted) -> None:
        assert "proxmox-start-auto-installer" in booted.arguments.split()
        assert list(booted.initrds)[-1].startswith("initrd"), "the image lies before the initrd that looks for it"
        facts = {"network_interfaces": [{"link": "eth0", "mac": "52:54:00:99:99:99"}, {"link": "eth1", "mac": self.mac}]}
        try:
            answer = tomllib.loads(self._post(f"{HOME}/answer", facts).decode())
        except Failed as failed:
            raise Stopped(f"no answer file: {failed}") from failed
        taken(answer)
        assert answer["disk-setup"]["filter"] == {"ID_SERIAL_SHORT": "WD-123"}
        self.work(600)
        self._first_boot = self.text(answer["first-boot"]["url"])
        try:
            self._post(answer["post-installation-webhook"]["url"], {"fqdn": answer["global"]["fqdn"]})
        except Failed:
            pass  # it is told, and the machine restarts

    def _post(self, url: str, facts: Mapping[str, Any]) -> bytes:
        return self._answer(Asked("POST", url, Path("/dev/null"), 30, json.dumps(facts).encode()))

    def first_boot_is_due(self) -> bool:
        return bool(self._first_boot)

    def first_boot(self) -> None:
        """Its own unit runs the script at each boot until it ends well."""
        if not self.run(self._first_boot, good=False, root=self.root).returncode:
            self._first_boot = ""
