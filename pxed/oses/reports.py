"""How far an installer is, as its family reads it from the installer's own words and from what it has fetched. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Report:
    """What one message of an installer stands for: `percent` (0-100) and `text`; or that it `failed`, and `text` is why."""

    percent: int
    text: str
    failed: bool = False


LineReader = Callable[[str, str], "tuple[int, str] | None"]
"""(syslog tag, message) > (percent, text), None for a line that says nothing about progress."""
WebhookReader = Callable[[Mapping[str, Any]], Report | None]
"""A JSON object that an installer posts > what it says, None if that is nothing. Never raises, whatever the object holds."""


def by_bytes(sent: int, expected: int | None, span: tuple[int, int] | None, reached: int, before: int = 0) -> tuple[int, str]:
    """(percent, text) of an install whose node has fetched `sent` bytes of packages; `before`: those of the last install of that system.

    `expected` of them, if that is known, take it from one end of `span` (the percentages at which the installer has started and has
    finished) to just below the other. An install that is further already (`reached`: its log said so)
    or has not started stays there.
    """
    share = f", {sent * 100 // before} % of the last time's" if 0 < sent <= before else ""
    plain = (reached, f"{sent / MEGABYTE:.0f} MB of packages{share}")
    if not expected or span is None or not span[0] <= reached < span[1]:
        return plain
    part = min(100, sent * 100 // expected)
    percent = span[0] + part * (span[1] - 1 - span[0]) // 100
    return (percent, f"{part} % of the packages' bytes") if percent >= reached else plain
