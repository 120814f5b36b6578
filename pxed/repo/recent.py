"""Files that were opened a moment ago, or are being opened, for those who ask for the same one: in a boot storm everybody does.

Opening takes a thread, and a thread that runs Python holds up the reactor; a second descriptor of an open file takes two microseconds.
Fifty who ask at once for what nobody has opened yet would take fifty threads' work: they wait for the first of them. What an operator
replaces is served as it was for `KEPT` seconds at most.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from pxed.repo.directory import Opened

KEPT = 1.0
"""Seconds; no more than TFTP takes a name that was looked up for good."""
MOST = 32
"""Descriptors."""
SLICE = 0.001
"""Seconds of one turn of the reactor in which those who waited are served; one more may have begun before."""

Found = TypeVar("Found")


class Recent:
    """By name. `clock`: IReactorTime, whose time may be set back. `close` when nobody asks any more; may be called twice."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, Opened]] = {}  # oldest first
        self._opening: dict[str, deque[Deferred[None]]] = {}
        self._sweep: Any = None

    async def open(self, name: str, opening: Callable[[], Awaitable[Found]]) -> Found | Opened:
        """What ``opening()`` gives, kept if it is Opened; or the same file with a descriptor of its own, if somebody has just opened it or
        is about to. Errors of `opening` are raised; who waited for somebody whose file could not be shared opens for himself."""
        known = self.take(name)
        if known is None and name in self._opening:
            turn: Deferred[None] = Deferred()
            self._opening[name].append(turn)
            await turn
            known = self.take(name)
        if known is not None:
            return known
        first: deque[Deferred[None]] | None = None
        if name not in self._opening:
            first = self._opening[name] = deque()
        try:
            found = await opening()
            if isinstance(found, Opened):
                self.keep(name, found)
            return found
        finally:
            if first is not None:
                del self._opening[name]
                self._serve(first)

    def take(self, name: str) -> Opened | None:
        """The file with a descriptor of its own, which the caller closes; None if it must be opened."""
        at, file = self._kept.get(name, (0.0, None))
        if file is None or not 0 <= self._clock.seconds() - at < KEPT:
            return None
        return _copy(file)

    def keep(self, name: str, file: Opened) -> None:
        """`file` was opened just now; it stays the caller's."""
        copy = _copy(file)
        if copy is None:
            return
        self._drop(name)
        if len(self._kept) >= MOST:
            self._drop(next(iter(self._kept)))
        self._kept[name] = (self._clock.seconds(), copy)
        if self._sweep is None:
            self._sweep = self._clock.callLater(KEPT, self._close_old)

    def close(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for name in list(self._kept):
            self._drop(name)

    def _serve(self, waiting: deque[Deferred[None]]) -> None:
        if waiting:
            self._clock.callLater(0, self._serve_some, waiting)

    def _serve_some(self, waiting: deque[Deferred[None]]) -> None:
        stop = self._clock.seconds() + SLICE
        while waiting and self._clock.seconds() <= stop:
            waiting.popleft().callback(None)
        self._serve(waiting)

    def _close_old(self) -> None:
        self._sweep = None
        now = self._clock.seconds()
        for name in [name for name, (at, _) in self._kept.items() if not 0 <= now - at < KEPT]:
            self._drop(name)
        if self._kept:
            self._sweep = self._clock.callLater(KEPT, self._close_old)

    def _drop(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            kept[1].close()


def _copy(file: Opened) -> Opened | None:
    """None if this process has no descriptor left."""
    try:
        return Opened(os.dup(file.fd), file.name, file.size, file.modified, file.etag, file.extents, file.disk)
    except OSError:
        return None
