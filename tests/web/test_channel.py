"""The limits of one connection, and what malformed requests get."""

from __future__ import annotations

import pytest

from pxed.web.channel import BODY, DEADLINE, IDLE
from tests.conftest import Logged
from tests.web.world import World

GOOD = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"GET /health HTTP/2.0\r\n\r\n",
        b"G ET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /health HTTP/1.1\r\nA: b\0c\r\n\r\n",
        b"GET /health HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /health HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /health HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: %s\r\n" % (i, b"x" * 4000) for i in range(8)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50 + b"\r\n",
        b"GET /health HTTP/1.1\r\nA: \xff\r\nB\xff: x\r\n\r\n",
    ],
)
def test_a_malformed_request_gets_one_400_and_the_connection_ends(world: World, logged: Logged, request_bytes: bytes) -> None:
    client = world.connect()
    client.send(request_bytes)
    client.send(GOOD)
    (response,) = client.responses()
    assert (response.code, response.headers["connection"]) == (400, "close")
    assert client.transport.disconnecting or not client.transport.connected
    world.reactor.advance(0)
    assert not world.reactor.getDelayedCalls()


@pytest.mark.parametrize("path", ["http:", "health", "ftp://x/health", "/h%C3%A4lth\x80", "?", "*x"])
def test_a_request_for_something_that_is_no_path_gets_a_400_or_404(world: World, logged: Logged, path: str) -> None:
    client = world.connect()
    client.send(b"GET " + path.encode("latin-1") + b" HTTP/1.1\r\nHost: x\r\n\r\n" + GOOD)
    first, second = client.responses()
    assert first.code in {400, 404}
    assert second.code == 200


def test_an_absolute_url_is_served_as_its_path(world: World) -> None:
    assert world.ask("GET", "http://10.0.0.1/health").code == 200
    assert world.ask("GET", "http://10.0.0.1").code == 404


def test_bare_line_feeds_and_http_1_0_are_understood(world: World) -> None:
    client = world.connect()
    client.send(b"GET /health HTTP/1.0\n\n")
    (response,) = client.responses()
    assert (response.code, response.body) == (200, b"ok\n")
    assert not client.transport.connected


def test_a_request_may_come_byte_by_byte_and_two_at_once(world: World) -> None:
    client = world.connect()
    for at in range(len(GOOD)):
        client.send(GOOD[at : at + 1])
    client.send(GOOD + GOOD)
    assert [response.code for response in client.responses()] == [200, 200, 200]


def test_a_body_may_come_in_segments_and_in_chunks(world: World) -> None:
    _, install = world.armed()
    client = world.connect()
    path = f"/i/{install.token}/notify/installed".encode()
    client.send(b"POST " + path + b" HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
    for part in (b"hel", b"lo wo", b"rl"):
        client.send(part)
    client.send(b"POST " + path + b" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    client.send(b"6\r\n world\r\n0\r\n\r\n")
    assert [response.code for response in client.responses()] == [200, 200]
    assert [each.message for each in world.engine.delivered] == ["hello worl", "hello world"]


def test_expect_100_continue_is_answered_before_the_body(world: World) -> None:
    _, install = world.armed()
    client = world.connect()
    client.send(b"POST /i/%s/notify HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n" % install.token.encode())
    assert client.received() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"ok")
    assert client.responses()[0].code == 200


def test_a_body_beyond_the_limit_is_refused_by_its_announced_length_or_on_the_way(world: World, logged: Logged) -> None:
    client = world.connect()
    client.send(b"POST /i/x/notify HTTP/1.1\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (BODY + 1))
    assert [response.code for response in client.responses()] == [413]
    client = world.connect()
    client.send(b"POST /i/x/notify HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    for _ in range(20):
        client.send(piece)
    client.send(b"0\r\n\r\n" + GOOD)
    assert [response.code for response in client.responses()] == [413]
    assert not world.engine.delivered


def test_a_request_that_is_not_complete_in_time_is_refused_however_often_a_byte_comes(world: World) -> None:
    client = world.connect()
    client.send(b"GET /health HTTP/1.1\r\n")
    for _ in range(int(DEADLINE) // 5):
        client.send(b"A: b\r\n")
        world.reactor.advance(5)
    assert [response.code for response in client.responses()] == [408]
    assert not client.transport.connected


def test_the_deadline_ends_with_the_request_and_starts_with_the_next(world: World) -> None:
    client = world.connect()
    client.send(GOOD[:10])
    world.reactor.advance(DEADLINE - 1)
    client.send(GOOD[10:])
    world.reactor.advance(DEADLINE - 1)
    client.send(GOOD)
    assert [response.code for response in client.responses()] == [200, 200]


def test_a_connection_without_a_request_is_closed_and_nothing_keeps_ticking(world: World) -> None:
    client = world.connect()
    client.send(GOOD)
    world.reactor.advance(IDLE - 1)
    assert client.transport.connected
    world.reactor.advance(2)
    assert not client.transport.connected
    world.reactor.advance(0)
    assert not world.reactor.getDelayedCalls()


def test_connections_are_counted_and_refused_beyond_the_ceiling(world: World) -> None:
    client = world.connect()
    assert world.site.connections == 1
    world.site.max_connections = 1
    assert world.site.buildProtocol(None) is None
    client.hang_up()
    assert world.site.connections == 0
    assert world.site.buildProtocol(None) is not None
