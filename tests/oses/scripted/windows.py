"""wimboot, Windows PE and Windows, as far as pxed can see them: what pxed.cmd, specialize.cmd and SetupComplete.cmd fetch and tell, in the
order in which they stand there, and as often as they try. That cmd.exe does with these files what is read out of them here is shown where
Wine's runs them (tests/oses/test_windows_batch.py): a batch file in Wine can't ask this process for an answer while it waits.
So the operator's command is not run here: that its file is fetched and holds it is looked at, and its trace is the node's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.oses.samples_windows import PASSWORD
from tests.oses.scripted.ipxe import Booted
from tests.oses.scripted.line import Asked, Failed
from tests.oses.scripted.node import Node, Stopped

COMMAND = 'echo ran>>"%SystemDrive%\\ran"'
STEP = re.compile(r"call :(tell|get|say|words|report) ?(.*)")
IMAGE = re.compile(r'%pxed_curl% -C - .*-o "%pxed_image%" "?([^" ]+)"? >')
ANSWERS = re.compile(r'^set "?pxed_answers=([^"\r]+)"?', re.MULTILINE)


class Windows(Node):
    target = "w"

    @staticmethod
    def medium(_family: str, _release: str) -> Mapping[str, bytes]:
        return dict.fromkeys(("sources/boot.wim", "sources/install.wim", "bootmgr"), b"MSWIM")

    @staticmethod
    def needed(_release: str) -> Mapping[str, Any]:
        return {"rootPassword": PASSWORD, "username": "ann", "password": PASSWORD + "a", "scripts": {"firstboot": [COMMAND]}}

    def prepare(self) -> None:
        super().prepare()
        self.root.mkdir(exist_ok=True)
        self._laid: dict[str, str] = {}
        """What wimboot lays into Windows PE, then what pxed.cmd puts into the new system, by name."""
        self._stages: list[str] = []

    def load(self, booted: Booted) -> None:
        assert booted.url.endswith("/windows/wimboot")
        assert list(booted.initrds) == ["winpeshl.ini", "pxed.cmd", "curl.exe", "boot.wim"]
        self._laid = {name: self.text(booted.initrds[name]) for name in ("winpeshl.ini", "pxed.cmd")}

    def install(self, booted: Booted) -> None:
        assert "pxed.cmd" in self._laid["winpeshl.ini"]
        batch = self._laid["pxed.cmd"]
        lines = batch.split("\r\n:failed\r\n")[0].split("\r\n")
        assert len(lines) > 50, "lines end as cmd.exe needs it, and what comes behind :failed is for trouble"
        self._words = ""
        for line in lines:
            if line in ("wpeutil reboot", "wpeutil shutdown"):
                self._stages = ["specialize", "restart", "complete"]
                self.power = line == "wpeutil reboot"
                return
            if line.startswith("diskpart /s"):
                self.work(60)
            elif line.startswith("dism "):
                self.pxed.advance(600)
            elif image := IMAGE.match(line):
                assert self.get(image[1], tries=20) == b"MSWIM"
            elif step := STEP.match(line):
                self._step(ANSWERS.findall(batch)[0], step[1], step[2])
        raise AssertionError(f"pxed.cmd does not restart the machine: {lines[-8:]}")

    def first_boot_is_due(self) -> bool:
        return bool(self._stages)

    def first_boot(self) -> None:
        """specialize; the restart behind it; OOBE, whose last step is SetupComplete.cmd."""
        stage = self._stages.pop(0)
        if stage == "specialize":
            assert "Microsoft-Windows-Deployment" in self._laid["unattend.xml"], "which runs specialize.cmd"
            (url,) = re.findall(r'"?(http://[^"\s]+/progress\?percent=\d+)"?', self._laid["specialize.cmd"])
            self._try(f"{url}&text=x", times=4, every=5, seconds=20)
        elif stage == "complete":
            self._complete(self._laid["SetupComplete.cmd"])

    def _complete(self, batch: str) -> None:
        answers = ANSWERS.findall(batch)[0]
        steps = [STEP.search(line) for line in batch.split("\r\n:step\r\n")[0].split("\r\n")]
        told = [(step[1], step[2]) for step in steps if step]
        assert told[1] == ("tell", "configured ok")
        assert [verb for verb, _ in told].count("report") == 1, "which says booted"
        self._step(answers, *told[1])
        assert COMMAND in self._laid["firstboot-1.cmd"].split("\r\n")
        with (self.root / "ran").open("a") as file:
            file.write("ran\n")
        (report,) = re.findall(r'"%pxed_answers%(/notify/\w+\?status=)%pxed_status%"', batch)
        self._try(f"{answers}{report}ok&message=x", times=20, every=45, seconds=30)

    def _step(self, answers: str, verb: str, rest: str) -> None:
        """What the labels of the same name do."""
        if verb == "words":
            self._words = rest.strip('"')
        elif verb == "say":
            percent, text = rest.split(" ", 1)
            self._try(f"{answers}/progress?percent={percent}&text={quote(text.strip(chr(34)))}", times=1, every=0, seconds=10)
        elif verb == "tell":
            phase, status = rest.split()
            self._try(f"{answers}/notify/{phase}?status={status}&message={quote(self._words)}", times=8, every=5, seconds=30)
        elif verb == "get":
            name = rest.split()[0].replace("%pxed_firmware%", "uefi" if self.arch else "bios")
            try:
                body = self.get(f"{answers}/{name}", tries=9)
            except Failed as failed:
                raise Stopped(f"{name} cannot be fetched: {failed}") from None
            self._laid[name] = body.decode()

    def _try(self, url: str, *, times: int, every: float, seconds: int) -> None:
        """curl, as often as its caller tries; it never fails."""
        for _ in range(times):
            try:
                self._answer(Asked("POST", url, Path("/dev/null"), seconds))
            except Failed:
                self.pxed.advance(every)
            else:
                return
