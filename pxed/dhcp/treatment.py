"""How one client is treated unlike its class: its quirks, what it followed before, and whether it goes round in circles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import cast

from pxed.config import Quirk
from pxed.dhcp.adapt import Adaptation, Advice
from pxed.dhcp.client import Client, ClientClass, Silence
from pxed.dhcp.offer import SHAPES, Treatment
from pxed.dhcp.quirks import Special, load
from pxed.node.guard import Guard
from pxed.node.inventory import Inventory
from pxed.node.model import Event, Node
from pxed.node.timeline import Timeline


class Treatments:
    """Joins quirks, adaptation and guard. Hears `timeline` (downloads prove an offer was followed) until `close`."""

    def __init__(
        self,
        *,
        inventory: Inventory,
        timeline: Timeline,
        guard: Guard,
        quirks: Iterable[Quirk],
        seconds: Callable[[], float],
    ) -> None:
        self._inventory = inventory
        self.guard = guard
        self.quirks = load(quirks)
        self.adaptation = Adaptation(seconds, worked=self._worked)
        self.close = timeline.subscribe(self._heard)

    def refusal(self, node: Node, client: Client) -> Silence | None:
        """The guard's word, None when it lets the node boot from the network."""
        refusal = self.guard.refusal(node.id)
        return Silence(refusal.reason, refusal.text, client) if refusal is not None else None

    def shapes(self, node: Node, client: Client, mac: str) -> tuple[tuple[str, ...], str | None]:
        """(names of the shapes that may be offered, first the usual one; chain or file name of the boot program to prefer)."""
        special = self.special(node, mac, client.arch)
        return shapes(client, special), special.boot_program

    def offering(self, node: Node, client: Client, mac: str, xid: int, shapes: tuple[str, ...]) -> Advice:
        """Which of `shapes` to offer to a DISCOVER that is about to be answered; counts as an offer."""
        advice = self.adaptation.advise(
            mac, node.vendor_class or "", client.kind, xid, shapes, lambda: self._first(node, client.kind, shapes)
        )
        if advice.fresh and client.kind != "ipxe-http":
            self.guard.offered(node.id, client.arch)
        return advice

    def acknowledging(self, node: Node, client: Client, mac: str) -> Treatment:
        """For a REQUEST to port 4011: only the boot program differs there."""
        return Treatment(None, self.special(node, mac, client.arch).boot_program)

    def special(self, node: Node, mac: str, arch: int | None) -> Special:
        """What the quirks say of this client; a boot program that the operator chose for the node wins over theirs."""
        product = str(node.facts["product"]) if "product" in node.facts else ""
        said = self.quirks.of(mac, vendor_class=node.vendor_class or "", uuid=node.uuid or "", product=product, arch=arch)
        return said if node.boot_program is None else replace(said, boot_program=node.boot_program)

    def followed(self, mac: str) -> None:
        """The client came to port 4011."""
        self.adaptation.followed(mac)

    def _first(self, node: Node, kind: ClientClass, shapes: tuple[str, ...]) -> str:
        """The shape that this node begins with: a quirk's, else what it followed before, else what its vendor class follows."""
        if shapes != _NAMES[kind]:
            return shapes[0]
        return self._remembered(node).get(kind) or self.adaptation.habit(node.vendor_class or "", kind, shapes[0])

    def ignoring(self) -> list[tuple[Node, tuple[str, ...]]]:
        """The nodes that follow no offer, each with the shapes that were in vain."""
        known = ((self._inventory.by_mac(mac), shapes) for mac, shapes in self.adaptation.ignoring.items())
        return [(node, shapes) for node, shapes in known if node is not None]

    @staticmethod
    def _remembered(node: Node) -> dict[str, str]:
        """Client class > the shape that this node followed when it was not the usual one; outlives a restart of pxed."""
        found = node.facts.get("shapes")
        return found if isinstance(found, dict) else {}

    def _worked(self, mac: str, kind: str, shape: str) -> None:
        node = self._inventory.by_mac(mac)
        if node is not None:
            before = self._remembered(node)
            now = {**before, kind: shape}
            if shape == SHAPES[cast(ClientClass, kind)][0].name:
                del now[kind]
            if now != before:
                self._inventory.learn(mac, shapes=now or None)

    def _heard(self, event: Event) -> None:
        if event.node is not None and event.kind.startswith(("tftp.", "http.")):
            node = self._inventory.get(event.node)
            for mac in node.macs if node is not None else ():
                self.adaptation.followed(mac)


def shapes(client: Client, special: Special) -> tuple[str, ...]:
    """Names of the shapes of its class, a quirk's own first."""
    names = _NAMES[client.kind]
    if special.shape is None or special.shape not in names:
        return names
    return (special.shape, *(name for name in names if name != special.shape))


_NAMES = {kind: tuple(shape.name for shape in its) for kind, its in SHAPES.items()}
