"""What our requests and our Site add to Twisted's: no tokens in the log, plain-text errors, coroutines as handlers, few connections."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.web import resource, server
from twisted.web.error import UnsupportedMethod
from twisted.web.http import NO_BODY_CODES
from twisted.web.resource import getChildForRequest

from pxed.errors import Conflict, InvalidRequest, NotFound, PxedError, StorageUnavailable
from pxed.log import Log
from pxed.repo.fetch import UpstreamFailed
from pxed.web.channel import BODY, IDLE, Channel
from pxed.web.head import Fields, answer, usual
from pxed.web.idle import Idle
from pxed.web.outlet import Outlet
from pxed.web.ranges import http_date
from pxed.web.turns import Turns

log = Log()

_ABSOLUTE = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
_TOKEN = re.compile(r"^((?:https?://[^/]*)?/+(?:i|%69)/+)[^/]+", re.IGNORECASE)


def redact(path: bytes) -> str:
    """The path as it may be logged: printable, bounded, an install's token replaced. Queries are never logged."""
    text = path.split(b"?", 1)[0][:300].decode("ascii", "backslashreplace")
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "?" for c in text)
    return _TOKEN.sub(r"\1***", text)


def status_of(problem: BaseException) -> int:
    """The HTTP status for an exception that crossed rooms; 500 is our own fault."""
    for kind, code in ((NotFound, 404), (InvalidRequest, 422), (Conflict, 409), (StorageUnavailable, 503), (UpstreamFailed, 502)):
        if isinstance(problem, kind):
            return code
    return 500


class Request(server.Request):
    """One request. `gone` once the client has left; `reply` is what handlers answer with."""

    defaultContentType = b"text/plain; charset=utf-8"
    _received = 0
    channel: Any
    site: Any
    requestHeaders: Fields
    responseHeaders: Fields

    def __init__(self, channel: Any, queued: bool = False) -> None:
        """What Twisted's two constructors do, with our `Fields` from the beginning."""
        Componentized.__init__(self)
        self.channel, self.transport, self.queued = channel, channel.transport, queued
        self.client, self.host = channel.getPeer(), channel.getHost()
        self.requestHeaders, self.responseHeaders = Fields(), Fields()
        self.received_cookies: dict[bytes, bytes] = {}
        self.cookies: list[bytes] = []
        self.notifications: list[Deferred[None]] = []
        self._parsePOSTFormSubmission = False

    @property
    def gone(self) -> bool:
        return bool(self._disconnected)

    @property
    def peer(self) -> str:
        """The client's IP address."""
        return str(getattr(self.client, "host", ""))

    @property
    def base(self) -> str:
        """``http://10.0.0.1`` or ``http://10.0.0.1:8080``: the address that the client reached us on, no trailing slash."""
        here = self.getHost()
        host = f"[{here.host}]" if ":" in here.host else here.host
        secure = self.isSecure()
        port = "" if here.port == (443 if secure else 80) else f":{here.port}"
        return f"{'https' if secure else 'http'}://{host}{port}"

    def getHeader(self, key: Any) -> Any:
        """The last value of the header `key` (bytes in any spelling), None for none."""
        if isinstance(key, str):
            return super().getHeader(key)
        values = self.requestHeaders.values(usual(key))
        return values[-1] if values else None

    def argument(self, name: str) -> str | None:
        """The last value of a query argument."""
        values = (self.args or {}).get(name.encode("ascii"))
        return values[-1].decode("utf-8", "replace") if values else None

    def handleContentChunk(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > BODY:
            self.channel.refuse(413)
        else:
            super().handleContentChunk(data)

    def process(self) -> None:
        path = self.path
        if not (path.startswith(b"/") and self.uri.isascii()):
            self._process_odd()
            return
        self.site = self.channel.site
        self.responseHeaders.put(b"Server", server.version)
        self.responseHeaders.put(b"Date", http_date(self.site.clock.seconds()))
        parts = path[1:].split(b"/")
        self.prepath, self.postpath = [], [unquote_to_bytes(part) for part in parts] if b"%" in path else parts
        try:
            self.render(getChildForRequest(self.site.resource, self))
        except Exception:
            self.processingFailed(Failure())

    def _process_odd(self) -> None:
        """What asks for no path (``*``, an absolute URL, nonsense), or for one that is no ASCII."""
        if not self.path.startswith(b"/") and self.path != b"*":
            match = _ABSOLUTE.match(self.path)
            if match is None:
                self._refuse("not a path\n")
                return
            self.path = self.path[match.end() :] or b"/"
        if not self.uri.isascii():
            self._refuse("a URL is ASCII; anything else is percent-encoded\n")
        elif self.path == b"*":
            super().process()
        else:
            self.process()

    def _refuse(self, why: str) -> None:
        self.prepath, self.postpath = [], []
        self.reply(400, why)

    def render(self, resrc: Any) -> None:
        """Render `resrc`; its answer is bytes or NOT_DONE_YET. A method it lacks is 405 (501 if nobody has it)."""
        try:
            body = resrc.render(self)
        except UnsupportedMethod as e:
            known = self.method in {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"}
            self.setHeader(b"Allow", b", ".join(sorted(e.allowedMethods)))
            self.reply(405 if known else 501, "method not allowed\n")
            return
        if body is not server.NOT_DONE_YET:
            self.reply(self.code, body)

    def reply(self, code: int, body: bytes | str = b"", content_type: str | None = None) -> None:
        """Answer in full and finish. A no-op if the client has left or was answered already."""
        if self.gone or self.finished or self.startedWriting:
            return
        data = body.encode("utf-8") if isinstance(body, str) else body
        self.setResponseCode(code)
        if content_type is not None:
            self.responseHeaders.put(b"Content-Type", content_type.encode("ascii"))
        if code not in NO_BODY_CODES:
            self.responseHeaders.put(b"Content-Length", b"%d" % len(data))
        self.start(data)
        self.finish()

    def start(self, data: bytes = b"") -> None:
        """As the first `write`, where Content-Length is set if there is a body: the head, and `data` in the same segment."""
        if self.code in NO_BODY_CODES or self.method == b"HEAD":
            data, self.write = b"", _nothing  # type: ignore[method-assign]
        self.sentLength = len(data)
        self.channel.write(self.head() + data)

    def head(self) -> bytes:
        """The head of the answer, which the caller sends. Content-Length is set if there is a body."""
        fields = self.responseHeaders
        if self.code not in NO_BODY_CODES and fields.first(b"Content-Type") is None and fields.first(b"Content-Length") != b"0":
            fields.put(b"Content-Type", self.defaultContentType)
        self.startedWriting = 1
        return answer(self.clientproto, b"%d" % self.code, self.code_message, fields)

    def processingFailed(self, reason: Failure) -> None:
        """Answer what went wrong in the caller's words, or, if it is our bug, log it and say no more."""
        problem = reason.value or RuntimeError("no reason")
        if reason.check(error.ConnectionLost, error.ConnectionDone, error.ConnectionAborted):
            return
        code = status_of(problem)
        if code == 500:
            log.failure("{method} {path} failed", reason, method=self.method.decode("ascii", "replace"), path=redact(self.uri))
        if self.startedWriting and not self.gone and not self.finished:
            self.channel.loseConnection()
            return
        if code == 503:
            self.setHeader(b"Retry-After", b"5")
        self.reply(code, f"{problem}\n" if isinstance(problem, PxedError) else "internal error\n")


def _nothing(_data: bytes) -> None:
    """Writes no body."""


class Plain(resource.Resource):
    """A resource that answers every path below it, by coroutines `get` and `post` where it has them. HEAD runs `get`.

    Who gets something waits for its turn (`pxed.web.turns`). A handler's exception becomes `Request.processingFailed`.
    """

    isLeaf = True

    def render(self, request: Any) -> Any:
        handler = self.handler(request.method)
        if handler is None:
            raise UnsupportedMethod(self.methods())
        if request.method in {b"GET", b"HEAD"}:
            request.site.turns.take(lambda: run(request, handler(request)), request.site.clock)
        else:  # a notification counts although its client hangs up at once
            run(request, handler(request))
        return server.NOT_DONE_YET

    def handler(self, method: bytes) -> Callable[[Any], Awaitable[None]] | None:
        name = {b"GET": "get", b"HEAD": "get", b"POST": "post", b"PUT": "post"}.get(method)
        return getattr(self, name, None) if name else None

    def methods(self) -> list[bytes]:
        got = [b"GET", b"HEAD"] if hasattr(self, "get") else []
        return [*got, *([b"POST", b"PUT"] if hasattr(self, "post") else [])]


def run(request: Any, coroutine: Any, fired: object = None) -> None:
    """Run a handler's coroutine to its end, also when the client leaves before.

    As `Deferred.fromCoroutine`, without a Deferred and a context for handlers that need not wait: nearly all.
    """
    try:
        awaited = fired.throwExceptionIntoGenerator(coroutine) if isinstance(fired, Failure) else coroutine.send(None)
    except StopIteration:
        pass
    except Exception:
        request.processingFailed(Failure())
    else:
        awaited.addBoth(partial(run, request, coroutine))


class NotHere(Plain):
    """Every path that the tree does not know: 404 and one plain line."""

    async def get(self, request: Any) -> None:
        request.reply(404, "nothing here\n")

    post = get


class Site(server.Site):
    """Our channel and request, an access log through twisted.logger, a ceiling for connections. `on_stop`: when the port is closed.

    `turns` is the queue of those who are to be served, `outlet` sends them files, `clock` is the reactor of both.
    """

    max_connections = 4000

    def __init__(self, root: resource.Resource, *, reactor: Any, on_stop: Callable[[], None]) -> None:
        self._on_stop = on_stop
        super().__init__(root, requestFactory=Request, parsePOSTFormSubmission=False, reactor=reactor, timeout=IDLE)
        self.connections = 0
        self.turns = Turns(reactor.seconds)
        self.outlet = Outlet(reactor)
        self.idle = Idle(reactor, IDLE)
        self.clock = reactor

    def protocol(self) -> Channel:  # type: ignore[override]
        return Channel()

    def buildProtocol(self, addr: Any) -> Any:
        """A channel, or None (the connection is closed at once) beyond `max_connections`."""
        if self.connections >= self.max_connections:
            log.warn("Refused a connection from {peer}: {count} are open", peer=getattr(addr, "host", addr), count=self.connections)
            return None
        channel = super().buildProtocol(addr)
        channel.peer = addr
        return channel

    def startFactory(self) -> None:
        """No log file, no clock of our own."""

    def stopFactory(self) -> None:
        """Hang up on whoever would stay for ever."""
        self._on_stop()

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]

    def log(self, request: Any) -> None:
        """One line per answered request, never a token or a query; bulk files only at debug level."""
        bulk = request.code < 400 and request.path.startswith((b"/repo/", b"/b/"))
        if bulk and not log.debugging:
            return
        (log.debug if bulk else log.info)(
            "{peer} {method} {path} {code} {length}",
            peer=request.peer,
            method=request.method.decode("ascii", "replace"),
            path=redact(request.uri),
            code=request.code,
            length=request.sentLength,
        )
