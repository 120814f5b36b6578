"""DISCOVER to OFFER: CPU of pxed's responder per offer, with an inventory of 10 000 armed nodes, beside dnsmasq as a proxy.

Both servers live in one namespace of this run (one at a time has the port), the client in another, joined by a veth pair. Rounds are
interleaved, each with new processes; the ratio is the median of round-by-round ratios. CPU is the run time of every thread of the server
(schedstat), the store's included; pxed writes its timeline and its log, dnsmasq its log.

* ``offer CPU``: every node has booted once (DISCOVER, port 4011) and asks again with a new xid, in bursts of 32, as fast as the server
  answers. pxed tells 4000 events at once and 200 a second one by one and counts the others (`pxed.dhcp.report`); here most are counted.
* all told (printed, without a goal): 2000 nodes ask at 500 a second for the first time, each offer an event and a row of the database.

``python -m benchmarks.offer serve DIR`` is the server's process: responder, inventory, timeline and store as the appliance joins them.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER, CLIENT = "10.79.0.1", "10.79.0.2"
NODES, WINDOW, ROUNDS = 10_000, 32, 5
PACED, PACE = 2000, 500.0
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Round:
    """One pass over `offers` nodes. Seconds of wall and server CPU; `repeated`: DISCOVERs that had to be sent again."""

    offers: int
    wall: float
    cpu: float
    repeated: int

    @property
    def each(self) -> float:
        """Microseconds of CPU per offer."""
        return self.cpu / self.offers * 1e6

    def __str__(self) -> str:
        return f"{self.each:.1f} us, {self.offers / self.wall:.0f}/s, {self.repeated} repeated"


def run(*command: str, check: bool = True) -> str:
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=240).stdout


@contextmanager
def wires() -> Iterator[tuple[str, str]]:
    """Two namespaces joined by a veth pair: (server's, client's)."""
    srv, cli = f"pxoffer{os.getpid()}-s", f"pxoffer{os.getpid()}-c"
    try:
        for name in (srv, cli):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "link", "add", "veth0", "netns", srv, "type", "veth", "peer", "name", "veth0", "netns", cli)
        for name, address in ((srv, SERVER), (cli, CLIENT)):
            run("ip", "-n", name, "addr", "add", f"{address}/16", "brd", "+", "dev", "veth0")
            run("ip", "-n", name, "link", "set", "veth0", "up")
        yield srv, cli
    finally:
        for name in (srv, cli):
            run("ip", "netns", "del", name, check=False)


def cpu_seconds(pid: int) -> float:
    """Run time of all threads of a process so far."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def mac_of(number: int) -> bytes:
    return bytes.fromhex("525400") + number.to_bytes(3, "big")


def asks(number: int, xid: int, message: int = 1) -> bytes:
    """What OVMF sends, 548 bytes: DISCOVER (1), or REQUEST (3) for port 4011. `number` is the node's."""
    wanted = bytes((1, 2, 3, 4, 5, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67))
    guid = b"\0" + struct.pack("!QQ", number, 77)
    said = {57: b"\5\xc0", 55: wanted, 97: guid, 94: b"\1\3\0", 93: b"\0\7", 60: b"PXEClient:Arch:00007:UNDI:003000"}
    options = bytes((53, 1, message)) + b"".join(bytes((code, len(value))) + value for code, value in said.items()) + b"\xff"
    header = struct.pack("!BBBBIHH16s16s192s4s", 1, 1, 6, 0, xid, 0, 0x8000, b"", mac_of(number).ljust(16, b"\0"), b"", b"\x63\x82\x53\x63")
    return (header + options).ljust(548, b"\0")


def ask(start: int, count: int, pace: float, boots: bool) -> tuple[float, int]:
    """`count` nodes ask once: in bursts of `WINDOW` (a rack that is switched on), or one by one at `pace` a second (0: bursts). xids from
    `start` on; with `boots` each goes on to port 4011. (seconds, DISCOVERs that were repeated)"""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"veth0")
    sock.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
    sock.bind(("0.0.0.0", 68))
    packets = [asks(number, start + number) for number in range(count)]
    burst = 1 if pace else WINDOW
    everybody, repeated = ("255.255.255.255", 67), 0
    sock.settimeout(0.5)
    began = time.perf_counter()
    for first in range(0, count, burst):
        if pace:
            time.sleep(max(0.0, began + first / pace - time.perf_counter()))
        waiting = {start + number: number for number in range(first, min(count, first + burst))}
        for number in waiting.values():
            sock.sendto(packets[number], everybody)
        while waiting:
            try:
                data = sock.recv(2048)
            except TimeoutError:
                repeated += len(waiting)
                for number in waiting.values():
                    sock.sendto(packets[number], everybody)
                continue
            if data[0] == 2 and b"PXEClient" in data:
                number = waiting.pop(int.from_bytes(data[4:8], "big"), -1)
                if boots and number >= 0:
                    sock.sendto(asks(number, start + number, 3), (SERVER, 4011))
    took = time.perf_counter() - began
    sock.close()
    return took, repeated


def measured(cli: str, pid: int, start: int, count: int, pace: float = 0.0, boots: bool = False) -> Round:
    """One pass from the client's namespace against the process `pid`."""
    before = cpu_seconds(pid)
    command = [sys.executable, "-m", "benchmarks.offer", "ask", str(start), str(count), str(pace), str(int(boots))]
    wall, repeated = run("ip", "netns", "exec", cli, *command).split()
    time.sleep(0.3)  # what is still on its way to the disk belongs to the round
    return Round(count, float(wall), cpu_seconds(pid) - before, int(repeated))


@contextmanager
def process(namespace: str, command: list[str], log: Path, ready: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server in `namespace` from when `ready` is in its log on; ended behind the ``with``."""
    with log.open("wb") as out:
        child = subprocess.Popen(["ip", "netns", "exec", namespace, *command], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 180
        while ready not in log.read_text(errors="replace"):
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(15)
        child.kill()
        child.wait()


def dnsmasq(srv: str, work: Path) -> Any:
    return process(
        srv,
        ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root", "--interface=veth0",
         f"--pid-file={work}/dnsmasq.pid", f"--log-facility={work}/dnsmasq.log", f"--dhcp-range={SERVER},proxy,255.255.0.0",
         "--pxe-service=X86-64_EFI,Netboot,snponly.efi"],
        work / "dnsmasq.out",
        "",
    )  # fmt: skip


def pxed(srv: str, work: Path) -> Any:
    return process(srv, [sys.executable, "-m", "benchmarks.offer", "serve", str(work)], work / "pxed.log", "ready")


def settle(pid: int) -> None:
    """Wait until what was done so far is on the disk and the process rests; at most half a minute."""
    for _ in range(60):
        before = cpu_seconds(pid)
        time.sleep(0.5)
        if cpu_seconds(pid) - before < 0.005:
            return


def one_server(cli: str, pid: int) -> tuple[Round, Round]:
    """(as fast as it answers, all told) of one fresh process."""
    paced = measured(cli, pid, 1_000_000, PACED, PACE)
    measured(cli, pid, 2_000_000, NODES, boots=True)
    settle(pid)
    return measured(cli, pid, 3_000_000, NODES), paced


def rounds(count: int = ROUNDS) -> list[tuple[tuple[Round, Round], tuple[Round, Round]]]:
    """Interleaved (pxed, dnsmasq) rounds, each with a process of its own; an uncounted one first that makes the database."""
    pairs = []
    with wires() as (srv, cli), tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for at in range(count + 1):
            with pxed(srv, work) as ours:
                mine = one_server(cli, ours.pid)
            with dnsmasq(srv, work) as theirs:
                time.sleep(0.3)
                peer = one_server(cli, theirs.pid)
            if at:
                pairs.append((mine, peer))
                print(f"  pxed {mine[0]}; dnsmasq {peer[0]}", flush=True)
                print(f"    all told: pxed {mine[1]}; dnsmasq {peer[1]}", flush=True)
    return pairs


GOAL = 1.2


def rows(only: str | None) -> list[dict[str, str]]:
    """For ``python -m benchmarks``."""
    name = f"offer CPU, {NODES} nodes"
    if only is not None and not name.startswith(only):
        return []
    pairs = rounds()
    ratio, told = (statistics.median(mine[at].each / peer[at].each for mine, peer in pairs) for at in (0, 1))
    ours, theirs = (statistics.median(pair[side][0].each for pair in pairs) for side in (0, 1))
    print(f"  median ratio when every offer is told: {told:.2f}")
    return [
        {
            "name": name,
            "ours": f"{ours:.1f} us",
            "peer": f"{theirs:.1f} us (dnsmasq)",
            "ratio": f"{ratio:.2f}",
            "goal": f"<= {GOAL}",
            "verdict": "holds" if ratio <= GOAL else "short",
        }
    ]


def serve(work: Path) -> None:
    """The responder with a real store, inventory and timeline; every node known and armed. Ends on SIGTERM."""
    from twisted.internet import reactor as _reactor
    from twisted.internet.defer import Deferred, gatherResults
    from twisted.logger import globalLogBeginner, textFileLogObserver

    from pxed.config import load
    from pxed.dhcp.options import client_uuid
    from pxed.dhcp.packet import parse
    from pxed.dhcp.responder import Responder
    from pxed.node.inventory import Inventory
    from pxed.node.model import Boot
    from pxed.node.timeline import Timeline
    from pxed.repo.bootprograms import BootProgram, BootPrograms
    from pxed.store import Store

    reactor: Any = _reactor
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    store = Store(f"sqlite:///{work / 'pxed.db'}", reactor=reactor)
    timeline = Timeline(now=time.time, store=store)
    inventory = Inventory(now=time.time, store=store, timeline=timeline)
    programs = BootPrograms([BootProgram("snponly.efi", "x86_64", "ipxe", 200_000)])
    responder = Responder(
        reactor=reactor,
        inventory=inventory,
        timeline=timeline,
        programs=lambda: programs,
        settings=load(None, {"interfaces": ["veth0"]}),
        now=time.time,
    )

    async def begin() -> None:
        await store.open()
        await timeline.load()
        await inventory.load()
        for first in range(len(inventory.all()), NODES, 500):
            macs = [mac_of(number).hex(":") for number in range(first, first + 500)]
            await gatherResults([Deferred.fromCoroutine(inventory.add(mac)) for mac in macs])
        for number in range(NODES):
            packet = parse(asks(number, 0))
            told = {"vendor_class": packet.options[60].decode(), "uuid": client_uuid(packet.options[97])}
            inventory.seen(mac_of(number).hex(":"), arch=7, interface="veth0", **told)
        for number, node in enumerate(inventory.all()):
            node.boot = Boot("installer", f"install{number}")
        await inventory.flush()
        await timeline.flush()
        responder.privilegedStartService()
        responder.startService()
        print("ready", flush=True)

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(begin()).addErrback(lambda failure: (failure.printTraceback(), reactor.stop())))
    reactor.run()


def main() -> None:
    what, *arguments = sys.argv[1:] or ["measure"]
    if what == "serve":
        serve(Path(arguments[0]))
    elif what == "ask":
        start, count, pace, boots = arguments
        print(*ask(int(start), int(count), float(pace), boots == "1"))
    else:
        for row in rows(None):
            print(row)


if __name__ == "__main__":
    main()
