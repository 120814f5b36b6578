"""What a node says about itself, as it is kept: text that every database takes, of bounded length."""

from __future__ import annotations

from typing import Any

from pxed.node.identity import firmware_of
from pxed.node.model import Node
from pxed.node.timeline import printable

_LONGEST = 128
"""Characters kept of what a node says about itself."""


def kept(value: Any) -> Any:
    """`value`, made printable and cut when it is text."""
    return printable(value)[:_LONGEST] if isinstance(value, str) else value


def remember(node: Node, **said: str | int | None) -> bool:
    """Keep what `node` said, by the names of its fields, None for nothing; whether that was new."""
    changed = False
    for name, value in said.items():
        before = getattr(node, name)
        if value is None or value == before or (value := kept(value)) == before:
            continue
        setattr(node, name, value)
        changed = True
    node.firmware = firmware_of(node.arch)
    return changed
