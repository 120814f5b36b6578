"""mboot, weasel and what ESXi runs at its first two boots: boot.cfg and its modules, ks.cfg and its sections, local.sh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.oses.samples import SECRET
from tests.oses.samples_esxi import BOOT_CFG
from tests.oses.scripted.ipxe import Booted
from tests.oses.scripted.node import Node
from tests.oses.test_esxi import script
from tests.oses.test_esxi_hooks import SSD, equip


class Esxi(Node):
    shell = "busybox sh"
    clients = ("wget",)
    target = ""

    @staticmethod
    def medium(_family: str, release: str) -> Mapping[str, bytes]:
        """As on the image: names in upper case, which boot.cfg writes in lower case."""
        build = {"8": "8.0.3-0.0.1", "7": "7.0.3-0.0.1"}.get(release, f"{release}.0-0.0.1")
        config = BOOT_CFG.replace("build=8.0.3-0.0.24022510", f"build={build}")
        names = ("MBOOT.C32", "EFI/BOOT/BOOTX64.EFI", "B.B00", "JUMPSTRT.GZ", "USEROPTS.GZ", "K.B00", "S.V00")
        return {"BOOT.CFG": config.encode(), **dict.fromkeys(names, b"x")}

    @staticmethod
    def needed(release: str) -> Mapping[str, Any]:
        return {"rootPassword": SECRET, "repo": f"esxi-{release}", "installDisk": {"serial": "S24BNXAG805065R"}}

    def prepare(self) -> None:
        equip(self.box)
        self.secure = False
        """UEFI Secure Boot: the installed system runs neither %firstboot nor local.sh, but it has its ports."""
        self._stage = ""

    def load(self, booted: Booted) -> None:
        loader = "bootx64.efi" if self.arch else "mboot.c32"
        assert booted.url.endswith(f"/{loader}")
        switch, config, *more = booted.arguments.split()
        assert switch == "-c"
        assert self.arch or more == [f"BOOTIF=01-{self.mac.replace(':', '-')}"]
        lines = dict(line.split("=", 1) for line in self.text(config).splitlines() if "=" in line)
        for name in (lines["kernel"], *lines["modules"].split(" --- ")):
            self.get(f"{lines['prefix']}/{name}")
        self._options = lines["kernelopt"]

    def install(self, booted: Booted) -> None:
        (address,) = [word.removeprefix("ks=") for word in self._options.split() if word.startswith("ks=")]
        commands, self._sections = script(self.text(address))
        self.run(self._sections["%pre"])
        assert commands["%include"] == ["/tmp/pxed-disk.cfg"]
        chosen, _ = script((self.box.root / "tmp/pxed-disk.cfg").read_text())
        assert chosen["install"][0] == f"--disk={SSD}"
        self.work(300)
        self.run(self._sections["%post"])
        assert "reboot" in commands
        self._stage = "%firstboot"

    def first_boot_is_due(self) -> bool:
        return self._stage == "%firstboot" or "# pxed begin" in self._local

    def first_boot(self) -> None:
        if self.secure:
            self._stage = ""
            self.pxed.advance(60, step=15)
            self.pxed.answering |= {443, 902}
            self.pxed.advance(60, step=15)
        elif self._stage == "%firstboot":
            self._stage = "configured"
            before = len(self.box.calls("reboot"))
            self.run(self._sections["%firstboot"], good=False)
            assert len(self.box.calls("reboot")) == before + 1
        else:
            self.run(self._local, good=False)

    @property
    def _local(self) -> str:
        return (self.box.root / "etc/rc.local.d/local.sh").read_text()
