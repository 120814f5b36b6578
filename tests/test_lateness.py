"""The appliance measures its own reactor."""

from twisted.internet.task import Clock

from pxed.lateness import EVERY, KEPT, Lateness


def test_a_turn_that_takes_too_long_is_seen() -> None:
    clock = Clock()
    late = Lateness(clock, clock.seconds)
    late.start()
    for _ in range(100):
        clock.advance(EVERY)
    assert late.figures()["max_ms"] == 0.0
    clock.advance(EVERY + 0.25)
    figures = late.figures()
    assert figures["max_ms"] == 250.0
    assert figures["p50_ms"] == 0.0
    assert figures["worst_ms"] == 250.0


def test_the_figures_speak_of_the_last_ten_seconds_and_stop_ends_it() -> None:
    clock = Clock()
    late = Lateness(clock, clock.seconds)
    late.start()
    clock.advance(EVERY + 1.0)
    for _ in range(KEPT + 1):
        clock.advance(EVERY)
    assert late.figures()["max_ms"] < 1.0
    assert late.figures()["worst_ms"] == 1000.0
    late.stop()
    assert not clock.getDelayedCalls()
