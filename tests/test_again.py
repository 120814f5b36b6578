"""Looks that come every so often, at once when asked, never two at a time; and what asks: SIGHUP, unless a terminal was closed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pxed.again import Again, on_hangup


class Looks:
    """Looks that end when the test says so."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.under_way: list[Deferred[None]] = []
        self.begun = 0
        self.again = Again(self.clock, self, 30.0)

    def __call__(self) -> Deferred[None]:
        self.begun += 1
        self.under_way.append(Deferred())
        return self.under_way[-1]

    def end(self) -> None:
        self.under_way.pop().callback(None)


def test_the_next_look_comes_so_long_after_the_end_of_the_last() -> None:
    looks = Looks()
    looks.again.start()
    looks.clock.advance(100.0)
    assert looks.begun == 1
    looks.end()
    looks.clock.advance(29.0)
    assert looks.begun == 1
    looks.clock.advance(1.0)
    assert looks.begun == 2


def test_asked_for_it_comes_at_once_and_behind_one_that_is_under_way() -> None:
    looks = Looks()
    looks.again.at_once()
    assert looks.begun == 0
    looks.again.start()
    looks.end()
    looks.again.at_once()
    assert looks.begun == 2
    looks.again.at_once()
    looks.again.at_once()
    assert (looks.begun, len(looks.under_way)) == (2, 1)
    looks.end()
    looks.clock.advance(0.0)
    assert looks.begun == 3
    looks.end()
    looks.clock.advance(29.0)
    assert looks.begun == 3


def test_stopped_it_looks_no_more() -> None:
    looks = Looks()
    looks.again.stop()
    looks.again.start()
    looks.again.stop()
    looks.end()
    looks.again.at_once()
    assert looks.clock.getDelayedCalls() == []
    assert looks.begun == 1


class Running:
    """The part of a reactor that hears of signals: it runs at once."""

    def callWhenRunning(self, call: Callable[[], None]) -> None:
        call()

    def callFromThread(self, call: Callable[[], None]) -> None:
        call()


@pytest.fixture
def disposition() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("disposition")
def test_a_hangup_looks_again_unless_there_is_a_terminal_that_was_closed() -> None:
    heard: list[int] = []
    on_hangup(Running(), lambda: heard.append(1), terminal=lambda: True)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    on_hangup(Running(), lambda: heard.append(2), terminal=lambda: False)
    os.kill(os.getpid(), signal.SIGHUP)
    assert heard == [2]
