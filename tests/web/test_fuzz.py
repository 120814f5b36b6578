"""A hundred thousand malformed requests: no exception is logged, no timer or descriptor stays, the next request is answered."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pxed.repo.recent import KEPT
from pxed.web.channel import DEADLINE, IDLE
from tests.conftest import Logged
from tests.web.captured import REQUESTS
from tests.web.mutate import mutants
from tests.web.world import MAC, World

GOOD = b"GET /p/525400123456 HTTP/1.1\r\nHost: x\r\n\r\n"


def feed(world: World, data: bytes, choose: random.Random) -> None:
    """One connection with `data` in segments of any size; it ends as clients' connections end."""
    client = world.connect()
    while data:
        size = choose.choice((1, 7, 100, len(data)))
        client.send(data[:size])
        data = data[size:]
    if choose.random() < 0.3 and client.transport.connected:
        world.reactor.advance(DEADLINE + IDLE)
    if client.transport.connected:
        client.hang_up()


def answers(world: World) -> bool:
    return world.ask("GET", "/p/525400123456").code == 200


def storm(world: World, logged: Logged, count: int, seed: int) -> None:
    _, install = world.armed()
    seeds = [request.replace(b"{token}", install.token.encode()) for request in REQUESTS.values()]
    choose = random.Random(seed)
    descriptors = len(os.listdir("/proc/self/fd"))
    for number, data in enumerate(mutants(seeds, count, seed=seed)):
        feed(world, data, choose)
        assert not logged.events, f"mutant {number} of seed {seed}: {data!r}\n{logged.describe()}"
        if number % 500 == 0:
            assert answers(world), f"after mutant {number} of seed {seed}: {data!r}"
            world.engine.delivered.clear()
            world.engine.progressed.clear()
    assert answers(world)
    assert world.site.connections == 0
    world.reactor.advance(2 * KEPT)  # the files that were opened last are closed
    assert not world.reactor.getDelayedCalls()
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_the_captured_requests_themselves_are_answered(world: World, logged: Logged) -> None:
    for name, request in REQUESTS.items():
        node = world.inventory.seen(MAC)
        install = world.engine.installs[node.boot.install] if node.boot.install else world.armed()[1]
        client = world.connect()
        client.send(request.replace(b"{token}", install.token.encode()))
        first = client.responses(request.split(b" ")[0])[0]
        assert first.code in ({400} if name == "a TLS client" else {404} if name == "apt" else {200, 201, 206}), name
        client.hang_up()


def test_a_thousand_mutated_requests(world: World, logged: Logged) -> None:
    storm(world, logged, 1_000, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 20))
def test_a_hundred_thousand_mutated_requests(world: World, logged: Logged, seed: int) -> None:
    storm(world, logged, 10_000, seed=seed)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from(["GET ", "POST /i/", "PUT /api/v1/", "HEAD /b/", "GET /repo/"]))
def test_whatever_bytes_arrive_nothing_is_logged_and_nothing_stays(world: World, logged: Logged, data: bytes, start: str) -> None:
    feed(world, start.encode() + data, random.Random(1))
    assert not logged.events
    world.reactor.advance(0)
    assert not world.reactor.getDelayedCalls()
