"""wimboot, Windows PE and Windows: cmd.exe of Wine's runs pxed.cmd as winpeshl.ini says, specialize.cmd as the answer file that pxed.cmd
has put onto the disk says, and SetupComplete.cmd from where it put that, in every walk.

W: is the disk, and C: once the system on it runs. curl, ping, diskpart, dism, bcdboot and wpeutil are fakes (tests/oses/winpe.py); what
they do to the disk, the clock and pxed is here. dism's image is Wine's own Windows. Not shown here: what these programs themselves do, and
that Windows Setup runs specialize.cmd and SetupComplete.cmd.
"""

from __future__ import annotations

import configparser
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from tests.oses import winpe
from tests.oses.samples_windows import PASSWORD
from tests.oses.scripted import curl
from tests.oses.scripted.ipxe import Booted
from tests.oses.scripted.line import CmdLine, Failed
from tests.oses.scripted.node import Node
from tests.oses.windows_files import NAMESPACE

COMMAND = 'echo ran>>"%SystemDrive%\\ran"'
IMAGE = b"MSWIM"


class Windows(Node):
    clients = ()
    missing = "" if winpe.HERE else winpe.MISSING

    @staticmethod
    def medium(_family: str, _release: str) -> Mapping[str, bytes]:
        return dict.fromkeys(("sources/boot.wim", "sources/install.wim", "bootmgr"), IMAGE)

    @staticmethod
    def needed(_release: str) -> Mapping[str, Any]:
        return {"rootPassword": PASSWORD, "username": "ann", "password": PASSWORD + "a", "scripts": {"firstboot": [COMMAND]}}

    def prepare(self) -> None:
        self.machine = winpe.Machine(winpe.shared(), self.box.root / "drives")
        self.cmd = CmdLine(self.machine, self._does)
        if self.arch:
            self.machine.rule("reg", output=winpe.UEFI)
        self.machine.rule("diskpart", text="detail disk", output=winpe.SATA)
        self._laid: dict[str, str] = {}
        """What wimboot lays into Windows PE, by name."""
        self._stages: list[str] = []
        """What the system on the disk does at its next boots."""

    @property
    def root(self) -> Path:
        return self.machine.folder / "W"

    def load(self, booted: Booted) -> None:
        assert booted.url.endswith("/windows/wimboot")
        assert list(booted.initrds) == ["winpeshl.ini", "pxed.cmd", "curl.exe", "boot.wim"]
        self._laid = {name: self.text(booted.initrds[name]) for name in ("winpeshl.ini", "pxed.cmd")}

    def install(self, booted: Booted) -> None:
        for name, text in self._laid.items():
            (self.machine.prefix.drive_c / "windows/system32" / name).write_text(text, newline="")
        shell = configparser.ConfigParser(allow_no_value=True, delimiters=("=",), interpolation=None)
        shell.optionxform = str  # type: ignore[assignment,method-assign]
        shell.read_string(self._laid["winpeshl.ini"])
        (launched,) = shell["LaunchApps"]
        program, arguments = launched.split(",")
        self.cmd.run(program + arguments)
        assert self.machine.calls()[-1].words in (("reboot",), ("shutdown",)), "wpeutil is its last word"

    def first_boot_is_due(self) -> bool:
        return bool(self._stages)

    def first_boot(self) -> None:
        """specialize; the restart behind it; OOBE, whose last step is SetupComplete.cmd."""
        stage = self._stages.pop(0)
        if stage == "specialize":
            answers = ElementTree.parse(self.root / "Windows/Panther/unattend.xml")
            for command in answers.iterfind(f".//{NAMESPACE}RunSynchronousCommand/{NAMESPACE}Path"):
                assert self._run(str(command.text)) == 0, "an exit code other than 0 stops Windows' setup"
            assert self.fetched[-1].endswith("/progress")
        elif stage == "complete":
            self._run('cmd.exe /d /c "%SystemRoot%\\Setup\\Scripts\\SetupComplete.cmd"')
            for folder in ("Setup/Scripts", "Panther"):
                assert not list((self.root / "Windows" / folder).iterdir()), "nothing of ours stays behind"

    def _run(self, command: str) -> int:
        """A command in the installed system; its exit code."""
        return self.cmd.run(command, system="W").returncode

    def close(self) -> None:
        self.cmd.close()
        super().close()

    # the programs

    def _does(self, call: winpe.Call) -> int:
        does = {
            "curl": self._curl, "ping": self._ping, "diskpart": self._diskpart, "dism": self._dism, "bcdboot": self._bcdboot,
            "wpeutil": self._wpeutil,
        }  # fmt: skip
        return does[call.name](call.words) if call.name in does else 0

    def _curl(self, words: tuple[str, ...]) -> int:
        """What comes is left where the fake takes it from."""
        asked, retries, delay, again = curl.read(words)
        while True:
            try:
                body = self._answer(asked)
            except Failed as failed:
                if not retries or str(failed) not in again:
                    return Failed.STATUS[str(failed)][1]
                retries -= 1
                self.pxed.advance(delay)
            else:
                self.machine.serve({urlsplit(asked.url).path.rsplit("/", 1)[1]: body.decode()})
                return 0

    def _ping(self, words: tuple[str, ...]) -> int:
        switch, count, _ = words
        assert switch == "-n"
        self.pxed.advance(int(count) - 1)
        return 0

    def _diskpart(self, words: tuple[str, ...]) -> int:
        _, _, script = words
        if "\nclean" in script:
            shutil.rmtree(self.root)
            self.root.mkdir()
            self._stages = []
            self.work(60)
        return 0

    def _dism(self, words: tuple[str, ...]) -> int:
        given = dict(word.split(":", 1) for word in words if ":" in word)
        assert given["/ApplyDir"] == "W:\\"
        if self._on_w(given["/ImageFile"]).read_bytes() != IMAGE:
            return 11
        self.pxed.advance(600)
        self.machine.apply("W")
        return 0

    def _bcdboot(self, words: tuple[str, ...]) -> int:
        assert words == ("W:\\Windows", "/s", "S:", "/f", "uefi" if self.arch else "bios")
        self._stages = ["specialize", "restart", "complete"]
        return 0

    def _wpeutil(self, words: tuple[str, ...]) -> int:
        self.power = words != ("shutdown",)
        return 0

    def _on_w(self, path: str) -> Path:
        assert path.startswith("W:\\")
        return self.root / path[3:].replace("\\", "/")
