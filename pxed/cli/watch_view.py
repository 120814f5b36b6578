"""The three faces of `pxed watch`. A view is told of events and installs; only `Screen` moves and needs `tick`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pxed.cli.event_command import event_line
from pxed.cli.output import clean, clock_time, console, duration, moment, print_json_line, styled

Tree = dict[str, Any]

_KEPT_EVENTS = 12
ENDING = frozenset({"install.done", "install.unproven", "install.failed", "install.cancelled", "install.parked"})
"""The kinds of event with which an install ends."""


class View(Protocol):
    """`moves`: whether `tick` is to be called twice a second between `start` and `stop`."""

    moves: bool

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def tick(self) -> None: ...
    def event(self, event: Tree) -> None: ...
    def install(self, install: Tree) -> None: ...


class JsonLines:
    """``{"event": E}`` and ``{"install": I}``, one per line."""

    moves = False

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def tick(self) -> None:
        pass

    def event(self, event: Tree) -> None:
        print_json_line({"event": event})

    def install(self, install: Tree) -> None:
        print_json_line({"install": install})


class PlainLines:
    """One line per event, and one when an install's state, stage or progress changes: for logs and pipes.

    The event that ends an install is always followed by such a line, even if a poll had seen the end before it came.
    """

    moves = False

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def tick(self) -> None:
        pass

    def event(self, event: Tree) -> None:
        console().print(event_line(event))
        if event.get("kind") in ENDING:
            self._last.pop(str(event.get("install")), None)

    def install(self, install: Tree) -> None:
        line = summary(install)
        if self._last.get(install["id"]) != line:
            self._last[install["id"]] = line
            console().print(Text(f"{line}  ({duration(float(install.get('elapsed') or 0))})"))


class Screen:
    """A table of the installs with progress bars and running times, and the latest events below. `now` gives UTC seconds."""

    moves = True

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._installs: dict[str, Tree] = {}
        self._events: list[Tree] = []
        self._live = Live(console=console(), auto_refresh=False, transient=False)

    def start(self) -> None:
        self._live.start()
        self.tick()

    def stop(self) -> None:
        self.tick()
        self._live.stop()

    def tick(self) -> None:
        self._live.update(self.picture(), refresh=True)

    def event(self, event: Tree) -> None:
        self._events = [*self._events, event][-_KEPT_EVENTS:]

    def install(self, install: Tree) -> None:
        self._installs[install["id"]] = install

    def picture(self) -> Group:
        """What is on the screen now."""
        installs = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for name in ("NODE", "OS", "STATE", "PROGRESS", "", "ELAPSED", "NOW"):
            installs.add_column(name, no_wrap=name != "NOW")
        for each in self._installs.values():
            percent = int(each.get("percent") or 0)
            bar = ProgressBar(total=100, completed=percent, width=24)
            node = clean((each.get("node") or {}).get("label"))
            what = f"{clean(each.get('os'))} {clean(each.get('release'))}"
            installs.add_row(node, what, styled(each.get("state")), bar, f"{percent} %", duration(self._elapsed(each)), now_text(each))
        below = [Text.assemble((clock_time(e.get("at")), "dim"), "  ", _shorter(event_line(e), e)) for e in self._events]
        first: Table | Text = installs if self._installs else Text("No install is running. Waiting for events; Ctrl-C ends.", style="dim")
        return Group(first, Text(), *below)

    def _elapsed(self, install: Tree) -> float:
        created = moment(install.get("created_at"))
        if install.get("state") != "running" or created is None:
            return float(install.get("elapsed") or 0)
        return max(0.0, self._now() - created.timestamp())


def _shorter(line: Text, event: Tree) -> Text:
    """The event's line without its date, which the screen shows as a time of day."""
    stamp = line.plain.index("  ") + 2
    return line[stamp:] if event.get("at") else line


def now_text(install: Tree) -> Text:
    """What it is at, or why it ended."""
    text = (
        install.get("reason")
        if install.get("state") in ("unproven", "failed", "parked", "cancelled")
        else install.get("progress") or install.get("stage")
    )
    return Text(clean(text))


def summary(install: Tree) -> str:
    """``web1  debian 12  running  40 %  the base system is installed``."""
    node = clean((install.get("node") or {}).get("label"))
    parts = [
        node,
        f"{clean(install.get('os'))} {clean(install.get('release'))}",
        clean(install.get("state")),
        f"{install.get('percent') or 0} %",
    ]
    return "  ".join([*parts, now_text(install).plain]).rstrip()
