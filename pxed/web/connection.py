"""A TCP connection that sends an answer in the turn in which it is made, and asks epoll only when the socket is full.

Twisted's own collects what is written, has epoll say that the socket takes data, and sends then: for an answer that fits the socket, as
nearly all do, that is two system calls and one more event than it takes, and as much again to hang up behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import main, tcp
from twisted.python.failure import Failure

_DONE = Failure(main.CONNECTION_DONE)
"""How nearly all end: a Failure looks through its exception's class anew each time, this one did once."""


def listen(reactor: Any, port: int, factory: Any, *, interface: str = "") -> Any:
    """`reactor.listenTCP` whose connections are of this kind, with a backlog for a boot storm. CannotListenError."""
    listening = reactor.listenTCP(port, factory, backlog=4096, interface=interface)
    listening.transport = Connection
    return listening


class Connection(tcp.Server):
    """What `tcp.Port.transport` may be replaced by."""

    reactor: Any
    _shouldShutdown = False  # shutdown(2) before close(2) says the same twice: no other process has this descriptor
    _held = False

    def at_once(self, write: Callable[..., object], *args: Any) -> None:
        """Call ``write(*args)``, then send what it has written and hang up if it said so. Within itself: an ordinary call."""
        if self._held:
            write(*args)
            return
        self._held = True
        try:
            write(*args)
        finally:
            self._held = False
            self._send()

    def startWriting(self) -> None:
        if not self._held:
            super().startWriting()

    def _send(self) -> None:
        if not self.connected or not (self.dataBuffer or self._tempDataBuffer or self.disconnecting):
            return
        ended = self.doWrite()
        if ended is not None:
            self.stopReading()
            self.reactor.callLater(0, self._end, ended)  # not from here: the caller may be reading from it
        elif self.dataBuffer or self._tempDataBuffer:
            super().startWriting()

    def _end(self, why: Any) -> None:
        if self.connected:
            self.connectionLost(_DONE if why is main.CONNECTION_DONE else Failure(why))
