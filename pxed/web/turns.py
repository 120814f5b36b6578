"""Who sends next: all connections whose sockets take more of a file, one chunk each in turn, and never so long that others wait.

Asking epoll before every chunk costs a quarter of a fast transfer, and a turn of the reactor that serves fifty ready sockets keeps timers,
TFTP and DHCP waiting for as long as that takes. So a socket that took all it was offered queues here for its next chunk without being
asked, and the queue is left after `SLICE` for the rest of the reactor. A socket that is full goes back to epoll.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

SLICE = 0.004
"""Seconds of one turn of the reactor; one chunk more may have begun before."""

log = Logger()


class Turns:
    """A queue of turns. A turn is a callable that does one chunk and says whether it wants another; one that raises is logged."""

    def __init__(self, seconds: Callable[[], float] = time.perf_counter) -> None:
        self._seconds = seconds
        self._waiting: deque[Callable[[], bool]] = deque()
        self._scheduled = False

    def add(self, turn: Callable[[], bool], reactor: Any) -> None:
        """Have `turn` called, not from here. `reactor` is that of its connection."""
        self._waiting.append(turn)
        if not self._scheduled:
            self._scheduled = True
            reactor.callLater(0, self._run, reactor)

    def _run(self, reactor: Any) -> None:
        waiting, seconds = self._waiting, self._seconds
        end = seconds() + SLICE
        while waiting:
            turn = waiting.popleft()
            try:
                again = turn()
            except Exception:
                log.failure("A turn of a file's transfer failed")
                again = False
            if again:
                waiting.append(turn)
            if seconds() >= end:
                break
        self._scheduled = bool(waiting)
        if waiting:
            reactor.callLater(0, self._run, reactor)
