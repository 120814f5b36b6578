"""Whose file goes on next: everybody's in turn, for a bounded time, whatever one of them does; and nothing stays behind."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from pxed.web.outlet import SLICE, Outlet
from tests.conftest import Logged


class Reactor:
    """Knows its readers."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        assert reader.fileno() >= 0
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        assert reader.fileno() >= 0
        self.readers.remove(reader)


class Sockets:
    """Sockets that take data until they are `filled`, and what was called for each."""

    def __init__(self) -> None:
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.now = 0.0

    def one(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self.pairs.append((ours, theirs))
        return ours

    def fill(self, ours: socket.socket) -> None:
        with suppress(BlockingIOError):
            while True:
                ours.send(bytes(65536))

    def drain(self, ours: socket.socket) -> None:
        theirs = next(theirs for each, theirs in self.pairs if each is ours)
        with suppress(BlockingIOError):
            while True:
                theirs.recv(1 << 20)


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    made = Sockets()
    yield made
    for pair in made.pairs:
        for each in pair:
            each.close()


def test_each_has_one_chunk_in_turn_and_goes_on_where_the_slice_ended(sockets: Sockets) -> None:
    reactor, done = Reactor(), list[str]()
    outlet = Outlet(reactor, lambda: sockets.now)

    def chunk(name: str) -> None:
        done.append(name)
        sockets.now += SLICE * 0.4

    for name in "abcd":
        outlet.add(sockets.one().fileno(), lambda name=name: chunk(name))  # type: ignore[misc]
    assert (done, len(reactor.readers)) == ([], 1)
    for _ in range(4):
        outlet.doRead()
    assert "".join(done) == "abcdabcdabcd"


def test_a_full_socket_waits_until_it_takes_data_again(sockets: Sockets) -> None:
    outlet, done = Outlet(Reactor(), lambda: sockets.now), list[str]()
    full = sockets.one()
    sockets.fill(full)

    def once() -> None:
        done.append("full")
        outlet.remove(full.fileno())

    outlet.add(full.fileno(), once)
    outlet.doRead()
    assert done == []
    sockets.drain(full)
    outlet.doRead()
    assert done == ["full"]


def test_nothing_stays_open_when_the_last_one_has_gone(sockets: Sockets) -> None:
    before = len(os.listdir("/proc/self/fd"))
    reactor = Reactor()
    outlet = Outlet(reactor, lambda: sockets.now)
    one, other = sockets.one(), sockets.one()
    for each in (one, other):
        outlet.add(each.fileno(), lambda: None)
    number = one.fileno()
    one.close()
    outlet.remove(number)
    outlet.remove(number)
    assert (len(outlet), len(reactor.readers)) == (1, 1)
    outlet.remove(other.fileno())
    assert (len(outlet), reactor.readers, outlet.fileno()) == (0, [], -1)
    for pair in sockets.pairs:
        for each in pair:
            each.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_that_raises_is_logged_and_removed_and_the_others_go_on(sockets: Sockets, logged: Logged) -> None:
    outlet, done = Outlet(Reactor(), lambda: sockets.now), list[str]()
    bad, good = sockets.one().fileno(), sockets.one().fileno()

    def ends() -> None:
        done.append("good")
        outlet.remove(good)

    outlet.add(bad, lambda: print(1 / 0))
    outlet.add(good, ends)
    outlet.doRead()
    assert (done, len(outlet)) == (["good"], 0)
    assert len(logged.take(ZeroDivisionError)) == 1
