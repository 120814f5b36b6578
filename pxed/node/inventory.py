"""Every node, in memory, and what each one boots.

The doors ask on every packet and get their answer from memory. What they report (`seen`, `note_address`) is stored lazily, in
batches. What an operator or an install decides is committed first and visible after. A node nobody adopted is *unknown*: there are
at most `max_unknown` of them, so that a flood of invented MAC addresses can't fill memory or disk.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from pxed.errors import Conflict, InvalidRequest, NotFound
from pxed.node import rows
from pxed.node.crowd import Crowd
from pxed.node.identity import is_one_card, normalise_mac, spelled_mac
from pxed.node.model import Boot, Node, check_boot_program
from pxed.node.said import kept, remember
from pxed.store.lazy import Batch, LazyWriter

if TYPE_CHECKING:
    from pxed.node.timeline import Timeline
    from pxed.store import Store

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_SEEN_EVERY = 300.0
"""Seconds between two writes of a node of which only `last_seen` changed."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A boot about to be assigned: `store` belongs into a transaction, `show` into what runs once that is committed."""

    store: Callable[[Connection], None]
    show: Callable[[], None]


class Inventory:
    """`now` gives UTC seconds; `new_id` gives node ids. With `store=None` everything lives in memory only."""

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
        self._new_id = new_id
        self._nodes: dict[str, Node] = {}
        self._by_mac: dict[str, Node] = {}
        self._by_address: dict[str, Node] = {}
        self._crowd = Crowd(max_unknown)
        self._dirty: dict[str, None] = {}
        self._forgotten: dict[str, None] = {}
        self._leaving: set[str] = set()
        self._held: dict[str, Boot] = {}  # node id > what it boots once it is released
        self._writer = LazyWriter(store, self._take, what="The inventory", now=now) if store else None

    async def load(self) -> None:
        """Read every node from the store. Call once, before the doors open. StorageUnavailable."""
        if self._store is None:
            return
        for node in await self._store.read(rows.load_nodes):
            self._enter(node)
            node.stored = node.last_seen
            if not node.known:
                self._crowd.meet(node.id)
        self._make_room()

    async def flush(self) -> None:
        """Return when everything the doors reported so far is stored. StorageUnavailable."""
        if self._writer is not None:
            await self._writer.flush()

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
        node = self.by_mac(mac)
        if node is None:
            node = self._meet(spelled_mac(mac))
        elif not node.known:
            self._crowd.again(node.id)
        changed = (arch, vendor_class, uuid, interface) != (node.arch, node.vendor_class, node.uuid, node.interface) and remember(
            node, arch=arch, vendor_class=vendor_class, uuid=uuid, interface=interface
        )
        self._note_time(node, changed)
        return node

    def seen_again(self, node: Node) -> None:
        """As `seen`, for a node that says of itself what it said before."""
        if not node.known:
            self._crowd.again(node.id)
        self._note_time(node, False)

    def note_address(self, mac: str, address: str) -> None:
        """The node of `mac` uses this IP `address` now; whoever had it before has it no more. Unknown MACs are ignored."""
        node = self.by_mac(mac)
        holder = self._by_address.get(address)
        if node is None or holder is node:
            return
        if holder is not None:
            holder.address = None
            self._touched(holder)
        if node.address is not None:
            self._by_address.pop(node.address, None)
        node.address = address
        self._by_address[address] = node
        self._touched(node)

    def learn(self, mac: str, **facts: Any) -> None:
        """What the node of `mac` told of itself, as JSON values of bounded size; None takes a fact away. Unknown MACs are ignored."""
        node = self.by_mac(mac)
        if node is None:
            return
        learnt = {name: kept(value) for name, value in facts.items()}
        merged = {name: value for name, value in {**node.facts, **learnt}.items() if value is not None}
        if merged != node.facts:
            node.facts = merged
            self._touched(node)

    def by_mac(self, mac: str) -> Node | None:
        """By MAC address, in any spelling."""
        return self._by_mac.get(mac) or self._by_mac.get(spelled_mac(mac))

    def by_address(self, ip: str) -> Node | None:
        """By the IP address it was last seen to use."""
        return self._by_address.get(ip)

    def get(self, node_id: str) -> Node | None:
        return self._nodes.get(node_id)

    def all(self) -> list[Node]:
        """Every node, in the order they were met."""
        return list(self._nodes.values())

    def find(self, handle: str) -> Node:
        """By id, name, MAC address in any spelling, or the beginning of an id if only one has it. NotFound says what there is."""
        wanted = handle.strip()
        exact = self._nodes.get(wanted.lower()) or self._named(wanted) or self.by_mac(wanted)
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
        """Adopt a node, seen or not. To add one again is no error. InvalidRequest (mac, name), Conflict (name taken),
        StorageUnavailable."""
        try:
            wanted = normalise_mac(mac)
        except ValueError as error:
            raise InvalidRequest(str(error), field="mac", expected="six pairs of hexadecimal digits") from error
        if not is_one_card(wanted):
            raise InvalidRequest(f"No machine has the MAC address {wanted}", field="mac", expected="the address of one network card")
        node = self._by_mac.get(wanted)
        if name is not None:
            self._check_name(name, node)
        node = node or self._meet(wanted)
        await self._decide(node, {} if name is None else {"name": name})
        return node

    async def update(
        self,
        node_id: str,
        *,
        name: str | EllipsisType | None = ...,
        localboot: str | EllipsisType | None = ...,
        boot_program: str | EllipsisType | None = ...,
    ) -> Node:
        """Change what is given (None clears it). NotFound, InvalidRequest names the field, Conflict (name taken), StorageUnavailable."""
        node = self._existing(node_id)
        if isinstance(name, str):
            self._check_name(name, node)
        if isinstance(boot_program, str):
            check_boot_program(boot_program)
        given = {"name": name, "localboot": localboot, "boot_program": boot_program}
        await self._decide(node, {key: value for key, value in given.items() if not isinstance(value, EllipsisType)})
        if self._timeline:
            self._timeline.record("node.updated", f"The operator changed {node.label}", node=node.id)
        return node

    async def remove(self, node_id: str) -> None:
        """Forget a node and its timeline. NotFound, StorageUnavailable; Conflict while an install runs on it."""
        node = self._existing(node_id)
        running = node.boot.install

        def delete(connection: Connection) -> None:
            refuse_if(rows.running_install(connection, node_id))
            rows.delete_nodes(connection, [node_id])

        def refuse_if(install: str | None) -> None:
            if install is not None:
                raise Conflict(f"{node.label} is being installed (install {install}); cancel that first")

        refuse_if(running)
        self._leaving.add(node_id)
        try:
            if self._store is not None:
                await self._store.write(delete)
        finally:
            self._leaving.discard(node_id)
        node.stored = None
        self._leave(node)

    # what only pxed.workflow calls

    async def assign(self, node_id: str, boot: Boot) -> None:
        """From now on the node boots `boot`. Committed first, visible after. NotFound, StorageUnavailable."""
        assignment = self.assignment(node_id, boot)
        if self._store is not None:
            await self._store.write(assignment.store)
        assignment.show()

    def assignment(self, node_id: str, boot: Boot, *, held_by: str | None = None) -> Assignment:
        """The same in two halves, for a transaction that holds more than this. With `held_by` (an install) neither half does
        anything unless the node boots for that install then. NotFound."""
        node = self._existing(node_id)
        row = rows.row_of(node)

        def show() -> None:
            if held_by in (None, node.boot.install):
                self._held.pop(node_id, None)
                node.boot = boot
                self._adopt(node)

        return Assignment(lambda connection: rows.store_boot(connection, row, boot, held_by), show)

    def hold(self, node_id: str, install_id: str) -> None:
        """If the node boots the installer of this install, it is offered nothing until that is released or another boot is assigned.

        In memory only: for the moment in which what the node boots may be out of date, because the disk is slow or away. Again: no error.
        """
        node = self._nodes.get(node_id)
        if node is not None and node.boot == Boot("installer", install_id):
            self._held[node_id] = node.boot
            node.boot = Boot("silent", install_id)

    def release(self, node_id: str) -> None:
        """The node boots again what it booted before `hold`. Again, or without `hold`: no error."""
        boot, node = self._held.pop(node_id, None), self._nodes.get(node_id)
        if boot is not None and node is not None:
            node.boot = boot

    # nodes come and go

    def _meet(self, mac: str) -> Node:
        now = self._now()
        node_id = self._new_id()
        while node_id in self._nodes:
            node_id = self._new_id()
        node = Node(id=node_id, macs=(mac,), first_seen=now, last_seen=now)
        self._enter(node)
        self._crowd.meet(node.id)
        self._make_room()
        if self._timeline:
            self._timeline.record("node.new", f"{mac} is new here", node=node.id)
        self._touched(node)
        return node

    def _enter(self, node: Node) -> None:
        self._nodes[node.id] = node
        for mac in node.macs:
            self._by_mac[mac] = node
        if node.address is not None:
            self._by_address[node.address] = node

    def _make_room(self) -> None:
        while (node_id := self._crowd.push_out()) is not None:
            self._leave(self._nodes[node_id])

    def _leave(self, node: Node) -> None:
        node.gone = True
        self._nodes.pop(node.id, None)
        self._crowd.leave(node.id)
        self._dirty.pop(node.id, None)
        self._held.pop(node.id, None)
        for mac in node.macs:
            if self._by_mac.get(mac) is node:
                del self._by_mac[mac]
        if node.address is not None and self._by_address.get(node.address) is node:
            del self._by_address[node.address]
        if node.stored is not None:
            node.stored = None
            self._forgotten[node.id] = None
            self._poke()

    def _adopt(self, node: Node) -> None:
        node.known = True
        self._crowd.leave(node.id)

    def _existing(self, node_id: str) -> Node:
        node = self._nodes.get(node_id)
        if node is None:
            raise NotFound(f"There is no node {node_id[:80]!r}")
        return node

    # names

    def _named(self, name: str) -> Node | None:
        return next((node for node in self._nodes.values() if node.name and node.name.lower() == name.lower()), None)

    def _check_name(self, name: str, node: Node | None) -> None:
        if not _NAME.fullmatch(name) or spelled_mac(name) != name.lower():
            raise InvalidRequest(
                f"{name[:80]!r} can't name a node", field="name", expected="1-63 of a-z, 0-9, '.', '_', '-', not a MAC address"
            )
        holder = self._named(name)
        if holder is not None and holder is not node:
            raise Conflict(f"{holder.mac} is already called {name}")

    # storing

    async def _decide(self, node: Node, decided: rows.Row) -> None:
        """Commit what the operator decided, then show it. The crowd can't push the node out meanwhile."""
        self._crowd.leave(node.id)
        try:
            if self._store is not None:
                row = rows.row_of(node)
                await self._store.write(lambda connection: rows.store_decision(connection, row, decided))
        except Exception as error:
            if not node.known:
                self._crowd.meet(node.id)
            if isinstance(error, IntegrityError):
                raise Conflict(f"Another node is already called {decided.get('name')}") from error
            raise
        for key, value in decided.items():
            setattr(node, key, value)
        self._adopt(node)

    def _note_time(self, node: Node, changed: bool) -> None:
        node.last_seen = now = self._now()
        if changed or node.stored is None or now - node.stored > _SEEN_EVERY:
            self._touched(node)

    def _touched(self, node: Node) -> None:
        """It is to be stored."""
        self._dirty[node.id] = None
        self._poke()

    def _poke(self) -> None:
        if self._writer is not None:
            self._writer.poke()

    def _take(self) -> Batch | None:
        taken = [self._nodes[node_id] for node_id in self._dirty if node_id in self._nodes and node_id not in self._leaving]
        gone = list(self._forgotten)
        self._dirty = {node_id: None for node_id in self._dirty if node_id in self._leaving}
        self._forgotten = {}
        if not taken and not gone:
            return None
        changed = [rows.row_of(node) for node in taken]
        for node in taken:
            node.stored = node.last_seen

        def store(connection: Connection) -> None:
            rows.delete_nodes(connection, gone)
            rows.store_nodes(connection, changed)

        def give_back() -> None:
            self._dirty.update((node.id, None) for node in taken if node.id in self._nodes)
            self._forgotten.update(dict.fromkeys(gone))

        return Batch(store, give_back)


def _labels(nodes: list[Node]) -> str:
    shown = ", ".join(f"{node.label} ({node.id})" for node in nodes[:12])
    return shown + (f" and {len(nodes) - 12} more" if len(nodes) > 12 else "")
