"""A connection to an upstream is given back or closed, whatever came over it: an answer that nobody reads would keep it for ever.

The server sends the head of an answer and never the whole body. A test on the real reactor fails if a socket is left open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from pxed.errors import NotFound, PxedError, StorageUnavailable
from pxed.repo.cache import Cache
from pxed.repo.disk import Disk
from pxed.repo.fetch import UpstreamFailed
from pxed.repo.mirror import Mirror
from pxed.repo.recognise import Unrecognised
from pxed.repo.remote import ANSWER, Remote
from pxed.repo.upstream import Upstream, make_client

reactor: Any = _reactor


class Endless(Protocol):
    """``/404/...`` is answered with that status, ``/moved/...`` leads there; of the body comes a byte."""

    def dataReceived(self, data: bytes) -> None:
        path = data.split(b" ")[1]
        code = path.split(b"/")[1]
        head = b"HTTP/1.1 302 Moved\r\nLocation: /404/x\r\n" if code == b"moved" else b"HTTP/1.1 %b So\r\n" % code
        transport: Any = self.transport
        transport.write(head + b"Content-Type: text/html\r\nContent-Length: 1000000\r\n\r\n")
        transport.write(b"x")


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """Its URL."""
    factory = Factory.forProtocol(Endless)
    factory.noisy = False
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    try:
        yield f"http://127.0.0.1:{port.getHost().port}"
    finally:
        await port.stopListening()


def mirror(url: str, cache: Path) -> Mirror:
    disk = Disk(reactor)
    kept = Cache(cache, max_bytes=1 << 20, disk=disk, now=reactor.seconds)
    return Mirror(Upstream(url), kept, client=make_client(reactor), disk=disk, clock=reactor, now=reactor.seconds)


def remote(clock: Any = reactor) -> Remote:
    return Remote(client=make_client(reactor), disk=Disk(reactor), clock=clock)


Asked = Callable[[str, Path], Awaitable[object]]
CASES: dict[str, tuple[Asked, type[PxedError]]] = {
    "a file that the mirror does not have": (lambda url, path: mirror(f"{url}/404", path).open("x"), NotFound),
    "a file behind a redirection": (lambda url, path: mirror(f"{url}/moved", path).open("x"), NotFound),
    "a mirror that is angry": (lambda url, path: mirror(f"{url}/500", path).open("x"), UpstreamFailed),
    "an image that is not there": (lambda url, path: remote().download(f"{url}/404/x.iso", path / "x.iso", _begun), UpstreamFailed),
    "a tree that nobody knows": (lambda url, _path: remote().recognise(f"{url}/404/"), Unrecognised),
    "a directory that can't be written": (
        lambda url, path: remote().download(f"{url}/200/x.iso", path / "file" / "x.iso", _begun),
        StorageUnavailable,
    ),
}


def _begun(*_: object) -> None: ...


@pytest.mark.parametrize("case", CASES)
async def test_a_connection_whose_answer_is_not_wanted_is_closed(case: str, tmp_path: Path) -> None:
    ask, problem = CASES[case]
    (tmp_path / "file").write_bytes(b"")
    async with server() as url:
        with pytest.raises(problem):
            await ask(url, tmp_path)


async def test_a_connection_is_closed_when_the_disk_takes_nothing(tmp_path: Path) -> None:
    async with server() as url:
        full = mirror(f"{url}/200", tmp_path)
        await full._cache.load()
        (tmp_path / "fetch-1.tmp").write_bytes(b"")  # in the way of the first fetch
        with pytest.raises(StorageUnavailable):
            await full.open("x")


async def test_a_connection_is_closed_when_an_answer_takes_too_long() -> None:
    clock = Clock()
    async with server() as url:
        reactor.callLater(0.2, clock.advance, ANSWER + 1)
        with pytest.raises(UpstreamFailed):
            await remote(clock).recognise(f"{url}/200")
