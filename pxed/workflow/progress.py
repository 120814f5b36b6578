"""How far installs are, stored lazily: nobody waits for it, and what a crash forgets is soon told again."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from pxed.store import Store
from pxed.store.lazy import Batch, LazyWriter
from pxed.workflow import journal
from pxed.workflow.install import Install


class Progress:
    """Of the installs that are `changed`: percentage, text, bytes fetched, and what was seen of the installer. `now` gives UTC seconds."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._changed: dict[str, Install] = {}
        self._writer = LazyWriter(store, self._take, what="The progress of installs", now=now)

    def changed(self, install: Install) -> None:
        """Store what it shows, soon."""
        self._changed[install.id] = install
        self._writer.poke()

    async def flush(self) -> None:
        """Return when all is stored. StorageUnavailable."""
        await self._writer.flush()

    def _take(self) -> Batch | None:
        taken, self._changed = self._changed, {}
        reached = [journal.Reached(each.id, each.percent, each.progress_text, each.fetched, each.installer) for each in taken.values()]
        if not reached:
            return None

        def store(connection: Connection) -> None:
            journal.progress(connection, reached)

        return Batch(store, lambda: self._changed.update({**taken, **self._changed}))
