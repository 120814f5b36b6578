"""Who sends files next: everybody in turn, for a bounded time, whatever one of them does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, globalLogPublisher
from zope.interface import implementer

from pxed.web.turns import SLICE, Turns


def turn(name: str, done: list[str], times: int, cost: Callable[[], None] = lambda: None) -> Callable[[], bool]:
    def once() -> bool:
        done.append(name)
        cost()
        return done.count(name) < times

    return once


def test_each_has_one_chunk_in_turn_and_nothing_happens_before_the_reactor_comes() -> None:
    clock, done = Clock(), list[str]()
    turns = Turns(clock.seconds)
    for name in "abc":
        turns.add(turn(name, done, 2), clock)
    assert done == []
    clock.advance(0)
    assert "".join(done) == "abcabc"
    assert not clock.getDelayedCalls()


class OneByOne:
    """A reactor that runs one call at a time."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def callLater(self, _delay: float, call: Callable[..., None], *args: object) -> None:
        self.calls.append(lambda: call(*args))


def test_the_reactor_has_its_turn_after_a_slice() -> None:
    reactor, done, time = OneByOne(), list[str](), [0.0]

    def cost() -> None:
        time[0] += SLICE / 2

    turns = Turns(lambda: time[0])
    for name in "abc":
        turns.add(turn(name, done, 2, cost), reactor)
    seen = []
    while reactor.calls:
        reactor.calls.pop(0)()
        seen.append("".join(done))
    assert seen == ["ab", "abca", "abcabc"]


def test_requests_are_taken_at_once_until_the_slice_is_used_up() -> None:
    """Then they wait for the next turn of the reactor, behind one another; and behind files that wait."""
    reactor, done, time = OneByOne(), list[str](), [0.0]

    def cost() -> None:
        time[0] += SLICE / 2

    turns = Turns(lambda: time[0])
    for name in "abcde":
        turns.take(turn(name, done, 1, cost), reactor)
    seen = ["".join(done)]
    while reactor.calls:
        reactor.calls.pop(0)()
        seen.append("".join(done))
    assert seen == ["ab", "abcd", "abcde"]
    turns.add(turn("file", done, 1), reactor)
    turns.take(turn("late", done, 1), reactor)
    assert done[5:] == []
    reactor.calls.pop(0)()
    assert done[5:] == ["file", "late"]


def test_a_turn_that_raises_is_logged_and_the_others_go_on() -> None:
    clock, done, told = Clock(), list[str](), list[str]()
    turns = Turns(clock.seconds)

    @implementer(ILogObserver)
    def observer(event: Any) -> None:
        told.append(event["log_format"])

    globalLogPublisher.addObserver(observer)
    try:
        turns.add(lambda: bool(1 / 0), clock)
        turns.add(turn("b", done, 1), clock)
        clock.advance(0)
    finally:
        globalLogPublisher.removeObserver(observer)
    assert done == ["b"]
    assert told == ["A turn of a transfer failed"]
