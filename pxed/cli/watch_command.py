"""`pxed watch`: installs as they happen. A table that moves on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pxed.cli.client import Client, Unreachable
from pxed.cli.event_command import say_lost
from pxed.cli.invocation import Invocation, Pace, json_option
from pxed.cli.live import Follower
from pxed.cli.resolve import find_target
from pxed.cli.watch_view import ENDING, JsonLines, PlainLines, Screen, View

_CHANGING = ("install.", "notification")


@click.command()
@click.argument("handle", metavar="[NODE|INSTALL]", required=False)
@json_option
@click.pass_obj
def watch(invocation: Invocation, handle: str | None, as_json: bool) -> None:
    """Follow an install, the install of a machine, or (without a name) all that run.

    Ends with the install: exit status 0 if it is done, 1 if it is unproven (the installed system
    was not seen to boot in time), failed or was cancelled. Without a running install it shows events until
    Ctrl-C. It reconnects when the appliance restarts. With --json one event or install per line.

    \b
    Examples:
      pxed watch
      pxed watch web1
      pxed watch 3f2a9c --json
    """

    async def work(client: Client) -> int:
        if handle is None:
            return await _watch(invocation, client, {}, as_json, [])
        kind, found = await find_target(client, handle)
        if kind == "install":
            return await watch_install(invocation, client, found["id"], as_json=as_json)
        return await _watch(invocation, client, {"node": found["id"]}, as_json, [])

    sys.exit(invocation.call(work))


async def watch_install(invocation: Invocation, client: Client, install_id: str, *, as_json: bool) -> int:
    """Follow one install to its end; the exit status."""
    return await _watch(invocation, client, {"install": install_id}, as_json, [install_id])


async def _watch(invocation: Invocation, client: Client, scope: dict[str, str], as_json: bool, awaited: list[str]) -> int:
    """Show the events of `scope` until every install in `awaited` has ended; for ever if there is none."""
    view = _view(invocation, as_json)
    view.start()
    try:
        return await Watcher(client, view, scope, awaited, invocation.pace).run()
    finally:
        view.stop()


def _view(invocation: Invocation, as_json: bool) -> View:
    if as_json:
        return JsonLines()
    return Screen(invocation.now) if sys.stdout.isatty() else PlainLines()


class Watcher:
    """Keeps what is known of the installs fresh while events come in, and knows when it is over.

    `scope` is {}, {"node": id} or {"install": id}; `awaited` the installs whose end is the end. An event may get lost when the appliance
    crashes, so the installs are also asked for at the `pace`'s poll.
    """

    def __init__(self, client: Client, view: View, scope: dict[str, str], awaited: list[str], pace: Pace) -> None:
        self._client = client
        self._view = view
        self._scope = scope
        self._awaited = awaited
        self._pace = pace
        self._states: dict[str, str] = {}
        self._broken: Failure | None = None
        self._polls_over = 0
        self._polling: Deferred[None] | None = None
        # An install's whole story is told from its first event; of nodes and of everything only what is new.
        after = 0 if "install" in scope else None
        self._follower = Follower(client, pace, after=after, node=scope.get("node"), install=scope.get("install"), lost=say_lost)

    async def run(self) -> int:
        """Exit status: 0 if every awaited install is done, else 1. Unreachable, Refused, Unauthorised if it can't even begin."""
        await self._ask_all()
        if not self._over():
            await self._follower.connect()
            loops = [
                self._every(self._pace.poll, self._poll),
                *([self._every(self._pace.redraw, self._view.tick)] if self._view.moves else []),
            ]
            try:
                await self._follow()
            finally:
                self._follower.stop()
                for loop in loops:
                    if loop.running:
                        loop.stop()
                if self._polling is not None:
                    self._polling.cancel()
        return 0 if all(self._states.get(each) == "done" for each in self._awaited) else 1

    async def _follow(self) -> None:
        told: set[Any] = set()
        while not (self._over() and told.issuperset(self._awaited)) or self._follower.pending:
            event = await self._follower.next()
            if self._broken is not None:
                self._broken.raiseException()
            if event is None:
                return
            self._view.event(event)
            kind, install_id = str(event.get("kind", "")), event.get("install")
            if kind in ENDING:
                told.add(install_id)
            if kind in ENDING or (kind.startswith(_CHANGING) and not self._follower.pending):
                await self._refresh(install_id)

    def _over(self) -> bool:
        return bool(self._awaited) and all(self._states.get(each, "running") != "running" for each in self._awaited)

    def _every(self, seconds: float, call: Callable[[], object]) -> task.LoopingCall:
        loop = task.LoopingCall(call)
        loop.clock = self._client.reactor
        loop.start(seconds, now=False).addErrback(self._fail)
        return loop

    def _fail(self, failure: Failure) -> None:
        """A poll or a redraw went wrong: `_follow` wakes and raises it."""
        self._broken = failure
        self._follower.stop()

    def _poll(self) -> Deferred[None]:
        async def poll() -> None:
            try:
                await self._ask_all()
            except Unreachable:
                return  # The follower says so and reconnects.
            self._polls_over = self._polls_over + 1 if self._over() else 0
            if self._polls_over > 1:
                self._follower.stop()  # The event that should have ended this is lost.

        self._polling = Deferred.fromCoroutine(poll())
        return self._polling

    async def _ask_all(self) -> None:
        for each in self._awaited:
            self._take(await self._client.get("installs", each))
        if not self._awaited:
            running = await self._client.get("installs", state="running", node=self._scope.get("node"))
            for found in running["installs"]:
                self._take(found)

    async def _refresh(self, install_id: Any) -> None:
        if isinstance(install_id, str):
            try:
                self._take(await self._client.get("installs", install_id))
            except Unreachable:
                return  # The follower says so and reconnects; the next poll asks again.

    def _take(self, found: dict[str, Any]) -> None:
        self._states[found["id"]] = found["state"]
        self._view.install(found)
