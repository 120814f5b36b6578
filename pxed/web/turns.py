"""Who is served next over HTTP: one request in turn, and never so long that others wait.

A turn of the reactor that serves fifty requests keeps timers, TFTP and DHCP waiting for as long as that takes. So requests queue here once
`SLICE` of a turn is used up, and the rest of the reactor has its own before the next of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

SLICE = 0.002
"""Seconds of one turn of the reactor, in which connections are read first and then who waits is served; one request more may have begun
before."""

log = Logger()


class Turns:
    """A queue of requests. `seconds` may jump: a slice is too long or too short then."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._waiting: deque[Callable[[], object]] = deque()
        self._scheduled = False
        self._left = SLICE

    def take(self, serve: Callable[[], object], reactor: Any) -> None:
        """Have `serve` called: from here if nobody waits and this turn of the reactor has time left, else in its turn, where one that
        raises is logged. What it raises here is the caller's."""
        if not self._scheduled:
            self._scheduled = True
            reactor.callLater(0, self._run, reactor)  # at the end of it `_left` begins anew
        if self._waiting or self._left <= 0:
            self._waiting.append(serve)
        else:
            self._call(serve)

    def _run(self, reactor: Any) -> None:
        self._scheduled = False
        while self._waiting and self._left > 0:
            try:
                self._call(self._waiting.popleft())
            except Exception:
                log.failure("A request failed in its turn")
        self._left = SLICE
        if self._waiting:
            self._scheduled = True
            reactor.callLater(0, self._run, reactor)

    def _call(self, serve: Callable[[], object]) -> None:
        began = self._seconds()
        try:
            serve()
        finally:
            self._left -= max(0.0, self._seconds() - began)
