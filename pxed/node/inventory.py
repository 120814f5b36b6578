"""Every node, in memory, and what each one boots.

The doors ask on every packet and get their answer from memory. What they report (`seen`, `note_address`) is stored lazily, in
batches. What an operator or an install decides is committed first and visible after. A node nobody adopted is *unknown*: there are
at most `max_unknown` of them, so that a flood of invented MAC addresses can't fill memory or disk.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from types import EllipsisType
from typing import TYPE_CHECKING

from twisted.logger import Logger

from pxed.errors import Conflict, InvalidRequest, NotFound
from pxed.node.identity import firmware_of, normalise_mac
from pxed.node.model import Boot, Node

if TYPE_CHECKING:
    from pxed.node.timeline import Timeline
    from pxed.store import Store

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LONGEST = 128
"""Characters kept of what a node says about itself."""


class Inventory:
    """`now` gives UTC seconds; `new_id` gives node ids. With `store=None` everything lives in memory only."""

    log = Logger()

    def __init__(
        self,
        *,
        now: Callable[[], float],
        store: Store | None = None,
        timeline: Timeline | None = None,
        max_unknown: int = 4096,
        new_id: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        self._now = now
        self._store = store
        self._timeline = timeline
        self._max_unknown = max_unknown
        self._new_id = new_id
        self._nodes: dict[str, Node] = {}
        self._by_mac: dict[str, Node] = {}
        self._by_address: dict[str, Node] = {}
        self._unknown: OrderedDict[str, None] = OrderedDict()

    async def load(self) -> None:
        """Read every node from the store. Call once, before the doors open. StorageUnavailable."""

    # what the doors call, on every packet

    def seen(
        self,
        mac: str,
        *,
        arch: int | None = None,
        vendor_class: str | None = None,
        uuid: str | None = None,
        interface: str | None = None,
    ) -> Node:
        """The node of `mac` (``aa:bb:cc:dd:ee:ff``), met now if it is new; what it said about itself is remembered."""
        node = self._by_mac.get(mac) or self._by_mac.get(_spelled(mac)) or self._meet(_spelled(mac))
        node.last_seen = self._now()
        said = {"arch": arch, "vendor_class": vendor_class, "uuid": uuid, "interface": interface}
        for name, value in said.items():
            if value is not None:
                setattr(node, name, value[:_LONGEST] if isinstance(value, str) else value)
        if arch is not None:
            node.firmware = firmware_of(arch)
        if node.id in self._unknown:
            self._unknown.move_to_end(node.id)
        return node

    def note_address(self, mac: str, address: str) -> None:
        """The node of `mac` uses this IPv4 `address` now; whoever had it before has it no more. Unknown MACs are ignored."""
        node = self.by_mac(mac)
        if node is None:
            return
        holder = self._by_address.get(address)
        if holder is node:
            return
        if holder is not None:
            holder.address = None
        if node.address is not None:
            self._by_address.pop(node.address, None)
        node.address = address
        self._by_address[address] = node

    def by_mac(self, mac: str) -> Node | None:
        return self._by_mac.get(mac) or self._by_mac.get(_spelled(mac))

    def by_address(self, ip: str) -> Node | None:
        return self._by_address.get(ip)

    def get(self, node_id: str) -> Node | None:
        return self._nodes.get(node_id)

    def all(self) -> list[Node]:
        """Every node, in the order they were met."""
        return list(self._nodes.values())

    def find(self, handle: str) -> Node:
        """By id, name, MAC address in any spelling, or the beginning of an id if only one has it. NotFound says what there is."""
        wanted = handle.strip()
        exact = self._nodes.get(wanted) or self._named(wanted) or self.by_mac(wanted)
        if exact is not None:
            return exact
        matches = [node for node in self._nodes.values() if wanted and node.id.startswith(wanted.lower())]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise NotFound(f"{len(matches)} nodes have an id that begins with {wanted!r}: {_labels(matches)}")
        raise NotFound(f"There is no node {wanted[:80]!r}; there is: {_labels(self.all()) or 'no node yet'}")

    # what an operator asks

    async def add(self, mac: str, *, name: str | None = None) -> Node:
        """Adopt a node, seen or not. To add one again is no error. InvalidRequest (mac, name), Conflict (name taken)."""
        try:
            wanted = normalise_mac(mac)
        except ValueError as error:
            raise InvalidRequest(str(error), field="mac", expected="a MAC address") from error
        node = self._by_mac.get(wanted)
        if name is not None:
            self._check_name(name, node)
        node = node or self._meet(wanted)
        node.known = True
        self._unknown.pop(node.id, None)
        if name is not None:
            node.name = name
        return node

    async def update(self, node_id: str, *, name: str | EllipsisType | None = ..., localboot: str | EllipsisType | None = ...) -> Node:
        """Change what is given (None clears it). NotFound, InvalidRequest (name), Conflict (name taken)."""
        node = self._known(node_id)
        if isinstance(name, str):
            self._check_name(name, node)
        if not isinstance(name, EllipsisType):
            node.name = name
        if not isinstance(localboot, EllipsisType):
            node.localboot = localboot
        node.known = True
        self._unknown.pop(node.id, None)
        if self._timeline:
            self._timeline.record("node.updated", f"{node.label} was changed by the operator", node=node.id)
        return node

    async def remove(self, node_id: str) -> None:
        """Forget a node and its timeline. NotFound; Conflict while an install runs on it."""
        node = self._known(node_id)
        if node.boot.install is not None:
            raise Conflict(f"{node.label} is being installed (install {node.boot.install}); cancel that first")
        self._drop(node)

    # what only pxed.workflow calls

    async def assign(self, node_id: str, boot: Boot) -> None:
        """From now on the node boots `boot`. Committed first, visible after. NotFound, StorageUnavailable."""
        self._known(node_id).boot = boot

    def _meet(self, mac: str) -> Node:
        now = self._now()
        node_id = self._new_id()
        while node_id in self._nodes:
            node_id = self._new_id()
        node = Node(id=node_id, macs=(mac,), first_seen=now, last_seen=now)
        self._nodes[node.id] = self._by_mac[mac] = node
        self._unknown[node.id] = None
        while len(self._unknown) > self._max_unknown:
            self._drop(self._nodes[next(iter(self._unknown))])
        if self._timeline:
            self._timeline.record("node.new", f"{mac} is new here", node=node.id)
        return node

    def _drop(self, node: Node) -> None:
        self._nodes.pop(node.id, None)
        self._unknown.pop(node.id, None)
        for mac in node.macs:
            self._by_mac.pop(mac, None)
        if node.address is not None and self._by_address.get(node.address) is node:
            del self._by_address[node.address]

    def _known(self, node_id: str) -> Node:
        node = self._nodes.get(node_id)
        if node is None:
            raise NotFound(f"There is no node {node_id[:80]!r}")
        return node

    def _named(self, name: str) -> Node | None:
        return next((node for node in self._nodes.values() if node.name and node.name.lower() == name.lower()), None)

    def _check_name(self, name: str, node: Node | None) -> None:
        if not _NAME.fullmatch(name) or _spelled(name) != name.lower():
            raise InvalidRequest(f"{name[:80]!r} can't name a node", field="name", expected="1-63 of a-z, 0-9, '.', '_', '-'")
        holder = self._named(name)
        if holder is not None and holder is not node:
            raise Conflict(f"{holder.mac} is already called {name}")


def _spelled(mac: str) -> str:
    """`mac` as the inventory keys it; hardware addresses of other lengths stay as they are."""
    try:
        return normalise_mac(mac)
    except ValueError:
        return mac.lower()


def _labels(nodes: list[Node]) -> str:
    shown = ", ".join(f"{node.label} ({node.id})" for node in nodes[:12])
    return shown + (f" and {len(nodes) - 12} more" if len(nodes) > 12 else "")
