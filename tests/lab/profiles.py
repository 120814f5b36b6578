"""One virtual machine that executes one boot profile after another: real iPXE, the real appliance, a stand-in for each kernel.

The machine starts once, by its firmware and the boot program that pxed serves, up to a script that waits. There it is frozen
(`savevm`), and set back to for every profile: a second each instead of a whole start. What a profile does ends with the stand-in's restart
or with a notification to pxed.
"""

from __future__ import annotations

import http.client
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab import standin
from tests.lab.appliance import Appliance
from tests.lab.dhcpd import DhcpServer
from tests.lab.httpear import Exchange, HttpEar
from tests.lab.machine import Machine, Plain
from tests.lab.network import APPLIANCE, Network, inside
from tests.lab.process import LabProblem, eventually, patience, run
from tests.lab.standin import Boot
from tests.lab.standinserver import BASE, KERNEL, PORT, READY, StandinServer, content

SITE = (
    "--dhcp-match=set:ipxe,175",
    f"--dhcp-boot=tag:ipxe,{BASE}/driver.ipxe",
    f"--dhcp-boot=tag:!ipxe,snponly.efi,,{APPLIANCE}",
    "--enable-ra",
    "--dhcp-range=fd77::,ra-only,64",
)
"""Firmware gets pxed's own boot program, iPXE the waiting script. Router advertisements: this iPXE waits a quarter of a minute for them."""
ADDRESSES = [f"10.77.0.{last}" for last in (*range(3, 100), *range(200, 255))]
"""One for each profile: set back, iPXE would use the same TCP ports again, to servers that remember them."""
WITHIN = 30.0
"""Seconds that one profile may take until its end, on a busy host without KVM."""


@dataclass(frozen=True)
class Case:
    """An install to be ordered, and a node of its own that fetches its profile. `changed`: a pattern and what takes its place in the
    profile, which iPXE then fetches from beside the appliance."""

    name: str
    family: str
    release: str
    options: Mapping[str, Any]
    changed: tuple[str, str] | None = None


@dataclass
class Outcome:
    """What became of a case. `mac`: of the NIC that iPXE used; `token`: the install's; `boot` None: no kernel was started; `answered`:
    the answer files that the kernel's line names, with the status when they were fetched; `initrds`: what was fetched beside the kernel, in
    that order; `refused`: pxed's words if the install could not be ordered."""

    case: Case
    mac: str
    token: str = ""
    asked: list[Exchange] = field(default_factory=list)
    boot: Boot | None = None
    answered: list[tuple[str, int]] = field(default_factory=list)
    initrds: list[bytes] = field(default_factory=list)
    refused: str = ""
    console: str = ""

    @property
    def answers(self) -> str:
        """Where the install's files are."""
        return f"http://{APPLIANCE}/i/{self.token}"

    @property
    def told(self) -> list[str]:
        """What iPXE told pxed, without the address and the token."""
        start = f"{self.answers}/notify/"
        return [exchange.url.removeprefix(start) for exchange in self.asked if exchange.url.startswith(start) and exchange.status]

    @property
    def fetched(self) -> list[tuple[str, int | None]]:
        """URL and status of every request for the profile and after it, in order."""
        return [(exchange.url, exchange.status) for exchange in self.asked if "/next/" not in exchange.url]

    def report(self) -> str:
        """For whoever has to find out what went wrong."""
        asked = "\n".join(f"  {exchange}" for exchange in self.asked) or "  nothing"
        line = self.boot.line if self.boot else "not started"
        return f"{self.case.name}: {self.refused or 'iPXE asked for'}\n{asked}\n  kernel: {line}\n  console: {self.console}"


class Bench:
    """A context manager: network, DHCP server, stand-ins, appliance and machine. `repositories`: name > layers, pxed's. The operator has
    brought the programs that Windows needs (docs/os/windows.md), which are stand-ins too; `wimboot`: the real one."""

    def __init__(self, folder: Path, *, firmware: Plain, repositories: Mapping[str, Iterable[str]], wimboot: bytes | None = None) -> None:
        self._wimboot = wimboot
        self._folder = folder
        self._firmware = firmware
        self._config = "".join(f"[[repository]]\nname = '{name}'\nlayers = {list(layers)}\n" for name, layers in repositories.items())
        self._stack = ExitStack()

    def __enter__(self) -> Bench:
        with ExitStack() as stack:
            self._network = stack.enter_context(Network(label="p"))
            run("ip", "-n", self._network.dhcp, "address", "add", "fd77::1/64", "dev", "eth0", "nodad")
            self.ear = HttpEar(self._network, ports=(80, PORT))
            stack.callback(self.ear.stop)
            kernel = standin.build(_made(self._folder / "kernel")).read_bytes()
            programs = _made(self._folder / "state" / "tftproot" / "windows")
            (programs / "wimboot").write_bytes(self._wimboot or kernel)
            (programs / "curl.exe").write_bytes(content("/curl.exe"))
            self.server = StandinServer(self._network, kernel)
            stack.callback(self.server.stop)
            self._dhcp = DhcpServer(self._network, self._folder, boot=SITE)
            stack.callback(self._dhcp.stop)
            self.appliance = Appliance(self._network, self._folder, config=self._config)
            stack.callback(self.appliance.stop)
            self.appliance.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def machine(self, number: int = 0) -> Waiting:
        """A new machine, switched on and on its way to the waiting script."""
        name, mac = f"{self._firmware}{number}", f"52:54:00:77:01:{number:02x}"
        log = self._folder / f"{name}.debugport"
        options = ("-snapshot", *standin.debug_port(log))
        machine = Machine(self._network, self._folder, firmware=self._firmware, mac=mac, name=name, options=options)
        self._stack.callback(machine.power_off)
        machine.power_on()
        return Waiting(machine, log)

    def order(self, case: Case, node: str) -> str:
        """Arm the node with the MAC address `node`; returns the install's token. Refused."""
        body = {"node": node, "os": case.family, "release": case.release, "options": dict(case.options)}
        made = self.appliance.api("POST", "installs", body)
        with closing(sqlite3.connect(f"file:{self._folder / 'state' / 'pxed.db'}?mode=ro", uri=True)) as database:
            (token,) = database.execute("SELECT token FROM installs WHERE id = ?", (made["id"],)).fetchone()
        return str(token)

    def series(self, machine: Waiting, cases: Iterable[Case], say: Callable[[str], None]) -> dict[str, Outcome]:
        """Every case, one after the other; outcomes by the cases' names. The installs are ordered meanwhile."""
        cases = list(cases)
        with ThreadPoolExecutor(1) as orders:
            ordered = [orders.submit(self.order, case, node_mac(number)) for number, case in enumerate(cases)]
            machine.freeze()
            found = {}
            for number, (case, order) in enumerate(zip(cases, ordered, strict=True)):
                outcome = found[case.name] = Outcome(case, machine.mac)
                self._execute(machine, outcome, order, number)
                say(f"        {case.name}: {_summary(outcome)}")
        return found

    def send(self, machine: Waiting, case: Case, number: int) -> str:
        """What `machine` asks for next is the profile of `node_mac(number)`, from an address of its own, which this returns."""
        path = f"/p/{node_mac(number).replace(':', '')}"
        url = f"http://{APPLIANCE}{path}"
        if case.changed is not None:
            profile, found = re.subn(*case.changed, self.get(path)[1].decode())
            if not found:
                raise LabProblem(f"the profile of {case.name} has nothing like {case.changed[0]}:\n{profile}")
            url = f"{BASE}{path}"
            self.server.files[path] = profile.encode()
        self.server.set_next(machine.mac, f"#!ipxe\nset net0/ip {ADDRESSES[number]}\nchain --autofree --replace {url}\n")
        return ADDRESSES[number]

    def _again(self, url: str) -> tuple[int, bytes]:
        """What the node was given: from the appliance, or from the stand-ins."""
        if url.startswith(BASE):
            return 200, content(url.removeprefix(BASE))
        return self.get(url.removeprefix(f"http://{APPLIANCE}"))

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of one GET from the appliance, as from its own host."""
        with inside(self._network.appliance), closing(http.client.HTTPConnection(APPLIANCE, 80, timeout=30)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def _execute(self, machine: Waiting, outcome: Outcome, order: Future[str], number: int) -> None:
        try:
            outcome.token = order.result(timeout=120 * patience())
        except Exception as refused:
            outcome.refused = str(refused)
            return
        address = self.send(machine, outcome.case, number)
        machine.thaw()

        def ended() -> bool:
            outcome.asked = self.ear.heard(address)
            outcome.boot = machine.started()
            return outcome.boot is not None or any("status=fail" in told for told in outcome.told)

        try:
            eventually(f"the end of {outcome.case.name}", ended, within=WITHIN, every=0.03)
        except TimeoutError:
            outcome.console = machine.console()
        if outcome.boot:
            outcome.answered = [(url, self._again(url)[0]) for url in _answers_in(outcome)]
            beside = [url for url, _ in outcome.fetched[1:] if not (KERNEL.search(url) or "/notify/" in url or url.endswith(".c32"))]
            outcome.initrds = [self._again(url)[1] for url in beside]


class Waiting:
    """A machine whose iPXE waits for its next script; `freeze` once, `thaw` as often as there are scripts."""

    def __init__(self, machine: Machine, log: Path) -> None:
        self._machine = machine
        self._log = log
        self._told = self._shown = 0
        self.mac = machine.mac

    def freeze(self, *, within: float = 240.0) -> None:
        """Wait until iPXE waits, and keep that moment. LabProblem if this QEMU cannot."""
        for _ in range(50):
            self._shown = self._machine.console_size
            self._machine.await_console(READY, within=within, since=self._shown)
            self._machine.command("stop")
            if self._machine.console(since=self._shown).rstrip().endswith(READY):  # and has not gone on to ask its server
                self._monitor("savevm waiting")
                return
            self._machine.command("cont")
        raise LabProblem("iPXE never waits long enough to be frozen")

    def thaw(self) -> None:
        """Back to that moment, and on from there."""
        self._machine.command("stop")
        self._monitor("loadvm waiting")
        self._told, self._shown = self._size(), self._machine.console_size
        self._machine.command("cont")

    def started(self) -> Boot | None:
        """How the stand-in kernel was started since the last `thaw`."""
        with self._log.open("rb") as file:
            file.seek(self._told)
            found = standin.boots(file.read())
        return found[0] if found else None

    def said(self) -> str:
        """All that was written to the debug port since, as text. wimboot writes its log there too."""
        with self._log.open("rb") as file:
            file.seek(self._told)
            return file.read().decode("ascii", "replace").replace("\r", "")

    def console(self) -> str:
        """What the console has shown since."""
        return self._machine.console(since=self._shown)[-2000:]

    def _size(self) -> int:
        return self._log.stat().st_size

    def _monitor(self, line: str) -> None:
        said = self._machine.command("human-monitor-command", **{"command-line": line})
        if said:
            raise LabProblem(f"QEMU's monitor: {line}: {said.strip()}")


def node_mac(number: int) -> str:
    """Of the node that stands for case `number`; the machine's own is another, so that a profile which mixes them up shows."""
    return f"52:54:00:77:02:{number:02x}"


def _answers_in(outcome: Outcome) -> list[str]:
    """The URLs of the install's files in the kernel's command line; the one of a folder is completed as cloud-init does."""
    line = outcome.boot.line if outcome.boot else ""
    found = re.findall(re.escape(outcome.answers) + r"/[^\s;,]*", line)
    return [f"{url}user-data" if url.endswith("/") else url for url in found]


def _summary(outcome: Outcome) -> str:
    if outcome.refused:
        return f"could not be ordered: {outcome.refused}"
    if outcome.boot:
        return f"{len(outcome.asked)} requests, then the kernel"
    return f"{len(outcome.asked)} requests, {outcome.told[0] if outcome.told else 'and no end'}"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
