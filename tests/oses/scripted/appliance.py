"""All of pxed as `tap` makes it, in this process: HTTP on connections in memory, DHCP by call, TFTP on loopback, a database on disk."""

from __future__ import annotations

import json
import select
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport, StringTransportWithDisconnection
from twisted.python.failure import Failure

from pxed.config import load
from pxed.dhcp.interfaces import Interfaces
from pxed.store.database import Database
from pxed.tap import Appliance as Service
from pxed.testing import NOON, MemoryStore
from pxed.threads import OwnThreads, Threads
from tests.dhcp.decode import Answer, decoded
from tests.dhcp.world import SERVER, RecordingDoor, Sent, link
from tests.repo import images
from tests.tftp.appliance import Client
from tests.web.world import ImmediatePool, Response, responses

NODE = "10.0.0.77"
LOOPBACK = ("127.0.0.1", "127.0.0.77")
"""TFTP's server and client: real sockets, so no network of ours can be theirs."""
HTTP_PORT = 8080
STEP = 60.0
"""Seconds by which time goes on at most before what became due is dealt with."""
PROGRAMS = {"undionly.kpxe": images.bios(), "snponly.efi": images.ipxe(images.X64)}

FOR_WINDOWS = {"windows/wimboot": b"wimboot", "windows/curl.exe": b"curl"}
"""What operators put there themselves."""


class Refused(Exception):
    """Nobody listens: pxed is not there."""


@dataclass
class _Port:
    port: int
    transport: Any = None

    @property
    def socket(self) -> _Port:
        return self

    def setsockopt(self, *_option: int) -> None: ...

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", SERVER, self.port)

    def stopReading(self) -> None: ...
    def startReading(self) -> None: ...
    def stopListening(self) -> None: ...


class _Door(RecordingDoor):
    def start(self) -> None: ...
    def close(self) -> None: ...


class _AtOnce(OwnThreads):
    """No threads: whatever is asked is done by who asks."""

    def start(self) -> None: ...
    def getThreadPool(self) -> Any:
        return ImmediatePool()

    def do(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        return maybeDeferred(work, *args)


class _Reactor(MemoryReactorClock):
    """One that keeps the site it is to listen with, and runs what threads hand it when somebody waits for it."""

    site: Any

    def __init__(self, seconds: float, answering: set[int]) -> None:
        super().__init__()
        self.advance(seconds)
        self._answering = answering
        self.handed: deque[Callable[[], Any]] = deque()

    def getThreadPool(self) -> ImmediatePool:
        return ImmediatePool()

    def callFromThread(self, function: Any, *args: Any, **keywords: Any) -> None:
        self.handed.append(lambda: function(*args, **keywords))

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        if port == HTTP_PORT:
            self.site = factory
        return _Port(port)

    def connectTCP(self, host: Any, port: Any, factory: Any, timeout: Any = 30, bindAddress: Any = None) -> Any:
        connector = super().connectTCP(host, port, factory, timeout, bindAddress)
        if port in self._answering:
            self.handed.append(lambda: factory.buildProtocol(connector.getDestination()).makeConnection(StringTransport()))
        else:
            self.handed.append(lambda: factory.clientConnectionFailed(connector, Failure(ConnectionRefusedError())))
        return connector


class Appliance:
    """pxed with `repositories` (name > directory or image), started. `service` is the process's, None while it is down."""

    def __init__(self, folder: Path, repositories: Mapping[str, Path], **settings: Any) -> None:
        ports = dict(zip(("dhcp", "pxe", "tftp", "syslog"), _free_ports(4), strict=True))
        self.settings = load(
            None,
            {
                "state_dir": str(folder / "state"),
                "ports": {**ports, "http": HTTP_PORT},
                "repository": [{"name": name, "layers": [str(path)]} for name, path in repositories.items()],
                **settings,
            },
        )
        self.settings.boot_root.mkdir(parents=True)
        for name, body in {**PROGRAMS, **FOR_WINDOWS}.items():
            (self.settings.boot_root / name).parent.mkdir(exist_ok=True)
            (self.settings.boot_root / name).write_bytes(body)
        self._seconds = 0.0
        self._back_at: float | None = None
        self._tftp: list[Client] = []
        self.service: Service | None = None
        self.answering: set[int] = set()
        """TCP ports that answer at the node's address."""
        self.starts = 0
        self.start()

    # the process

    def start(self) -> None:
        """A new process on the same state directory."""
        self.starts += 1
        self._reactor = _Reactor(self._seconds, self.answering)
        self._sent: list[Sent] = []
        self.settings.state_dir.mkdir(exist_ok=True)
        self._database = Database(self.settings.database_url)
        self._database.upgrade()
        store = MemoryStore(self._database)
        threads = Threads(self._reactor, own=_AtOnce)
        service = Service(self.settings, self._reactor, now=self.now, monotonic=self.seconds, store=store, threads=threads)
        service.dhcp.interfaces = Interfaces(read=lambda: [link()])
        service.dhcp.interfaces.refresh()
        for port in (67, 4011):
            service.dhcp.wire.doors[port] = _Door(port, self._sent)  # type: ignore[assignment]
        service.privilegedStartService()
        service.startService()
        self.service, self._back_at = service, None
        self.settle()
        assert service.dhcp.running

    def kill(self, *, down: float = 0.0) -> None:
        """kill -9: nothing is said to anybody, nothing of it happens any more. It is back at once, or after `down` seconds."""
        assert self.service is not None
        for door in (self.service.tftp, self.service.syslog):
            door.stopService()  # what the kernel does for a dead process: its sockets are closed
        store, self.service = self.service.store, None
        assert isinstance(store, MemoryStore)
        store.again()  # nothing that the old process still holds can write any more
        self._database.close()
        self._back_at = self._seconds + down
        if not down:
            self.start()

    @property
    def up(self) -> Service:
        """The running process. Refused."""
        if self.service is None:
            raise Refused
        return self.service

    def close(self) -> None:
        if self.service is not None:
            self.kill(down=1)
        for client in self._tftp:
            client.socket.close()

    # time

    def seconds(self) -> float:
        return self._seconds

    def now(self) -> float:
        """UTC seconds."""
        return NOON + self._seconds

    def advance(self, seconds: float, *, step: float = STEP) -> None:
        """Time goes on; a pxed that was to be back by then is."""
        end = self._seconds + seconds
        while self._seconds < end:
            self._seconds = min(end, self._seconds + step, self._back_at or end)
            if self.service is not None:
                self._reactor.advance(self._seconds - self._reactor.seconds())
                self.settle()
            elif self._back_at is not None and self._seconds >= self._back_at:
                self.start()

    # what a node sends

    def http(self, method: str, path: str, body: bytes = b"", *, headers: Mapping[str, str] | None = None, peer: str = NODE) -> Response:
        """One request on a connection of its own. Refused."""
        assert self.up
        site = self._reactor.site
        channel = site.buildProtocol(IPv4Address("TCP", peer, 4000))
        transport = StringTransportWithDisconnection(IPv4Address("TCP", SERVER, HTTP_PORT), IPv4Address("TCP", peer, 4000))
        transport.protocol = channel
        channel.makeConnection(transport)
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {SERVER}:{HTTP_PORT}",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        lines += [f"Content-Length: {len(body)}"] if body or method == "POST" else []
        channel.dataReceived("\r\n".join([*lines, "", ""]).encode() + body)
        self.settle()
        (response,) = responses(bytes(transport.value()), method.encode())
        transport.loseConnection()
        return response

    def dhcp(self, packet: bytes, *, door: int = 67, source: str = "0.0.0.0") -> Answer | None:
        """What pxed answers to a packet from a node, as scapy reads it; None for silence, also that of a pxed that is not there."""
        if self.service is None:
            return None
        before = len(self._sent)
        (interface,) = self.service.dhcp.interfaces.all()
        local = bytes(map(int, SERVER.split("."))) if door != 67 else b"\xff\xff\xff\xff"
        self.service.dhcp.received(door, packet, interface.index, local, source, 68)
        self.settle()
        answers = self._sent[before:]
        assert len(answers) <= 1
        return decoded(answers[0].data) if answers else None

    def tftp(self, name: str) -> bytes:
        """A file by TFTP. Refused; AssertionError for an ERROR."""
        client = Client(self, LOOPBACK[1], (LOOPBACK[0], self.up.tftp.ports[0]))  # type: ignore[arg-type]
        self._tftp.append(client)
        return client.fetch(name, ("tsize", 0), ("blksize", 1432))

    def api(self, method: str, path: str, **body: Any) -> Any:
        """The operator's API: the JSON of the answer."""
        token = self.settings.api_token()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        response = self.http(method, f"/api/v1{path}", json.dumps(body).encode() if body else b"", headers=headers, peer=SERVER)
        assert response.code < 300, response.text
        return json.loads(response.body)

    # what happens inside

    def settle(self) -> None:
        """Let everything happen that is not waiting for time or for somebody outside."""
        while self.service is not None:
            while self._reactor.handed:
                self._reactor.handed.popleft()()
            readers = {reader.fileno(): reader for reader in list(self._reactor.readers) if reader.fileno() >= 0}
            ready = select.select(list(readers), [], [], 0)[0]
            for fd in ready:
                readers[fd].doRead()
            due = any(each.getTime() <= self._reactor.seconds() for each in self._reactor.getDelayedCalls())
            if due:
                self._reactor.advance(0)
            if not ready and not due and not self._reactor.handed:
                return


def _free_ports(count: int) -> list[int]:
    held = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for each in held:
            each.bind((LOOPBACK[0], 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()
