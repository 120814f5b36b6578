"""The Debian mirror that this host's own apt uses, read at run time, so that a fresh Debian machine needs no repository set up by hand.

Shapes: sources.list(5), one-line style and deb822. Only http(s) archives whose path ends like a Debian archive count: an Ubuntu host has
none, and the operator names one instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_ONE_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(https?://\S+)\s+(\S+)", re.MULTILINE)


def debian_mirror(etc_apt: Path = Path("/etc/apt")) -> str | None:
    """The URI of the first Debian archive in apt's sources, no trailing slash; None if there is none. Reads files: not for the reactor."""
    for uri, suite in _entries(etc_apt):
        if uri.rstrip("/").endswith("/debian") and not suite.endswith(("-security", "/updates")):
            return uri.rstrip("/")
    return None


def _entries(etc_apt: Path) -> Iterator[tuple[str, str]]:
    parts = etc_apt / "sources.list.d"
    for path in sorted(parts.glob("*.sources")) if parts.is_dir() else []:
        yield from _deb822(path.read_text(encoding="utf-8", errors="replace"))
    for path in [etc_apt / "sources.list", *(sorted(parts.glob("*.list")) if parts.is_dir() else [])]:
        if path.is_file():
            yield from ((m[1], m[2]) for m in _ONE_LINE.finditer(path.read_text(encoding="utf-8", errors="replace")))


def _deb822(text: str) -> Iterator[tuple[str, str]]:
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and key:
                fields[key] += " " + line.strip()
            elif ":" in line:
                key, value = line.split(":", 1)
                key = key.strip().lower()
                fields[key] = value.strip()
        if fields.get("enabled", "yes").lower() in {"no", "false"} or "deb" not in fields.get("types", "deb").split():
            continue
        for uri in fields.get("uris", "").split():
            if uri.startswith(("http://", "https://")):
                yield uri, (fields.get("suites", "").split() or [""])[0]
