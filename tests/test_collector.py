"""Full garbage collections wait until nobody is being served, and not for ever."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from pxed.collector import EVERY, LATEST, WHOLE, Collector


class Scene:
    """A collector that counts instead of collecting."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.busy = False
        self.times: list[float] = []
        self.collector = Collector(self.clock, lambda: self.busy, collect=lambda: self.times.append(self.clock.seconds()))

    def passes(self, seconds: float) -> int:
        """How many collections there are meanwhile."""
        before = len(self.times)
        self.clock.pump([EVERY] * int(seconds / EVERY))
        return len(self.times) - before


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    made.collector.start()
    yield made
    made.collector.stop()


@pytest.fixture
def nothing_left_out() -> Iterator[None]:
    """What the whole run has left out (`tests.conftest`) is left out again afterwards."""
    gc.unfreeze()
    yield
    gc.freeze()


def test_python_itself_collects_the_young_alone_meanwhile(nothing_left_out: None) -> None:
    before, scene = gc.get_threshold(), Scene()
    scene.collector.start()
    assert gc.get_threshold()[0] == before[0]
    assert min(gc.get_threshold()[1:]) > 1_000_000
    assert gc.get_freeze_count() > 0
    scene.collector.stop()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_what_somebody_else_has_left_out_before_remains_so(nothing_left_out: None) -> None:
    gc.freeze()
    scene = Scene()
    scene.collector.start()
    scene.collector.stop()
    assert gc.get_freeze_count() > 0


def test_an_appliance_at_rest_collects(scene: Scene) -> None:
    assert scene.passes(10 * EVERY) == 10


def test_a_busy_one_waits_but_not_for_ever(scene: Scene) -> None:
    scene.busy = True
    assert scene.passes(LATEST - EVERY) == 0
    assert scene.passes(2 * EVERY) == 1
    assert scene.passes(LATEST - EVERY) == 0
    scene.busy = False
    assert scene.passes(EVERY) == 1


def test_what_a_collection_finds_alive_is_left_out_of_the_next_until_everything_is_looked_at(
    nothing_left_out: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: list[float] = []
    scene = Scene()
    original = gc.unfreeze

    def noting() -> None:
        whole.append(scene.clock.seconds())
        original()

    monkeypatch.setattr(gc, "unfreeze", noting)
    scene.collector.start()
    before = gc.get_freeze_count()
    nodes: list[list[object]] = [[] for _ in range(1000)]
    assert scene.passes(EVERY) == 1
    assert gc.get_freeze_count() >= before + len(nodes)
    scene.passes(WHOLE - EVERY)
    assert whole == []
    scene.busy = True
    scene.passes(2 * LATEST)
    assert whole == []
    scene.busy = False
    scene.passes(WHOLE)
    assert whole == [WHOLE + 2 * LATEST + EVERY]
    assert gc.get_freeze_count() >= before
    scene.collector.stop()


def test_a_clock_that_is_set_back_does_not_put_it_off(scene: Scene) -> None:
    scene.busy = True
    scene.clock.rightNow -= 1_000_000
    for call in scene.clock.calls:
        call.time -= 1_000_000
    assert scene.passes(EVERY) == 1
