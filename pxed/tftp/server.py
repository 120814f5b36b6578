"""The service on port 69: listeners, limits, and who is being served.

`Server` is fbtftp's `BaseServer` on the reactor: its `on_new_data` parses each datagram that `request` has vetted and
calls `get_handler`, whose answer needs no more than `daemon` and `start`.
"""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fbtftp import BaseServer
from twisted.application import service
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from zope.interface import implementer

from pxed.errors import HostProblem
from pxed.tftp.events import NotServed, Problem, TransferEvent, printable
from pxed.tftp.files import Files, InThread
from pxed.tftp.hub import BUDGET, Hub
from pxed.tftp.listener import Arrival, listen, receive, reply
from pxed.tftp.request import Ignored, parse
from pxed.tftp.settings import Limits, TftpSettings
from pxed.tftp.transfer import Services, Transfer, Virtual

DATAGRAMS = 64
"""Requests looked at in one turn of the reactor."""
RESTARTED = 2.0
"""Seconds of silence after which the same request from the same port means: the client has started again."""


class Clients:
    """Who is being served: one live transfer per client port, so many per address, so many in all (D9, D17)."""

    def __init__(self, settings: TftpSettings) -> None:
        self._settings = settings
        self._transfers: dict[tuple[Any, ...], Transfer] = {}
        self._per_address: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._transfers)

    def __iter__(self) -> Any:
        return iter(list(self._transfers.values()))

    def get(self, peer: tuple[Any, ...]) -> Transfer | None:
        return self._transfers.get(peer)

    def full(self, address: str) -> bool:
        """Whether another transfer to `address` would be one too many."""
        return len(self._transfers) >= self._settings.max_transfers or self._per_address.get(address, 0) >= self._settings.per_client

    def add(self, transfer: Transfer) -> None:
        self._transfers[transfer.peer] = transfer
        self._per_address[transfer.peer_ip] = self._per_address.get(transfer.peer_ip, 0) + 1

    def forget(self, transfer: Transfer) -> None:
        if self._transfers.get(transfer.peer) is transfer:
            del self._transfers[transfer.peer]
            left = self._per_address.pop(transfer.peer_ip) - 1
            if left:
                self._per_address[transfer.peer_ip] = left


class Answer:
    """What `get_handler` returns when there is nothing to transfer: an ERROR to send, or nothing at all."""

    daemon = False

    def __init__(self, send: Callable[[], None] = lambda: None) -> None:
        self.start = send


class _Vetted:
    """Stands in for the socket that `BaseServer.on_new_data` reads from."""

    def __init__(self) -> None:
        self.waiting: tuple[bytes, tuple[Any, ...]] = (b"", ())

    def recvfrom(self, _size: int) -> tuple[bytes, tuple[Any, ...]]:
        return self.waiting


@implementer(IReadDescriptor)
class Server(BaseServer):  # type: ignore[misc]  # fbtftp has no types
    """One listening socket. OSError from the constructor if the address can't be bound."""

    log = Logger()
    _listener: Any

    def __init__(self, address: str, port: int, *, services: Services, clients: Clients) -> None:
        super().__init__(address, 0, retries=0, timeout=1)
        self._selector.close()
        self._listener.close()  # bound to any port; ours needs options that must be set before it is bound
        self._socket = listen(address, port)
        self._listener = _Vetted()
        self._port = self._socket.getsockname()[1]
        self._services = services
        self._clients = clients
        self._arrival: Arrival | None = None
        self._name = b""

    @property
    def port(self) -> int:
        """The bound port."""
        return int(self._port)

    @property
    def counters(self) -> Mapping[str, int]:
        """Reason > number of datagrams; ``process_count`` (fbtftp's name) are the requests that went on."""
        counters: dict[str, int] = self._server_stats.get_all_counters()
        return counters

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "TFTP"

    def connectionLost(self, reason: object) -> None:
        """Part of IReadDescriptor; a UDP socket does not hang up."""

    def close(self) -> None:
        super().close()
        self._socket.close()

    def doRead(self) -> None:
        """At most `DATAGRAMS` requests, or as many as 1 ms allows; the rest is still there in the next turn."""
        stop = self._services.seconds() + BUDGET
        for _ in range(DATAGRAMS):
            try:
                arrival = receive(self._socket)
            except OSError:  # nothing there (D2), or an ICMP answer to an ERROR we sent
                return
            self._vet(arrival)
            if self._services.seconds() > stop:
                return

    def get_handler(self, _server_addr: object, _peer: object, _path: str, options: dict[str, Any]) -> Transfer | Answer:
        """fbtftp's hook: who serves this request. Duplicates of a request that is being served are dropped."""
        arrival = self._arrival
        assert arrival is not None
        asked = (self._name, dict(options))
        present = self._clients.get(arrival.peer)
        if present is not None:
            present.catch_up()
            present = self._clients.get(arrival.peer)
        if present is not None:
            if present.asked == asked and present.quiet_for() < RESTARTED:
                self._count("duplicate")
                return Answer()
            present.superseded()
        if self._clients.full(arrival.peer[0]):
            self._count("busy")
            file = printable(self._name)
            self._services.report(TransferEvent(arrival.peer[0], file, "failed", reason="too many transfers at once"))
            return Answer(lambda: self._refuse(arrival, Problem.BUSY))
        transfer = Transfer(self._services, arrival, self._name, options)
        self._clients.add(transfer)
        return transfer

    def _vet(self, arrival: Arrival) -> None:
        try:
            if not arrival.unicast:
                raise Ignored("broadcast")  # RFC 1123 section 4.2.3.5
            request = parse(arrival.data)
        except Ignored as drop:
            self._count(drop.reason)
        except NotServed as refusal:
            self._count(refusal.problem.name.lower())
            self.log.debug("A request of {peer} is refused: {why}", peer=arrival.peer[0], why=str(refusal))
            self._refuse(arrival, refusal.problem)
        else:
            self._arrival, self._name = arrival, request.name
            self._listener.waiting = (request.datagram, arrival.peer)
            self.on_new_data()

    def _refuse(self, arrival: Arrival, problem: Problem) -> None:
        packet = b"\x00\x05" + problem.code.to_bytes(2, "big") + problem.text.encode("ascii") + b"\x00"
        try:
            reply(self._socket, packet, arrival)
        except OSError:
            self._count("error not sent")

    def _count(self, reason: str) -> None:
        self._server_stats.increment_counter(reason)


class TftpService(service.Service):
    """TFTP for the appliance. `on_event` hears of every transfer. Ports are bound in `privilegedStartService`.

    `addresses`: one listener each; an IPv6 wildcard is left out on hosts without IPv6. `virtual` renders names that are no files.
    `blksize_cap`: the largest block (bytes) for the client at an address, None for the usual.
    `seconds` must be monotonic (`reactor.seconds` is not). `in_thread` runs blocking reads, by default in the reactor's thread pool.
    `first` is called before many packets are answered: for those who must not wait that long.
    """

    log = Logger()

    def __init__(
        self,
        *,
        reactor: Any,
        root: Path,
        on_event: Callable[[TransferEvent], None],
        settings: TftpSettings | None = None,
        port: int = 69,
        addresses: Sequence[str] = ("0.0.0.0", "::"),
        virtual: Virtual | None = None,
        blksize_cap: Callable[[str], int | None] | None = None,
        seconds: Callable[[], float] = time.monotonic,
        in_thread: InThread | None = None,
        first: Callable[[], object] = lambda: None,
    ) -> None:
        self._reactor = reactor
        self._on_event = on_event
        self._port = port
        self._addresses = tuple(addresses)
        limits = Limits() if settings is None else settings
        threads = in_thread or (lambda function, *args: deferToThreadPool(reactor, reactor.getThreadPool(), function, *args))
        self._clients = Clients(limits)
        self._hub = Hub(reactor=reactor, seconds=seconds, broken=self._broken, first=first)
        self._services = Services(
            files=Files(os.fspath(root), in_thread=threads, seconds=seconds, cache_bytes=limits.cache_bytes),
            hub=self._hub,
            settings=limits,
            seconds=seconds,
            report=self._report,
            forget=self._clients.forget,
            virtual=virtual,
            blksize_cap=blksize_cap,
        )
        self._servers: list[Server] = []

    @property
    def ports(self) -> list[int]:
        """The bound ports, one per listener."""
        return [server.port for server in self._servers]

    @property
    def active(self) -> int:
        """Transfers under way."""
        return len(self._clients)

    def counters(self) -> dict[str, int]:
        """Datagrams by what became of them, all listeners together."""
        total: Counter[str] = Counter()
        for server in self._servers:
            total.update(server.counters)
        return dict(total)

    def privilegedStartService(self) -> None:
        """Bind. HostProblem if a port is taken or may not be bound. May be called twice."""
        if self._servers:
            return
        super().privilegedStartService()
        for address in self._addresses:
            try:
                self._servers.append(Server(address, self._port, services=self._services, clients=self._clients))
            except OSError as error:
                if address == "::" and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    self.log.info("This host has no IPv6: TFTP listens on IPv4 only")
                    continue
                self._unbind()
                raise HostProblem(f"TFTP can't listen on UDP {address} port {self._port}: {error.strerror}", _remedy(error)) from error

    def startService(self) -> None:
        self.privilegedStartService()
        super().startService()
        for reader in (*self._servers, self._hub):
            self._reactor.addReader(reader)

    def stopService(self) -> None:
        """Ends every transfer with an ERROR, so that no client waits for a server that is gone."""
        super().stopService()
        for reader in (*self._servers, self._hub):
            self._reactor.removeReader(reader)
        for transfer in self._clients:
            transfer.refuse(Problem.STOPPING)
        self._unbind()
        self._hub.close()

    def _unbind(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = []

    def _broken(self, fd: int) -> None:
        for transfer in self._clients:
            if transfer.holds(fd):
                transfer.refuse(Problem.INTERNAL)

    def _report(self, event: TransferEvent) -> None:
        try:
            self._on_event(event)
        except Exception:
            self.log.failure("The listener for TFTP events failed")


def _remedy(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "Another TFTP server runs here: `ss -ulpn 'sport = :69'` names it"
    if error.errno == errno.EACCES:
        return "Start pxed as root; it drops its privileges after binding"
    return ""
