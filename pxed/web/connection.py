"""A TCP connection that sends what is written at once, and asks epoll only when the socket is full.

Twisted's own collects what is written, has epoll say that the socket takes data, and sends then: for an answer that fits the socket, as
nearly all do, that is two system calls and one more event than it takes, and as much again to hang up behind it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from twisted.internet import main, tcp
from twisted.internet.address import IPv4Address
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
    return listening


class Connection(tcp.Server):
    """What `tcp.Port.transport` may be replaced by."""

    reactor: Any
    _shouldShutdown = False  # shutdown(2) before close(2) says the same twice: no other process has this descriptor
    _reads = _writes = False  # what the reactor was asked for
    _inside = False  # the reactor has called us, and goes on with us when it returns

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
            self.reactor.callLater(0, self._end)
        else:
            self._end()

    def _end(self) -> None:
        if self.connected:
            self.connectionLost(_DONE)

    def getHost(self) -> Any:
        name = self.socket.getsockname()
        return _address(*name) if len(name) == 2 else super().getHost()

    def doRead(self) -> Any:
        self._inside = True
        try:
            return super().doRead()
        finally:
            self._inside = False

    def doWrite(self) -> Any:
        self._inside = True
        try:
            return super().doWrite()
        finally:
            self._inside = False

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
