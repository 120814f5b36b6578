"""Notifications: what a node tells us, in any form that an installer's shell can manage. Acknowledged once they are stored, not before.

Query arguments win over the body (as RackHD's did). A body may be a form, a JSON object or plain text, whatever its Content-Type says:
busybox wget and curl call everything a form. Plain text is the message, and so are an installer's last log lines.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from pxed.web.rooms import Rooms
from pxed.workflow.notices import LARGEST_DATA

MESSAGE = 16 << 10
"""Characters kept of a message: its end, since that is where an installer's log says what went wrong."""
VALUES = 64
"""Fields kept beside status and message."""

_FORM = re.compile(rb"[A-Za-z0-9_.%-]+=[^\s&]*(?:&[A-Za-z0-9_.%-]+=[^\s&]*)*&?\s*")
_FAILED = frozenset({"fail", "failed", "failure", "error"})


@dataclass(slots=True)
class Told:
    """A notification as it arrived: `status` is ``ok`` or ``fail``."""

    status: str = "ok"
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict)


def read(query: dict[str, str], body: bytes) -> Told:
    """Query arguments and body > what was told. Never raises: a notification is not refused for its form."""
    fields, text = _fields(body)
    fields.update(query)
    message = str(fields.pop("message", "") or fields.pop("error", "") or text)
    status = "fail" if str(fields.pop("status", "ok")).strip().lower() in _FAILED else "ok"
    fields.pop("error", None)
    return Told(status, _clean(message), _kept(fields))


def _kept(fields: dict[str, Any]) -> dict[str, Any]:
    """As many of `fields` as a notification may carry, in their order."""
    kept: dict[str, Any] = {}
    for key, value in list(fields.items())[:VALUES]:
        kept[_clean(key)[:64]] = _small(value)
        if len(json.dumps(kept)) > LARGEST_DATA:
            del kept[_clean(key)[:64]]
            break
    return kept


def _fields(body: bytes) -> tuple[dict[str, Any], str]:
    text = body.decode("utf-8", "replace").strip()
    if text.startswith("{"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            return value, ""
    if _FORM.fullmatch(body):
        return dict(parse_qsl(body.decode("ascii", "replace").strip(), keep_blank_values=True, max_num_fields=10_000)), ""
    return {}, text


def _clean(message: str) -> str:
    kept = message[-MESSAGE:]
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in kept)


def _small(value: Any) -> Any:
    """A JSON value as it is if it is short and every database can hold it; else its text, cut."""
    if value is None or isinstance(value, bool) or (isinstance(value, int | float) and -1e15 < value < 1e15):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return _clean(text[:1024])


async def notify(rooms: Rooms, request: Any, token: str, phase: str | None) -> None:
    """Deliver, then answer. NotFound for an unknown token; StorageUnavailable > 503, so that the node tries again."""
    query = {key.decode("utf-8", "replace"): values[-1].decode("utf-8", "replace") for key, values in request.args.items()}
    told = read(query, request.content.read())
    install = await rooms.engine.deliver(token, phase, status=told.status, message=told.message, data=told.data, source=request.peer)
    _note_address(rooms, install, request.peer)
    request.reply(200, "recorded\n")


async def progress(rooms: Rooms, request: Any, token: str) -> None:
    """``percent`` (or RackHD's ``value`` of ``maximum``) and ``text``. Any answer satisfies iPXE's imgfetch. NotFound: unknown token."""
    install = rooms.engine.by_token(token)
    percent = _number(request.argument("percent"))
    if percent is None:
        value, maximum = _number(request.argument("value")), _number(request.argument("maximum"))
        percent = value * 100 / maximum if value is not None and maximum else None
    if percent is None:
        request.reply(400, "percent (0 to 100) is missing or is no number\n")
        return
    text = _clean(request.argument("text") or request.argument("description") or "")[:200]
    if install.state == "running":
        rooms.engine.progress(install.id, int(max(0, min(100, percent))), text)
    _note_address(rooms, install, request.peer)
    request.reply(200, "recorded\n")


async def webhook(rooms: Rooms, request: Any, token: str) -> None:
    """A JSON object that an installer posts of its own accord: progress, or that it failed. NotFound: unknown token, or a family whose
    installer posts nothing; StorageUnavailable > 503."""
    install = rooms.engine.by_token(token)
    try:
        event = json.loads(request.content.read())
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        request.reply(400, "the body is no JSON object\n")
        return
    report = rooms.catalog.webhook(install, event)
    if report is not None and report.failed:
        await rooms.engine.deliver(token, None, status="fail", message=_clean(report.text), source=request.peer)
    elif report is not None and install.state == "running" and report.percent >= install.percent:
        rooms.engine.progress(install.id, report.percent, _clean(report.text))
    _note_address(rooms, install, request.peer)
    request.reply(200, "recorded\n")


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if -1e9 < value < 1e9 else None


def _note_address(rooms: Rooms, install: Any, address: str) -> None:
    node = rooms.inventory.get(install.node_id)
    if node is not None:
        rooms.inventory.note_address(node.mac, address)
