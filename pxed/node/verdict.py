"""The verdict: one sentence that says how far a node got, where it stopped and what the likely cause is. Pure; imports no Twisted.

A network boot is a ladder, and each kind of event of the timeline is a rung. The highest rung reached since the install was created
says where it stopped; how long ago says whether it stopped at all. `LADDER` is the rule base, lowest rung first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pxed.node.model import Event, Node
from pxed.node.wording import lasting


@dataclass(frozen=True, slots=True)
class Rung:
    """How far a boot got. After `patience` seconds without anything new it counts as stopped, and `stopped` is why, likely."""

    name: str
    patience: float
    stopped: str


LADDER = (
    Rung("nothing", 0.0, "not seen on the network since; power it on, and look at its boot order (network first), its cable and its VLAN"),
    Rung("discover", 20.0, "it asked for an address but was offered no boot program; the DHCP lines of its timeline say why"),
    Rung(
        "offer",
        20.0,
        "it was offered a boot program and never asked for it: its firmware ignores proxy offers, or got no address from the network's "
        "own DHCP server, or that server names a boot server itself (options 66 and 67)",
    ),
    Rung(
        "ack",
        20.0,
        "it was told its boot program on port 4011 and never asked for it by TFTP: UDP 69 is filtered between the two, or Secure Boot "
        "or the firmware's settings stop it",
    ),
    Rung(
        "request",
        20.0,
        "it asked for its boot program and did not get all of it: the way back is filtered (TFTP answers from another port than 69), or "
        "the path's MTU is smaller than the block size",
    ),
    Rung(
        "program",
        60.0,
        "it has its boot program, which never asked for its profile: Secure Boot refused it, it has no driver for this network card, or "
        "it got no address a second time",
    ),
    Rung(
        "profile",
        60.0,
        "it has its boot profile and fetched no kernel: the repository's URL is wrong or not reachable from there, or it ran out of memory",
    ),
    Rung(
        "kernel",
        300.0,
        "the installer's kernel was loaded and its answer file never fetched: the installer got no address (a missing driver, another "
        "network card than the one it booted from, spanning tree), or the kernel does not start on this machine",
    ),
    Rung(
        "speaks",
        300.0,
        "its installer writes to our log and never fetched its answer file; the lines of that log say why",
    ),
    Rung(
        "answer",
        900.0,
        "it has its answer file and never said that it started: the installer stopped at a question or an error; look at its console",
    ),
    Rung("notified", 2700.0, "the installer has gone silent; look at its console and its log"),
    Rung(
        "installed",
        1200.0,
        "it said that it was installed, and the installed system never called back: it does not boot from its disk (boot order, boot "
        "loader), or has no network",
    ),
)
_UNPROVEN = "boot order, boot loader, network, or an OS that can't call back"
_RUNGS = [rung.name for rung in LADDER]
_SEEN = ("dhcp.", "tftp.", "http.", "notification", "syslog")


def verdict(node: Node, events: Sequence[Event], install_state: str | None, now: float) -> str:
    """One sentence on `node`. `events` oldest first, of this node; `install_state` of its newest install, None if it never had one;
    `now` UTC seconds."""
    if install_state is None:
        return _without_install(events, now)
    theirs = _since_created(events)
    if install_state == "done":
        proof = next((str(event.data["proof"]) for event in reversed(theirs) if event.data.get("proof")), "it was seen to boot")
        return f"Done, and it boots its own disk: {proof}"
    if install_state == "cancelled":
        return "Cancelled by the operator; it is offered nothing until it is armed again"
    if install_state == "parked":
        return _last_text(theirs, "install.parked") or "Parked: its recipe could not go on; retry, restart or cancel it"
    if install_state == "unproven":
        reason = _last_text(theirs, "install.unproven") or "Unproven: the installed system was not seen to boot in time"
        else_look = f"else look at its console ({_UNPROVEN}), or install it again: pxed install retry {node.label}"
        return f"{reason}. It boots its own disk, and is done as soon as it calls back; {else_look}"
    if install_state == "running" and (restarted := _since_restart(theirs)):
        return restarted
    place, at = _highest(theirs)
    rung = LADDER[place]
    if install_state == "failed":
        reason = _last_text(theirs, "install.failed") or "It failed"
        told = any(e.kind == "notification" and e.data.get("status") == "fail" for e in theirs)
        return reason if told else f"{reason}. It stopped here: {_why(rung, theirs)}"
    if rung.name == "nothing":
        armed = theirs[0].at if theirs else node.last_seen
        return f"Armed {lasting(now - armed)} ago and {rung.stopped}"
    last = max([at, *(e.at for e in theirs if e.kind.startswith(_SEEN))])
    if now - last <= rung.patience:
        newest = next(e for e in reversed(theirs) if e.kind.startswith(_SEEN))
        return f"Under way: {newest.text} ({lasting(now - newest.at)} ago)"
    return f"Nothing new for {lasting(now - last)}: {_why(rung, theirs)}"


def _without_install(events: Sequence[Event], now: float) -> str:
    seen = [event for event in events if event.kind.startswith(_SEEN)]
    if not seen:
        return "Never seen on the network; it can be armed all the same, and will install when it boots from the network"
    return f"Seen {lasting(now - seen[-1].at)} ago and offered nothing, because nothing is to be installed on it"


def _since_created(events: Sequence[Event]) -> Sequence[Event]:
    starts = [at for at, event in enumerate(events) if event.kind == "install.created"]
    return events[starts[-1] :] if starts else events


def _highest(events: Sequence[Event]) -> tuple[int, float]:
    """The place of the highest rung that was reached, and when it was reached last."""
    place, at, profiled = 0, 0.0, False
    for event in events:
        profiled = profiled or event.kind == "http.profile"
        name = _rung(event, profiled=profiled)
        if name is not None and _RUNGS.index(name) >= place:
            place, at = _RUNGS.index(name), event.at
    return place, at


def _rung(event: Event, *, profiled: bool) -> str | None:
    if event.kind == "notification":
        if event.data.get("status") == "fail":
            return None
        return "installed" if event.data.get("phase") == "installed" else "notified"
    if event.kind == "http.file":  # before the profile it is a boot program, by UEFI HTTP Boot
        return "kernel" if profiled else "program"
    return {
        "dhcp.discover": "discover",
        "dhcp.silent": "discover",
        "dhcp.problem": "discover",
        "dhcp.offer": "offer",
        "dhcp.ack": "ack",
        "tftp.request": "request",
        "tftp.failed": "request",
        "tftp.sent": "program",
        "http.profile": "profile",
        "http.answer": "answer",
        "http.hook": "answer",
        "syslog": "speaks",
    }.get(event.kind)


def _why(rung: Rung, events: Sequence[Event]) -> str:
    """The likely cause, and what went wrong in so many words if there is such an event on this rung."""
    kinds = {
        "discover": ("dhcp.problem", "dhcp.silent"),
        "offer": ("dhcp.problem", "dhcp.rival"),
        "request": ("tftp.failed",),
        "profile": ("http.failed",),
        "kernel": ("http.failed",),
    }
    texts = (_last_text(events, kind) for kind in kinds.get(rung.name, ()))
    text = next((text for text in texts if text), "")
    return f"{rung.stopped} ({text})" if text else rung.stopped


def _since_restart(events: Sequence[Event]) -> str:
    """What was said when the node boots from the network again while its installer was at work; "" if it has called back since."""
    last = next((event for event in reversed(events) if event.kind in ("install.rebooted", "notification")), None)
    return last.text if last is not None and last.kind == "install.rebooted" else ""


def _last_text(events: Sequence[Event], kind: str) -> str:
    return next((event.text for event in reversed(events) if event.kind == kind), "")
