"""The site on a real loopback socket, and a client that reads as slowly as a test wants."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.web.resource import Resource

from pxed.repo.disk import Disk
from pxed.web import connection
from pxed.web.files import FileTree
from pxed.web.request import Site

reactor: Any = _reactor


@asynccontextmanager
async def serving(root: Path, *, clock: Any = None, listen: Any = None) -> AsyncIterator[int]:
    """The files below `root` at ``/b``; the port. `clock` is what stalls are measured with."""
    tree = Resource()
    tree.putChild(b"b", FileTree(root, disk=Disk(reactor), clock=clock or reactor))
    async with listening(Site(tree, reactor=reactor, on_stop=lambda: None), listen) as port:
        yield port


@asynccontextmanager
async def listening(site: Site, listen: Any = None) -> AsyncIterator[int]:
    port = (listen or (lambda factory: connection.listen(reactor, 0, factory, interface="127.0.0.1")))(site)
    try:
        yield port.getHost().port
    finally:
        await port.stopListening()
        for _ in range(100):
            if not site.connections:
                break
            await deferLater(reactor, 0.01)


class Client:
    """A non-blocking socket; `receive_buffer` small = a client that holds the server up."""

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)

    def get(self, path: str, **headers: str) -> None:
        lines = [f"GET {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    async def some(self, most: int = 1 << 16) -> bytes:
        """What there is, at least one byte; nothing if the server has hung up."""
        while True:
            try:
                return self.socket.recv(most)
            except BlockingIOError:
                await deferLater(reactor, 0.001)
            except ConnectionResetError:
                return b""

    async def read(self, count: int) -> bytes:
        """Exactly `count` bytes, fewer if the server hangs up."""
        data = bytearray()
        while len(data) < count:
            part = await self.some(count - len(data))
            if not part:
                break
            data += part
        return bytes(data)

    async def head(self) -> dict[str, str]:
        """The status (as ``status``) and headers of the next response."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            byte = await self.read(1)
            assert byte, data
            data += byte
        status, *lines = data.decode().strip().split("\r\n")
        return {"status": status.split()[1], **{name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}}

    async def response(self) -> tuple[dict[str, str], bytes]:
        head = await self.head()
        return head, await self.read(int(head["content-length"]))

    def close(self) -> None:
        self.socket.close()


async def until(condition: Any, *, within: float = 25.0) -> None:
    """Wait until `condition()` holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within, "what was waited for did not happen"
        await deferLater(reactor, 0.005)


def descriptors(path: Path) -> int:
    """How many descriptors of this process are open on `path`."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}") == str(path)
        except OSError:
            continue
    return count
