"""An upstream mirror in memory, seen through the real HTTP client, and a mirror layer in front of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from pxed.repo.cache import Cache
from pxed.repo.disk import Disk
from pxed.repo.mirror import Mirror
from pxed.repo.upstream import Upstream, Verbatim
from tests.web.world import MemoryReactor

DATE = "Mon, 02 Nov 2026 10:00:00 GMT"


@dataclass
class File:
    body: bytes
    etag: str = ""
    last_modified: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    code: int = 200


class Tree(Resource):
    """Serves `files` (`ranges`: parts too). With `slow` an answer's headers and body are sent only by `Held.send` and `Held.end`."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, File] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.slow = False
        self.ranges = False
        self.held: list[Held] = []

    def render(self, request: Any) -> Any:
        path = request.path.decode()
        self.asked.append(
            (
                request.method.decode(),
                path,
                {name.decode().lower(): values[0].decode() for name, values in request.requestHeaders.getAllRawHeaders()},
            )
        )
        file = self.files.get(unquote(path))
        if file is None:
            request.setResponseCode(404)
            return b"nothing"
        if file.code != 200:
            request.setResponseCode(file.code)
            for name, value in file.headers.items():
                request.setHeader(name, value)
            return b"no"
        for name, value in {"ETag": file.etag, "Last-Modified": file.last_modified, **file.headers}.items():
            if value:
                request.setHeader(name, value)
        if file.etag and request.getHeader("if-none-match") == file.etag:
            request.setResponseCode(304)
            return b""
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.getHeader("range") or "")
        if self.ranges and wanted:
            request.setResponseCode(206)
            return file.body[int(wanted[1]) : int(wanted[2]) + 1]
        if self.slow and request.method == b"GET":
            request.setHeader("Content-Length", str(len(file.body)))
            self.held.append(Held(request, file.body))
            return NOT_DONE_YET
        return file.body


class Held:
    """An answer that the test doles out."""

    def __init__(self, request: Any, body: bytes) -> None:
        self.request, self.rest = request, body

    def send(self, count: int) -> None:
        part, self.rest = self.rest[:count], self.rest[count:]
        self.request.write(part)
        if not self.rest:
            self.request.finish()

    def break_off(self) -> None:
        self.request.transport.loseConnection()


@implementer(IAgent)
class Line:
    """The way to the upstream; `cut` makes every request fail, `silent` leaves it unanswered."""

    def __init__(self, agent: Any) -> None:
        self.agent, self.cut, self.silent = agent, False, False

    def request(self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: Any = None) -> Any:
        if self.cut:
            return fail(ConnectionRefusedError())
        if self.silent:
            return Deferred()
        return self.agent.request(method, uri, headers, bodyProducer)


class MirrorWorld:
    """A mirror layer of ``http://user:word@mirror/debian``, its cache, its upstream."""

    def __init__(self, cache_dir: Path, *, max_bytes: int = 1 << 20, url: str = "http://user:word@mirror/debian") -> None:
        self.reactor = MemoryReactor()
        self.tree = Tree()
        self.agent = RequestTraversalAgent(self.tree)
        self.line = Line(self.agent)
        self.cache_dir = cache_dir
        self.cache = Cache(cache_dir, max_bytes=max_bytes, disk=Disk(self.reactor), now=self.now)
        self.mirror = Mirror(
            Upstream(url),
            self.cache,
            client=HTTPClient(Verbatim(self.line)),
            disk=Disk(self.reactor),
            clock=self.reactor,
            now=self.now,
        )

    def now(self) -> float:
        return 1_800_000_000.0 + self.reactor.seconds()

    def put(self, path: str, body: bytes, **more: Any) -> None:
        self.tree.files[f"/debian/{path}"] = File(body, **more)

    def open(self, path: str, *, head: bool = False) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.mirror.open(path, head=head))

    def flush(self) -> None:
        self.agent.flush()

    @property
    def asked(self) -> list[str]:
        """``GET /debian/...`` of every request that reached the upstream."""
        return [f"{method} {path}" for method, path, _ in self.tree.asked]
