"""A small appliance: a real twisted.web server on loopback that speaks the API's shapes, and the means to run commands against it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from pxed.cli.invocation import Invocation, Pace, Runner
from pxed.cli.main import cli

T = TypeVar("T")
Json = dict[str, Any]

TOKEN = "a-token-that-only-tests-know-0123456789"
HURRY = Pace(retry=0.05, poll=0.3, page=3)
NOW = 1_779_451_200.0
"""2026-05-22T12:00:00Z"""


def a_node(**more: Any) -> Json:
    return {
        "id": "9f3c0a11",
        "name": None,
        "label": "52:54:00:12:34:56",
        "macs": ["52:54:00:12:34:56"],
        "arch": {"code": 7, "name": "x86_64 UEFI"},
        "firmware": "uefi",
        "address": "10.0.0.23",
        "interface": "eth1",
        "vendor_class": "PXEClient:Arch:00007:UNDI:003000",
        "uuid": None,
        "localboot": None,
        "first_seen": "2026-05-22T11:00:00.000Z",
        "last_seen": "2026-05-22T11:57:00.000Z",
        "boot": {"kind": "silent", "install": None},
        "state": "idle",
        "install_id": None,
        **more,
    }


def an_install(**more: Any) -> Json:
    return {
        "id": "3f2a9c01d4",
        "node": {"id": "9f3c0a11", "label": "web1", "mac": "52:54:00:12:34:56"},
        "os": "debian",
        "release": "12",
        "state": "running",
        "stage": "started",
        "percent": 10,
        "progress": "The installer runs",
        "reason": "",
        "created_at": "2026-05-22T11:50:00.000Z",
        "finished_at": None,
        "elapsed": 600.0,
        "deadline": "2026-05-22T13:50:00.000Z",
        "recipe": {"name": "debian", "version": 1},
        "retry_of": None,
        "options": {"hostname": "web1"},
        **more,
    }


def an_event(number: int, kind: str = "dhcp.offer", text: str = "Offered snponly.efi", **more: Any) -> Json:
    at = f"2026-05-22T11:5{number % 10}:00.000Z"
    return {"id": number, "at": at, "kind": kind, "text": text, "node": "9f3c0a11", "install": None, "data": {}, **more}


def an_error(message: str, field: str | None = None, expected: str | None = None) -> Json:
    return {"error": {"message": message, "field": field, "expected": expected}}


@dataclass
class Api(Resource):
    """Answers ``(method, path)`` with what `routes` holds: (status, JSON), or a function of the body that gives that.

    ``GET events`` is a live stream: the `stored` events behind the last id the client has, then what `push` adds.
    """

    isLeaf = True
    routes: dict[tuple[str, str], Any] = field(default_factory=dict)
    stored: list[Json] = field(default_factory=list)
    asked: list[tuple[str, str, Json]] = field(default_factory=list)
    followers: list[Any] = field(default_factory=list)
    token: str = TOKEN

    def __post_init__(self) -> None:
        super().__init__()

    def render(self, request: Any) -> Any:
        path = request.path.decode().removeprefix("/api/v1/")
        body = request.content.read()
        args = {name.decode(): values[0].decode() for name, values in request.args.items()}
        self.asked.append((request.method.decode(), path, json.loads(body) if body else args))
        if request.getHeader("authorization") != f"Bearer {self.token}":
            return self._json(request, 401, an_error("The API token is missing or wrong"))
        if path == "events":
            return self._stream(request, args)
        answer = self.routes.get((request.method.decode(), path), (404, an_error(f"There is nothing at {path}")))
        code, tree = answer(self.asked[-1][2]) if callable(answer) else answer
        return self._json(request, code, tree)

    def _json(self, request: Any, code: int, tree: Any) -> bytes:
        request.setResponseCode(code)
        request.setHeader("content-type", "application/json")
        return b"" if tree is None else tree if isinstance(tree, bytes) else json.dumps(tree).encode()

    def _stream(self, request: Any, args: dict[str, str]) -> Any:
        request.setHeader("content-type", "text/event-stream")
        request.write(b"retry: 2000\n\n")
        self.followers.append(request)
        request.notifyFinish().addBoth(lambda _: self.followers.remove(request) if request in self.followers else None)
        if "after" in args:
            for event in self.stored:
                if event["id"] > int(args["after"]):
                    self._send(request, event)
        return NOT_DONE_YET

    def _send(self, request: Any, event: Json) -> None:
        request.write(f"id: {event['id']}\nevent: {event['kind']}\ndata: {json.dumps(event)}\n\n".encode())

    def push(self, event: Json) -> None:
        """An event happens."""
        self.stored.append(event)
        for request in self.followers:
            self._send(request, event)

    def hang_up(self) -> None:
        """Every follower loses its connection."""
        for request in list(self.followers):
            request.channel.transport.abortConnection()


_SERVERS_OWN = ("_updateLogDateTime", "timedOut", "forceAbortClient")
"""Delayed calls of twisted.web's server side."""


SILENCE = 0.01
"""Seconds; both ends are in this process, so what was sent has arrived by then."""


class Hastening(EPollReactor):
    """Real sockets and no real time: when the sockets have been silent for `SILENCE`, the time of the next delayed call has come."""

    def __init__(self) -> None:
        self._now, self._stirred = 0.0, False
        super().__init__()

    def seconds(self) -> float:
        return self._now

    def doIteration(self, timeout: float | None) -> None:
        self._stirred = False
        self.doPoll(timeout if timeout is None else min(timeout, SILENCE))
        if timeout is not None and not self._stirred:
            self._now += timeout

    def _doReadOrWrite(self, *event: Any) -> None:
        self._stirred = True
        super()._doReadOrWrite(*event)


class World:
    """A reactor of its own for each command, in which the fake appliance listens too; `plan` holds what happens meanwhile.

    So a test stays a plain function, and nothing that a command leaves behind reaches the next one.
    """

    def __init__(self, api: Api) -> None:
        self.api = api
        self.plan: list[tuple[float, Callable[[], object]]] = []
        self.delayed: list[str] = []
        # Holds the port between commands; Linux lets a listener with SO_REUSEADDR in beside a socket that only binds.
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """During the next command, `seconds` after its start."""
        self.plan.append((seconds, call))

    def run(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """The Runner of tests; 10 s at most."""
        reactor = Hastening()
        ended: list[Any] = []
        reactor.listenTCP(self.port, Site(self.api, reactor=reactor), interface="127.0.0.1")

        def end(result: Any) -> None:
            if ended:
                return
            ended.append(result)
            left = [call for call in reactor.getDelayedCalls() if call is not limit and call not in planned]
            ours = [str(call) for call in left if call.getTime() > reactor.seconds()]  # what is due is about to happen, as an abort is
            self.delayed += [call for call in ours if not any(name in call for name in _SERVERS_OWN)]
            reactor.stop()

        planned = [reactor.callLater(seconds, call) for seconds, call in self.plan]
        self.plan = []
        limit = reactor.callLater(10, lambda: end(Failure(TimeoutError("the command took longer than 10 s"))))
        reactor.callWhenRunning(lambda: Deferred.fromCoroutine(work(reactor)).addBoth(end))
        reactor.run(installSignalHandlers=False)
        if isinstance(ended[0], Failure):
            ended[0].raiseException()
        return ended[0]  # type: ignore[no-any-return]

    def close(self) -> None:
        self._socket.close()


@dataclass
class Appliance:
    """A running `Api` with a state directory that leads to it; `pxed(...)` runs a command."""

    api: Api
    world: World
    state_dir: Path
    url: str

    def pxed(self, *words: str, stdin: str | None = None, environ: dict[str, str] | None = None) -> Result:
        return run(*words, state_dir=self.state_dir, stdin=stdin, environ=environ, runner=self.world.run)

    def json(self, *words: str) -> Any:
        result = self.pxed(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


def run(
    *words: str, state_dir: Path, url: str | None = None, stdin: str | None = None, environ: dict[str, str] | None = None,
    token_file: Path | None = None, runner: Runner | None = None,
) -> Result:  # fmt: skip
    """Run ``pxed <words>`` in this process; an exception that is no expected error is raised, not swallowed."""
    invocation = Invocation(state_dir, url, token_file, environ or {}, lambda: NOW, runner or World(Api()).run, HURRY)
    result = CliRunner().invoke(cli, list(words), obj=invocation, input=stdin, prog_name="pxed", env={"COLUMNS": "300", "TZ": "UTC"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "Traceback" not in result.output
    return result


def write_state(state_dir: Path, url: str, token: str = TOKEN) -> None:
    """What an appliance leaves for the command."""
    state_dir.mkdir(parents=True, exist_ok=True)
    (state_dir / "endpoint.json").write_text(json.dumps({"url": url}))
    (state_dir / "api.token").write_text(token + "\n")
    (state_dir / "api.token").chmod(0o600)
