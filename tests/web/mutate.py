"""Seeded mutation of bytes: the same seed gives the same inputs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

PIECES: tuple[bytes, ...] = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b":",
        b"/",
        b"..",
        b"%2e%2e/",
        b"%00",
        b"%",
        b"\xff\xfe",
        b"?",
        b"&",
        b"=",
        b";",
        b'"',
        b"{",
        b"}",
    ),
    *(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b"OPTIONS * HTTP/1.1\r\n", b"http://[", b"A: " + b"x" * 9000 + b"\r\n", b" folded"),
    *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: " + b"9" * 5000 + b"\r\n", b"Host: [::1\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n"),
    *(b"Range: bytes=-5\r\n", b"Range: bytes=99999999999999999999-\r\n", b"Connection: close\r\n", b"ffffffffffffffffff\r\n", b"-1\r\n"),
    *(b"0\r\n\r\n", b"<191>", b"<999999>", b"[[", b"\\", b"\x1b[2J", b"\xed\xa0\x80"),
)


def mutants(seeds: Sequence[bytes], count: int, *, seed: int) -> Iterator[bytes]:
    """`count` inputs, each a seed with one to six mutations (and now and then two seeds spliced)."""
    choose = random.Random(seed)
    for _ in range(count):
        data = bytearray(choose.choice(seeds))
        if choose.random() < 0.15:
            other = choose.choice(seeds)
            data = data[: choose.randrange(len(data) + 1)] + other[choose.randrange(len(other) + 1) :]
        for _ in range(choose.randint(1, 6)):
            _mutate(data, choose)
        yield bytes(data)


def _mutate(data: bytearray, choose: random.Random) -> None:
    at = choose.randrange(len(data) + 1)
    kind = choose.randrange(6)
    if kind == 0 and at < len(data):
        data[at] = choose.randrange(256)
    elif kind == 1:
        data[at:at] = choose.choice(PIECES)
    elif kind == 2:
        del data[at : at + choose.randint(1, 12)]
    elif kind == 3:
        data[at:at] = data[at : at + choose.randint(1, 40)]
    elif kind == 4 and at < len(data):
        data[at] ^= 1 << choose.randrange(8)
    else:
        del data[at:]
