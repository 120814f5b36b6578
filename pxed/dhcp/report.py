"""What people read of the DHCP door: counters of everything, one event and one log line for each step of an exchange.

Firmware repeats itself: a retransmit (same xid) is answered but not told again, and the same silence is told once a minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from twisted.logger import Logger

from pxed.dhcp.client import Client, Silence
from pxed.dhcp.offer import Reply
from pxed.dhcp.packet import OFFER, Packet
from pxed.node.identity import architecture_name
from pxed.node.model import Node
from pxed.node.siteserver import Piece
from pxed.node.timeline import Timeline

_REMEMBERED = 16384
_SILENCE_TOLD_AGAIN = 60.0
_FAULTS = frozenset({"no-program", "hardware"})
"""Reasons of silence that the operator should mend."""


class Report:
    """`seconds` is a monotonic clock. `counters`: packets by what became of them, ``offer``, ``ack`` or a reason of silence."""

    log = Logger(namespace="pxed.dhcp")

    def __init__(self, timeline: Timeline, seconds: Callable[[], float]) -> None:
        self._timeline = timeline
        self._seconds = seconds
        self.counters: Counter[str] = Counter()
        self._told: dict[tuple[str, int], tuple[int, str, float]] = {}
        self._warned: set[str] = set()

    def answered(self, packet: Packet, mac: str, interface: str, node: Node | None, reply: Reply) -> None:
        """An OFFER or ACK went out."""
        offer = reply.message == OFFER
        self.counters["offer" if offer else "ack"] += 1
        if node is None or not self._is_news(mac, reply.message, packet.xid, reply.file or reply.shape, 0.0):
            return
        client = reply.client
        what = reply.file or "a boot server, this one, on port 4011"
        did = f"asked on {interface} and was offered" if offer else "came to port 4011 and was told"
        text = f"{node.label} ({_who(client)}) {did} {what}"
        for note in client.notes:
            text += f"; {note}"
        data = {"xid": f"{packet.xid:08x}", "file": reply.file, "shape": reply.shape, "class": client.kind, "interface": interface}
        self._timeline.record("dhcp.offer" if offer else "dhcp.ack", text, node=node.id, install=node.boot.install, data=data)
        self.log.info("{text}", text=text, node=node.id, xid=packet.xid)

    def silent(self, packet: Packet, mac: str, node: Node | None, silence: Silence) -> None:
        """No answer. Told when a network boot client asked, once a minute at most for the same reason."""
        self.counters[silence.reason] += 1
        if node is None or not self._is_news(mac, 0, packet.xid, silence.reason, _SILENCE_TOLD_AGAIN):
            return
        text = f"{node.label} asked to boot from the network and got no answer: {silence.text}"
        kind = "dhcp.problem" if silence.reason in _FAULTS else "dhcp.silent"
        self._timeline.record(kind, text, node=node.id, install=node.boot.install, data={"reason": silence.reason})
        self.log.info("{text}", text=text, node=node.id, xid=packet.xid)

    def other_shape(self, node: Node, shape: str) -> None:
        """The next offer looks different, because the last ones led nowhere."""
        text = f"{node.label} did not follow the last offer: it is offered the shape {shape} now"
        self._timeline.record("dhcp.problem", text, node=node.id, install=node.boot.install, data={"shape": shape})
        self.log.info("{text}", text=text, node=node.id)

    def ignored(self, node: Node, shapes: Sequence[str], no_lease: bool, lines: Sequence[Piece]) -> None:
        """Every shape of offer was in vain; `lines` are for the site's own DHCP server."""
        text = f"{node.label} follows no proxy offer (tried: {', '.join(shapes)})"
        if no_lease:
            text += "; no DHCP server was heard either, and without an address no node boots"
        text += ". Let the site's own DHCP server name the boot file for it, with these lines"
        data: dict[str, Any] = {"lines": [{"server": piece.server, "file": piece.file, "text": piece.text} for piece in lines]}
        self._timeline.record("dhcp.problem", text, node=node.id, install=node.boot.install, data=data)
        self.log.warn("{text}", text=text, node=node.id)

    def neighbour(self, warning: str, server: str, interface: str) -> None:
        """Another server that answers network boots was heard."""
        self._timeline.record("dhcp.problem", warning, data={"server": server, "interface": interface})
        self.log.warn("{warning}", warning=warning)

    def once(self, key: str, text: str) -> None:
        """A warning about this host, until `forget` of its key."""
        if key not in self._warned:
            self._warned.add(key)
            self.log.warn("{text}", text=text)

    def forget(self, prefix: str) -> None:
        """Warnings whose key begins like that may be given again."""
        self._warned = {key for key in self._warned if not key.startswith(prefix)}

    def _is_news(self, mac: str, message: int, xid: int, what: str, again_after: float) -> bool:
        """Whether this is no repetition of what was told last of that MAC and message: another outcome or xid; with `again_after` > 0
        only another outcome, or so many seconds later."""
        key = (mac, message)
        last = self._told.get(key)
        at = self._seconds()
        if last is not None and last[1] == what and (last[0] == xid or at - last[2] < again_after):
            return False
        if last is None and len(self._told) >= _REMEMBERED:
            del self._told[next(iter(self._told))]
        self._told[key] = (xid, what, at)
        return True


def _who(client: Client) -> str:
    return f"iPXE {client.ipxe}".rstrip() if client.ipxe is not None else architecture_name(client.arch)
