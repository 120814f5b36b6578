"""Server-sent events: bytes in, events out. Does no I/O. (WHATWG HTML, "Parsing an event stream")."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_MAX_BUFFER = 4 << 20


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """`id` is the last id seen so far ("" if none), `kind` the event field ("message" if absent), `data` its lines joined."""

    id: str
    kind: str
    data: str

    def value(self) -> dict[str, Any] | None:
        """The JSON object in `data`; None if it is none."""
        try:
            tree = json.loads(self.data)
        except ValueError:
            return None
        return tree if isinstance(tree, dict) else None


class EventParser:
    """Feed it the body's chunks, cut anywhere. Comments (keep-alives) give nothing. A line beyond 4 MiB is thrown away."""

    def __init__(self) -> None:
        self._rest = b""
        self._id = ""
        self._kind = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that are complete with this chunk."""
        buffer = self._rest + chunk
        # A lone CR at the very end may be the first half of CRLF: it waits for the next chunk.
        held = b"\r" if buffer.endswith(b"\r") else b""
        body = buffer[: len(buffer) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = body.split(b"\n")
        self._rest = rest + held if len(rest) <= _MAX_BUFFER else b""
        found = [self._line(line.decode("utf-8", "replace")) for line in lines]
        return [event for event in found if event is not None]

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> ServerEvent | None:
        data, kind = self._data, self._kind
        self._data, self._kind = [], ""
        return ServerEvent(self._id, kind or "message", "\n".join(data)) if data else None
