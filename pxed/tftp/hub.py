"""Every transfer's socket behind one reader: a nested epoll object saves Twisted's dispatch, 4.5 us per packet.

Per reactor turn at most `ROUNDS` polls of `BATCH` events or `BUDGET` seconds, so that offers are a few milliseconds late in a storm.
One scan looks at all deadlines every `TICK` seconds while there are transfers: a `callLater` per packet would cost more than the packet.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

BATCH = 32
ROUNDS = 8
BUDGET = 0.001
TICK = 0.025


class Entry(Protocol):
    """What the hub holds: something with a socket and a deadline (a transfer's stream)."""

    deadline: float

    def readable(self, now: float) -> bool: ...

    def catch_up(self, now: float) -> None: ...

    def expire(self, now: float) -> None: ...


@implementer(IReadDescriptor)
class Hub:
    """`seconds` is monotonic. `broken(fd)` ends a transfer in which our own code failed; the others never notice."""

    log = Logger()

    def __init__(self, *, reactor: Any, seconds: Callable[[], float], broken: Callable[[int], None]) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._broken = broken
        self._epoll = select.epoll()
        self._entries: dict[int, Entry] = {}
        self._readers: dict[int, Callable[[float], bool]] = {}
        self._scan = LoopingCall(self.scan)
        self._scan.clock = reactor

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, fd: int, entry: Entry) -> None:
        """Watch a socket. The scan starts with the first one.

        Edge-triggered: the kernel then looks at each socket once per datagram instead of twice. `Entry.readable` says when it has
        left something unread that matters.
        """
        self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        self._entries[fd] = entry
        self._readers[fd] = entry.readable
        if not self._scan.running:
            self._scan.start(TICK, now=False).addErrback(lambda failure: self.log.failure("TFTP deadlines are no longer watched", failure))

    def remove(self, fd: int) -> None:
        """Forget a socket, before it is closed. The scan stops with the last one."""
        if self._entries.pop(fd, None) is None:
            return
        del self._readers[fd]
        self._epoll.unregister(fd)
        if not self._entries and self._scan.running:
            self._scan.stop()

    def fileno(self) -> int:
        """The epoll object itself; -1 once closed."""
        return self._epoll.fileno() if not self._epoll.closed else -1

    def doRead(self) -> None:
        """Serve whoever is readable, for one turn of the reactor."""
        poll, readers, now = self._epoll.poll, self._readers, self._seconds()
        stop = now + BUDGET
        for _ in range(ROUNDS):
            events = poll(0, BATCH)
            if not events:
                return
            for fd, _mask in events:
                try:
                    if fd in readers and readers[fd](now):  # not there: an earlier event of this batch ended it
                        self._entries[fd].catch_up(now)
                except Exception:
                    self._failed(fd)
            now = self._seconds()
            if now > stop:
                return

    def scan(self) -> None:
        """Call `expire` of every entry whose deadline has passed."""
        now = self._seconds()
        for fd, entry in [(fd, entry) for fd, entry in self._entries.items() if entry.deadline <= now]:
            if self._entries.get(fd) is not entry:
                continue
            try:
                entry.expire(now)
            except Exception:
                self._failed(fd)

    def close(self) -> None:
        """Stop watching. The transfers have been ended before."""
        if self._scan.running:
            self._scan.stop()
        self._epoll.close()

    def logPrefix(self) -> str:
        return "TFTP transfers"

    def connectionLost(self, reason: object) -> None:
        """Part of IReadDescriptor; an epoll object does not hang up."""

    def _failed(self, fd: int) -> None:
        self.log.failure("A TFTP transfer failed inside pxed")
        self._broken(fd)
