"""The JSON shapes of the API: nodes, installs, events. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pxed.node.guard import Refusal
from pxed.node.identity import architecture_name
from pxed.node.model import Event, Node

Json = dict[str, Any]

_STATES = {
    "running": "installing",
    "done": "installed",
    "unproven": "unproven",
    "failed": "failed",
    "parked": "failed",
    "cancelled": "idle",
}


def moment(at: float | None) -> str | None:
    """UTC seconds > ``2026-05-01T12:00:00.123Z``."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def node_shape(node: Node, install: Any = None, refusal: Refusal | None = None) -> Json:
    """A node; `install` is its latest one, running or not; `refusal` the boot guard's word on it. ``left`` in seconds, null for ever."""
    return {
        "id": node.id,
        "name": node.name,
        "label": node.label,
        "macs": list(node.macs),
        "arch": None if node.arch is None else {"code": node.arch, "name": architecture_name(node.arch)},
        "firmware": node.firmware,
        "address": node.address,
        "interface": node.interface,
        "vendor_class": node.vendor_class,
        "uuid": node.uuid,
        "localboot": node.localboot,
        "boot_program": node.boot_program,
        "facts": {name: value for name, value in node.facts.items() if isinstance(value, str)},
        "refused": None if refusal is None else {"reason": refusal.reason, "text": refusal.text, "left": _whole(refusal.left)},
        "first_seen": moment(node.first_seen),
        "last_seen": moment(node.last_seen),
        "boot": {"kind": node.boot.kind, "install": node.boot.install},
        "state": node_state(node, install),
        "install_id": install.id if install is not None else None,
    }


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def node_state(node: Node, install: Any) -> str:
    """``new`` (nobody adopted it), ``idle``, ``installing``, ``installed``, ``unproven``, ``failed`` (or parked)."""
    if install is not None:
        return _STATES[install.state]
    return "idle" if node.known else "new"


def install_shape(install: Any, node: Node | None, *, options: Json, now: float) -> Json:
    """An install; `options` as the catalog shows them, without secrets. `elapsed` in seconds. `proof`: what showed that it is done;
    `last_lines`: what its node's log said before it failed."""
    return {
        "id": install.id,
        "node": {
            "id": install.node_id,
            "label": node.label if node is not None else install.node_id,
            "mac": node.mac if node is not None else None,
        },
        "os": install.family,
        "release": install.release,
        "state": install.state,
        "stage": install.stage,
        "installer": install.installer,
        "percent": install.percent,
        "progress": install.progress_text,
        "reason": install.reason,
        "last_lines": list(install.last_lines),
        "proof": install.proof,
        "created_at": moment(install.created_at),
        "finished_at": moment(install.finished_at),
        "elapsed": round(max(0.0, (install.finished_at or now) - install.created_at), 1),
        "deadline": moment(install.deadline),
        "recipe": {"name": install.recipe, "version": install.recipe_version},
        "retry_of": install.retry_of,
        "options": options,
    }


def event_shape(event: Event) -> Json:
    """One line of the timeline."""
    return {
        "id": event.id,
        "at": moment(event.at),
        "kind": event.kind,
        "text": event.text,
        "node": event.node,
        "install": event.install,
        "data": event.data,
    }
