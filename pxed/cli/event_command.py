"""`pxed events NODE`: a machine's timeline, every packet, file and installer line of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from rich.text import Text

from pxed.cli.client import Client
from pxed.cli.invocation import Invocation, json_option
from pxed.cli.live import Follower
from pxed.cli.output import clean, console, local, print_json, print_json_line
from pxed.errors import HostProblem, PxedError

Event = dict[str, Any]


@click.command()
@click.argument("handle", metavar="NODE")
@click.option("--follow", "-f", "following", is_flag=True, help="Go on with events as they happen, until Ctrl-C.")
@click.option("--last", "-n", "last_n", type=click.IntRange(0), metavar="N", help="Only the last N of those that are stored.")
@click.option("--kind", metavar="PREFIX", help="Only kinds that begin so: dhcp, tftp, http, install, syslog ...")
@json_option
@click.pass_obj
def events(invocation: Invocation, handle: str, following: bool, last_n: int | None, kind: str | None, as_json: bool) -> None:
    """Show what happened to a machine, oldest first.

    With --json a list, with --json --follow one JSON object per line.

    \b
    Examples:
      pxed events web1 --last 20
      pxed events web1 --follow --kind http
    """

    def wanted(event: Event) -> bool:
        return kind is None or str(event.get("kind", "")).startswith(kind)

    shown: list[Event] = []
    streaming = as_json and following
    emit: Callable[[Event], None] = print_json_line if streaming else shown.append if as_json else print_event

    async def work(client: Client) -> None:
        last, stored = 0, []
        async for event in history(client, handle, invocation.pace.page):
            last = max(last, int(event.get("id") or 0))
            stored += [event] if wanted(event) else []
        for event in stored[-last_n:] if last_n else [] if last_n == 0 else stored:
            emit(event)
        if not (stored or as_json or following):
            click.echo(
                "Nothing is stored of it." if kind is None else f"Nothing is stored of it whose kind begins with {kind!r}.", err=True
            )
        if following:
            node_id = (await client.get("nodes", handle))["id"]
            follower = Follower(client, invocation.pace, after=last, node=node_id, lost=say_lost)
            while (event := await follower.next()) is not None:
                if wanted(event):
                    emit(event)

    invocation.call(work)
    if as_json and not streaming:
        print_json({"events": shown})


async def history(client: Client, handle: str, size: int) -> Any:
    """The stored events of a node, the newest `size` at most and what was added meanwhile, as an asynchronous generator."""
    after = 0
    while True:
        page = (await client.get("nodes", handle, "events", after=after, limit=size))["events"]
        for event in page:
            yield event
        if len(page) < size:
            return
        after = int(page[-1]["id"])


def event_line(event: Event) -> Text:
    """``2026-11-22 22:01:07  dhcp.offer        text``; failures in red."""
    kind = clean(event.get("kind"))
    bad = kind.endswith((".failed", ".problem", ".parked", ".unproven"))
    return Text.assemble(
        (local(event.get("at")), "dim"),
        "  ",
        (f"{kind:<18}", "red" if bad else "cyan"),
        " ",
        (clean(event.get("text")), "red" if bad else ""),
    )


def print_event(event: Event) -> None:
    console().print(event_line(event))


def say_lost(problem: PxedError) -> None:
    """Tell of a connection that broke and is being tried again."""
    click.echo(f"pxed: {problem.problem if isinstance(problem, HostProblem) else problem}; trying again", err=True)
