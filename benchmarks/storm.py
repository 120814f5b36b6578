"""The boot storm: fake nodes through DHCP, 4011, TFTP (256 KiB), profile and a 4 MiB initrd; pxed against dnsmasq + nginx.

Both servers live in a namespace of this run, the fake nodes in another, joined by a veth pair. Rounds are interleaved; ratios are medians
of round-by-round ratios. Each pxed round starts from the same copied state: every node known and armed with a Debian install, so that its
real inventory, events and timeline are written. CPU is user + system of all server processes. Cores as `benchmarks.cores` says.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import cores

SERVER, CLIENT, FAKE_NODES = "10.78.0.1", "10.78.0.2", "10.78.8.0/24"
ROOT = Path(__file__).resolve().parent.parent
KERNEL = "dists/bookworm/main/installer-amd64/current/images/netboot/debian-installer/amd64"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Round:
    """One storm at one server: seconds of wall and CPU, what failed, the appliance's own reactor lateness (p99.9, ms; None for peers)."""

    wall: float
    cpu: float
    failures: dict[str, int]
    passed: int
    lateness: float | None = None


def run(*command: str, check: bool = True) -> str:
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=60).stdout


@contextmanager
def wires() -> Iterator[tuple[str, str]]:
    """Two namespaces joined by a veth pair: (server's, clients')."""
    srv, cli = f"pxbench{os.getpid()}-s", f"pxbench{os.getpid()}-c"
    try:
        for name in (srv, cli):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "link", "add", "veth0", "netns", srv, "type", "veth", "peer", "name", "veth0", "netns", cli)
        for name, address in ((srv, SERVER), (cli, CLIENT)):
            run("ip", "-n", name, "addr", "add", f"{address}/16", "dev", "veth0")
            run("ip", "-n", name, "link", "set", "veth0", "up")
        run("ip", "-n", cli, "route", "add", "local", FAKE_NODES, "dev", "veth0")
        yield srv, cli
    finally:
        for name in (srv, cli):
            run("ip", "netns", "del", name, check=False)


def cpu_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def children(pid: int) -> list[int]:
    """`pid` and its descendants."""
    out = [pid]
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            out += children(int(child))
    return out


def storm(cli: str, nodes: int, at_once: int) -> dict[str, Any]:
    """One storm from the clients' namespace, as the user's own command runs it."""
    done = subprocess.run(
        ["ip", "netns", "exec", cli, *cores.clients(), sys.executable, "-m", "pxed", "bench", "--interface", "veth0", "--nodes", str(nodes),
         "--at-once", str(at_once), "--addresses", FAKE_NODES, "--seconds", "120", "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    try:
        parsed: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise SystemExit(f"the storm did not run: {done.stderr or done.stdout}") from None
    return parsed


def measured(cli: str, pids: list[int], nodes: int, at_once: int) -> Round:
    before = cpu_seconds(pids)
    told = storm(cli, nodes, at_once)
    return Round(wall=told["seconds"], cpu=cpu_seconds(pids) - before, failures=told["failures"], passed=told["passed"])


@contextmanager
def peers(srv: str, work: Path, program: Path, initrd: Path) -> Iterator[list[int]]:
    """dnsmasq as proxy-DHCP and TFTP server, nginx for profile and initrd; yields their process ids."""
    (work / "tftp").mkdir()
    (work / "www").mkdir()
    shutil.copy(program, work / "tftp" / "boot.efi")
    shutil.copy(initrd, work / "www" / "initrd.gz")
    (work / "www" / "profile").write_text(f"#!ipxe\nkernel http://{SERVER}/linux\ninitrd http://{SERVER}/initrd.gz\nboot\n")
    (work / "nginx.conf").write_text(
        f"user root; daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/nginx.err;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log {work}/access.log; sendfile on; tcp_nopush on; default_type text/plain;\n"
        f"  server {{ listen {SERVER}:80 backlog=4096; root {work}/www; }} }}\n"
    )
    os.chmod(work, 0o755)
    inside = ["ip", "netns", "exec", srv, *cores.servers()]
    web = subprocess.Popen([*inside, "nginx", "-c", str(work / "nginx.conf"), "-e", str(work / "nginx.err"), "-p", str(work)])
    dhcp = subprocess.Popen(
        [*inside, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", f"--pid-file={work}/dnsmasq.pid", "--user=root",
         "--interface=veth0", "--bind-dynamic", f"--dhcp-range={SERVER},proxy,255.255.0.0", "--enable-tftp", f"--tftp-root={work}/tftp",
         "--tftp-max=2000", "--dhcp-userclass=set:ipxe,iPXE", "--pxe-service=tag:!ipxe,X86-64_EFI,boot,boot.efi",
         f"--dhcp-boot=tag:ipxe,http://{SERVER}/profile", f"--log-facility={work}/dnsmasq.log"],
    )  # fmt: skip
    try:
        time.sleep(1.0)
        yield [*children(web.pid), *children(dhcp.pid)]
    finally:
        for process in (dhcp, web):
            process.terminate()
            process.wait(10)


CALL = """
import sys, urllib.request as u
token, path, body = sys.argv[1:4]
headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
print(u.urlopen(u.Request("http://127.0.0.1" + path, data=body.encode() or None, headers=headers), timeout=30).read().decode())
"""


def api(srv: str, state: Path, path: str, body: dict[str, Any] | None = None) -> Any:
    """One call of the appliance's API, made inside its namespace."""
    token = (state / "api.token").read_text().strip()
    out = subprocess.run(
        ["ip", "netns", "exec", srv, sys.executable, "-c", CALL, token, path, json.dumps(body) if body else ""],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return json.loads(out.stdout) if out.returncode == 0 else None


@contextmanager
def appliance(srv: str, state: Path, mirror: Path) -> Iterator[int]:
    """A pxed with its state in `state`; yields its process id."""
    log = (state.parent / "pxed.log").open("ab")
    process = subprocess.Popen(
        ["ip", "netns", "exec", srv, *cores.servers(), sys.executable, "-m", "pxed", "up", "--interface", "veth0",
         "--state-dir", str(state),
         "--repository", f"debian={mirror}", "--config", str(state / "bench.toml")],
        cwd=ROOT, stdout=log, stderr=log,
    )  # fmt: skip
    try:
        for _ in range(100):
            time.sleep(0.2)
            if process.poll() is not None:
                raise SystemExit(f"pxed did not start; see {state.parent / 'pxed.log'}")
            if (state / "api.token").exists() and api(srv, state, "/api/v1/health"):
                break
        else:
            raise SystemExit("pxed did not answer within 20 s")
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


ARM = """
import json, sys, urllib.request as u
token, nodes = sys.argv[1], int(sys.argv[2])
for i in range(nodes):
    mac = ":".join(f"{b:02x}" for b in b"\\x02\\x70\\x78" + i.to_bytes(3, "big"))
    body = {"node": mac, "os": "debian", "release": "12", "options": {"hostname": f"node{i}"}}
    u.urlopen(u.Request("http://127.0.0.1/api/v1/installs", data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer " + token, "Content-Type": "application/json"}), timeout=30).read()
"""


def rows(only: str | None = None) -> list[dict[str, str]]:
    """The storm's rows; `only` picks rows by the beginning of their name. Environment: PXED_BENCH_NODES, PXED_BENCH_ROUNDS."""
    if only and not "storm".startswith(only) and not only.startswith("storm"):
        return []
    nodes, rounds, at_once = int(os.environ.get("PXED_BENCH_NODES", "1000")), int(os.environ.get("PXED_BENCH_ROUNDS", "5")), 200
    with cores.awake(), tempfile.TemporaryDirectory(prefix="pxed-storm-") as folder, wires() as (srv, cli):
        work = Path(folder)
        program, initrd = work / "program", work / "initrd"
        program.write_bytes(os.urandom(256 << 10))
        initrd.write_bytes(os.urandom(4 << 20))
        mirror = work / "mirror" / KERNEL
        mirror.mkdir(parents=True)
        shutil.copy(initrd, mirror / "initrd.gz")
        shutil.copy(initrd, mirror / "linux")
        golden = work / "golden"
        (golden / "tftproot").mkdir(parents=True)
        (golden / "bench.toml").write_text(
            "[tftp]\nper_client = 2000\n"
        )  # a node that is quick may get the address of one that is not done
        efi = bytearray(Path("/usr/lib/ipxe/snponly.efi").read_bytes()[: 256 << 10])
        (golden / "tftproot" / "snponly.efi").write_bytes(efi.ljust(256 << 10, b"\0"))
        with appliance(srv, golden, work / "mirror"):
            token = (golden / "api.token").read_text().strip()
            subprocess.run(["ip", "netns", "exec", srv, sys.executable, "-c", ARM, token, str(nodes)], check=True, timeout=300)
        ours: list[Round] = []
        theirs: list[Round] = []
        for number in range(rounds):
            with tempfile.TemporaryDirectory(dir=work) as peer_dir, peers(srv, Path(peer_dir), program, initrd) as pids:
                theirs.append(measured(cli, pids, nodes, at_once))
            state = work / f"round{number}"
            shutil.copytree(golden, state)
            with appliance(srv, state, work / "mirror") as pid:
                mine = measured(cli, children(pid), nodes, at_once)
                health = api(srv, state, "/api/v1/health") or {}
                mine.lateness = (health.get("lateness") or {}).get("p999_ms")
                ours.append(mine)
            shutil.rmtree(state)
            print(f"  round {number + 1}: dnsmasq+nginx {theirs[-1]}\n           pxed {ours[-1]}", flush=True)
    return _table(ours, theirs, nodes)


def _row(name: str, mine: str, peer: str, ratio: str, goal: str, holds: bool) -> dict[str, str]:
    return {"name": name, "ours": mine, "peer": peer, "ratio": ratio, "goal": goal, "verdict": "holds" if holds else "short"}


def _table(ours: list[Round], theirs: list[Round], nodes: int) -> list[dict[str, str]]:
    median = statistics.median
    wall = median(a.wall / b.wall for a, b in zip(ours, theirs, strict=True))
    cpu = median(a.cpu / b.cpu for a, b in zip(ours, theirs, strict=True))
    failed, their_failed = (sum(nodes - r.passed for r in rounds) for rounds in (ours, theirs))
    late = median([r.lateness if r.lateness is not None else float("inf") for r in ours])
    return [
        _row(
            "storm wall",
            f"{median(r.wall for r in ours):.2f} s",
            f"{median(r.wall for r in theirs):.2f} s",
            f"{wall:.2f}",
            "<= 1.0",
            wall <= 1.0,
        ),
        _row(
            "storm CPU",
            f"{median(r.cpu for r in ours):.2f} s",
            f"{median(r.cpu for r in theirs):.2f} s",
            f"{cpu:.2f}",
            "<= 1.7",
            cpu <= 1.7,
        ),
        _row("storm failed nodes", str(failed), str(their_failed), "-", "0", not failed),
        _row("storm lateness p99.9", f"{late:.1f} ms", "-", "-", "< 20 ms", late < 20),
    ]
