"""Everything a run waits for comes through its gate: the store, a time, news of the node.

Once the gate is sealed nothing is asked and nothing comes through any more. A coroutine that waits behind it can't go on, and is
dropped where it stands: so a stopped pxed writes no journal row, and a cancelled install takes no further step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from pxed.errors import StorageUnavailable
from pxed.store import Store

T = TypeVar("T")

LONGEST_PAUSE = 30.0
"""Seconds between two attempts while the database is away."""
LONGEST_SLEEP = 3600.0
"""Seconds after which a sleeper looks at the clock again: the host's time may have been set meanwhile."""


class Gate:
    """For one coroutine: it waits for one thing at a time."""

    def __init__(self, *, store: Store, clock: IReactorTime) -> None:
        self._store = store
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._sleeping: Deferred[None] | None = None
        self._watchers: list[Deferred[None]] = []
        self._has_rested = False
        self.sealed = False
        self.news = False
        """Whether `wake` was called since this was last set to False."""

    def through(self, ask: Callable[[], Deferred[T]]) -> Deferred[T]:
        """What `ask()` gives, as long as the gate is open."""
        passed: Deferred[T] = Deferred()

        def relay(result: Any) -> None:
            if not self.sealed:
                passed.callback(result)  # a Failure goes the errback way

        if not self.sealed:
            ask().addBoth(relay)
        return passed

    async def durably(self, op: Callable[[Connection], T]) -> T:
        """Run `op` in the store, however long that takes: while the database is away an install waits, it does not fail."""
        pause = 1.0
        while True:
            try:
                return await self.through(lambda: self._store.write(op))
            except StorageUnavailable:
                await self._rest(pause, None)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def sleep(self, seconds: float) -> None:
        """Until `wake`, or until `seconds` have passed (or less: look at the clock)."""
        if not self.news:
            self._sleeping = Deferred()
            await self._rest(min(seconds, LONGEST_SLEEP), self._sleeping)

    def wake(self) -> None:
        """News: whoever sleeps goes on."""
        self.news = True
        sleeping, self._sleeping = self._sleeping, None
        if sleeping is not None:
            self._stop_timer()
            sleeping.callback(None)

    def rested(self) -> Deferred[None]:
        """Fires when the coroutine waits for time, news or the database for the first time, or the gate is sealed."""
        watcher: Deferred[None] = Deferred()
        if self._has_rested:
            watcher.callback(None)
        else:
            self._watchers.append(watcher)
        return watcher

    def seal(self) -> None:
        """Nothing comes through any more. May be called twice."""
        self.sealed = True
        self._stop_timer()
        self._tell()

    async def _rest(self, seconds: float, sleeping: Deferred[None] | None) -> None:
        self._tell()
        rest: Deferred[None] = sleeping or Deferred()
        self._timer = self._clock.callLater(seconds, self._over, rest)
        await self.through(lambda: rest)

    def _over(self, rest: Deferred[None]) -> None:
        self._timer = self._sleeping = None
        rest.callback(None)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _tell(self) -> None:
        self._has_rested = True
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.callback(None)
