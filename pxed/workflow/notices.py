"""What a node's notification may be, and how notifications and journal entries read to people. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from pxed.errors import InvalidRequest
from pxed.node.mask import mask
from pxed.node.timeline import printable
from pxed.workflow.journal import Entry, last_boot

PHASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LONGEST_MESSAGE = 2000
LONGEST_IN_EVENT = 900
"""Characters of a message in an event, whose own words go before it."""
LOADER = "loader"
"""The field of a notification that a boot program sends, before any installer runs (templates/boot)."""
LARGEST_DATA = 16_384
"""Bytes of JSON that a notification may carry."""


def inbox_row(phase: str | None, status: str, message: str, data: dict[str, Any] | None, source: str, at: float) -> dict[str, Any]:
    """The inbox columns of a notification. InvalidRequest."""
    if phase is not None and not PHASE.fullmatch(phase):
        raise InvalidRequest(f"{phase[:80]!r} can't be a phase", field="phase", expected="1-64 letters, digits, '.', '_' or '-'")
    if status not in ("ok", "fail"):
        raise InvalidRequest(f"{status[:80]!r} is no status", field="status", expected="ok or fail")
    try:
        size = len(json.dumps(data or {}))
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"The data can't be stored: {error}", field="data", expected="a JSON object") from error
    if size > LARGEST_DATA:
        raise InvalidRequest(f"The data is {size} bytes long", field="data", expected=f"at most {LARGEST_DATA} bytes of JSON")
    words = ending(mask(printable(message)), LONGEST_MESSAGE)
    return {"phase": phase, "status": status, "message": words, "data": data or {}, "source": source[:64], "at": at}


def ending(text: str, most: int) -> str:
    """`text`, or `most` characters with its end: that is where an installer's log says what went wrong."""
    return text if len(text) <= most else f"... {text[4 - most :]}"


def told(phase: str | None, status: str, message: str, remark: str) -> str:
    said = f"The node says {phase!r}" if phase else "The node calls back"
    failed = " has failed" if status == "fail" else ""
    words = ending(message, LONGEST_IN_EVENT)
    return f"{said}{failed}{f': {words}' if words else ''}{f' ({remark})' if remark else ''}"


def restarted(label: str) -> str:
    """What the operator reads when a node that was being installed boots from the network again."""
    return (
        f"{label} was restarted before its installer said that it had finished. It is left to its disk, which may hold the finished "
        f"system: that will call back. If it does not, the installer broke off: `pxed install retry {label}` installs it again from the "
        "beginning"
    )


def parked(reason: str) -> str:
    return f"Parked, to be retried, restarted or cancelled by the operator: {reason}"


def shown(entry: Entry) -> dict[str, Any]:
    """``position``, ``step``, ``answer`` (a sentence), ``at`` and ``deadline`` (UTC seconds or None)."""
    at = entry.answered_at or entry.reached_at
    return {"position": entry.position, "step": entry.step, "answer": summary(entry), "at": at, "deadline": entry.deadline}


def summary(entry: Entry) -> str:
    if entry.answer is None:
        return "waits"
    if "failed" in entry.answer:
        return f"failed: {entry.answer['failed']}"
    notification = entry.answer["ok"]
    if notification is None:
        return "done"
    if notification.get("proof"):
        return f"seen: {notification['proof']}"
    return f"came{': ' + notification['message'] if notification['message'] else ''}"


def called_back(phase: str) -> str:
    return f"The installed system called back ({phase!r})"


def proof_of(entries: Sequence[Entry]) -> str:
    """What shows that an install with this journal is done: the word of the system it installed, that of its installer, or evidence."""
    awaited = [(at, entry.answer["ok"]) for at, entry in enumerate(entries) if entry.answer and entry.answer.get("ok")]
    if not awaited:
        return "No word of the node was awaited"
    at, said = awaited[-1]
    if said.get("proof"):
        return str(said["proof"])
    if last_boot(entries[:at]) == "disk":
        return called_back(said["phase"])
    return f"The installer said {said['phase']!r}; a first boot was not awaited"
