"""Every transfer's socket behind one reader: a nested epoll object saves Twisted's dispatch, 4.5 us per packet.

Per reactor turn at most `ROUNDS` polls of `BATCH` events or `BUDGET` seconds, so that offers are a few milliseconds late in a storm. An
offer that is asked for meanwhile would wait for the next turn's packets too, for epoll names first whom it has named for longer: so whoever
must not wait comes before `MANY` packets (`first`).
One scan looks at all deadlines every `TICK` seconds while there are transfers: a `callLater` per packet would cost more than the packet.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from pxed.tftp.image import Step
from pxed.tftp.pace import PROBE_FLOOR
from pxed.tftp.stream import LONGEST

BATCH = 128
ROUNDS = 8
BUDGET = 0.0009
MANY = 32
"""Packets that take a third of a millisecond."""
TICK = 0.025


class Entry(Protocol):
    """What the hub holds: something with a socket and a deadline (a transfer's stream)."""

    deadline: float
    moved_at: float
    step: Step | None

    def readable(self, now: float) -> bool: ...

    def take(self, data: bytes, now: float) -> bool: ...

    def unreadable(self, error: OSError) -> None: ...

    def refused(self, error: OSError) -> None: ...

    def catch_up(self, now: float) -> None: ...

    def expire(self, now: float) -> None: ...


def serve(
    ready: Iterable[tuple[int, int]],
    entries: Mapping[int, Entry],
    now: float,
    *,
    failed: Callable[[int], None],
    read: Callable[[int, int], bytes] = os.read,
    write: Callable[[int, memoryview], object] = os.write,
) -> None:
    """Read a datagram of each that is `ready` and answer it. `failed(fd)` if that raised.

    Straight through is the hot path of all TFTP: the ACK that is awaited, the next packets go out, and of what belongs to one transfer
    only its step and one time are touched. With 500 of them, what each has of its own is never in the cache when it is wanted.
    """
    get = entries.get
    for fd, _mask in ready:
        entry = get(fd)
        if entry is None:  # an earlier event of this batch ended it
            continue
        try:
            step = entry.step
            if step is None:
                if entry.readable(now):
                    entry.catch_up(now)
                continue
            try:
                data = read(fd, LONGEST)
            except OSError as error:
                entry.unreadable(error)
                continue
            awaited, packets, behind = step
            if data == awaited and packets is not None:
                entry.step = behind
                entry.moved_at = now
                try:
                    write(fd, packets)
                except OSError as error:
                    entry.refused(error)
            elif entry.take(data, now):
                entry.catch_up(now)
        except Exception:
            failed(fd)


@implementer(IReadDescriptor)
class Hub:
    """`seconds` is monotonic. `broken(fd)` ends a transfer in which our own code failed; the others never notice. `first` is called before
    many packets are answered; what it raises is logged."""

    log = Logger()

    def __init__(
        self, *, reactor: Any, seconds: Callable[[], float], broken: Callable[[int], None], first: Callable[[], object] = lambda: None
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._broken = broken
        self._first = first
        self._epoll = select.epoll()
        self._entries: dict[int, Entry] = {}
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
        if not self._scan.running:
            self._scan.start(TICK, now=False).addErrback(lambda failure: self.log.failure("TFTP deadlines are no longer watched", failure))

    def remove(self, fd: int) -> None:
        """Forget a socket, before it is closed. The scan stops with the last one."""
        if self._entries.pop(fd, None) is None:
            return
        self._epoll.unregister(fd)
        if not self._entries and self._scan.running:
            self._scan.stop()

    def fileno(self) -> int:
        """The epoll object itself; -1 once closed."""
        return self._epoll.fileno() if not self._epoll.closed else -1

    def doRead(self) -> None:
        """Serve whoever is readable, for one turn of the reactor."""
        poll, now = self._epoll.poll, self._seconds()
        stop = now + BUDGET
        for _ in range(ROUNDS):
            events = poll(0, BATCH)
            if not events:
                return
            if len(events) >= MANY:
                self._let_go_first()
            serve(events, self._entries, now, failed=self._failed)
            now = self._seconds()
            if now > stop:
                return

    def scan(self) -> None:
        """Call `expire` of every entry whose deadline has passed. Steps move no deadline; who has just made one is left alone."""
        now = self._seconds()
        late = now - PROBE_FLOOR
        for fd, entry in [(fd, entry) for fd, entry in self._entries.items() if entry.deadline <= now and entry.moved_at <= late]:
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

    def _let_go_first(self) -> None:
        try:
            self._first()
        except Exception:
            self.log.failure("What goes before TFTP's packets failed")

    def _failed(self, fd: int) -> None:
        self.log.failure("A TFTP transfer failed inside pxed")
        self._broken(fd)
