"""Answers leave in the turn in which they are made; what does not fit the socket, or fails, goes the way it always went."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twisted.internet.task import deferLater
from twisted.web.resource import Resource

from pxed.web.connection import Connection
from pxed.web.request import Plain, Site
from tests.web.real import Client, listening, reactor, until

LARGE = 16 << 20


class Says(Plain):
    """Answers with `body`."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    async def get(self, request: Any) -> None:
        request.reply(200, self._body)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The connections that asked epoll to say when they may write."""
    writers: list[Any] = []
    original = reactor.addWriter

    def counting(writer: Any) -> None:
        if isinstance(writer, Connection):
            writers.append(writer)
        original(writer)

    monkeypatch.setattr(reactor, "addWriter", counting)
    return writers


@asynccontextmanager
async def site() -> AsyncIterator[tuple[int, Site]]:
    tree = Resource()
    tree.putChild(b"small", Says(b"small"))
    tree.putChild(b"large", Says(b"x" * LARGE))
    made = Site(tree, reactor=reactor, on_stop=lambda: None)
    async with listening(made) as port:
        yield port, made


async def test_an_answer_that_fits_the_socket_asks_epoll_nothing(asked: list[Any]) -> None:
    async with site() as (port, _):
        client = Client(port)
        for _ in range(3):
            client.get("/small")
            assert (await client.response())[1] == b"small"
        client.get("/small", Connection="close")
        assert (await client.response())[1] == b"small"
        assert await client.read(1) == b""
        client.close()
    assert asked == []


async def test_pipelined_requests_are_answered_in_their_order(asked: list[Any]) -> None:
    async with site() as (port, _):
        client = Client(port)
        for path in ("/small", "/large", "/small", "/nothing"):
            client.get(path)
        assert [len((await client.response())[1]) for _ in range(3)] == [5, LARGE, 5]
        assert (await client.head())["status"] == "404"
        client.close()
    assert asked


async def test_an_answer_larger_than_the_socket_arrives_whole_before_the_connection_ends() -> None:
    async with site() as (port, made):
        client = Client(port, receive_buffer=4096)
        client.get("/large", Connection="close")
        head = await client.head()
        await deferLater(reactor, 0.05)
        assert made.connections == 1
        assert len(await client.read(LARGE + 1)) == LARGE == int(head["content-length"])
        await until(lambda: made.connections == 0)
        client.close()


async def test_a_client_that_went_before_its_answer_is_forgotten() -> None:
    """Sending fails in the middle of reading from it, or the rest of its answer can't be sent: either way it ends once."""
    async with site() as (port, made):
        for path in ("/small", "/large"):
            client = Client(port)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            for _ in range(5):
                client.get(path)
            client.close()
        await until(lambda: made.connections == 0)


async def test_a_client_that_hangs_up_in_its_answer_is_forgotten(asked: list[Any]) -> None:
    async with site() as (port, made):
        client = Client(port, receive_buffer=4096)
        client.get("/large")
        await client.head()
        client.close()
        await until(lambda: made.connections == 0)
    assert asked
