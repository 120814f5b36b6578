"""A client that asks the same again is answered without being understood again.

Firmware repeats a DISCOVER to the byte, within one boot and from boot to boot, but for `xid` and `secs`. What was made of the last one of
each hardware address is kept, with the answer and all that the answer hung on; who uses it checks that none of that has changed. This
halves the cost of an offer (benchmarks/offer.py) and decides nothing: without it every answer is the same.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pxed.dhcp.client import Client, Silence
from pxed.dhcp.interfaces import Interface
from pxed.dhcp.offer import Arrival, Policy, Reply, Treatment
from pxed.node.model import Node

_MOST = 16384
_XID, _SECS_END, _CHADDR = slice(4, 8), 10, slice(28, 44)
_alike = lru_cache(maxsize=512)(lambda value: value)
"""The same object for equal values: to look at what is in the processor's cache anyway costs nothing."""


@dataclass(slots=True)
class Asked:
    """One packet as understood: how it came in, who asks, what it says about itself (`said`: keyword arguments of `Inventory.seen`)."""

    arrival: Arrival
    mac: str
    client: Client | Silence
    said: dict[str, Any]


@dataclass(slots=True)
class Answered:
    """An offer to `client`, and all that it hung on. `shapes`: names of those that may be offered to this client; `then`: what the node was
    then (`of_node`). What the packet was says `Memory.keep`."""

    asked: Asked
    client: Client
    node: Node
    then: tuple[Any, ...]
    policy: Policy
    shapes: tuple[str, ...]
    treatment: Treatment
    reply: Reply
    link: Interface = field(init=False)
    local: bytes = field(init=False)
    source: str = field(init=False)
    start: bytes = field(init=False)
    rest: bytes = field(init=False)

    def again(self, data: bytes) -> bytes:
        """The same offer to `data`, which differs in its xid alone."""
        told = self.reply.data
        return told[:4] + data[_XID] + told[8:]


class Memory:
    """The last DISCOVER of each hardware address that was answered; at most 16384."""

    def __init__(self) -> None:
        self._asked: OrderedDict[bytes, Answered] = OrderedDict()

    def recall(self, data: bytes, link: Interface, local: bytes, source: str) -> Answered | None:
        """What was answered to the same packet on the same interface; `link` is another object after any change of the interfaces."""
        found = self._asked.get(data[_CHADDR])
        same = (
            found is not None
            and found.link is link
            and len(data) == _SECS_END + len(found.rest)
            and data.startswith(found.start)
            and data.endswith(found.rest)
            and found.local == local
            and found.source == source
        )
        return found if same else None

    def keep(self, data: bytes, link: Interface, local: bytes, source: str, answered: Answered) -> None:
        """Remember what was answered to `data`."""
        answered.link, answered.local, answered.source = link, _alike(local), _alike(source)
        answered.start, answered.rest = _alike(data[:4]), data[_SECS_END:]
        hardware = data[_CHADDR]
        if len(self._asked) >= _MOST and hardware not in self._asked:
            self._asked.popitem(last=False)
        self._asked[hardware] = answered
