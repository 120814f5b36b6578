"""A 50 MiB file to 50 clients at once, and boot profiles: pxed's site beside nginx (sendfile on, one worker) on loopback.

    python -m benchmarks.http [--rounds 5] [--size 50] [--clients 50]

Both servers run all the time and take turns in every round. The server is pinned to one core and the client to another; the client lets
the kernel throw the body away (MSG_TRUNC), so that the server is what is measured.

CPU of a file is how long the server's core was not idle, because a good part of the work is the kernel's on nobody's account: it is
charged to whoever runs at that moment, to nobody if that is the idle task, and with bbr much is sent from timers. Beside it is printed what
the kernel charges to the server's threads (schedstat). CPU of a profile is the latter. nginx answers the profile's bytes as a static file:
it renders nothing and knows no nodes.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import socket
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

MIB = 1 << 20
PROFILE = "/p/525400123456"
KEPT = bytearray(MIB)


@dataclass(slots=True)
class Server:
    """A running server: its port and the process whose children, if any, do the work."""

    port: int
    process: subprocess.Popen[str]

    def cpu(self) -> float:
        """Seconds of CPU so far, of all threads and children."""
        return sum(_cpu(pid) for pid in _family(self.process.pid))

    def pin(self, core: int) -> None:
        for pid in _family(self.process.pid):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with suppress(OSError):
                    os.sched_setaffinity(int(thread), {core})


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *(each for child in children for each in _family(int(child)))]


def _cpu(pid: int) -> float:
    total = 0.0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            total += int((thread / "schedstat").read_text().split()[0]) / 1e9
    return total


@contextmanager
def nginx(work: Path) -> Iterator[Server]:
    """nginx serving ``work/www``."""
    port = _free_port()
    (work / "nginx.conf").write_text(
        f"user root; daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/nginx.err;\n"
        "events { worker_connections 4096; }\n"
        "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/octet-stream;\n"
        f"  server {{ listen 127.0.0.1:{port} backlog=4096; root {work}/www; }} }}\n"
    )
    process = subprocess.Popen(["nginx", "-c", str(work / "nginx.conf"), "-e", str(work / "nginx.err"), "-p", str(work)], text=True)
    try:
        _wait_for(port, process)
        yield Server(port, process)
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def pxed(work: Path) -> Iterator[Server]:
    """pxed's site over a real store, ``work/www/b`` as its boot programs, one armed node."""
    port = _free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.http", "--serve", str(work), str(port)], text=True)
    try:
        _wait_for(port, process)
        yield Server(port, process)
    finally:
        process.terminate()
        process.wait(10)


def serve(work: Path, port: int) -> None:
    """Run the site until we are told to stop."""
    from twisted.internet import reactor as installed
    from twisted.internet.defer import Deferred

    from pxed.config import load
    from pxed.node.guard import Guard
    from pxed.node.inventory import Inventory
    from pxed.node.timeline import Timeline
    from pxed.oses.catalog import Catalog, Urls
    from pxed.oses.scripts import BootScripts
    from pxed.repo.bootprograms import BootPrograms
    from pxed.repo.registry import make_registry
    from pxed.store import Store
    from pxed.web.connection import listen
    from pxed.web.site import make_site
    from pxed.workflow.engine import Engine

    reactor: Any = installed

    async def begin() -> None:
        settings = load(None, {"state_dir": str(work / "state")})
        settings.state_dir.mkdir(exist_ok=True)
        store = Store(settings.database_url, reactor=reactor)
        await store.open()
        timeline = Timeline(now=time.time, store=store)
        inventory = Inventory(now=time.time, store=store, timeline=timeline)
        catalog = Catalog()
        engine = Engine(store=store, inventory=inventory, timeline=timeline, recipes=catalog.recipes, clock=reactor, now=time.time)
        await engine.start()
        node = await inventory.add("52:54:00:12:34:56")
        wanted = catalog.prepare("debian", "12", {})
        await engine.create(node.id, family=wanted.family, release=wanted.release, recipe=wanted.recipe, options=wanted.options)
        guard, none = Guard(inventory=inventory, timeline=timeline), BootPrograms([])
        guard.close()  # one node fetches its profile thousands of times here
        scripts = BootScripts(inventory=inventory, timeline=timeline, engine=engine, catalog=catalog, urls=Urls, guard=guard)
        repositories = make_registry(settings, reactor=reactor, now=time.time)
        site = make_site(
            inventory=inventory, timeline=timeline, engine=engine, catalog=catalog, scripts=scripts, repositories=repositories,
            tftproot=work / "www" / "b", settings=settings, api_token="-", reactor=reactor, now=time.time, health=dict, guard=guard,
            programs=lambda: none, base_of=lambda _node: None, site_lines=lambda _node: [],
        )  # fmt: skip
        listen(reactor, port, site, interface="127.0.0.1")

    def failed(failure: object) -> None:
        print(failure, file=sys.stderr)
        os._exit(1)

    Deferred.fromCoroutine(begin()).addErrback(failed)
    reactor.run()


def _idle(core: int) -> float:
    """Seconds this core has had nothing to do, since the host started."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} "))
    fields = line.split()
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Download:
    """MiB/s; microseconds per MiB for which the server's core was not idle, and which were charged to its threads."""

    rate: float
    busy: float
    charged: float


def download(server: Server, path: str, clients: int, core: int) -> Download:
    """`clients` at once fetch `path`, each on a connection of its own, from a server that lives on `core`."""
    poll = select.epoll()
    left: dict[int, int] = {}
    sockets: dict[int, socket.socket] = {}
    idle, cpu, began, total = _idle(core), server.cpu(), time.monotonic(), 0
    for _ in range(clients):
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        sockets[sock.fileno()] = sock
        poll.register(sock, select.EPOLLIN)
    while sockets:
        for number, _ in poll.poll(30) or _stuck(sockets):
            sock = sockets[number]
            if number not in left:
                left[number] = _body_left(sock)
                total += left[number]
                continue
            got = sock.recv_into(KEPT, MIB, socket.MSG_TRUNC)
            left[number] -= got
            if not got:
                if left[number]:
                    raise RuntimeError(f"the connection ended {left[number]} bytes early")
                poll.unregister(number)
                sockets.pop(number).close()
    seconds, mib = time.monotonic() - began, total / MIB
    return Download(mib / seconds, (seconds - _idle(core) + idle) / mib * 1e6, (server.cpu() - cpu) / mib * 1e6)


def _stuck(sockets: dict[int, socket.socket]) -> list[tuple[int, int]]:
    raise RuntimeError(f"{len(sockets)} clients got nothing for 30 s")


def _body_left(sock: socket.socket) -> int:
    """Read the head; how much of the body is still to come, all of it being counted."""
    peeked = sock.recv(4096, socket.MSG_PEEK)
    head, found, _ = peeked.partition(b"\r\n\r\n")
    if not found or not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"unexpected answer: {peeked[:200]!r}")
    sock.recv(len(head) + 4)
    return next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))


def requests(server: Server, path: str, count: int, clients: int) -> tuple[float, float]:
    """`count` GETs of a small answer over `clients` kept connections: (requests per second, CPU seconds of the server per request)."""
    poll = select.epoll()
    sockets = {sock.fileno(): sock for sock in (socket.create_connection(("127.0.0.1", server.port)) for _ in range(clients))}
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    pending: dict[int, bytes] = dict.fromkeys(sockets, b"")
    cpu, began, sent, done = server.cpu(), time.monotonic(), 0, 0
    for sock in sockets.values():
        sock.sendall(request)
        sent += 1
        poll.register(sock, select.EPOLLIN)
    while done < count:
        for number, _ in poll.poll(30) or _stuck(sockets):
            pending[number] += sockets[number].recv(65536)
            head, found, body = pending[number].partition(b"\r\n\r\n")
            length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
            if found and len(body) >= length:
                pending[number] = b""
                done += 1
                if sent < count:
                    sockets[number].sendall(request)
                    sent += 1
    seconds = time.monotonic() - began
    for sock in sockets.values():
        sock.close()
    return count / seconds, (server.cpu() - cpu) / count


def rows(only: str | None = None, *, rounds: int = 5, size: int = 50, clients: int = 50) -> list[dict[str, str]]:
    """The table's rows (see `benchmarks.__main__`). RuntimeError if a server misbehaves; nginx must be installed."""
    if only is not None and not "http".startswith(only) and not only.startswith("http"):
        return []
    if shutil.which("nginx") is None:
        raise RuntimeError("nginx is the peer of this benchmark: apt-get install nginx-light")
    with tempfile.TemporaryDirectory(prefix="pxed-http-") as name:
        work = Path(name)
        work.chmod(0o755)
        (work / "www" / "b").mkdir(parents=True)
        (work / "www" / "b" / "file").write_bytes(os.urandom(MIB) * size)
        with nginx(work) as theirs, pxed(work) as ours:
            _profile_for(ours, work)
            cores = sorted(os.sched_getaffinity(0))
            for server in (theirs, ours):
                server.pin(cores[-1])
            os.sched_setaffinity(0, {cores[0]})
            try:
                return _measure(theirs, ours, only, rounds, clients, cores[-1])
            finally:
                os.sched_setaffinity(0, set(cores))


def _profile_for(ours: Server, work: Path) -> None:
    """Let nginx serve the bytes that pxed renders."""
    (work / "www" / "p").mkdir()
    with socket.create_connection(("127.0.0.1", ours.port)) as sock:
        sock.sendall(f"GET {PROFILE} HTTP/1.0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    (work / "www" / PROFILE.lstrip("/")).write_bytes(answer.partition(b"\r\n\r\n")[2])


def _measure(theirs: Server, ours: Server, only: str | None, rounds: int, clients: int, core: int) -> list[dict[str, str]]:
    files: dict[str, list[Download]] = {"ours": [], "peer": []}
    asked: dict[str, list[float]] = {"ours": [], "peer": []}
    per_request: dict[str, list[float]] = {"ours": [], "peer": []}

    def turns(number: int) -> list[tuple[str, Server]]:
        pair = [("ours", ours), ("peer", theirs)]
        return pair if number % 2 else pair[::-1]

    for number in range(rounds):
        for who, server in turns(number):
            files[who].append(download(server, "/b/file", clients, core))
        mine, his = files["ours"][-1], files["peer"][-1]
        print(
            f"  round {number + 1}: file {mine.rate:.0f} / {his.rate:.0f} MiB/s, core {mine.busy:.0f} / {his.busy:.0f} us/MiB, "
            f"charged {mine.charged:.0f} / {his.charged:.0f} us/MiB",
            flush=True,
        )
    for number in range(rounds):  # afterwards: our writer is still storing the events of one round when the next begins
        for who, server in turns(number):
            answered, each = requests(server, PROFILE, 1000, 32)
            asked[who].append(answered)
            per_request[who].append(each * 1e6)
        print(f"  round {number + 1}: profile {asked['ours'][-1]:.0f} / {asked['peer'][-1]:.0f} /s", flush=True)
    found = [
        _row(f"http file, {clients} clients, MiB/s", {who: [each.rate for each in its] for who, its in files.items()}, least=1.0),
        _row(f"http file, {clients} clients, CPU us/MiB", {who: [each.busy for each in its] for who, its in files.items()}, most=1.2),
        _profile_row(asked, per_request),
    ]
    return [row for row in found if only is None or row["name"].startswith(only)]


def _row(name: str, values: dict[str, list[float]], *, least: float = 0.0, most: float = float("inf")) -> dict[str, str]:
    """Medians, and the median of the rounds' ratios against the goal."""
    ratio = statistics.median(mine / his for mine, his in zip(values["ours"], values["peer"], strict=True))
    return {
        "name": name,
        "ours": f"{statistics.median(values['ours']):.0f}",
        "peer": f"nginx {statistics.median(values['peer']):.0f}",
        "ratio": f"{ratio:.2f}",
        "goal": f">={least:.2f}" if least else f"<={most:.2f}",
        "verdict": "holds" if least <= ratio <= most else "short",
    }


def _profile_row(asked: dict[str, list[float]], per_request: dict[str, list[float]]) -> dict[str, str]:
    """A rendered profile against a static file: the goal is ours alone, below a millisecond of the reactor."""
    mine, his = statistics.median(per_request["ours"]), statistics.median(per_request["peer"])
    return {
        "name": "http profile, CPU us/request",
        "ours": f"{mine:.0f} ({statistics.median(asked['ours']):.0f}/s)",
        "peer": f"nginx static {his:.0f} ({statistics.median(asked['peer']):.0f}/s)",
        "ratio": f"{mine / his:.1f}",
        "goal": "ours <=1000",
        "verdict": "holds" if mine <= 1000 else "short",
    }


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"the server on port {port} ended with {process.returncode}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server on port {port} did not come up in 30 s")


def main() -> int:
    ap = argparse.ArgumentParser(
        prog="python -m benchmarks.http", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--size", type=int, default=50, help="MiB of the file")
    ap.add_argument("--clients", type=int, default=50)
    ap.add_argument("--serve", nargs=2, metavar=("WORK", "PORT"), help=argparse.SUPPRESS)
    asked = ap.parse_args()
    if asked.serve:
        serve(Path(asked.serve[0]), int(asked.serve[1]))
        return 0
    found = rows(rounds=asked.rounds, size=asked.size, clients=asked.clients)
    for row in found:
        print("  ".join(row.values()))
    return 0 if all(row["verdict"] == "holds" for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
