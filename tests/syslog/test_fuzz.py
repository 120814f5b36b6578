"""Mutated datagrams: nothing raises, nothing is logged, the next good line arrives."""

from __future__ import annotations

import pytest

from pxed.syslog.receiver import BURST, RATE
from tests.conftest import Logged
from tests.syslog.test_receiver import ADDRESS, World
from tests.web.captured import SYSLOG
from tests.web.mutate import mutants


def storm(count: int, seed: int) -> None:
    world = World()
    for number, datagram in enumerate(mutants(SYSLOG, count, seed=seed)):
        world.syslog.datagram(datagram, ADDRESS)
        if number % 1000 == 0:
            assert all(text.isprintable() for text in world.texts)
            world.timeline._memory.clear()
            world.heard.clear()
    world.clock.advance(BURST / RATE)
    world.say("x: good")
    assert world.texts[-1] == "x: good"


def test_five_thousand_mutated_datagrams(logged: Logged) -> None:
    storm(5_000, seed=1)


@pytest.mark.slow
def test_a_hundred_thousand_mutated_datagrams(logged: Logged) -> None:
    storm(100_000, seed=2)
