"""A TCP connection that sends what is written at once, and asks epoll only when the socket is full.

Twisted's own collects what is written, has epoll say that the socket takes data, and sends then: for an answer that fits the socket, as
nearly all do, that is two system calls and one more event than it takes, and as much again to hang up behind it. Nor is each connection
told anew not to delay what is small (TCP_NODELAY), or given a name for the log before somebody wants it.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from typing import Any

from twisted.internet import main, tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.python.failure import Failure

_DONE = Failure(main.CONNECTION_DONE)
"""How nearly all end: a Failure looks through its exception's class anew each time, this one did once."""


@lru_cache(64)
def _address(host: str, port: int) -> IPv4Address:
    """Of ours there are few."""
    return IPv4Address("TCP", host, port)


def listen(reactor: Any, port: int, factory: Any, *, interface: str = "") -> Any:
    """`reactor.listenTCP` whose connections are of this kind, with a backlog for a boot storm. CannotListenError."""
    listening = reactor.listenTCP(port, factory, backlog=4096, interface=interface)
    listening.transport = Connection
    listening.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)  # its connections inherit that
    return listening


class Connection(tcp.Server):
    """What `tcp.Port.transport` may be replaced by."""

    reactor: Any
    _shouldShutdown = False  # shutdown(2) before close(2) says the same twice: no other process has this descriptor
    _reads = _writes = False  # what the reactor was asked for
    _inside = False  # the reactor has called us, and goes on with us when it returns
    _ended = False  # and then it shall end us

    def __init__(self, sock: Any, protocol: Any, client: Any, server: Any, sessionno: int, reactor: Any) -> None:
        tcp.Connection.__init__(self, sock, protocol, reactor)
        if len(client) != 2:
            self._addressType = IPv6Address
        self.client, self.server, self.sessionno, self.hostname = client, server, sessionno, client[0]
        self.startReading()
        self.connected = 1

    def __repr__(self) -> str:
        return f"<{self.logPrefix()}>"

    def logPrefix(self) -> str:
        return f"HTTP,{self.sessionno},{self.hostname}"

    def setTcpNoDelay(self, enabled: bool) -> None:
        if not enabled:  # it is on from the beginning
            super().setTcpNoDelay(enabled)

    def _clear(self) -> bool:
        """Whether the connection stands and all that was written has been sent."""
        return bool(self.connected) and not (self.dataBuffer or self._tempDataBuffer or self.disconnecting or self._aborting)

    def write(self, data: bytes) -> None:
        if self._clear() and len(data) <= self.SEND_LIMIT:
            try:
                data = data[self.socket.send(data) :]
            except OSError:
                pass  # full, or gone: the reactor finds out which
        if data:
            super().write(data)

    def loseConnection(self) -> None:
        if not self._clear():
            super().loseConnection()
            return
        self.disconnecting = 1
        self.stopReading()
        if self._inside:
            self._ended = True
        else:
            self.connectionLost(_DONE)

    def getHost(self) -> Any:
        name = self.socket.getsockname()
        return _address(*name) if len(name) == 2 else super().getHost()

    def doRead(self) -> Any:
        self._inside = True
        try:
            why = super().doRead()
        finally:
            self._inside = False
        return main.CONNECTION_DONE if self._ended else why

    def doWrite(self) -> Any:
        self._inside = True
        try:
            why = super().doWrite()
        finally:
            self._inside = False
        return main.CONNECTION_DONE if self._ended else why

    # The reactor is asked for nothing twice: each time costs it as much as the first.
    def startReading(self) -> None:
        if not self._reads:
            self._reads = True
            super().startReading()

    def stopReading(self) -> None:
        if self._reads:
            self._reads = False
            super().stopReading()

    def startWriting(self) -> None:
        if not self._writes:
            self._writes = True
            super().startWriting()

    def stopWriting(self) -> None:
        if self._writes:
            self._writes = False
            super().stopWriting()
