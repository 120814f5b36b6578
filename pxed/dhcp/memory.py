"""A client that asks the same again is answered without being understood again.

Firmware repeats a DISCOVER to the byte, within one boot and from boot to boot, but for `xid` and `secs`. What was made of the last one of
each hardware address is kept, with the answer and all that the answer hung on; who uses it checks that none of that has changed. This
halves the cost of an offer (benchmarks/offer.py) and decides nothing: without it every answer is the same.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

from pxed.dhcp.client import Client, Silence
from pxed.dhcp.interfaces import Interface
from pxed.dhcp.offer import Arrival, Policy, Reply, Treatment
from pxed.node.model import Boot

_MOST = 16384
_XID, _SECS_END, _CHADDR = slice(4, 8), 10, slice(28, 44)


class Answered(NamedTuple):
    """An answer and what it hung on."""

    boot: Boot | None
    treatment: Treatment
    policy: Policy
    reply: Reply

    def again(self, boot: Boot | None, treatment: Treatment, policy: Policy, data: bytes) -> Reply | None:
        """The same answer to `data`, which differs in xid alone; None when it hung on something that is now different."""
        if boot is not self.boot or policy is not self.policy or treatment != self.treatment:
            return None
        told = self.reply
        return Reply(told.message, told.client, told.shape, told.file, told.destination, told.data[:4] + data[_XID] + told.data[8:])


@dataclass(slots=True)
class Asked:
    """One packet as understood: how it came in, who asks, what it says about itself (`said`: keyword arguments of `Inventory.seen`)."""

    arrival: Arrival
    mac: str
    client: Client | Silence
    said: dict[str, Any]
    answered: Answered | None = None


class Memory:
    """The last DISCOVER of each hardware address that was answered; at most 16384."""

    def __init__(self) -> None:
        self._asked: OrderedDict[bytes, tuple[bytes, bytes, Interface, bytes, str, Asked]] = OrderedDict()

    def recall(self, data: bytes, link: Interface, local: bytes, source: str) -> Asked | None:
        """What was made of the same packet on the same interface; `link` is another object after any change of the interfaces."""
        found = self._asked.get(data[_CHADDR])
        if found is None:
            return None
        start, rest, its_link, its_local, its_source, asked = found
        same = its_link is link and rest == data[_SECS_END:] and start == data[:4] and its_local == local and its_source == source
        return asked if same else None

    def keep(self, data: bytes, link: Interface, local: bytes, source: str, asked: Asked) -> None:
        """Remember what was made of `data`, and what was answered."""
        if len(self._asked) >= _MOST and data[_CHADDR] not in self._asked:
            self._asked.popitem(last=False)
        self._asked[data[_CHADDR]] = (data[:4], data[_SECS_END:], link, local, source, asked)
