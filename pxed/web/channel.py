"""One HTTP connection, within limits: how long, large and slow a request may be. What is malformed gets one 400 and the connection ends.

`twisted.web.http.HTTPChannel` does the parsing, but for the heads that `head` knows at a glance. Over it: a bare LF ends a line (RFC 9112
2.2; ESXi's and busybox's hand-written requests), one deadline from a request's first byte to its last (its own idle time-out starts again
with every byte), a limit for bodies, and an answer where it would hang up without a word.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http

from pxed.web.connection import Connection
from pxed.web.head import Head, answer, ordinary

LINE = 8192
"""Bytes of a request line or header line."""
HEADERS = 16384
"""Bytes of all lines before the body."""
BODY = 1 << 20
"""Bytes of a body: a notification with an installer's log is the largest thing anybody sends us."""
DEADLINE = 60.0
"""Seconds from a request's first byte to its last."""
IDLE = 75.0
"""Seconds a connection may wait for its next request."""


class Channel(http.HTTPChannel):
    """See the module. `callLater`, `timeOut`, `site` and `peer` are set by the factory; the site's `idle` keeps the time."""

    delimiter = b"\n"
    MAX_LENGTH = LINE
    totalHeadersSize = HEADERS
    maxHeaders = 100

    callLater: Any
    transport: Any
    site: Any
    timeOut: Any
    peer: Any = None
    _deadline: Any = None
    _between = True
    _refused = False

    def dataReceived(self, data: bytes) -> None:
        if self._refused:
            return
        if not self._handlingRequest:
            head = ordinary(data) if not (self.requests or self._buffer) else None
            if head is not None:
                self._whole(head)
                return
            self._between = False
        super().dataReceived(data)
        if not self._between and self._deadline is None and not self._refused:
            self._deadline = self.callLater(DEADLINE, self._too_slow)

    def _whole(self, head: Head) -> None:
        """What Twisted does behind the last line of a head without a body."""
        request = self.requestFactory(self, 0)
        self.requests.append(request)
        request.requestHeaders = head.fields
        self._command, self._path, self._version = head.method, head.target, b"HTTP/1.1"
        self.persistent = self.checkPersistence(request, self._version)
        request.gotLength(0)
        self.allContentReceived()

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """As Twisted's, of our own requests."""
        if version != b"HTTP/1.1":
            return False
        if b"close" not in (request.requestHeaders.first(b"Connection") or b"").lower().split(b" "):
            return True
        request.responseHeaders.put(b"Connection", b"close")
        return False

    def setTimeout(self, period: Any) -> Any:
        before, self.timeOut = self.timeOut, period
        if period is None:
            self.site.idle.forget(self)
        else:
            self.site.idle.watch(self)
        return before

    def resetTimeout(self) -> None:
        if self.timeOut is not None:
            self.site.idle.watch(self)

    def lineReceived(self, line: bytes) -> None:
        if not self._refused:
            super().lineReceived(line.removesuffix(b"\r"))

    def rawDataReceived(self, data: bytes) -> None:
        if not self._refused:
            super().rawDataReceived(data)

    def headerReceived(self, line: bytes) -> bool:
        try:
            return bool(super().headerReceived(line))
        except ValueError:  # Content-Length of thousands of digits
            self.refuse(400)
            return False

    def allHeadersReceived(self) -> None:
        if self.length is not None and self.length > BODY:
            self.refuse(413)
            return
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        if self._refused:
            return
        self._between = True
        self._cancel_deadline()
        super().allContentReceived()

    def lineLengthExceeded(self, _line: bytes) -> None:
        self.refuse(400)

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Any) -> None:
        """As Twisted's, in one piece: of thirty, each is looked at on its way."""
        self.transport.write(answer(version, code, reason, headers))

    def getPeer(self) -> Any:
        return self.peer or super().getPeer()

    def isSecure(self) -> bool:
        return not isinstance(self.transport, Connection) and bool(super().isSecure())

    def refuse(self, code: int) -> None:
        """Answer with an empty body and hang up; whatever else arrives is not read."""
        if self._refused:
            return
        self._refused = True
        self._cancel_deadline()
        reason = http.RESPONSES.get(code, b"Error")
        self.transport.write(b"HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % (code, reason))
        self.loseConnection()

    def connectionMade(self) -> None:
        self.site.connections += 1
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.connections -= 1
        self._refused = True
        self._cancel_deadline()
        super().connectionLost(reason)

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.refuse(400)

    def _too_slow(self) -> None:
        self._deadline = None
        self.refuse(408)

    def _cancel_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()
