"""The web room in memory: a site over fakes, requests as bytes, answers as values. No socket, no thread, no real time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.python.failure import Failure

from pxed.config import Settings
from pxed.errors import Conflict, NotFound
from pxed.node.guard import Guard
from pxed.node.inventory import Inventory
from pxed.node.model import Boot, Node
from pxed.node.siteserver import Piece
from pxed.node.timeline import Timeline
from pxed.oses.catalog import Catalog, Urls
from pxed.oses.scripts import BootScripts
from pxed.repo.bootprograms import BootPrograms
from pxed.repo.registry import Entry, Registry
from pxed.repo.repository import Builder, Repository
from pxed.web.request import Site
from pxed.web.site import make_site
from pxed.workflow.install import Install

TOKEN = "operator-token"
MAC = "52:54:00:12:34:56"
NODE_ADDRESS = "10.0.0.77"
CATALOG = Catalog()
"""One for all tests: it holds compiled templates and no state."""


class ImmediatePool:
    """A thread pool that works at once, in the caller's thread."""

    def callInThreadWithCallback(self, done: Callable[[bool, Any], None], work: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            result = work(*args, **kwargs)
        except BaseException:
            done(False, Failure())
        else:
            done(True, result)


class MemoryReactor(Clock):
    """A clock with a thread pool."""

    def getThreadPool(self) -> ImmediatePool:
        return ImmediatePool()

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        call(*args)


@dataclass
class Delivered:
    token: str
    phase: str | None
    status: str
    message: str
    data: dict[str, Any]
    source: str


class MemoryEngine:
    """Installs that only remember what was asked of them. `broken`: what every verb raises instead."""

    def __init__(self, inventory: Inventory, now: Callable[[], float]) -> None:
        self.installs: dict[str, Install] = {}
        self.delivered: list[Delivered] = []
        self.progressed: list[tuple[str, int, str]] = []
        self.worked: list[str] = []
        self.broken: Exception | None = None
        self._inventory, self._now = inventory, now
        self._ids = itertools.count(1)

    async def create(self, node_id: str, *, family: str, release: str, recipe: str, options: dict[str, Any]) -> Install:
        self._check()
        node = self._inventory.get(node_id)
        assert node is not None
        if node.boot.install is not None:
            raise Conflict("An install is running on this node already")
        number = next(self._ids)
        install = Install(f"i{number}", node_id, family, release, recipe, 1, options, f"token-{number}", self._now())
        self.installs[install.id] = install
        await self._inventory.assign(node_id, Boot("installer", install.id))
        return install

    async def deliver(
        self, token: str, phase: str | None, *, status: str = "ok", message: str = "", data: dict[str, Any] | None = None, source: str = ""
    ) -> Install:
        self._check()
        install = self.by_token(token)
        self.delivered.append(Delivered(token, phase, status, message, data or {}, source))
        return install

    def served(self, install_id: str) -> None:
        self.progressed.append((install_id, 2, "boot profile fetched"))

    def progress(self, install_id: str, percent: int, text: str) -> None:
        self.progressed.append((install_id, percent, text))

    def fetched(self, install_id: str, size: int) -> int:
        self.get(install_id).fetched += size
        return self.get(install_id).fetched

    def fetched_before(self, _install_id: str) -> int:
        return 8_000_000

    def works(self, install_id: str) -> None:
        self.worked.append(install_id)

    async def cancel(self, install_id: str) -> Install:
        self._check()
        install = self.get(install_id)
        install.state = "cancelled"
        return install

    async def retry(self, install_id: str) -> Install:
        self._check()
        old = self.get(install_id)
        await self._inventory.assign(old.node_id, Boot())
        return await self.create(old.node_id, family=old.family, release=old.release, recipe=old.recipe, options=old.options)

    async def restart(self, install_id: str) -> Install:
        raise Conflict(f"Install {install_id} is not parked")

    def get(self, install_id: str) -> Install:
        if install_id not in self.installs:
            raise NotFound(f"There is no install {install_id!r}")
        return self.installs[install_id]

    def by_token(self, token: str) -> Install:
        for install in self.installs.values():
            if install.token == token:
                return install
        raise NotFound("There is no install with this token")

    def all(self, *, node: str | None = None) -> list[Install]:
        return [install for install in self.installs.values() if node is None or install.node_id == node]

    async def steps(self, install_id: str) -> list[dict[str, Any]]:
        self.get(install_id)
        return [{"position": 0, "step": "boot('installer')", "answer": "done", "at": 0.5, "deadline": None}]

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken


@dataclass
class Response:
    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


@dataclass
class Connection:
    """One client's connection."""

    channel: Any
    transport: StringTransportWithDisconnection
    seen: int = 0

    def send(self, data: bytes) -> None:
        self.channel.dataReceived(data)

    def received(self) -> bytes:
        return bytes(self.transport.value())

    def responses(self, *methods: bytes) -> list[Response]:
        return responses(self.received(), *methods)

    def hang_up(self) -> None:
        self.transport.loseConnection()


@dataclass
class World:
    """`ask` is one request on a connection of its own."""

    root: Path
    repositories: Mapping[str, Repository] = field(default_factory=dict)
    reactor: MemoryReactor = field(default_factory=MemoryReactor)
    catalog: Catalog = CATALOG

    def __post_init__(self) -> None:
        self.timeline = Timeline(now=self.now)
        self.inventory = Inventory(now=self.now, timeline=self.timeline)
        self.engine = MemoryEngine(self.inventory, self.now)
        self.guard = Guard(inventory=self.inventory, timeline=self.timeline, seconds=self.reactor.seconds)
        self.programs = BootPrograms([])
        self.urls: Callable[[str, str], Any] = Urls
        self.bases: dict[str, str] = {}
        """Where nodes reach us, by MAC address."""
        settings = Settings(state_dir=self.root.parent / "state", repository=())
        self.registry = Registry(
            [Entry(each, (), configured=True) for each in ({"debian": Repository("debian", [])} | dict(self.repositories)).values()],
            builder=Builder(settings, reactor=self.reactor, now=self.now),
            state_dir=settings.state_dir,
            reactor=self.reactor,
            now=self.now,
        )
        self.site: Site = make_site(
            inventory=self.inventory,
            timeline=self.timeline,
            engine=self.engine,  # type: ignore[arg-type]
            catalog=self.catalog,
            scripts=BootScripts(
                inventory=self.inventory,
                timeline=self.timeline,
                engine=self.engine,  # type: ignore[arg-type]
                catalog=self.catalog,
                urls=lambda base, token: self.urls(base, token),
                guard=self.guard,
                grub=lambda arch: found.path if (found := self.programs.grub(arch)) else None,
            ),
            repositories=self.registry,
            tftproot=self.root,
            settings=settings,
            api_token=TOKEN,
            reactor=self.reactor,
            now=self.now,
            health=lambda: {"status": "ok"},
            guard=self.guard,
            programs=lambda: self.programs,
            base_of=lambda node: self.bases.get(node.mac),
            site_lines=lambda node: [Piece("dnsmasq", "/etc/dnsmasq.d/pxed.conf", f"dhcp-mac=set:x,{node.mac}\n")],
        )

    def now(self) -> float:
        return 1_800_000_000.0 + self.reactor.seconds()

    def connect(self, *, host: str = "10.0.0.1", port: int = 80, peer: str = NODE_ADDRESS) -> Connection:
        channel = self.site.buildProtocol(IPv4Address("TCP", peer, 4000))
        assert channel is not None
        transport = StringTransportWithDisconnection(IPv4Address("TCP", host, port), IPv4Address("TCP", peer, 4000))
        transport.protocol = channel
        channel.makeConnection(transport)
        return Connection(channel, transport)

    def ask(self, method: str, path: str, body: bytes = b"", *, headers: Mapping[str, str] | None = None, **connection: Any) -> Response:
        lines = [f"{method} {path} HTTP/1.1", "Host: pxed", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        client = self.connect(**connection)
        client.send("\r\n".join([*lines, "", ""]).encode() + body)
        (response,) = client.responses(method.encode())
        client.hang_up()
        return response

    def armed(
        self, *, mac: str = MAC, options: dict[str, Any] | None = None, family: str = "debian", release: str = "12"
    ) -> tuple[Node, Install]:
        """A node whose next boot is the installer."""
        node = self.inventory.seen(mac, arch=7)
        prepared = self.catalog.prepare(family, release, options or {})
        made: list[Install] = []

        async def create() -> None:
            made.append(
                await self.engine.create(
                    node.id, family=prepared.family, release=prepared.release, recipe=prepared.recipe, options=prepared.options
                )
            )

        run(create())
        return node, made[0]

    def texts(self) -> list[str]:
        """What the timeline says, in order."""
        return [event.text for event in self.timeline._memory]

    def kinds(self) -> list[str]:
        """The kinds of events on the timeline, in order."""
        return [event.kind for event in self.timeline._memory]


def run(coroutine: Any) -> Any:
    """Run a coroutine that never really waits; its answer."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the coroutine waits for something")


def responses(data: bytes, *methods: bytes) -> list[Response]:
    """Bytes of a connection > its responses; `methods` tells which had no body (HEAD)."""
    found: list[Response] = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        assert status.startswith(b"HTTP/1."), data[:200]
        code = int(status.split(b" ")[1])
        headers = {name.strip().decode().lower(): value.strip().decode() for name, value in (line.split(b":", 1) for line in lines)}
        if code == 100:
            continue
        method = methods[len(found)] if len(methods) > len(found) else b"GET"
        if method == b"HEAD" or code in {204, 304}:
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body, data = _dechunk(data)
        elif "content-length" in headers:
            length = int(headers["content-length"])
            body, data = data[:length], data[length:]
        else:
            body, data = data, b""
        found.append(Response(code, headers, body))
    return found


def _dechunk(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        body += rest[:length]
        data = rest[length + 2 :]
        if not length:
            break
    return body, data
