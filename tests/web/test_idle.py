"""Who is quiet for too long is told so, by one timer for all."""

from __future__ import annotations

from twisted.internet.task import Clock

from pxed.web.idle import Idle


class One:
    def __init__(self, name: str, told: list[tuple[str, float]], clock: Clock) -> None:
        self._name, self._told, self._clock = name, told, clock

    def timeoutConnection(self) -> None:
        self._told.append((self._name, self._clock.seconds()))


def test_each_is_told_when_its_own_time_is_up_and_who_spoke_begins_anew() -> None:
    clock, told = Clock(), list[tuple[str, float]]()
    idle = Idle(clock, 10.0)
    a, b, c = (One(name, told, clock) for name in "abc")
    for each in (a, b, c):
        idle.watch(each)
        clock.advance(2)
    idle.watch(a)
    idle.forget(b)
    assert len(clock.getDelayedCalls()) == 1
    clock.pump([1.0] * 30)
    assert told == [("c", 14.0), ("a", 16.0)]
    assert not clock.getDelayedCalls()


def test_no_timer_runs_for_nobody() -> None:
    clock = Clock()
    idle = Idle(clock, 10.0)
    one = One("a", [], clock)
    idle.watch(one)
    idle.forget(one)
    idle.forget(one)
    assert not clock.getDelayedCalls()
    idle.watch(one)
    assert len(clock.getDelayedCalls()) == 1


def test_one_who_is_told_may_end_another() -> None:
    clock, told = Clock(), list[tuple[str, float]]()
    idle = Idle(clock, 10.0)
    b = One("b", told, clock)

    class Ends(One):
        def timeoutConnection(self) -> None:
            super().timeoutConnection()
            idle.forget(b)

    idle.watch(Ends("a", told, clock))
    idle.watch(b)
    clock.advance(10)
    assert told == [("a", 10.0)]
    assert not clock.getDelayedCalls()
