"""The timeline: everything that happened, to which node and in which install, as events that are told at once and stored soon.

`record` never waits: subscribers hear the event before it returns, the store gets it with the next batch. The queue is bounded; when
the database can't keep up, or is away, events without an install are dropped from storage first, and counted. Each node keeps its
newest `keep` events, of which its log and progress (`FREQUENT`) are at most half, so that they don't push out the rest. Ids only ever
grow; after a restart they jump ahead, so that an id somebody remembers (a console that reconnects) is never given to another event.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from twisted.logger import Logger

from pxed.node import rows
from pxed.node.model import Event
from pxed.store.lazy import Batch, LazyWriter

if TYPE_CHECKING:
    from pxed.store import Store

LONGEST_TEXT = 1000
IN_MEMORY = 10_000
QUEUE = 8192
"""Events that may wait for the store; those of an install may use as much again."""
JUMP = 100_000
"""Ids skipped at a restart: more than can have been told and not stored."""
_PLAIN = frozenset({str, int, float, bool, type(None)})
ORPHANS_EVERY = 10_000
"""Events between two searches for events of forgotten nodes."""


class Timeline:
    """`now` gives UTC seconds. With `store=None` the last 10 000 events live in memory.

    `dropped` counts events that were told but could not be stored.
    """

    log = Logger()

    def __init__(self, *, now: Callable[[], float], store: Store | None = None, keep: int = 2000) -> None:
        self._now = now
        self._store = store
        self._keep = keep
        self._next_id = 1
        self._subscribers: tuple[Callable[[Event], None], ...] = ()
        self._memory: deque[Event] = deque(maxlen=IN_MEMORY)
        self._pending: list[Event] = []
        self._since_pruned: Counter[str | None] = Counter()
        self._since_orphans = 0
        self._writer = LazyWriter(store, self._take, what="The timeline", now=now) if store else None
        self.dropped = 0

    async def load(self) -> None:
        """Continue after the last id that may have been given; throw out what is beyond the bounds. StorageUnavailable."""
        if self._store is None:
            return
        keep = self._keep

        def tidy(connection: Connection) -> int:
            last = rows.last_event_id(connection)
            rows.prune_orphans(connection, last + 1)
            for node in rows.overfull(connection, keep):
                rows.prune_events(connection, node, keep)
            return last

        last = await self._store.write(tidy)
        if last:
            self._next_id = max(self._next_id, last + JUMP)

    def record(
        self, kind: str, text: str, *, node: str | None = None, install: str | None = None, data: dict[str, Any] | None = None
    ) -> Event:
        """Tell every subscriber now, store soon. `text` is one sentence; `data` JSON values, never a secret."""
        event = Event(self._next_id, self._now(), kind, printable(text)[:LONGEST_TEXT], node, install, _json(data))
        self._next_id += 1
        self._keep_for_later(event)
        for callback in self._subscribers:
            try:
                callback(event)
            except Exception:
                self.log.failure("A subscriber of the timeline failed on {kind}", kind=kind)
        return event

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with every event from now on. Returns what ends that; it may be called twice."""
        self._subscribers += (callback,)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                at = self._subscribers.index(callback)
                self._subscribers = self._subscribers[:at] + self._subscribers[at + 1 :]

        return unsubscribe

    async def history(
        self, *, node: str | None = None, install: str | None = None, after: int = 0, limit: int = 500, but: Collection[str] = ()
    ) -> list[Event]:
        """Oldest first. With `after`, the first `limit` events behind that id (-1: from the very first); without, the newest `limit`.
        `but` none of these kinds. StorageUnavailable."""
        if self._store is not None:
            await self.flush()
            return await self._store.read(lambda c: rows.read_events(c, node=node, install=install, after=after, limit=limit, but=but))
        chosen = [
            event
            for event in self._memory
            if event.id > after and node in (None, event.node) and install in (None, event.install) and event.kind not in but
        ]
        return chosen[:limit] if after else chosen[-limit:]

    async def flush(self) -> None:
        """Return when everything recorded so far is stored. StorageUnavailable."""
        if self._writer is not None:
            await self._writer.flush()

    def _keep_for_later(self, event: Event) -> None:
        if self._writer is None:
            self._memory.append(event)
            return
        if len(self._pending) >= (2 * QUEUE if event.install else QUEUE):
            self._count_dropped()
            return
        self._pending.append(event)
        self._writer.poke()

    def _count_dropped(self) -> None:
        self.dropped += 1
        if self.dropped & (self.dropped - 1) == 0:  # 1, 2, 4, 8 ...: the log must survive the flood as well
            self.log.warn("{dropped} events were told but not stored so far: the database can't keep up", dropped=self.dropped)

    def _take(self) -> Batch | None:
        if not self._pending:
            return None
        taken, self._pending = self._pending, []
        prune, horizon = self._due(taken)
        keep = self._keep

        def store(connection: Connection) -> None:
            rows.store_events(connection, taken)
            for node in prune:
                rows.prune_events(connection, node, keep)
            if horizon is not None:
                rows.prune_orphans(connection, horizon)

        def give_back() -> None:
            self._pending[:0] = taken

        return Batch(store, give_back)

    def _due(self, taken: list[Event]) -> tuple[list[str | None], int | None]:
        """The nodes whose timeline needs pruning now, and the id below which orphans are searched (None: not now)."""
        if len(self._since_pruned) > ORPHANS_EVERY:
            self._since_pruned.clear()  # counts of a flood; `load` catches what this forgets
        self._since_pruned.update(event.node for event in taken)
        prune = [node for node in {event.node for event in taken} if self._since_pruned[node] > self._keep // 4]
        for node in prune:
            del self._since_pruned[node]
        self._since_orphans += len(taken)
        if self._since_orphans < ORPHANS_EVERY:
            return prune, None
        self._since_orphans = 0
        return prune, taken[0].id - ORPHANS_EVERY


def printable(text: str) -> str:
    """`text` as every database takes it: no NUL, nothing that UTF-8 can't say (a node's bytes may have become lone surrogates)."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def _json(data: dict[str, Any] | None) -> dict[str, Any]:
    """`data` as JSON can say it; what it can't is told as text."""
    if not data:
        return {}
    if _PLAIN.issuperset(map(type, data.values())):
        return dict(data)
    plain: dict[str, Any] = json.loads(json.dumps(data, default=str))
    return plain
