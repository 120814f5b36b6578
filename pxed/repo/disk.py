"""Blocking work on files, off the reactor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

T = TypeVar("T")


class Threads(Protocol):
    """The part of the reactor that this needs: IReactorThreads' pool (and callFromThread)."""

    def getThreadPool(self) -> Any: ...


class Disk:
    """Runs blocking functions in the reactor's thread pool, one Deferred each."""

    def __init__(self, reactor: Threads) -> None:
        self._reactor = reactor

    def do(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        """`work(*args)` in a thread; the Deferred has its answer or its exception."""
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work, *args)  # type: ignore[arg-type]
