"""DISCOVER to OFFER, with an inventory of 10 000 armed nodes, beside dnsmasq as a proxy: CPU, and how long it takes in a storm of TFTP.

Both servers live in one namespace of this run (one at a time has the ports), the client (`benchmarks.asking`) in another, joined by a veth
pair. Rounds are interleaved; ratios are medians of round-by-round ratios. CPU is the run time of every thread of the server (schedstat),
the store's included; pxed writes its timeline and its log, dnsmasq its log. Three passes, the last one in a process of its own: transfers
that nobody ended keep dnsmasq busy for two minutes.

* ``offer p99``: 1500 nodes ask for the first time, 300 a second, while 100 clients (`loadgen.c`, on the server's loopback) fetch 1 MiB
  each by TFTP in lock-step, again and again. Each offer and each transfer is an event and a row of the database.
* all told (printed, without a goal): 1000 nodes ask at 500 a second for the first time, each offer an event and a row.
* ``offer CPU``: every node has booted once (DISCOVER, port 4011) and asks again with a new xid, in bursts of 32, as fast as the server
  answers. pxed tells 4000 events at once and 200 a second one by one and counts the others (`pxed.dhcp.report`); here most are counted.

``python -m benchmarks.offer serve DIR`` is the server's process: the rooms joined as in the appliance.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import cores
from benchmarks.asking import SERVER, asks, mac_of

CLIENT = "10.79.0.2"
NODES, ROUNDS = 10_000, 5
STORM, STORM_PACE = 1500, 300.0
PACED, PACE = 1000, 500.0
FETCHING, FILE = 100, "boot.bin"
GOAL, GOAL_MS = 1.2, 5.0
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Round:
    """What one process did: microseconds of CPU per offer, repeated and first (all told); milliseconds to the offer in a storm of TFTP,
    sorted, and that storm's MB/s; DISCOVERs that had to be sent again or were never answered."""

    repeated: float
    told: float
    storm: list[float]
    rate: float
    lost: int

    def within(self, share: float) -> float:
        """Milliseconds within which this share of the storm's offers came."""
        return self.storm[min(len(self.storm) - 1, int(share * len(self.storm)))]

    def __str__(self) -> str:
        storm = (
            f"p50 {self.within(0.5):.2f}, p99 {self.within(0.99):.2f}, at most {self.storm[-1]:.2f} ms beside {self.rate:.0f} MB/s of TFTP"
        )
        return f"{self.repeated:.1f} us an offer ({self.told:.0f} us if all are told); {storm}; {self.lost} lost"


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


def asked(cli: str, how: str, start: int, count: int, more: float) -> list[float]:
    """`benchmarks.asking` in the client's namespace: what it prints."""
    command = [*cores.clients(), sys.executable, "-m", "benchmarks.asking", how, str(start), str(count), str(more)]
    return [float(word) for word in run("ip", "netns", "exec", cli, *command).split()]


@contextmanager
def transfers(srv: str, work: Path) -> Iterator[Callable[[], float]]:
    """A storm of TFTP on the server's loopback; yields what waits for its end and gives its MB/s."""
    command = [*cores.clients(), str(work / "loadgen"), "-a", "127.0.0.1", "-f", FILE, "-l", str(work / "tftp" / FILE)]
    command += ["-n", str(FETCHING), "-k", "100000", "-b", "1428", "-M", str(int(STORM / STORM_PACE) + 3)]
    child = subprocess.Popen(["ip", "netns", "exec", srv, *command], stdout=subprocess.PIPE, text=True)

    def rate() -> float:
        told = json.loads(child.communicate(timeout=60)[0])
        return float(told["bytes"]) / 1e6 / float(told["seconds"])

    try:
        time.sleep(1.0)
        yield rate
    finally:
        child.kill()
        child.wait()


@contextmanager
def process(namespace: str, command: list[str], log: Path, ready: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server in `namespace` from when `ready` is in its log on; ended behind the ``with``."""
    with log.open("wb") as out:
        child = subprocess.Popen(
            ["ip", "netns", "exec", namespace, *cores.servers(), *command], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT
        )
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
         "--interface=lo", "--enable-tftp", "--tftp-max=2000", f"--tftp-root={work}/tftp", f"--pid-file={work}/dnsmasq.pid",
         f"--log-facility={work}/dnsmasq.log", f"--dhcp-range={SERVER},proxy,255.255.0.0", "--pxe-service=X86-64_EFI,Netboot,snponly.efi"],
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


def one_server(start: Callable[[str, Path], Any], srv: str, cli: str, work: Path) -> Round:
    """The passes of one server, two processes of it; xids tell them apart."""
    with start(srv, work) as server:
        told, lost = _pass(server.pid, PACED, lambda: asked(cli, "paced", 2_000_000, PACED, PACE).count(-1))
        asked(cli, "burst", 3_000_000, NODES, 1)
        repeated, again = _pass(server.pid, NODES, lambda: int(asked(cli, "burst", 4_000_000, NODES, 0)[1]))
    with start(srv, work), transfers(srv, work) as rate:
        storm = asked(cli, "paced", 1_000_000, STORM, STORM_PACE)
        speed = rate()
    answered = sorted(each for each in storm if each >= 0)
    return Round(repeated, told, answered, speed, lost + again + len(storm) - len(answered))


def _pass(pid: int, offers: int, ask: Callable[[], int]) -> tuple[float, int]:
    """Microseconds of CPU that `ask` made of each of so many offers, and what it returned."""
    settle(pid)
    before = cpu_seconds(pid)
    lost = ask()
    time.sleep(0.3)  # what is still on its way to the disk belongs to the pass
    return (cpu_seconds(pid) - before) / offers * 1e6, lost


def rounds(count: int = ROUNDS) -> list[tuple[Round, Round]]:
    """Interleaved (pxed, dnsmasq) rounds; an uncounted start first that makes the database."""
    pairs = []
    with cores.awake(), wires() as (srv, cli), tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "tftp").mkdir()
        work.chmod(0o755)
        (work / "tftp" / FILE).write_bytes(os.urandom(1 << 20))
        run("cc", "-O2", "-o", str(work / "loadgen"), str(Path(__file__).with_name("loadgen.c")))
        with pxed(srv, work):
            pass
        for _ in range(count):
            mine, peer = one_server(pxed, srv, cli, work), one_server(dnsmasq, srv, cli, work)
            pairs.append((mine, peer))
            print(f"  pxed    {mine}\n  dnsmasq {peer}", flush=True)
    return pairs


def rows(only: str | None) -> list[dict[str, str]]:
    """For ``python -m benchmarks``."""
    if only is not None and not "offer".startswith(only) and not only.startswith("offer"):
        return []
    pairs = rounds()
    cpu = statistics.median(mine.repeated / peer.repeated for mine, peer in pairs)
    ours, theirs = (statistics.median(pair[side].repeated for pair in pairs) for side in (0, 1))
    told = statistics.median(mine.told / peer.told for mine, peer in pairs)
    print(f"  median ratio when every offer is told: {told:.2f}")
    late, their_late = (statistics.median(pair[side].within(0.99) for pair in pairs) for side in (0, 1))
    lost = sum(mine.lost for mine, _ in pairs)
    return [
        _row(f"offer CPU, {NODES} nodes", f"{ours:.1f} us", f"dnsmasq {theirs:.1f} us", f"{cpu:.2f}", f"<= {GOAL}", cpu <= GOAL),
        _row("offer p99 in a TFTP storm", f"{late:.2f} ms", f"dnsmasq {their_late:.2f} ms", "-", f"< {GOAL_MS:.0f} ms", late < GOAL_MS),
        _row("offers lost", str(lost), str(sum(peer.lost for _, peer in pairs)), "-", "0", not lost),
    ]


def _row(name: str, ours: str, peer: str, ratio: str, goal: str, holds: bool) -> dict[str, str]:
    return {"name": name, "ours": ours, "peer": peer, "ratio": ratio, "goal": goal, "verdict": "holds" if holds else "short"}


def serve(work: Path) -> None:
    """The responder and TFTP with a real store, inventory and timeline; every node known and armed. Ends on SIGTERM."""
    from twisted.internet import reactor as _reactor
    from twisted.internet.defer import Deferred, gatherResults
    from twisted.logger import globalLogBeginner

    from pxed.collector import Collector
    from pxed.config import load
    from pxed.dhcp.options import client_uuid
    from pxed.dhcp.packet import parse
    from pxed.dhcp.responder import Responder
    from pxed.log import to_stdout
    from pxed.node.inventory import Inventory
    from pxed.node.model import Boot
    from pxed.node.timeline import Timeline
    from pxed.repo.bootprograms import BootProgram, BootPrograms
    from pxed.store import Store
    from pxed.tftp import TftpService, TransferEvent

    reactor: Any = _reactor
    globalLogBeginner.beginLoggingTo([to_stdout()], redirectStandardIO=False)
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

    def transferred(event: TransferEvent) -> None:
        timeline.record(f"tftp.{event.outcome}", f"{event.peer_ip}: {event.file}", data={"file": event.file, "bytes": event.bytes})

    tftp = TftpService(
        reactor=reactor,
        root=work / "tftp",
        on_event=transferred,
        addresses=("127.0.0.1",),
        first=responder.wire.answer_waiting,
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
        Collector(reactor, lambda: tftp.active > 0).start()
        for door in (responder, tftp):
            door.startService()
        print("ready", flush=True)

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(begin()).addErrback(lambda failure: (failure.printTraceback(), reactor.stop())))
    reactor.run()


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]))
    else:
        for row in rows(None):
            print(row)


if __name__ == "__main__":
    main()
