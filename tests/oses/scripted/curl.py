"""curl's command line, as batch files write it: what it asks for, and when it tries again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from tests.oses.scripted.line import Asked

_VALUED = ("--noproxy", "--connect-timeout", "--speed-limit", "--speed-time", "-C", "-m", "-o", "--retry", "--retry-delay")
_PLAIN = ("-fsS", "-g", "-G", "--retry-connrefused")


class Curl(NamedTuple):
    """`asked` up to `retries` times more, `delay` seconds after each failure that is one of `again`."""

    asked: Asked
    retries: int
    delay: float
    again: tuple[str, ...]


def read(words: tuple[str, ...]) -> Curl:
    """What follows curl's name; behind the name of a file of data stands its text. AssertionError for an option that is not known here."""
    *options, url = words
    given: dict[str, str] = {}
    data: list[str] = []
    left = iter(options)
    for option in left:
        if option == "--data-urlencode":
            data.append(_field(next(left), left))
        else:
            assert option in (*_VALUED, *_PLAIN), f"curl's {option} is not known here"
            given[option] = next(left) if option in _VALUED else ""
    method, body = "GET", ""
    if "-G" in given:
        url += "".join(f"{'&' if '?' in url else '?'}{each}" for each in data)
    elif data:
        method, body = "POST", "&".join(data)
    again = ("timeout", "refused") if "--retry-connrefused" in given else ("timeout",)
    asked = Asked(method, url, Path("/dev/null"), float(given.get("-m", 120)), body.encode())
    return Curl(asked, int(given.get("--retry", 0)), float(given.get("--retry-delay", 1)), again)


def _field(given: str, left: Iterator[str]) -> str:
    """``name=text`` or ``name@file``, encoded."""
    name, equals, text = given.partition("=")
    if not equals:
        name, text = given.split("@", 1)[0], next(left)
    return f"{name}={quote(text)}"
