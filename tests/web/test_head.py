"""Heads that are known at a glance are served as Twisted's parser would serve them; everything else is left to it."""

from __future__ import annotations

import string

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from twisted.web.http_headers import Headers

from pxed.web.head import LONGEST, Fields, answer, ordinary
from tests.web.world import Response, World

IPXE = b"GET /p/525400123456?m=41&p= HTTP/1.1\r\nConnection: keep-alive\r\nuser-agent: iPXE/1.21.1+\r\nHOST:  10.0.0.1\t\r\n\r\n"


def test_the_head_of_a_boot_loader_is_ordinary() -> None:
    head = ordinary(IPXE)
    assert head is not None
    assert (head.method, head.target) == (b"GET", b"/p/525400123456?m=41&p=")
    expected = {b"Connection": [b"keep-alive"], b"User-Agent": [b"iPXE/1.21.1+"], b"Host": [b"10.0.0.1"]}
    assert dict(head.fields.getAllRawHeaders()) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        IPXE[:-1],
        IPXE + b"G",
        b"\r\n" + IPXE,
        IPXE.replace(b"GET", b"POST"),
        IPXE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        IPXE.replace(b"/p/", b"p/", 1),
        IPXE.replace(b"/p/", b"/p/\xc3\xa4/", 1),
        IPXE.replace(b"\r\n", b"\n"),
        IPXE.replace(b": keep", b" : keep"),
        IPXE.replace(b"keep-alive", b"keep\r\n -alive"),
        IPXE.replace(b"keep-alive", b"keep\0alive"),
        IPXE.replace(b"keep-alive", b"keep\ralive"),
        IPXE.replace(b"keep-alive", b"keep\xffalive"),
        IPXE.replace(b"user-agent", b"user_agent"),
        IPXE.replace(b"user-agent", b"content-length").replace(b"iPXE/1.21.1+", b"0"),
        *(IPXE.replace(b"user-agent", name) for name in (b"transfer-encoding", b"Expect", b"cookie", b"")),
        IPXE.replace(b"/p/", b"/" + b"p" * LONGEST + b"/"),
        IPXE.replace(b"\r\n\r\n", b"\r\n" + b"A: b\r\n" * 100 + b"\r\n"),
    ],
)
def test_whatever_differs_by_a_byte_is_not(data: bytes) -> None:
    assert ordinary(data) is None


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def answers(world: World, parts: list[bytes], method: str = "GET") -> tuple[list[Response], bool]:
    """What a connection is answered that sends `parts`, and whether it stands."""
    client = world.connect()
    for part in parts:
        if client.transport.connected:
            client.send(part)
    return client.responses(method.encode()), client.transport.connected


NAMES = st.sampled_from(
    ["Host", "Connection", "connection", "Range", "If-None-Match", "If-Range", "Content-Length", "Expect", "X", "x_y", "Ä"]
)
VALUES = st.sampled_from(["", "close", "Keep-Alive, Close", "bytes=0-3", "bytes=-2", "0", '"x"', "*", "\t a  b ", "100-continue", "ä"])
TARGETS = st.sampled_from(
    ["/health", "/b/ipxe.efi", "/p/525400123456", "/p/52%3a54", "//b//ipxe.efi", "/?", "/b/ipxe.efi?x=%zz&x=1", "*", "/ä"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["GET", "HEAD", "PUT"]), TARGETS, st.sampled_from(["1.1", "1.0"]), st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_a_request_in_one_piece_is_answered_as_one_that_comes_byte_by_byte(
    world: World, method: str, target: str, version: str, fields: list[tuple[str, str]]
) -> None:
    lines = [f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in fields)]
    data = "\r\n".join([*lines, "", ""]).encode("latin-1")

    assert answers(world, [data], method) == answers(world, bytewise(data), method)


ODD = [
    b"POST /health HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
    b"\r\n",
    b"GET /he",
    b"GET /health HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\nA: b",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", IPXE, *ODD]), max_size=5))
@example([b"X-", IPXE])
def test_requests_in_pieces_are_answered_as_those_that_come_byte_by_byte(world: World, parts: list[bytes]) -> None:
    """Whatever was read before."""
    assert answers(world, parts) == answers(world, bytewise(b"".join(parts)))


@given(st.dictionaries(st.sampled_from([b"ETag", b"Content-Type", b"Accept-Ranges"]), st.binary(max_size=9).filter(lambda v: v.isascii())))
def test_what_is_put_is_what_twisted_sees(values: dict[bytes, bytes]) -> None:
    put = Fields()
    for name, value in values.items():
        put.put(name, value)
    assert put.first(b"Host") is None
    for name, value in values.items():
        assert put.first(name) == value
        assert put.getRawHeaders(name.decode().lower().encode()) == [value]
        assert put.hasHeader(name)


def test_an_answers_head_has_every_value_on_a_line_of_its_own() -> None:
    head = answer(b"HTTP/1.1", b"200", b"OK", Headers({b"a": [b"1", b"2"], b"B": [b"3"]}))
    assert head == b"HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nB: 3\r\n\r\n"


@given(st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=20))
def test_names_are_spelled_as_twisted_spells_them(name: str) -> None:
    head = ordinary(b"GET / HTTP/1.1\r\n" + name.encode() + b": x\r\n\r\n")
    expected = Headers({name.encode(): [b"x"]})
    assert head is None or dict(head.fields.getAllRawHeaders()) == dict(expected.getAllRawHeaders())
