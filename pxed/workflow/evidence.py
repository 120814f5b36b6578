"""What pxed finds out itself when an installed system may be unable to call back: one of its TCP ports answers. Pure.

The installer must not be taken for the system it installs, and both sit at the same address. So a port counts only if pxed, since the
node was sent to its disk, has asked for it and got no answer: whatever listens there later was not there then. ESXi and Windows open none
of these ports while they install, so the first look, a second after `installed`, is usually that look; if the installer does hold the
port, it is the restart. A port that answers from the first look to the last proves nothing, and the install ends unproven.

What was silent is told on the timeline, and read from there after a restart of pxed. If that line is lost, or pxed was down from before
the first look until after the restart, a proof may be missed; a false one can't come of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

from pxed.node.model import Event
from pxed.workflow.install import Install

FIRST_LOOK = 1.0
"""Seconds from when evidence is awaited to the first look."""
LOOK_EVERY = 15.0
"""Seconds between two looks."""
KIND = "install.probe"
"""Of the events that say what was seen."""

Endpoint = tuple[str, int]
"""IP address and TCP port."""


class Look(NamedTuple):
    """One look: the endpoints that were asked, those of them that answered as this node, and what else is worth telling."""

    asked: frozenset[Endpoint]
    answered: frozenset[Endpoint]
    remarks: tuple[str, ...] = ()


NOTHING = Look(frozenset(), frozenset())
"""No address to ask is known."""

Probe = Callable[[Install, tuple[int, ...]], Awaitable[Look]]
"""Looks once, within seconds. May be cancelled; never raises."""


async def blind(_install: Install, _ports: tuple[int, ...]) -> Look:
    """The probe of an engine that was given none."""
    return NOTHING


class Vigil:
    """What the looks of one await come to. `events` are the node's so far, `since` is when the await was reached (UTC seconds)."""

    def __init__(self, events: Iterable[Event] = (), since: float = 0.0) -> None:
        self._silent: set[Endpoint] = set()
        for event in events:
            if event.kind == KIND and event.at >= since:
                self._silent.update((address, port) for address, port in event.data.get("silent", ()))
        self._told: set[str] = set()
        self.pause = FIRST_LOOK

    def take(self, look: Look) -> Endpoint | None:
        """The endpoint that proves that the installed system runs, None if none does yet."""
        self.pause = LOOK_EVERY
        proofs = look.answered & self._silent
        return min(proofs) if proofs else None

    def news(self, look: Look) -> list[tuple[str, dict[str, Any]]]:
        """What `look` tells that no look before it did: sentences for the timeline with their data. After `take`."""
        silent = look.asked - look.answered - self._silent
        self._silent |= silent
        early = look.answered - self._silent
        told: list[tuple[str, dict[str, Any]]] = [(remark, {}) for remark in look.remarks]
        if early:
            told.append((f"{spelled(early)} answers already, which may be the installer: it counts once it has been silent", {}))
        if silent:
            text = f"Nothing answers on {spelled(silent)}: what answers there from now on is the installed system"
            told.append((text, {"silent": sorted(map(list, silent))}))
        new = [(text, data) for text, data in told if text not in self._told]
        self._told.update(text for text, _ in new)
        return new


def spelled(endpoints: Iterable[Endpoint]) -> str:
    """``TCP port 443 and 902 at 10.0.0.5``"""
    ports: dict[str, list[int]] = {}
    for address, port in sorted(endpoints):
        ports.setdefault(address, []).append(port)
    return ", ".join(f"TCP port {' and '.join(map(str, each))} at {address}" for address, each in ports.items())
