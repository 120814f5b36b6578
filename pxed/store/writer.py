"""The writer: one thread does all database work, the reactor never waits for a disk.

What is asked while a commit is under way waits in a queue and goes into the next one (group commit, at most 512 operations). The
Deferreds fire after COMMIT, by one `callFromThread` per batch, in the order in which the operations were asked. Reads take the same
queue, so that everybody reads what was written before. A failure of the disk fails those who wait; the thread goes on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from pxed import scheduling
from pxed.errors import PxedError, StorageUnavailable
from pxed.store.batch import Job, commit_batch
from pxed.store.database import Database, unavailable

T = TypeVar("T")

LARGEST_BATCH = 512
REST = 0.3
"""Seconds after a commit in which another one is not begun for writes that nobody waits for; `Store.hurry` ends it."""
MOST_WAITING = 50_000
SHARE = 0.001
"""Seconds for which the thread may keep the interpreter while the reactor waits for it. It is the process's setting; Python's own 5 ms come
several in a row while a storm's events are stored."""


class Store:
    """A database by URL: ``sqlite:////var/lib/pxed/pxed.db``, ``sqlite://`` for one in memory, ``postgresql://USER@HOST/NAME``.

    `healthy` is False from a failure of the disk until the next commit; `problem` is that failure as a sentence. `commits` and
    `operations` count since `open`.
    """

    log = Logger()

    def __init__(self, url: str, *, reactor: Any) -> None:
        self._url = url
        self._reactor = reactor
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._closed: Deferred[None] = Deferred()
        self._waiting = 0
        self._accepting = False
        self._rested_at = float("-inf")
        self.healthy = False
        self.problem = "the database is not open"
        self.commits = 0
        self.operations = 0

    async def open(self) -> None:
        """Start the thread, open the database, bring its schema up to date. Once, in the reactor's thread. ConfigError, HostProblem
        (PostgreSQL: no driver, or another appliance uses the database), StorageUnavailable."""
        if self._thread is not None:
            raise RuntimeError("a store is opened once")
        sys.setswitchinterval(SHARE)
        scheduling.soon()
        opened: Deferred[None] = Deferred()
        self._thread = Thread(target=self._work, args=(opened,), name="pxed-store", daemon=True)
        self._thread.start()
        await opened
        self._accepting = self.healthy = True
        self.problem = ""

    def write(self, op: Callable[[Connection], T], *, lazy: bool = False) -> Deferred[T]:
        """Run `op` in the writer's thread; fires with its result after COMMIT. Fails with what `op` raised (it alone is undone), or
        StorageUnavailable (nothing happened). Cancelling the Deferred does not undo the write. `lazy`: it may rest for a moment, so that
        a stream of events does not become a stream of commits."""
        return self._ask(Job(op, lazy=lazy))

    def read(self, op: Callable[[Connection], T]) -> Deferred[T]:
        """As `write`, for an `op` that changes nothing. Sees every write asked before it."""
        return self._ask(Job(op, reads_only=True))

    def hurry(self) -> None:
        """Somebody waits for what rests: commit it now."""
        self.read(lambda _connection: None).addErrback(lambda _failure: None)  # who waits hears of that failure too

    async def close(self) -> None:
        """Commit what was asked, close the database, end the thread. What is asked afterwards fails. May be called twice."""
        if self._accepting:
            self._accepting = self.healthy = False
            self.problem = "the database is closed"
            self._queue.put(None)
            await self._closed

    def _ask(self, job: Job) -> Deferred[Any]:
        if not self._accepting:
            return fail(StorageUnavailable(f"Nothing can be stored: {self.problem}"))
        if self._waiting >= MOST_WAITING:
            return fail(StorageUnavailable(f"The database can't keep up: {self._waiting} operations wait"))
        self._waiting += 1
        self._queue.put(job)
        return job.done

    # in the reactor's thread, once per batch

    def _settle(self, jobs: Sequence[Job], problem: StorageUnavailable | None) -> None:
        self._waiting -= len(jobs)
        if problem is None:
            self.commits += 1
            self.operations += len(jobs)
        problem = problem or next((job.outcome.value for job in jobs if _failed(job, StorageUnavailable)), None)
        self._mark(problem, writing=not all(job.reads_only for job in jobs))
        for job in jobs:
            if not job.done.called:
                job.done.callback(job.outcome)  # a Failure goes the errback way

    def _mark(self, problem: StorageUnavailable | None, *, writing: bool) -> None:
        if problem is not None:
            if self.healthy:
                self.log.error("Storage failed: {problem}", problem=str(problem))
            self.healthy, self.problem = False, str(problem)
        elif writing and not self.healthy and self._accepting:
            self.log.info("Storage works again")
            self.healthy, self.problem = True, ""

    # in the writer's thread

    def _work(self, opened: Deferred[None]) -> None:
        scheduling.later()
        try:
            database = Database(self._url)
            database.upgrade()
        except BaseException as error:
            failure = Failure(error if isinstance(error, PxedError) else unavailable(error))
            self._reactor.callFromThread(opened.errback, failure)
            return
        self._reactor.callFromThread(opened.callback, None)
        while (jobs := self._next()) is not None:
            problem = commit_or_fail(database, jobs)
            self._rested_at = time.monotonic() + REST
            self._reactor.callFromThread(self._settle, jobs, problem)
        database.close()
        self._reactor.callFromThread(self._closed.callback, None)

    def _next(self) -> list[Job] | None:
        """Block for the first job, take what else waits; rest first if nobody waits for any of them. None: the end."""
        jobs: list[Job] = []
        job = self._queue.get()
        lazy = True
        while job is not None:
            jobs.append(job)
            lazy = lazy and job.lazy
            if len(jobs) == LARGEST_BATCH:
                return jobs
            try:
                job = self._queue.get(timeout=max(0.0, self._rested_at - time.monotonic()) if lazy else 0.0)
            except Empty:
                return jobs
        if jobs:
            self._queue.put(None)
            return jobs
        return None


def commit_or_fail(database: Database, jobs: Sequence[Job]) -> StorageUnavailable | None:
    """Commit one batch; a problem is every job's problem. Never raises: the thread lives as long as the appliance."""
    try:
        commit_batch(database.connection(), jobs, database.committing)
    except BaseException as error:
        problem = unavailable(error)
        database.forget()
        if database.has_committed():
            return None
        for job in jobs:
            job.outcome = Failure(problem)
        return problem
    return None


def _failed(job: Job, kind: type[Exception]) -> bool:
    return isinstance(job.outcome, Failure) and isinstance(job.outcome.value, kind)
