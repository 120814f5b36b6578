"""A store whose process dies at one of its commits, just before it or just after it: nobody hears of it either way."""

from __future__ import annotations

from pxed.store.batch import Job
from pxed.store.writer import commit_or_fail
from pxed.testing import MemoryStore


class DyingStore(MemoryStore):
    """Counts its `commits_begun`; dies at number `dies_at` (from 0), having committed it if `committed`."""

    def __init__(self, *, dies_at: int | None = None, committed: bool = False) -> None:
        super().__init__()
        self.dies_at = dies_at
        self.committed = committed
        self.commits_begun = 0
        self.dead = False

    def _commit(self, jobs: list[Job]) -> None:
        if self.dead or (number := self.commits_begun) < 0:
            return
        self.commits_begun += 1
        if number != self.dies_at:
            super()._commit(jobs)
            return
        if self.committed:
            assert commit_or_fail(self._database, jobs) is None
        self.dead = True
