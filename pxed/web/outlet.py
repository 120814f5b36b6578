"""Files on their way out: every socket that one is being sent into, behind one nested epoll object of its own.

Through the reactor each chunk of a file costs its dispatch, and a timer that ends the turn: a good part of what the kernel takes to send
it. Here a socket that takes more gets one chunk, and all of them together no more than `SLICE` of a turn of the reactor, so that timers,
TFTP and DHCP do not wait for as long as fifty ready sockets take. Whoever was ready and had no turn comes first in the next.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

SLICE = 0.001
"""Seconds of one turn of the reactor; one chunk more may have begun before."""
BATCH = 32

log = Logger()


@implementer(IReadDescriptor)
class Outlet:
    """`reactor`: IReactorFDSet, `seconds`: monotonic. Holds no descriptor and is no reader while nothing is being sent."""

    def __init__(self, reactor: Any, seconds: Callable[[], float] = time.monotonic) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._epoll: select.epoll | None = None
        self._chunks: dict[int, Callable[[], None]] = {}
        self._ready: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._chunks)

    def add(self, fd: int, chunk: Callable[[], None]) -> None:
        """Call `chunk`, not from here, whenever the socket `fd` takes data, until `remove`. One that raises is logged, and removed."""
        if self._epoll is None:
            self._epoll = select.epoll()
            self._reactor.addReader(self)
        self._epoll.register(fd, select.EPOLLOUT)
        self._chunks[fd] = chunk

    def remove(self, fd: int) -> None:
        """May be called twice, and behind the socket's end."""
        if self._chunks.pop(fd, None) is None or self._epoll is None:
            return
        with suppress(OSError):  # closed before
            self._epoll.unregister(fd)
        if not self._chunks:
            self._reactor.removeReader(self)
            self._epoll.close()
            self._epoll = None
            self._ready.clear()

    def fileno(self) -> int:
        return self._epoll.fileno() if self._epoll is not None else -1

    def doRead(self) -> None:
        """One chunk for each that is ready, in turn, until the slice is used up."""
        stop = self._seconds() + SLICE
        ready, chunks = self._ready, self._chunks
        while self._epoll is not None:
            if not ready:
                ready.extend([fd for fd, _ in self._epoll.poll(0, BATCH)])
                if not ready:
                    return
            fd = ready.popleft()
            chunk = chunks.get(fd)
            if chunk is None:  # it ended since
                continue
            try:
                chunk()
            except Exception:
                log.failure("A chunk of a transfer failed")
                self.remove(fd)
            if self._seconds() > stop:
                return

    def logPrefix(self) -> str:
        return "HTTP transfers"

    def connectionLost(self, reason: object) -> None:
        """Part of IReadDescriptor; an epoll object does not hang up."""
