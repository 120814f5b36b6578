"""What all scripted nodes have in common: firmware, the wire with its troubles, hooks, the disk's own boot."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote_plus, urlsplit

from tests.dhcp import clients
from tests.dhcp.decode import Answer
from tests.dhcp.world import SERVER
from tests.oses.sandbox import FAKES, Sandbox
from tests.oses.scripted.appliance import HTTP_PORT, NODE, PROGRAMS, Appliance, Refused
from tests.oses.scripted.ipxe import Booted, Ipxe, Left
from tests.oses.scripted.line import Asked, Failed, ShellLine

MAC = clients.MAC
HOME = f"http://{SERVER}:{HTTP_PORT}"
RESTART = 100.0
"""Seconds from a restart to the firmware's DISCOVER."""
_OWN = re.compile(r"(?<![\w}\"])(?=/(?:tmp|run)/pxed)")
"""Before the absolute names of pxed's own files in what the installer runs: these lie below the sandbox's root here."""


class Fate(Enum):
    """What becomes of a notification on its way: it arrives; is lost; arrives, but its acknowledgement is lost; is acknowledged by
    something in between and arrives after the next one, or while the machine restarts."""

    ARRIVES = "arrives"
    LOST = "lost"
    ANSWER_LOST = "answer lost"
    LATE = "late"


class Stopped(Exception):
    """The installer goes no further: a script that must not fail has failed, or it waits for somebody to answer a question."""


class PowerCut(Exception):
    """The machine goes off in the middle of what it does, and on again."""


Weather = Callable[[str, int], Fate]
"""(phase, how often it was sent before) > what becomes of it. May kill pxed first."""


def fair(_phase: str, _before: int) -> Fate:
    return Fate.ARRIVES


class Node:
    """One machine at `pxed`. Subclasses are installers with the systems that they leave. `arch`: 0 is BIOS, 7 UEFI."""

    shell: ClassVar[str] = "sh"
    clients: ClassVar[tuple[str, ...]] = ("wget", "curl")
    """What installer and system have to fetch with."""
    target: ClassVar[str] = "target"
    """The installed system's / below the sandbox's root."""
    arch: int = 7
    hooks: ClassVar[bool] = True
    """Whether the installer runs hooks of ours from its start: they try again until they are heard, and say what fails."""
    missing: ClassVar[str] = ""
    """What its scripts cannot run without, and is not installed here."""
    imaged: ClassVar[bool] = False
    """Whether its medium has to be an image."""

    def __init__(self, pxed: Appliance, folder: Path, *, arch: int | None = None, mac: str = MAC) -> None:
        self.pxed, self.arch, self.mac = pxed, self.arch if arch is None else arch, mac
        self.box = Sandbox(folder, shell=self.shell)
        self.weather: Weather = fair
        self.sent: list[str] = []
        """Phases in the order in which they were sent first."""
        self.fetched: list[str] = []
        """Paths of everything that was fetched by HTTP."""
        self.answers: list[str] = []
        """What the firmware was told at each of its boots: ``installer`` or ``silence``."""
        self.installs = 0
        self.power = True
        self.cut = False
        """Whether the power fails while the installer works, once."""
        self.stopped = ""
        """Why the installer stands still."""
        self._times: dict[str, int] = {}
        self._late: list[Asked] = []
        self._xid = 0
        self.line = ShellLine(self.box, self._answer, pxed.advance, self.clients)
        self.prepare()

    @staticmethod
    def medium(family: str, release: str) -> Mapping[str, bytes]:
        """The files of a repository that has just what this installer asks for."""
        raise NotImplementedError

    @staticmethod
    def needed(_release: str) -> Mapping[str, Any]:
        """Options that its family insists on."""
        return {}

    def prepare(self) -> None:
        """What the machine has: disks, and the tools of its installer."""
        self.box.disk("sda", gigabytes=100, udev="ID_SERIAL_SHORT=WD-123\n")

    def load(self, booted: Booted) -> None:
        """What a boot program fetches that iPXE starts, before any kernel runs."""

    def install(self, booted: Booted) -> None:
        """The installer, from its command line to its restart."""
        raise NotImplementedError

    def work(self, seconds: float) -> None:
        """The installer divides the disk and writes to it. PowerCut if there is to be one."""
        self.pxed.advance(seconds)
        if self.cut:
            self.cut = False
            raise PowerCut

    def first_boot(self) -> None:
        """The installed system, when it runs; called at each boot from the disk."""
        systemd(self)

    # the life of a node

    def live(self, *, boots: int = 8) -> None:
        """Until it has nothing more to do, but for `boots` boots at most."""
        for _ in range(boots):
            for ram in ("tmp", "run"):
                shutil.rmtree(self.box.root / ram, ignore_errors=True)
                (self.box.root / ram).mkdir()
            booted = self.power_on()
            if booted is not None:
                self.installs += 1
                try:
                    self.load(booted)
                    self.install(booted)
                except PowerCut:
                    pass
                except Stopped as stopped:
                    self.stopped = str(stopped)
                    return
            elif self.first_boot_is_due():
                self.first_boot()
            else:
                return
            if not self.power:
                return
            self.pxed.advance(RESTART / 2)
            self._catch_up()
            self.pxed.advance(RESTART / 2)

    def first_boot_is_due(self) -> bool:
        """Whether the disk holds a system that has not said yet that it runs."""
        wants = self.root / "etc/systemd/system/multi-user.target.wants/pxed-firstboot.service"
        return wants.is_symlink()

    @property
    def root(self) -> Path:
        """The installed system's /."""
        return self.box.root / self.target

    # firmware

    def power_on(self) -> Booted | None:
        """DISCOVER, and on an offer all the way to the installer's kernel; None: the disk. A profile asked for without an offer (a site's
        own DHCP server may send nodes here) leaves for the disk too."""
        offer = self._discover()
        if offer is None:
            self.answers.append("silence")
            if self.pxed.service is not None:
                left = self._ipxe().chain(f"{HOME}/p/{self.mac}")
                assert left == Left("exit 1" if self.arch else "sanboot")
            return None
        assert self.pxed.tftp(offer.boot_file) == PROGRAMS[offer.boot_file]
        script = self.pxed.dhcp(clients.ipxe(self.arch, mac=self.mac, xid=self._next()))
        assert script is not None
        booted = self._ipxe().chain(script.boot_file)
        assert isinstance(booted, Booted), booted
        self.answers.append("installer")
        return booted

    def _discover(self) -> Answer | None:
        """The offer with its boot file; UEFI asks port 4011 for that."""
        offer = self.pxed.dhcp(clients.rom(self.arch, mac=self.mac, xid=self._next()))
        requested = [*clients.pxe_options(self.arch, message=3), (50, bytes(map(int, NODE.split(".")))), (54, bytes((127, 0, 0, 2)))]
        assert self.pxed.dhcp(clients.packet(requested, mac=self.mac, xid=self._xid)) is None, "that is the DHCP server's"
        if offer is None or 43 in offer:
            return offer
        acknowledged = self.pxed.dhcp(clients.pxe_request(self.arch, ciaddr=NODE, mac=self.mac), door=4011, source=NODE)
        assert acknowledged is not None
        return acknowledged

    def _next(self) -> int:
        self._xid += 1
        return self._xid

    def _ipxe(self) -> Ipxe:
        def fetch(url: str) -> bytes | None:
            try:
                return self.get(url)
            except Failed:
                return None

        return Ipxe(mac=self.mac, platform="efi" if self.arch else "pcbios", fetch=fetch, sleep=self.pxed.advance)

    # HTTP

    def get(self, url: str, *, tries: int = 1) -> bytes:
        """What an installer's own program fetches; it tries again every 5 s. Failed."""
        for _ in range(tries - 1):
            try:
                return self._answer(Asked("GET", url, Path("/dev/null"), 30))
            except Failed:
                self.pxed.advance(5)
        return self._answer(Asked("GET", url, Path("/dev/null"), 30))

    def text(self, url: str) -> str:
        """An answer file, as an installer's own program fetches it."""
        return self.get(url, tries=12).decode()

    def post(self, url: str, body: bytes, kind: str = "application/json") -> None:
        """What an installer posts of its own accord; nobody looks whether it arrives."""
        try:
            self.pxed.http("POST", self._path(url), body, headers={"Content-Type": kind})
        except Refused:
            return

    def _answer(self, asked: Asked) -> bytes:
        path = self._path(asked.url)
        phase = self.phase(path)
        if phase is None:
            return self._exchange(asked)
        if phase not in self.sent:
            self.sent.append(phase)
        before = self._times.get(phase, 0)
        self._times[phase] = before + 1
        fate = self.weather(phase, before)
        if fate is Fate.LOST:
            self.pxed.advance(asked.seconds)
            raise Failed("timeout")
        if fate is Fate.LATE:
            self._late.append(asked)
            return b""
        body = self._exchange(asked)
        self._catch_up()
        if fate is Fate.ANSWER_LOST:
            self.pxed.advance(asked.seconds)
            raise Failed("timeout")
        return body

    def phase(self, path: str) -> str | None:
        """What a request tells pxed."""
        found = re.fullmatch(r"/i/[^/]+/notify/([^?]+).*", path)
        return found[1] if found is not None else None

    def _catch_up(self) -> None:
        late, self._late = self._late, []
        for each in late:
            self._exchange(each)

    def _exchange(self, asked: Asked) -> bytes:
        path = self._path(asked.url)
        try:
            response = self.pxed.http(asked.method, path, asked.body)
        except Refused:
            raise Failed("refused") from None
        self.fetched.append(unquote_plus(urlsplit(path).path))
        if response.code >= 300:
            raise Failed("status")
        if path.startswith("/i/") and path.endswith(".sh"):
            return self.here(response.text).encode()
        return response.body

    def _path(self, url: str) -> str:
        assert url.startswith(f"{HOME}/"), f"{url} leads elsewhere"
        return url.removeprefix(HOME)

    # hooks

    def here(self, script: str) -> str:
        """A script with pxed's own absolute names below the sandbox's root."""
        return _OWN.sub(lambda _: str(self.box.root), script)

    def run(self, command: str, *, good: bool = True, root: Path | None = None) -> subprocess.CompletedProcess[str]:
        """A command of an answer file. `good`: Stopped unless it ends well; what it says to stderr is a fault."""
        ended = self.line.run(self.here(command), root=root, path=f":{self.box.root}/usr/bin")
        assert not good or not ended.stderr, (command, ended)
        if good and ended.returncode:
            raise Stopped(f"{command[:80]!r} ended with status {ended.returncode}")
        return ended

    def order(self, family: str, release: str, options: Mapping[str, Any]) -> None:
        """The operator's request, after the node has been seen."""
        self.pxed.api("POST", "/installs", node=self.mac, os=family, release=release, options=options)

    @property
    def shown(self) -> dict[str, Any]:
        """The newest install of this node, as the API shows it."""
        found: dict[str, Any] = self.pxed.api("GET", f"/installs?node={self.mac}")["installs"][-1]
        return found

    def close(self) -> None:
        self.line.close()


def chroot(box: Sandbox, at: str) -> None:
    """The new system is at `at` below the sandbox's root, and `chroot` works in it."""
    (box.root / at).parent.mkdir(parents=True, exist_ok=True)
    (box.root / at).symlink_to(box.root / "target")
    box.fake("chroot", "shift\n" + FAKES["in-target"])


def systemd(node: Node) -> None:
    """Start what multi-user.target wants, as the unit says: a one-shot whose condition is a file."""
    folder = node.root / "etc/systemd/system"
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((folder / "multi-user.target.wants/pxed-firstboot.service").resolve(strict=True).read_text())
    assert unit["Service"]["Type"] == "oneshot"
    if not (node.root / unit["Unit"]["ConditionPathExists"].lstrip("/")).exists():
        return
    program, script = unit["Service"]["ExecStart"].split()
    assert program == "/bin/sh"
    node.run((node.root / script.lstrip("/")).read_text(), good=False, root=node.root)
