"""Mutated datagrams and streams: nothing raises, nothing is logged, the next good line arrives."""

from __future__ import annotations

import random

import pytest

from pxed.syslog.framing import LARGEST, Frames
from pxed.syslog.receiver import BURST, RATE
from tests.conftest import Logged
from tests.syslog.test_receiver import ADDRESS, World
from tests.web.captured import SYSLOG
from tests.web.mutate import mutants


def storm(count: int, seed: int) -> None:
    world = World()
    for number, datagram in enumerate(mutants(SYSLOG, count, seed=seed)):
        world.syslog.message(datagram, ADDRESS)
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


STREAM = (
    *SYSLOG,
    b"".join(line + b"\n" for line in SYSLOG),
    b"".join(b"%d %s" % (len(line), line) for line in SYSLOG),
    b"9999 <13>" + b"x" * 12_000 + b"\n<13>x: y\r\n",
    b"12 <13>12 <13>0 <13>-1 <13>999999 <13>\0\0",
)


def streams(count: int, seed: int) -> None:
    """Mutated streams in pieces of any length, one connection each: what is held stays bounded, and the next connection is heard."""
    world, choose, largest = World(), random.Random(seed), 0
    for number, data in enumerate(mutants(STREAM, count, seed=seed)):
        frames, at = Frames(), 0
        while at < len(data):
            piece = data[at : at + choose.choice((1, 7, 500, 8192))]
            at += len(piece)
            frames.feed(piece)
            _hand_on(frames, world)
            largest = max(largest, len(frames._buffer))
        frames.end()
        _hand_on(frames, world)
        assert frames.next() is None
        if number % 1000 == 0:
            assert all(text.isprintable() for text in world.texts)
            world.timeline._memory.clear()
            world.heard.clear()
    assert largest <= LARGEST + len(b"999999 ")
    world.clock.advance(BURST / RATE)
    world.say("x: good")
    assert world.texts[-1] == "x: good"


def _hand_on(frames: Frames, world: World) -> None:
    while (message := frames.next()) is not None:
        assert len(message) <= LARGEST
        world.syslog.message(message, ADDRESS)


def test_three_thousand_mutated_streams(logged: Logged) -> None:
    streams(3_000, seed=3)


@pytest.mark.slow
def test_fifty_thousand_mutated_streams(logged: Logged) -> None:
    streams(50_000, seed=4)
