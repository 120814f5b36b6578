"""Who is served next: everybody in turn, for a bounded time, whatever one of them does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, globalLogPublisher
from zope.interface import implementer

from pxed.web.turns import SLICE, Turns


class OneByOne:
    """A reactor that runs one call at a time."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def callLater(self, _delay: float, call: Callable[..., None], *args: object) -> None:
        self.calls.append(lambda: call(*args))


def test_requests_are_taken_at_once_until_the_slice_is_used_up() -> None:
    """Then they wait for the next turn of the reactor, behind one another, and nobody overtakes them. What was served while connections
    were read counts: the call that ends that turn serves nobody more."""
    reactor, done, time = OneByOne(), list[str](), [0.0]

    def serve(name: str) -> Callable[[], None]:
        def served() -> None:
            done.append(name)
            time[0] += SLICE / 2

        return served

    turns = Turns(lambda: time[0])
    for name in "abcde":
        turns.take(serve(name), reactor)
    seen = ["".join(done)]
    while len(reactor.calls) > 1 or "e" not in done:
        reactor.calls.pop(0)()
        seen.append("".join(done))
        if "late" not in done and len(seen) == 3:
            turns.take(serve("late"), reactor)
    assert seen == ["ab", "ab", "abcd", "abcdelate"]


def test_a_request_that_raises_in_its_turn_is_logged_and_the_others_go_on() -> None:
    clock, done, told, time = Clock(), list[str](), list[str](), [0.0]
    turns = Turns(lambda: time[0])

    def slow() -> None:
        time[0] += SLICE

    @implementer(ILogObserver)
    def observer(event: Any) -> None:
        told.append(event["log_format"])

    globalLogPublisher.addObserver(observer)
    try:
        turns.take(slow, clock)
        turns.take(lambda: 1 / 0, clock)
        turns.take(lambda: done.append("b"), clock)
        assert done == []
        clock.advance(0)
    finally:
        globalLogPublisher.removeObserver(observer)
    assert done == ["b"]
    assert told == ["A request failed in its turn"]
    assert not clock.getDelayedCalls()
