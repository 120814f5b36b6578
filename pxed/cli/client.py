"""The appliance's API over treq: JSON in and out, and every way it can go wrong as one sentence.

Shapes are those of `pxed.web.api` (``/api/v1``): errors come as ``{"error": {"message", "field", "expected"}}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from treq.client import HTTPClient
from twisted.internet import defer, error
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, RequestGenerationFailed, ResponseFailed, ResponseNeverReceived
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from pxed.cli.endpoint import START, Endpoint
from pxed.cli.events import EventParser, ServerEvent
from pxed.errors import HostProblem, InvalidRequest, PxedError

REQUEST_TIMEOUT = 30.0
"""Seconds for a whole answer; creating an install hashes passwords and renders every file."""
CONNECT_TIMEOUT = 5.0
QUIET_TIMEOUT = 60.0
"""Seconds without a byte after which an event stream counts as dead; the appliance sends keep-alive comments far more often."""

_LOST = (
    error.ConnectError,
    error.ConnectionLost,
    error.ConnectionDone,
    error.DNSLookupError,
    error.TimeoutError,
    error.ConnectingCancelledError,
    defer.CancelledError,
    defer.TimeoutError,
    ResponseFailed,
    ResponseNeverReceived,
    RequestGenerationFailed,
)


class Unreachable(HostProblem):
    """No appliance answers at the URL, or it stopped answering. Exit status 2."""


class Unauthorised(HostProblem):
    """The appliance refused the token (401, 403). Exit status 2."""


class Refused(PxedError):
    """The appliance said no (4xx, 5xx): `status`, and the dotted `field` that was wrong if it named one. Exit status 1."""

    def __init__(self, message: str, *, status: int, field: str = "", expected: str = "") -> None:
        text = f"{field}: {message}" if field and field not in message else message
        super().__init__(f"{text} (expected: {expected})" if expected and expected not in message else text)
        self.status = status
        self.field = field


class Client:
    """One appliance. `reactor` is Twisted's; nothing connects before the first call."""

    def __init__(self, endpoint: Endpoint, reactor: Any) -> None:
        self.endpoint = endpoint
        self.reactor = reactor
        self._http = HTTPClient(Agent(reactor, connectTimeout=CONNECT_TIMEOUT))

    async def get(self, *path: str, **params: str | int | None) -> Any:
        """The JSON at ``/api/v1/<path...>``; parts are quoted, parameters that are None left out. Unreachable, Unauthorised, Refused,
        InvalidRequest (an empty part)."""
        return await self._json("GET", path, params={k: str(v) for k, v in params.items() if v is not None})

    async def post(self, *path: str, body: Mapping[str, Any] | None = None) -> Any:
        return await self._json("POST", path, body=body or {})

    async def patch(self, *path: str, body: Mapping[str, Any]) -> Any:
        return await self._json("PATCH", path, body=body)

    async def delete(self, *path: str) -> Any:
        return await self._json("DELETE", path)

    async def events(self, *, after: int | None = None, node: str | None = None, install: str | None = None) -> EventStream:
        """Connect to the live timeline: events behind `after` first, then as they happen. Unreachable, Unauthorised, Refused."""
        given = {"after": after, "node": node, "install": install}
        params = {k: str(v) for k, v in given.items() if v is not None}
        response = await self._request("GET", ("events",), params=params, headers={"Accept": "text/event-stream"}, unbuffered=True)
        if response.code != 200:
            self._check(response.code, await self._body(response))
        stream = EventStream(self.endpoint.url, self.reactor)
        response.deliverBody(stream)
        return stream

    async def _json(self, method: str, path: tuple[str, ...], *, params: Mapping[str, str] | None = None, body: Any = None) -> Any:
        headers = {} if body is None else {"Content-Type": "application/json"}
        data = None if body is None else _Body(json.dumps(body).encode())
        response = await self._request(method, path, params=params, headers=headers, data=data, timeout=REQUEST_TIMEOUT)
        text = await self._body(response)
        self._check(response.code, text)
        if not text.strip():
            return None
        try:
            return json.loads(text)
        except ValueError:
            raise Refused(
                f"{self.endpoint.url} answered something that is not JSON: is it a pxed appliance?", status=response.code
            ) from None

    async def _request(self, method: str, path: tuple[str, ...], *, headers: Mapping[str, str], **more: Any) -> Any:
        if not all(path):
            raise InvalidRequest("An empty name names nothing: give the id, name or MAC address that `pxed node list` shows")
        url = "/".join([self.endpoint.url, "api/v1", *(quote(part, safe="") for part in path)])
        sent = Headers({name: [value] for name, value in {**headers, "Authorization": f"Bearer {self.endpoint.token}"}.items()})
        try:
            # No redirects: the token goes to the appliance that was named and to nobody else.
            return await self._http.request(method, url, headers=sent, allow_redirects=False, reactor=self.reactor, **more)
        except _LOST as e:
            raise self._unreachable(e) from e
        except SchemeNotSupported as e:
            raise HostProblem(f"{self.endpoint.url} can't be asked", "Give an http:// URL") from e

    async def _body(self, response: Any) -> bytes:
        try:
            return bytes(await response.content())
        except _LOST as e:
            raise self._unreachable(e) from e

    def _check(self, code: int, body: bytes) -> None:
        if 200 <= code < 300:
            return
        message, field, expected = _error_of(body)
        if code in (401, 403):
            where = self.endpoint.token_from
            raise Unauthorised(
                f"The appliance at {self.endpoint.url} refused the API token{f' of {where}' if where else ''}",
                "Its token is in api.token of its state directory: set PXED_TOKEN or give --token-file",
            )
        raise Refused(message or f"The appliance answered {code} without a reason", status=code, field=field, expected=expected)

    def _unreachable(self, cause: Exception) -> Unreachable:
        return Unreachable(f"No appliance answers at {self.endpoint.url} ({reason(cause)})", START)


@implementer(IBodyProducer)
class _Body:
    """A request's body that is at hand. treq's own producer would cooperate on the global reactor."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        consumer.write(self._data)
        return defer.succeed(None)

    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def stopProducing(self) -> None: ...


def _error_of(body: bytes) -> tuple[str, str, str]:
    try:
        tree = json.loads(body)
        found = tree["error"]
        return tuple(str(found.get(key) or "") for key in ("message", "field", "expected"))  # type: ignore[return-value]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", "", ""


def reason(cause: BaseException) -> str:
    """Why a connection failed, in words for between brackets."""
    if isinstance(cause, error.ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(cause, error.DNSLookupError):
        return "its name is unknown"
    if isinstance(cause, error.TimeoutError | defer.TimeoutError | defer.CancelledError | error.ConnectingCancelledError):
        return "it does not answer in time"
    if isinstance(cause, error.NoRouteError):
        return "there is no route to it"
    if isinstance(cause, ResponseFailed | ResponseNeverReceived | error.ConnectionLost | error.ConnectionDone):
        return "it broke the connection off"
    return "it can't be connected to"


class EventStream(Protocol):
    """The body of an event stream. `next()` gives events in order and None once it has ended, was lost, or was silent too long."""

    def __init__(self, url: str, reactor: Any) -> None:
        self.url = url
        self._reactor = reactor
        self._parser = EventParser()
        self._ready: list[ServerEvent] = []
        self._waiting: Deferred[None] | None = None
        self._ended = False
        self._quiet = reactor.callLater(QUIET_TIMEOUT, self.stop)

    @property
    def pending(self) -> int:
        """How many events `next()` would give at once."""
        return len(self._ready)

    async def next(self) -> ServerEvent | None:
        """The next event; only one caller at a time."""
        while not self._ready and not self._ended:
            self._waiting = Deferred()
            await self._waiting
        return self._ready.pop(0) if self._ready else None

    def stop(self) -> None:
        """Hang up. May be called twice."""
        self._end()
        if self.transport is not None:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        if not self._ended:
            self._quiet.reset(QUIET_TIMEOUT)
            self._ready.extend(self._parser.feed(data))
            self._wake()

    def connectionLost(self, reason: Failure = Failure(error.ConnectionDone())) -> None:  # noqa: ARG002 - Twisted's signature
        self._end()

    def _end(self) -> None:
        self._ended = True
        if self._quiet.active():
            self._quiet.cancel()
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)
