"""The appliance's threads, and how they end.

Beside the reactor's there are threads of their own for what boots nodes, for the media of repositories and for rendering: a file server
that is gone holds up neither a boot nor what the reactor's do (name look-ups, mirrors, orders). Whoever waits for such a server in the
kernel can't be called back, so the end waits only so long. The store's thread is none of these: its commits are waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

MOST = 8
"""Threads. They read small files of our own disk."""
GRACE = 5.0
"""Seconds that threads have for what they are at when pxed stops. It costs none that comes back sooner."""

log = Logger()


class OwnThreads:
    """A thread pool beside the reactor's own, for a `pxed.repo.disk.Disk`. `most` 1 for what computes: the reactor shares the interpreter
    with one thread then, not with many."""

    def __init__(self, reactor: Any, name: str, *, most: int = MOST) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(1, most, name)

    def start(self) -> None:
        """Once."""
        self._pool.start()

    def getThreadPool(self) -> ThreadPool:
        return self._pool

    def callFromThread(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._reactor.callFromThread(call, *args, **kwargs)

    def do(self, work: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """`work(*args)` in one of these threads."""
        return deferToThreadPool(self._reactor, self._pool, work, *args)


class Threads:
    """All that are our own. `shared`: pools that end with them, because the process does. `start` and `stop` once each."""

    def __init__(
        self, reactor: Any, *, own: Callable[..., OwnThreads] = OwnThreads, shared: Sequence[ThreadPool] = (), grace: float = GRACE
    ) -> None:
        self.boot = own(reactor, "boot")
        self.media = own(reactor, "media")
        self.render = own(reactor, "render", most=1)
        self.render_own = own(reactor, "render-own", most=1)
        self._shared, self._grace = shared, grace

    def start(self) -> None:
        for each in self._all():
            each.start()

    def stop(self) -> None:
        """Wait for what is being done, `grace` seconds at most; what waits to be begun may be left out."""
        end([*(each.getThreadPool() for each in self._all()), *self._shared], self._grace)

    def _all(self) -> list[OwnThreads]:
        return [self.boot, self.media, self.render, self.render_own]


def end(pools: Sequence[ThreadPool], grace: float) -> None:
    """End the threads of all `pools`. Those that are not back within `grace` seconds are named and left behind: the process ends under
    them, by its signal."""
    ending = []
    for pool in pools:
        pool.adjustPoolsize(0, 0)  # each ends behind what it is at
        ending += pool.threads
        pool.threads = []  # the reactor, which stops its own pool, would wait for these
    until = monotonic() + grace
    for thread in ending:
        thread.join(max(0.0, until - monotonic()))
    left = [thread.name for thread in ending if thread.is_alive()]
    if left:
        log.warn(
            "Threads that wait for a file server, a name server or the like were not back within {grace:g} s and are left behind: {left}",
            grace=grace,
            left=", ".join(left),
        )
