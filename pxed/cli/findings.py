"""What a look at the host finds: one sentence each, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is a word for the area (``ports``), `text` one sentence without its full stop, `remedy` the command or step that mends it,
    `detail` lines of text to go with that."""

    check: str
    level: Level
    text: str
    remedy: str = ""
    detail: str = ""


def worst(findings: list[Finding]) -> Level:
    """``fail`` if there is any, else ``warn`` if there is any."""
    levels = {each.level for each in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"
