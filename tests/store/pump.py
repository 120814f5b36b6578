"""A reactor reduced to what the store needs of it: `callFromThread`, run by whoever waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Pump:
    """`calls` counts how often the thread spoke up."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self.calls = 0

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:
        self._queue.put(lambda: function(*args))

    def until(self, awaitable: Awaitable[T], *, seconds: float = 20.0) -> T:
        """The result of `awaitable`; AssertionError if the thread is silent for `seconds`."""
        outcome: list[Any] = []

        async def wait() -> T:
            return await awaitable

        Deferred.fromCoroutine(wait()).addBoth(outcome.append)
        while not outcome:
            try:
                call = self._queue.get(timeout=seconds)
            except Empty:
                raise AssertionError("the writer's thread is silent") from None
            self.calls += 1
            call()
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return cast("T", outcome[0])
