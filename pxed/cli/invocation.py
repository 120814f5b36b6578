"""What one invocation of the command knows: where the appliance is, what time it is, and how a coroutine is run to its end.

Twisted and treq are imported when they are needed: half of the time that a command takes is imports.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from pxed.cli import endpoint

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from pxed.cli.client import Client

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


class Runner(Protocol):
    """Runs the coroutine that `work(reactor)` gives to its end and returns its result or raises its exception."""

    def __call__(self, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T: ...


def run_reactor(work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """The Runner of the real command: starts the reactor, once per process. KeyboardInterrupt on Ctrl-C."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    ended: list[T | Failure] = []
    interrupted: list[bool] = []
    begun: list[Deferred[None]] = []

    def end(result: T | Failure) -> None:
        ended.append(result)
        if reactor.running and not interrupted:
            reactor.stop()

    def interrupt() -> None:
        """Ctrl-C: the coroutine's own clean-up runs (a hidden cursor comes back), what it raises is no news. Before the reactor breaks its
        connections off, or it would tell of an appliance that is gone."""
        if not ended:
            interrupted.append(True)
            for each in begun:
                each.cancel()

    reactor.callWhenRunning(lambda: begun.append(Deferred.fromCoroutine(work(reactor)).addBoth(end)))
    reactor.addSystemEventTrigger("before", "shutdown", interrupt)
    reactor.run()
    if interrupted or not ended:
        for each in begun:
            each.cancel()  # once more, if it waited again
        raise KeyboardInterrupt
    result = ended[0]
    if isinstance(result, Failure):
        result.raiseException()
    return result


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the command follows, in seconds; tests are in a hurry.

    `retry`: before the first attempt to reconnect, doubled each time up to `longest_retry`. `poll`: between two questions for the installs'
    states, beside what events say. `redraw`: between two pictures on a terminal. `page`: events per question, the most the appliance gives.
    """

    retry: float = 1.0
    longest_retry: float = 10.0
    poll: float = 10.0
    redraw: float = 0.5
    page: int = 5000


@dataclass(slots=True)
class Invocation:
    """click's `obj`. `now` gives UTC seconds; `environ` the environment; `run` is a parameter so that tests bring their own."""

    state_dir: Path
    url: str | None
    token_file: Path | None
    environ: Mapping[str, str]
    now: Callable[[], float]
    run: Runner
    pace: Pace = field(default_factory=Pace)

    def endpoint(self) -> endpoint.Endpoint:
        """HostProblem if there is no appliance to be found."""
        return endpoint.find(self.state_dir, url=self.url, token_file=self.token_file, environ=self.environ)

    def call(self, work: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Run `work` with a client of the appliance. HostProblem, Unreachable, Unauthorised, Refused."""
        from pxed.cli.client import Client

        found = self.endpoint()
        return self.run(lambda reactor: work(Client(found, reactor)))


def json_option(command: Command) -> Command:
    """The ``--json`` switch, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(command)
