"""The timeline: everything that happened, to which node and in which install, as events that are told at once and stored soon.

`record` never waits: subscribers hear the event before it returns, the store gets it with the next batch. The queue is bounded; when
the database can't keep up, or is away, events without an install are dropped from storage first, and counted. Ids only ever grow;
after a restart they jump ahead, so that an id somebody remembers is never given to another event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from pxed.node.model import Event

if TYPE_CHECKING:
    from pxed.store import Store

LONGEST_TEXT = 1000
IN_MEMORY = 10_000


class Timeline:
    """`now` gives UTC seconds. With `store=None` the last 10 000 events live in memory."""

    log = Logger()

    def __init__(self, *, now: Callable[[], float], store: Store | None = None) -> None:
        self._now = now
        self._store = store
        self._next_id = 1
        self._subscribers: list[Callable[[Event], None]] = []
        self._memory: deque[Event] = deque(maxlen=IN_MEMORY)

    async def load(self) -> None:
        """Continue after the last id that may have been given."""

    def record(
        self, kind: str, text: str, *, node: str | None = None, install: str | None = None, data: dict[str, Any] | None = None
    ) -> Event:
        """Tell every subscriber now, store soon. `text` is one sentence; `data` JSON values, never a secret."""
        event = Event(self._next_id, self._now(), kind, text[:LONGEST_TEXT], node, install, data or {})
        self._next_id += 1
        self._memory.append(event)
        for callback in list(self._subscribers):
            try:
                callback(event)
            except Exception:
                self.log.failure("A subscriber of the timeline failed on {kind}", kind=kind)
        return event

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with every event from now on. Returns what ends that; it may be called twice."""
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    async def history(self, *, node: str | None = None, install: str | None = None, after: int = 0, limit: int = 500) -> list[Event]:
        """Oldest first. With `after`, the first `limit` events behind that id; without, the newest `limit`. StorageUnavailable."""
        chosen = [
            event
            for event in self._memory
            if event.id > after and (node is None or event.node == node) and (install is None or event.install == install)
        ]
        return chosen[:limit] if after else chosen[-limit:]

    async def flush(self) -> None:
        """Return when everything recorded so far is stored. StorageUnavailable."""
