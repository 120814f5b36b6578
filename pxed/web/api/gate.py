"""The door of the API: the token, the request's shape, JSON in and out, errors; and the one place where its routes meet.

A klein handler is cancelled when its client leaves. Ours are not: what an operator asked for is done whole, so each runs shielded.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from klein import Klein
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from pxed.errors import InvalidRequest, NotFound, PxedError
from pxed.web.request import redact, status_of
from pxed.web.rooms import Rooms

E = TypeVar("E")
Handler = Callable[..., Awaitable[tuple[int, Any]]]

SLICE = 20
"""Entries of a list that are encoded in one turn of the reactor: two milliseconds, if they are installs."""

log = Logger()


class Malformed(PxedError):
    """The request could not be understood (400)."""


class Routes:
    """Collects handlers: ``async def handler(request, **path_parts) -> (status, JSON value)``.

    A path is compiled once per process, by whoever adds it first; the handlers are those of this API.
    """

    app = Klein()
    app.url_map.merge_slashes = False

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def add(self, method: str, path: str, handler: Handler) -> None:
        """`path` in klein's syntax, e.g. ``/nodes/<handle>``."""
        endpoint = f"{method} {path}"
        self._handlers[endpoint] = handler

        def run(routes: Routes, request: Any, **parts: str) -> Deferred[bytes]:
            return shielded(_answered(request, routes._handlers[endpoint], parts))

        if endpoint not in Routes.app.endpoints:
            Routes.app.route(path, methods=[method], strict_slashes=False, endpoint=endpoint)(run)

    @app.handle_errors(Exception)
    def _refused(self, request: Any, failure: Failure) -> bytes:
        return _problem(request, failure)


async def _answered(request: Any, handler: Handler, parts: Mapping[str, str]) -> bytes:
    code, value = await handler(request, **parts)
    return encode(request, code, value)


def encode(request: Any, code: int, value: Any) -> bytes:
    """Set status and headers for a JSON answer; its bytes."""
    body = value if isinstance(value, Encoded) else b"" if value is None else _json(value) + b"\n"
    request.setResponseCode(code)
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Cache-Control", b"no-store")
    if code != 204:
        request.setHeader(b"Content-Length", b"%d" % len(body))
    return body


class Encoded(bytes):
    """A value that is JSON already."""


async def listed(name: str, entries: Sequence[E], shape: Callable[[E], Any], clock: Any) -> Encoded:
    """``{name: [shape(entry), ...]}``, made in slices: thousands of entries would keep DHCP and TFTP waiting for half a second."""
    parts: list[bytes] = []
    for start in range(0, len(entries), SLICE):
        if start:
            await deferLater(clock, 0)
        parts += [_json(shape(entry)) for entry in entries[start : start + SLICE]]
    return Encoded(b'{"%s":[%s]}\n' % (name.encode("ascii"), b",".join(parts)))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def encode_problem(request: Any, code: int, problem: BaseException | str) -> bytes:
    """An error as JSON; our own bugs say no more than that."""
    known = problem if isinstance(problem, PxedError) else None
    message = str(known) if known else problem if isinstance(problem, str) else "internal error"
    if code == 503:
        request.setHeader(b"Retry-After", b"5")
    field = known.field if isinstance(known, InvalidRequest | NotFound) else ""
    expected = known.expected if isinstance(known, InvalidRequest) else ""
    return encode(request, code, {"error": {"message": message, "field": field or None, "expected": expected or None}})


def _problem(request: Any, failure: Failure) -> bytes:
    problem = failure.value
    if isinstance(problem, HTTPException):
        code = 405 if isinstance(problem, MethodNotAllowed) else 404
        if isinstance(problem, MethodNotAllowed) and problem.valid_methods:
            request.setHeader(b"Allow", ", ".join(sorted(problem.valid_methods)).encode("ascii"))
        return encode_problem(request, code, "no such method here" if code == 405 else "there is nothing at this path")
    code = 400 if isinstance(problem, Malformed) else status_of(problem or RuntimeError())
    if code == 500:
        log.failure("{method} {path} failed", failure, method=request.method.decode("ascii", "replace"), path=redact(request.uri))
    return encode_problem(request, code, problem or "")


def _not_followed(failure: Failure, request: Any) -> None:
    if failure.check(error.ConnectionLost):
        return
    body = _problem(request, failure)
    if request.startedWriting:
        request.channel.loseConnection()  # it comes back with its last id
    else:
        request.reply(request.code, body)


def shielded(coroutine: Any) -> Deferred[Any]:
    """A Deferred for the coroutine's answer whose cancelling does not reach the coroutine."""
    outer: Deferred[Any] = Deferred()

    def done(result: Any) -> None:
        if not outer.called:
            outer.callback(result)
        elif isinstance(result, Failure) and not result.check(CancelledError, PxedError):
            log.failure("A request whose client had left failed", result)

    Deferred.fromCoroutine(coroutine).addBoth(done)
    return outer


def body_of(request: Any) -> dict[str, Any]:
    """The JSON object in the body; an empty body is an empty object. Malformed."""
    data = request.content.read()
    if not data.strip():
        return {}
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("The body is not JSON") from None
    if not isinstance(value, dict):
        raise Malformed("The body is not a JSON object")
    return value


def fields(body: Mapping[str, Any], *, known: tuple[str, ...]) -> None:
    """InvalidRequest for a name that is not in `known`."""
    for name in body:
        if name not in known:
            raise InvalidRequest(f"{name[:80]} is not known here", field=name[:80], expected=f"one of {', '.join(known)}")


def text(body: Mapping[str, Any], name: str, *, required: bool = False) -> str | None:
    """The string at `name`, None if it is null or absent. InvalidRequest."""
    value = body.get(name)
    if isinstance(value, str) and value.strip():
        return value.strip()
    if value is None and not required:
        return None
    raise InvalidRequest(f"{name} {'is missing' if value is None else 'is no text'}", field=name, expected="a text")


def found(field: str, find: Callable[[str], E], value: str) -> E:
    """`find(value)`, whose NotFound says that it was `field` that named it."""
    try:
        return find(value)
    except NotFound as e:
        raise NotFound(str(e), field=field) from None


def number(request: Any, name: str, *, default: int, most: int = 1 << 62) -> int:
    """The whole number in the query at `name`. InvalidRequest."""
    given = request.argument(name)
    if given is None or given == "":
        return default
    if not (given.isascii() and given.isdigit() and len(given) < 20) or int(given) > most:
        raise InvalidRequest(f"{name} is not a whole number from 0 to {most}", field=name, expected=f"0 to {most}")
    return int(given)


class Gate(Resource):
    """Lets through whoever has the token; klein sees only requests that it can take apart. `follow` answers ``/v1/events``."""

    isLeaf = True

    def __init__(self, routes: Routes, token: str, follow: Callable[[Any], Any]) -> None:
        super().__init__()
        self._follow = follow
        self._inner = routes.app.resource()
        self._expected = b"Bearer " + token.encode("utf-8")

    def render(self, request: Any) -> Any:
        given = request.getHeader(b"authorization") or b""
        if not hmac.compare_digest(given.strip(), self._expected):
            request.setHeader(b"WWW-Authenticate", b'Bearer realm="pxed"')
            return encode_problem(request, 401, "The API token is missing or wrong")
        try:
            b"/".join(request.postpath).decode("utf-8")
        except UnicodeDecodeError:
            return encode_problem(request, 400, "The path is not UTF-8")
        if request.postpath == [b"v1", b"events"] and request.method == b"GET":
            Deferred.fromCoroutine(self._follow(request)).addErrback(_not_followed, request)
            return NOT_DONE_YET
        request.requestHeaders.setRawHeaders(b"Host", [b"pxed"])  # werkzeug chokes on some hosts and needs none of them
        return self._inner.render(request)


def make_api(rooms: Rooms, *, token: str, health: Callable[[], Mapping[str, Any]]) -> tuple[Gate, Callable[[], None]]:
    """The resource for ``/api``, and what hangs up on the followers of the timeline."""
    from pxed.web.api import installs, nodes, oses, repositories
    from pxed.web.api.stream import Stream

    routes = Routes()
    stream = Stream(rooms)

    async def healthy(_request: Any) -> tuple[int, Any]:
        return 200, dict(health())

    routes.add("GET", "/v1/health", healthy)
    nodes.add_to(routes, rooms)
    installs.add_to(routes, rooms)
    oses.add_to(routes, rooms)
    repositories.add_to(routes, rooms)
    return Gate(routes, token, stream.follow), stream.close
