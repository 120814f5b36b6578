"""TFTP beside its peers: dnsmasq, tftpd-hpa, atftpd, in the same minute, interleaved, at least five rounds.

    python -m benchmarks.tftp [--json] [--rounds 5] [--only TEXT] [--peers DIR]

Needs root (it works in a network namespace of its own, made with unshare), cc, dnsmasq, and tftpd-hpa and atftpd: installed, or
unpacked below --peers, or else fetched with ``apt-get download`` and unpacked into a temporary directory (nothing is installed).
The load generator (loadgen.c) compares every byte it gets. Ratios are medians over rounds of (ours / peer) within one round; CPU is
user and system time of the server's whole process from /proc/PID/stat, its reaped children included.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import cores

HERE = Path(__file__).resolve().parent
INSIDE = "PXED_BENCH_TFTP"
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20
DNSMASQ = "dnsmasq -k -C /dev/null --port=0 --user=root --pid-file= --bind-interfaces --enable-tftp --tftp-max=2000"
FOREIGN = {"in.tftpd": "tftpd-hpa", "atftpd": "atftpd"}
"""Program > package; fetched where it is not installed, because installing it would start a second server."""
ATFTPD = "--daemon --no-fork --maxthread 2000 --user root.root --logfile /dev/null"


@dataclass(frozen=True)
class Case:
    """One load: clients, transfers each, and how they ask. `peers`: who runs it beside us."""

    name: str
    clients: int
    each: int = 1
    window: int = 1
    loss: float = 0.0
    rtt: float = 0.0
    peers: tuple[str, ...] = ("dnsmasq",)


CASES = (
    Case("lock-step, 16 clients", 16, each=4, peers=("dnsmasq", "tftpd-hpa")),
    Case("lock-step, 100 clients", 100, peers=("dnsmasq", "tftpd-hpa")),
    Case("lock-step, 500 clients", 500, peers=("dnsmasq",)),
    Case("window 4, 100 clients", 100, window=4, peers=("atftpd",)),
    Case("window 16, 100 clients", 100, each=3, window=16, peers=("atftpd",)),
    Case("1 % loss, 1 ms, lock-step", 1, loss=1, rtt=1, peers=("dnsmasq", "tftpd-hpa", "atftpd")),
    # dnsmasq and tftpd-hpa grant no windows: what they reach is above. Several transfers: one has too few losses to be typical
    Case("1 % loss, 1 ms, window 4", 1, each=2, window=4, loss=1, rtt=1, peers=("atftpd",)),
    Case("1 % loss, 1 ms, window 16", 1, each=6, window=16, loss=1, rtt=1, peers=("atftpd",)),
)


@dataclass
class Server:
    """A running server: its address, its process."""

    name: str
    address: str
    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """Seconds of user and system time, reaped children included."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(value) for value in fields[11:15]) / TICKS

    def mib(self, what: str) -> float:
        """Resident memory of the process: VmRSS now, VmHWM at its most since `forget_peak`."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f"no {what}")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


@dataclass
class Run:
    """What one load gave: MB/s, CPU seconds per GB, and the load generator's counts."""

    rate: float
    cpu: float
    report: dict[str, Any] = field(default_factory=dict)


def serve(root: str, address: str) -> None:
    """The appliance's TFTP service alone, on a reactor of its own."""
    sys.modules["OpenSSL"] = None  # type: ignore[assignment]  # Twisted would load 12 MiB of TLS, which is not TFTP's memory
    from twisted.internet import reactor
    from twisted.logger import globalLogBeginner

    from pxed.log import Lines
    from pxed.tftp import TftpService

    # the appliance's own; without one Twisted keeps 65536 events in memory
    globalLogBeginner.beginLoggingTo([Lines(open(os.devnull, "w", encoding="utf-8"))], redirectStandardIO=False)  # noqa: SIM115
    service = TftpService(reactor=reactor, root=Path(root), on_event=_nobody, addresses=(address,))
    service.startService()
    run: Any = reactor
    run.run()


def _nobody(_event: object) -> None:
    """Nobody listens to the events."""


def find(program: str, peers: Path) -> tuple[str, dict[str, str]]:
    """Where a peer's program is, and the environment it needs; fetched and unpacked if this host does not have it."""
    installed = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if installed:
        return installed, {}
    unpacked = next(peers.glob(f"usr/sbin/{program}"), None)
    if unpacked is None:
        for name in (FOREIGN[program], "libwrap0"):
            subprocess.run(["apt-get", "download", "-qq", name], cwd=peers, check=True, stderr=subprocess.DEVNULL)
        for archive in peers.glob("*.deb"):
            subprocess.run(["dpkg", "-x", archive.name, "."], cwd=peers, check=True)
        unpacked = peers / "usr" / "sbin" / program
    libraries = ":".join(str(path) for path in [*peers.glob("usr/lib/*-linux-gnu"), *peers.glob("lib/*-linux-gnu")])
    return str(unpacked), {"LD_LIBRARY_PATH": libraries}


@contextlib.contextmanager
def servers(wanted: set[str], root: Path, peers: Path) -> Iterator[dict[str, Server]]:
    """All servers at once, each on port 69 of a loopback address of its own."""
    running: dict[str, Server] = {}
    commands: dict[str, Callable[[str], tuple[list[str], dict[str, str]]]] = {
        "pxed": lambda at: ([sys.executable, "-P", __file__, "--serve", str(root), at], {}),
        "dnsmasq": lambda at: ([*DNSMASQ.split(), f"--listen-address={at}", f"--tftp-root={root}"], {}),
        "tftpd-hpa": lambda at: _with(find("in.tftpd", peers), ["-L", "-a", f"{at}:69", "-u", "root", "-s", str(root)]),
        "atftpd": lambda at: _with(find("atftpd", peers), [*ATFTPD.split(), "--bind-address", at, str(root)]),
    }
    try:
        for index, name in enumerate(commands):
            if name in wanted:
                address = f"127.0.{index}.69"
                command, extra = commands[name](address)
                process = subprocess.Popen(
                    [*cores.servers(), *command],
                    env={**os.environ, **extra},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                running[name] = Server(name, address, process)
        for server in running.values():
            wait_for(server)
        yield running
    finally:
        for server in running.values():
            server.process.terminate()
        for server in running.values():
            server.process.wait(10)


def _with(found: tuple[str, dict[str, str]], arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    return [found[0], *arguments], found[1]


def wait_for(server: Server) -> None:
    """Until it answers a request. RuntimeError after 10 s."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        for _ in range(50):
            if server.process.poll() is not None:
                raise RuntimeError(f"{server.name} ended with status {server.process.returncode}")
            sock.sendto(b"\0\1nothing\0octet\0", (server.address, 69))
            try:
                sock.recv(600)
            except TimeoutError:
                continue
            return
    raise RuntimeError(f"{server.name} does not answer")


def load(binary: Path, server: Server, case: Case, seed: int, local: Path) -> Run:
    """One run of one case. RuntimeError if a client failed or got wrong bytes and the server is a peer whose figures we'd compare."""
    before = server.cpu()
    command = [*cores.clients(), str(binary), "-a", server.address, "-f", local.name, "-l", str(local)]
    command += ["-n", str(case.clients), "-k", str(case.each)]
    command += ["-b", "1428", "-w", str(case.window), "-L", str(case.loss), "-R", str(case.rtt), "-S", str(seed), "-M", "90"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)
    time.sleep(0.05)  # children that are reaped late
    megabytes = report["bytes"] / 1e6
    return Run(megabytes / report["seconds"], (server.cpu() - before) / max(megabytes / 1e3, 1e-9), report)


def measure(
    cases: list[Case], rounds: int, peers: Path, progress: Callable[[str], None]
) -> tuple[dict[str, dict[str, list[Run]]], dict[str, tuple[float, float]]]:
    """Case > server > one Run per round, servers taking turns within a round; and case > our memory in MiB, before and at its peak."""
    results: dict[str, dict[str, list[Run]]] = {}
    memory: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="pxed-bench-") as scratch:
        root = Path(scratch, "root")
        root.mkdir(mode=0o755)
        os.chmod(scratch, 0o755)
        local = root / "boot.bin"
        local.write_bytes(os.urandom(MIB))
        local.chmod(0o644)
        binary = Path(scratch, "loadgen")
        subprocess.run(["cc", "-O2", "-o", str(binary), str(HERE / "loadgen.c")], check=True)
        wanted = {"pxed"}.union(*(case.peers for case in cases))
        with cores.awake(), servers(wanted, root, peers) as running:
            for case in cases:
                before = running["pxed"].mib("VmRSS")
                running["pxed"].forget_peak()
                here = results[case.name] = {name: [] for name in ("pxed", *case.peers)}
                for seed in range(1, rounds + 1):
                    names = list(here) if seed % 2 else list(here)[::-1]
                    for name in names:
                        here[name].append(load(binary, running[name], case, seed, local))
                    progress(f"{case.name}: " + ", ".join(f"{name} {runs[-1].rate:.1f} MB/s" for name, runs in here.items()))
                memory[case.name] = (before, running["pxed"].mib("VmHWM"))
    return results, memory


def ratios(ours: list[Run], theirs: list[Run], value: Callable[[Run], float]) -> float:
    """The median over rounds of ours / theirs."""
    return statistics.median(value(a) / max(value(b), 1e-9) for a, b in zip(ours, theirs, strict=True))


def row(name: str, ours: float, peer: str, theirs: float, ratio: float, goal: str, holds: bool) -> dict[str, str]:
    return {
        "name": name,
        "ours": f"{ours:.2f}",
        "peer": f"{peer} {theirs:.2f}" if peer else "",
        "ratio": f"{ratio:.3f}" if peer else "",
        "goal": goal,
        "verdict": "holds" if holds else "short",
    }


def compare(name: str, results: dict[str, list[Run]], peer: str, what: str, least: float | None, most: float | None) -> dict[str, str]:
    """One goal: MB/s at least, or CPU seconds per GB at most, so many times the peer's."""
    value: Callable[[Run], float] = (lambda run: run.rate) if what == "MB/s" else (lambda run: run.cpu)
    ratio = ratios(results["pxed"], results[peer], value)
    ours, theirs = (statistics.median(value(run) for run in results[who]) for who in ("pxed", peer))
    good = not any(run.report["failed"] or run.report["corrupt"] for run in results["pxed"])
    if least is not None:
        return row(f"TFTP {name}, {what}", ours, peer, theirs, ratio, f">= {least} x", good and ratio >= least)
    assert most is not None
    return row(f"TFTP {name}, {what}", ours, peer, theirs, ratio, f"<= {most} x", good and ratio <= most)


def rows(
    only: str | None = None, *, rounds: int = 5, peers: str | None = None, progress: Callable[[str], None] | None = None
) -> list[dict[str, str]]:
    """All goals as rows (name, ours, peer, ratio, goal, verdict); `only`: those of the cases that are `chosen`.

    Works in a network namespace of its own: the calling process stays where it is.
    """
    if not chosen(only or ""):
        return []
    with contextlib.ExitStack() as stack:
        where = Path(peers) if peers else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pxed-peers-")))
        for program in FOREIGN:
            find(program, where)  # here: a namespace of its own has no way to a package archive
        return _in_namespace(only or "", rounds, where, progress)


def chosen(only: str) -> list[Case]:
    """The cases whose name has this text; with TFTP before it, those that one of their rows' names begins with it."""
    text = only.lower()
    begins = text.removeprefix("tftp").strip()
    if text != begins:
        return [case for case in CASES if case.name.lower().startswith(begins) or begins.startswith(case.name.lower())]
    return [case for case in CASES if text in case.name.lower()]


def _in_namespace(only: str, rounds: int, peers: Path, progress: Callable[[str], None] | None) -> list[dict[str, str]]:
    """`inside` in a process of its own. RuntimeError with its last lines if it fails."""
    command = ["unshare", "-n", sys.executable, "-P", str(Path(__file__).resolve()), "--json", "--rounds", str(rounds)]
    command += ["--only", only, "--peers", str(peers)]
    environment = {**os.environ, INSIDE: "1", "PYTHONPATH": str(HERE.parent)}
    done = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.stderr is not None
    assert done.stdout is not None
    tail = []
    try:
        for line in done.stderr:
            tail.append(line)
            if progress is not None:
                progress(line.rstrip())
        output = done.stdout.read()
    finally:
        if done.poll() is None:
            done.terminate()
    if done.wait():
        raise RuntimeError("benchmarks/tftp.py failed:\n" + "".join(tail[-20:]))
    found: list[dict[str, str]] = json.loads(output)
    return found


def inside(only: str, rounds: int, peers: Path) -> list[dict[str, str]]:
    """The measuring itself, in a namespace of its own: loopback with the MTU of Ethernet."""
    for command in (
        "link set lo mtu 1500 up",
        # tftpd-hpa resolves its own address with AI_ADDRCONFIG: a host with nothing but loopback has none
        "link add pxb0 type veth peer name pxb1",
        "address add 10.99.99.1/24 dev pxb0",
        "link set pxb0 up",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    cases = chosen(only)
    results, memory = measure(cases, rounds, peers, lambda line: print(line, file=sys.stderr, flush=True))
    table: list[dict[str, str]] = []
    for case in cases:
        found = results[case.name]
        if case.loss:
            best = max(case.peers, key=lambda peer: statistics.median(run.rate for run in found[peer]))
            table.append(compare(case.name, found, best, "MB/s", 5.0, None))
        elif case.window > 1:
            least, most = (1.5, 0.4) if case.window == 4 else (2.2, 0.27)
            table.append(compare(case.name, found, "atftpd", "MB/s", least, None))
            table.append(compare(case.name, found, "atftpd", "CPU s/GB", None, most))
        else:
            table.append(compare(case.name, found, "dnsmasq", "MB/s", 0.8 if case.clients == 500 else 0.9, None))
            if "tftpd-hpa" in case.peers:
                table.append(compare(case.name, found, "tftpd-hpa", "MB/s", 1.3, None))
        if case.clients == 500:
            reports = [run.report for run in found["pxed"]]
            lost = sum(report["asked_again"] for report in reports)
            bad = sum(report["failed"] + report["corrupt"] for report in reports)
            table.append(row(f"TFTP {case.name}, requests lost", lost, "", 0, 0, "0", not lost))
            table.append(row(f"TFTP {case.name}, clients failed", bad, "", 0, 0, "0", not bad))
            before, peak = memory[case.name]
            table.append(row(f"TFTP {case.name}, peak MiB (+{peak - before:.1f})", peak, "", 0, 0, "< 50", peak < 50))
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--peers", default="")
    parser.add_argument("--serve", nargs=2, metavar=("ROOT", "ADDRESS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return 0
    if os.environ.get(INSIDE):
        print(json.dumps(inside(options.only, options.rounds, Path(options.peers))))
        return 0
    if os.geteuid():
        print("benchmarks.tftp needs root: it makes a network namespace and binds port 69", file=sys.stderr)
        return 2
    table = rows(options.only, rounds=options.rounds, peers=options.peers, progress=lambda line: print(line, file=sys.stderr))
    if options.json:
        print(json.dumps(table, indent=1))
    else:
        for line in table:
            print("{name:46} {ours:>9} | {peer:>18} | {ratio:>7} | {goal:>8} | {verdict}".format(**line))
    return 0 if all(line["verdict"] == "holds" for line in table) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # its servers end with it
    sys.exit(main())
