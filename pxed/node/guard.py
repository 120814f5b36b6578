"""Breaks boot loops: a node that goes round in circles is left alone until somebody looks.

Two circles, two rules. A node that fetched its install's profile `FETCHES` times without one callback of the installer is *quarantined*:
until an operator clears it, or orders, retries or cancels an install. A node that was offered, or downloaded, the same boot program more
than `PROGRAMS` times within `WINDOW` seconds is in *back-off* for `PAUSE` seconds. Either way it gets no offer and boots its own disk.

Everything is counted from the timeline except offers, which the DHCP door reports. All in memory: restarting pxed forgives. Time is
monotonic (seconds), so that a clock that jumps neither frees nor holds anybody. No Twisted in here.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pxed.node.inventory import Inventory
from pxed.node.model import Event
from pxed.node.timeline import Timeline

FETCHES = 3
PROGRAMS = 5
WINDOW = 120.0
PAUSE = 600.0
_MOST = 65536
"""Nodes that are counted at a time; the one that was quiet for longest goes first."""

_ALIVE = frozenset({"notification", "install.done"})
_ORDERED = frozenset({"install.created", "install.retried", "install.cancelled"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node gets no offer. `left`: seconds until that ends by itself, None for never."""

    reason: Literal["quarantined", "back-off"]
    text: str
    left: float | None


@dataclass(slots=True)
class _Record:
    fetches: int = 0
    rounds: dict[str | int | None, deque[float]] = field(default_factory=dict)


class Guard:
    """`seconds` is a monotonic clock. Hears `timeline` from its construction on."""

    def __init__(self, *, inventory: Inventory, timeline: Timeline, seconds: Callable[[], float] = time.monotonic) -> None:
        self._inventory = inventory
        self._timeline = timeline
        self._seconds = seconds
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._quarantined: set[str] = set()
        self._paused: dict[str, float] = {}  # node id > until when
        self.close = timeline.subscribe(self._heard)
        """Stop listening. May be called twice."""

    def refusal(self, node_id: str) -> Refusal | None:
        """Why this node gets nothing to boot now; None lets it. Asked on every packet, nearly always of a node in neither."""
        if node_id in self._quarantined:
            return Refusal("quarantined", f"it fetched its boot profile {FETCHES} times and its installer never called back", None)
        until = self._paused.get(node_id)
        left = until - self._seconds() if until is not None else 0.0
        if left > 0:
            text = f"it went for its boot program more than {PROGRAMS} times in {WINDOW / 60:.0f} minutes"
            return Refusal("back-off", f"{text}; it is asked to wait {left / 60:.0f} more minutes", left)
        return None

    def refused(self) -> dict[str, Refusal]:
        """Every node that is refused now: node id > why."""
        found = {node_id: self.refusal(node_id) for node_id in self._records}
        return {node_id: refusal for node_id, refusal in found.items() if refusal is not None}

    def clear(self, node_id: str) -> bool:
        """The operator lets it try again. Returns whether it had been refused; the timeline says so then."""
        refused = self.refusal(node_id)
        self._forget(node_id)
        if refused is not None:
            self._timeline.record("node.updated", f"{self._label(node_id)} may boot from the network again", node=node_id)
        return refused is not None

    def offered(self, node_id: str, arch: int | None) -> None:
        """A boot program was offered in a new exchange (retransmits don't count). Called by the DHCP door."""
        self._round(node_id, arch)

    def _heard(self, event: Event) -> None:
        if event.node is None:
            return
        if event.kind == "http.profile" and event.install is not None:
            self._fetched(event.node)
        elif event.kind == "tftp.sent":
            self._round(event.node, str(event.data.get("file", "")))
        elif event.kind == "http.file" and "boot_program" in event.data:
            self._round(event.node, str(event.data["boot_program"]))
        elif event.kind in _ALIVE:
            record = self._records.get(event.node)
            if record is not None:
                record.fetches = 0
                self._quarantined.discard(event.node)
        elif event.kind in _ORDERED:
            self._forget(event.node)

    def _fetched(self, node_id: str) -> None:
        record = self._record(node_id)
        record.fetches += 1
        if record.fetches >= FETCHES and node_id not in self._quarantined:
            self._quarantined.add(node_id)
            text = (
                f"{self._label(node_id)} is quarantined: its boot profile was fetched {FETCHES} times and its installer never called back"
            )
            self._timeline.record(
                "dhcp.problem",
                f"{text}. It boots its disk until you clear it or retry the install",
                node=node_id,
                data={"guard": "quarantined"},
            )

    def _round(self, node_id: str, what: str | int | None) -> None:
        """`what`: a file that was downloaded, or the architecture that was offered a boot program."""
        record = self._record(node_id)
        now = self._seconds()
        times = record.rounds.get(what)
        if times is None:
            if len(record.rounds) >= 256:  # names come from the node: it may ask for any
                record.rounds.clear()
            times = record.rounds[what] = deque(maxlen=PROGRAMS + 1)
        times.append(now)
        if len(times) > PROGRAMS and now - times[0] <= WINDOW and self._paused.get(node_id, now) <= now:
            self._paused[node_id] = now + PAUSE
            record.rounds.clear()
            text = f"{self._label(node_id)} went for its boot program more than {PROGRAMS} times in {WINDOW / 60:.0f} minutes"
            self._timeline.record(
                "dhcp.problem",
                f"{text}: no offers for {PAUSE / 60:.0f} minutes",
                node=node_id,
                data={"guard": "back-off", "what": str(what)},
            )

    def _record(self, node_id: str) -> _Record:
        record = self._records.get(node_id)
        if record is None:
            if len(self._records) >= _MOST:
                self._forget_one()
            record = self._records[node_id] = _Record()
        else:
            self._records.move_to_end(node_id)
        return record

    def _forget_one(self) -> None:
        """The longest quiet one that is not refused, else the longest quiet one."""
        quiet = next((node_id for node_id in self._records if self.refusal(node_id) is None), next(iter(self._records)))
        self._forget(quiet)

    def _forget(self, node_id: str) -> None:
        self._records.pop(node_id, None)
        self._quarantined.discard(node_id)
        self._paused.pop(node_id, None)

    def _label(self, node_id: str) -> str:
        node = self._inventory.get(node_id)
        return node.label if node else node_id
