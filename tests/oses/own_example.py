"""The example of docs/os/own.md, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "os" / "own.md"


def files() -> dict[str, str]:
    """path > text of every file that the document shows: a name in backquotes that begins with ``oses/``, and the next block below it."""
    text = DOCUMENT.read_text()
    return {found[1]: found[2] for found in re.finditer(r"^`(oses/[^`]+)`.*?\n```(?:toml|jinja)\n(.*?)^```$", text, re.M | re.S)}


def write(root: Path) -> Path:
    """The document's files below `root`; the directory that holds them."""
    for name, text in files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "oses"


def console() -> tuple[str, str]:
    """(command, its output) that the document shows."""
    found = re.search(r"^```console\n\$ (.*?)\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)
    assert found
    return found[1], found[2]
