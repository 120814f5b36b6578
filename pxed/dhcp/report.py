"""What people read of the DHCP door: counters of everything, one event and one log line for each step of an exchange.

Firmware repeats itself: a retransmit (same xid, within a minute) is answered but not told again, and the same silence is told once a
minute. A flood must not become a flood of rows and lines: what exceeds `EVENTS` and `LINES` is answered and counted, and told in one
sentence. A storm of a thousand nodes, three events each, keeps within them.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pxed.dhcp.adapt import SAME_XID
from pxed.dhcp.client import Client, Silence
from pxed.dhcp.offer import Reply
from pxed.dhcp.packet import OFFER, MalformedPacket
from pxed.log import Log
from pxed.node.identity import architecture_name
from pxed.node.model import Node
from pxed.node.siteserver import Piece
from pxed.node.timeline import Timeline

EVENTS = (4000, 200)
LINES = (400, 40)
"""How many are told one by one: at once after a pause, and a second from then on."""

_REMEMBERED = 65536
_SILENCE_TOLD_AGAIN = 60.0
_RIVAL, _RIVAL_TOLD_AGAIN = -1, 600.0
_NOT_OURS = frozenset({"other-message", "not-a-request", "other-server"})
"""Reasons of silence that are part of every boot beside a DHCP server: counted, no line of a node's timeline."""
_FAULTS = frozenset({"no-program", "hardware"})
"""Reasons of silence that the operator should mend."""


class Allowance:
    """`burst` at once after a pause, `rate` a second from then on (a token bucket). `seconds` is a monotonic clock.

    Refilled once a second: what is told in a flood then comes in bunches, and a bunch is one commit of the timeline, a trickle many.
    """

    def __init__(self, burst: int, rate: int, seconds: Callable[[], float]) -> None:
        self._burst = burst
        self._rate = rate
        self._seconds = seconds
        self._left = burst
        self._at = seconds()
        self.refused = 0

    def take(self) -> bool:
        """Whether one more may be; counts `refused` if not."""
        if self._left < 1:
            passed = int(self._seconds() - self._at)
            if passed < 1:
                self.refused += 1
                return False
            self._at += passed
            self._left = min(self._burst, passed * self._rate)
        self._left -= 1
        return True


@dataclass(slots=True)
class _Told:
    """What was told last of one MAC address and message, and when (s)."""

    xid: int
    what: str
    at: float


class Report:
    """`seconds` is a monotonic clock. `counters`: packets by what became of them, ``offer``, ``ack`` or a reason of silence."""

    log = Log(namespace="pxed.dhcp")

    def __init__(self, timeline: Timeline, seconds: Callable[[], float]) -> None:
        self._timeline = timeline
        self._seconds = seconds
        self.counters: Counter[str] = Counter()
        self._told: defaultdict[int, OrderedDict[str, _Told]] = defaultdict(OrderedDict)  # message > MAC address > what was told
        self._warned: set[str] = set()
        self._events = Allowance(*EVENTS, seconds)
        self._lines = Allowance(*LINES, seconds)
        self._info = self.log.info  # `self.log` is made anew whenever it is asked for

    def answered(self, xid: int, mac: str, interface: str, node: Node | None, reply: Reply) -> None:
        """An OFFER or ACK went out."""
        offer = reply.message == OFFER
        self.counters["offer" if offer else "ack"] += 1
        if node is None or not self._is_news(mac, reply.message, xid, reply.file or reply.shape, 0.0) or not self._events.take():
            return
        client = reply.client
        file = reply.file.split("?", 1)[0]
        what = file or "a boot server, this one, on port 4011"
        did = f"asked on {interface} and was offered" if offer else "came to port 4011 and was told"
        text = f"{node.label} ({_who(client)}) {did} {what}"
        for note in client.notes:
            text += f"; {note}"
        data = {"xid": f"{xid:08x}", "file": file, "shape": reply.shape, "class": client.kind, "interface": interface}
        self._tell("dhcp.offer" if offer else "dhcp.ack", text, node, data)

    def silent(self, xid: int, mac: str, node: Node | None, silence: Silence) -> None:
        """No answer. Told when a network boot client asked, once a minute at most for the same reason."""
        self.counters[silence.reason] += 1
        if (
            node is None
            or silence.reason in _NOT_OURS
            or not self._is_news(mac, 0, xid, silence.reason, _SILENCE_TOLD_AGAIN)
            or not self._events.take()
        ):
            return
        text = f"{node.label} asked to boot from the network and got no answer: {silence.text}"
        self._tell("dhcp.problem" if silence.reason in _FAULTS else "dhcp.silent", text, node, {"reason": silence.reason})

    def malformed(self, mac: str, interface: str, why: MalformedPacket) -> None:
        """A packet that is none; `mac` as far as it had one."""
        if self._lines.take():
            self.log.debug("Malformed packet from {mac} on {interface}: {why}", mac=mac, interface=interface, why=why)

    def other_shape(self, node: Node, shape: str) -> None:
        """The next offer looks different, because the last ones led nowhere."""
        self._tell(
            "dhcp.problem", f"{node.label} did not follow the last offer: it is offered the shape {shape} now", node, {"shape": shape}
        )

    def ignored(self, node: Node, shapes: Sequence[str], no_lease: bool, lines: Sequence[Piece]) -> None:
        """Every shape of offer was in vain; `lines` are for the site's own DHCP server."""
        text = f"{node.label} follows no proxy offer (tried: {', '.join(shapes)})"
        if no_lease:
            text += "; no DHCP server was heard either, and without an address no node boots"
        text += ". Let the site's own DHCP server name the boot file for it, with these lines"
        self._tell("dhcp.problem", text, node, {"lines": [{"server": each.server, "file": each.file, "text": each.text} for each in lines]})

    def neighbour(self, warning: str, server: str, interface: str) -> None:
        """Another server that answers network boots was heard."""
        self._timeline.record("dhcp.problem", warning, data={"server": server, "interface": interface})
        self.log.warn("{warning}", warning=warning)

    def rival(self, xid: int, node: Node, what: str, server: str) -> None:
        """Another server answered the network boot of a node that boots our installer; told once in ten minutes."""
        if self._is_news(node.mac, _RIVAL, xid, what, _RIVAL_TOLD_AGAIN) and self._events.take():
            self._tell("dhcp.rival", f"{node.label} may boot something else: {what}", node, {"server": server})

    def once(self, key: str, text: str) -> None:
        """A warning about this host, until `forget` of its key."""
        if key not in self._warned:
            self._warned.add(key)
            self.log.warn("{text}", text=text)

    def forget(self, prefix: str) -> None:
        """Warnings whose key begins like that may be given again."""
        self._warned = {key for key in self._warned if not key.startswith(prefix)}

    def catch_up(self) -> None:
        """Say how many were not told one by one. To be called now and then."""
        untold, unlogged = self._events.refused, self._lines.refused
        self._events.refused = self._lines.refused = 0
        if untold:
            self._timeline.record(
                "dhcp.problem", f"DHCP is being flooded: {untold} answers or silences were counted but not told one by one"
            )
        if unlogged:
            self.log.info("{unlogged} more lines like these were left out", unlogged=unlogged + untold)

    def _tell(self, kind: str, text: str, node: Node, data: dict[str, Any]) -> None:
        self._timeline.record(kind, text, node=node.id, install=node.boot.install, data=data)
        if self._lines.take():
            self._info("{text}", text=text, node=node.id)

    def _is_news(self, mac: str, message: int, xid: int, what: str, again_after: float) -> bool:
        """Whether this is no repetition of what was told last of that MAC and message: another outcome or xid, or the same xid in
        another boot; with `again_after` > 0 only another outcome, or so many seconds later."""
        told, at = self._told[message], self._seconds()
        last = told.get(mac)
        if last is None:
            if len(told) >= _REMEMBERED:
                told.popitem(last=False)
            told[mac] = _Told(xid, what, at)
            return True
        same = last.xid == xid
        news = last.what != what or at - last.at >= (SAME_XID if same else again_after)
        if news or same:
            last.xid, last.what, last.at = xid, what, at
        return news


def _who(client: Client) -> str:
    return f"iPXE {client.ipxe}".rstrip() if client.ipxe is not None else architecture_name(client.arch)
