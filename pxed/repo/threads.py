"""Threads of their own for what boots nodes, and for the media of repositories: a file server that is gone holds up neither a boot nor what
the reactor's own threads do (name look-ups, mirrors, orders)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

MOST = 8
"""Threads. They read small files of our own disk."""


class BootThreads:
    """A thread pool beside the reactor's own, for a `pxed.repo.disk.Disk`. `start` and `stop` once each. `most` 1 for what computes: the
    reactor shares the interpreter with one thread then, not with many."""

    def __init__(self, reactor: Any, *, most: int = MOST, name: str = "boot") -> None:
        self._reactor = reactor
        self._pool = ThreadPool(1, most, name)

    def start(self) -> None:
        self._pool.start()

    def stop(self) -> None:
        """Waits for what is being read."""
        if self._pool.started:
            self._pool.stop()

    def getThreadPool(self) -> ThreadPool:
        return self._pool

    def callFromThread(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._reactor.callFromThread(call, *args, **kwargs)

    def do(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """`work(*args)` in one of these threads."""
        return deferToThreadPool(self._reactor, self._pool, work, *args)
