"""Writes that nobody waits for: at most one under way, what comes meanwhile goes together into the next one.

The owner keeps what is not stored yet (bounded, in its own shape) and hands it over when asked; after a failure of the disk it gets
it back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from pxed.errors import StorageUnavailable
from pxed.store.writer import Store

PAUSE = 1.0
"""Seconds without a new attempt after a failure, unless somebody waits (`flush`)."""


class Batch(NamedTuple):
    """What is to be stored: `op` runs in the writer's thread and must touch nothing of the reactor's; `give_back` undoes the taking."""

    op: Callable[[Connection], None]
    give_back: Callable[[], None]


class LazyWriter:
    """`take` hands over everything that waits, or None. `what` names it in the log; `now` gives UTC seconds."""

    log = Logger()

    def __init__(self, store: Store, take: Callable[[], Batch | None], *, what: str, now: Callable[[], float]) -> None:
        self._store = store
        self._take = take
        self._what = what
        self._now = now
        self._busy = False
        self._paused_until = float("-inf")
        self._for_next: list[Deferred[None]] = []

    def poke(self) -> None:
        """Something waits to be stored. Cheap; call it as often as you like."""
        if not self._busy and (self._for_next or not self._paused_until - PAUSE <= self._now() < self._paused_until):
            self._write()

    async def flush(self) -> None:
        """Return when all that waits now is stored. StorageUnavailable."""
        stored: Deferred[None] = Deferred()
        self._for_next.append(stored)
        if self._busy:
            self._store.hurry()
        self.poke()
        await stored

    def _write(self) -> None:
        waiting, self._for_next = self._for_next, []
        batch = self._take()
        if batch is None:
            for stored in waiting:
                stored.callback(None)
            return
        self._busy = True
        self._store.write(batch.op, lazy=not waiting).addBoth(self._written, batch, waiting)

    def _written(self, result: Failure | None, batch: Batch, waiting: list[Deferred[None]]) -> None:
        self._busy = False
        if isinstance(result, Failure):
            self._failed(result, batch)
            for stored in waiting:
                stored.errback(result)
            if not self._for_next:
                return
        else:
            for stored in waiting:
                stored.callback(None)
        if not self._busy:
            self._write()

    def _failed(self, failure: Failure, batch: Batch) -> None:
        if failure.check(StorageUnavailable):  # the store has logged it
            batch.give_back()
            self._paused_until = self._now() + PAUSE
        else:  # would fail again for ever and hold up what comes after it
            self.log.failure("{what} could not be stored: a fault in pxed", failure, what=self._what)
