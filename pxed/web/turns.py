"""Who is served next over HTTP: one request or one chunk of a file each in turn, and never so long that others wait.

Asking epoll before every chunk costs a quarter of a fast transfer, and a turn of the reactor that serves fifty ready sockets keeps timers,
TFTP and DHCP waiting for as long as that takes. So a socket that took all it was offered queues here for its next chunk without being
asked, requests queue behind it, and the queue is left after `SLICE` for the rest of the reactor. A socket that is full goes back to epoll.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

SLICE = 0.003
"""Seconds of one turn of the reactor; one chunk or request more may have begun before."""

log = Logger()


class Turns:
    """A queue of turns. A turn is a callable that does one chunk and says whether it wants another; one that raises is logged.

    `seconds` may jump: a slice is too long or too short then.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._waiting: deque[Callable[[], bool]] = deque()
        self._scheduled = False
        self._left = SLICE

    def add(self, turn: Callable[[], bool], reactor: Any) -> None:
        """Have `turn` called, not from here. `reactor` is that of its connection."""
        self._waiting.append(turn)
        self._schedule(reactor)

    def take(self, turn: Callable[[], bool], reactor: Any) -> bool:
        """Have `turn` called: from here if nobody waits and this turn of the reactor has time left, else as `add`. Whether it waits now.

        What it raises here is the caller's.
        """
        if self._waiting or self._left <= 0:
            self.add(turn, reactor)
            return True
        self._schedule(reactor)  # there `_left` begins anew
        return self._call(turn)

    def _schedule(self, reactor: Any) -> None:
        if not self._scheduled:
            self._scheduled = True
            reactor.callLater(0, self._run, reactor)

    def _run(self, reactor: Any) -> None:
        self._scheduled, self._left = False, SLICE
        while self._waiting and self._left > 0:
            try:
                self._call(self._waiting.popleft())
            except Exception:
                log.failure("A turn of a transfer failed")
        if self._waiting:
            self._schedule(reactor)

    def _call(self, turn: Callable[[], bool]) -> bool:
        began = self._seconds()
        try:
            again = turn()
        finally:
            self._left -= max(0.0, self._seconds() - began)
        if again:
            self._waiting.append(turn)
        return again
