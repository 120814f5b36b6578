"""A client that asks the same again is answered without being understood again.

Firmware repeats a DISCOVER to the byte, within one boot and from boot to boot, but for `xid` and `secs`. What was made of the last one of
each hardware address is kept, with the answer and all that the answer hung on; who uses it checks that none of that has changed. This
halves the cost of an offer (benchmarks/offer.py) and decides nothing: without it every answer is the same.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from pxed.dhcp.client import Client, Silence
from pxed.dhcp.interfaces import Interface
from pxed.dhcp.offer import Arrival, Policy, Reply, Treatment
from pxed.node.model import Boot, Node

_MOST = 16384
_XID, _SECS_END, _CHADDR = slice(4, 8), 10, slice(28, 44)


@dataclass(slots=True)
class Asked:
    """One packet as understood: how it came in, who asks, what it says about itself (`said`: keyword arguments of `Inventory.seen`)."""

    arrival: Arrival
    mac: str
    client: Client | Silence
    said: dict[str, Any]


@dataclass(slots=True)
class Answered:
    """An offer, and all that it hung on. `shapes`: names of those that may be offered to this client; `boot_program` and `facts`: what of
    the node the choice of its boot program and shapes depends on."""

    asked: Asked
    client: Client
    node: Node
    boot_program: str | None
    facts: dict[str, Any]
    boot: Boot | None
    policy: Policy
    shapes: tuple[str, ...]
    treatment: Treatment
    reply: Reply

    def again(self, data: bytes) -> bytes:
        """The same offer to `data`, which differs in its xid alone."""
        told = self.reply.data
        return told[:4] + data[_XID] + told[8:]


class Memory:
    """The last DISCOVER of each hardware address that was answered; at most 16384."""

    def __init__(self) -> None:
        self._asked: OrderedDict[bytes, tuple[bytes, bytes, Interface, bytes, str, Answered]] = OrderedDict()

    def recall(self, data: bytes, link: Interface, local: bytes, source: str) -> Answered | None:
        """What was answered to the same packet on the same interface; `link` is another object after any change of the interfaces."""
        found = self._asked.get(data[_CHADDR])
        if found is None:
            return None
        start, rest, its_link, its_local, its_source, answered = found
        same = its_link is link and rest == data[_SECS_END:] and start == data[:4] and its_local == local and its_source == source
        return answered if same else None

    def keep(self, data: bytes, link: Interface, local: bytes, source: str, answered: Answered) -> None:
        """Remember what was answered to `data`."""
        if len(self._asked) >= _MOST and data[_CHADDR] not in self._asked:
            self._asked.popitem(last=False)
        self._asked[data[_CHADDR]] = (data[:4], data[_SECS_END:], link, local, source, answered)
