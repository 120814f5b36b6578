"""How things look on a terminal: JSON, tables, times. Whatever came from a node or the API goes through `clean` first."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLES = {
    "done": "green",
    "installed": "green",
    "ok": "green",
    "running": "cyan",
    "installing": "cyan",
    "new": "yellow",
    "warn": "yellow",
    "parked": "yellow",
    "unproven": "bold yellow",
    "cancelled": "yellow",
    "failed": "bold red",
    "fail": "bold red",
}

_PIPE_WIDTH = 1000


def console(*, stderr: bool = False) -> Console:
    """A console for standard output as it is now; lines are not folded when nobody's terminal reads them."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True, width=None if stream.isatty() else _PIPE_WIDTH
    )


def clean(value: object) -> str:
    """`value` as text that a terminal can be shown: control, format and unassigned characters become ``?``, tabs and newlines spaces."""
    text = "" if value is None else str(value)
    return "".join(" " if c in "\t\n\r" else "?" if unicodedata.category(c)[0] == "C" or c in "\u2028\u2029" else c for c in text)


def print_json(tree: Any) -> None:
    click.echo(json.dumps(tree, indent=2, ensure_ascii=False))


def print_json_line(tree: Any) -> None:
    """One line per value, for streams."""
    click.echo(json.dumps(tree, ensure_ascii=False))


def styled(value: object) -> Text:
    """A cell; states have their colour."""
    text = clean(value)
    return Text(text, style=STYLES.get(text, ""))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Columns by blanks, a header line, nothing drawn: easy to read and to cut."""
    out = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for name in columns:
        out.add_column(name, overflow="fold")
    for row in rows:
        out.add_row(*(cell if isinstance(cell, Text) else styled(cell) for cell in row))
    return out


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """The table, or the sentence `empty`."""
    if rows:
        print_tidy(table(columns, rows))
    else:
        click.echo(empty)


def print_fields(fields: Mapping[str, object]) -> None:
    """``name: value`` lines, values aligned; those without a value left out."""
    present = {name: value for name, value in fields.items() if value not in (None, "", [])}
    out = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False, show_edge=False)
    out.add_column(style="bold", no_wrap=True)
    out.add_column(overflow="fold")
    for name, value in present.items():
        out.add_row(f"{name}:", value if isinstance(value, Text) else styled(value))
    print_tidy(out)


def print_tidy(out: Table) -> None:
    """Print without the blanks that fill up the last column."""
    screen = console()
    with screen.capture() as captured:
        screen.print(out)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def moment(text: object) -> datetime | None:
    """RFC 3339 > a time; None if it is none."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def local(text: object) -> str:
    """RFC 3339 > local time ``2026-11-22 22:01:07``."""
    at = moment(text)
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else clean(text)


def clock_time(text: object) -> str:
    """RFC 3339 > local time of day ``22:01:07``."""
    at = moment(text)
    return at.astimezone().strftime("%H:%M:%S") if at else clean(text)


def ago(text: object, now: float) -> str:
    """RFC 3339 > ``3 m ago``, against `now` in UTC seconds."""
    at = moment(text)
    return f"{duration(max(0.0, now - at.timestamp()))} ago" if at else ""


def duration(seconds: float) -> str:
    """``42 s``, ``9 m 05 s``, ``2 h 03 m``, ``3 d``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} m"
    return f"{whole // 86400} d"


def size(number: int) -> str:
    """Bytes > ``170 KiB``."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
