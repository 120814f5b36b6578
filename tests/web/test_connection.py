"""Answers leave in the turn in which they are made; what does not fit the socket, or fails, goes the way it always went."""

from __future__ import annotations

import select
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from twisted.internet.task import deferLater
from twisted.web.resource import Resource

from pxed.web.channel import BODY
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


class Calls(Plain):
    """Does `what` with the request."""

    def __init__(self, what: Any) -> None:
        super().__init__()
        self._what = what

    async def get(self, request: Any) -> None:
        self._what(request)


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


async def test_a_connection_sends_small_answers_without_delay_from_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Connection] = []
    original = Connection.__init__

    def noting(self: Connection, *args: Any) -> None:
        original(self, *args)
        made.append(self)

    monkeypatch.setattr(Connection, "__init__", noting)
    async with site() as (port, _):
        client = Client(port)
        await until(lambda: len(made) == 1)
        (connection,) = made
        assert connection.getTcpNoDelay()
        assert repr(connection) == "<HTTP,0,127.0.0.1>"
        connection.setTcpNoDelay(False)
        assert not connection.getTcpNoDelay()
        client.close()


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


async def test_what_is_refused_behind_an_answer_ends_the_connection_once(asked: list[Any]) -> None:
    async with site() as (port, made):
        client = Client(port)
        client.socket.sendall(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\nGET /small HTTP/1.1\r\n\r\n")
        assert (await client.response())[1] == b"small"
        assert (await client.head())["status"] == "400"
        assert await client.read(1) == b""
        await until(lambda: made.connections == 0)
        client.close()
    assert asked == []


async def test_a_body_beyond_the_limit_is_refused_once_however_much_of_it_has_arrived() -> None:
    async with site() as (port, made):
        client = Client(port)
        client.socket.sendall(b"POST /small HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"400\r\n" + b"x" * 0x400 + b"\r\n"
        body = memoryview(piece * (BODY // 0x400 + 200))
        with suppress(ConnectionError):
            while body:
                with suppress(BlockingIOError):
                    body = body[client.socket.send(body) :]
                await deferLater(reactor, 0)
        await until(lambda: made.connections == 0)
        client.close()


async def test_nothing_follows_on_a_connection_that_is_aborted() -> None:
    """Its client sees a reset, not an answer that looks whole."""
    async with site() as (port, made):

        def ends(request: Any) -> None:
            transport = request.channel.transport
            transport.abortConnection()
            transport.write(b"more")
            transport.loseConnection()

        made.resource.putChild(b"ends", Calls(ends))
        client = Client(port)
        client.get("/ends")
        await until(lambda: select.select([client.socket], [], [], 0)[0])
        with pytest.raises(ConnectionResetError):
            client.socket.recv(10)
        client.close()
