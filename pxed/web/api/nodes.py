"""``/api/v1/nodes``: who is out there, and what happened to each."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pxed.errors import InvalidRequest
from pxed.node.guard import Refusal
from pxed.node.model import FREQUENT, Event, Node
from pxed.node.verdict import verdict
from pxed.oses.catalog import LOCALBOOT
from pxed.repo.chains import CHAINS
from pxed.web.api import gate
from pxed.web.api.installs import shape
from pxed.web.api.shapes import Json, event_shape, node_shape
from pxed.web.rooms import Rooms

EVENTS_FOR_VERDICT = 500
_CHANGEABLE = ("name", "localboot", "boot_program")


def add_to(routes: gate.Routes, rooms: Rooms) -> None:
    api = Nodes(rooms)
    routes.add("GET", "/v1/nodes", api.all)
    routes.add("POST", "/v1/nodes", api.add)
    routes.add("GET", "/v1/nodes/<handle>", api.one)
    routes.add("PATCH", "/v1/nodes/<handle>", api.change)
    routes.add("DELETE", "/v1/nodes/<handle>", api.remove)
    routes.add("GET", "/v1/nodes/<handle>/events", api.events)
    routes.add("POST", "/v1/nodes/<handle>/release", api.release)
    routes.add("GET", "/v1/nodes/<handle>/dhcp", api.dhcp)


class Nodes:
    """`handle` is an id, a name, or a MAC address in any spelling."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def all(self, _request: Any) -> tuple[int, gate.Encoded]:
        latest: dict[str, Any] = {}
        for install in self._rooms.engine.all():
            known = latest.get(install.node_id)
            if known is None or install.created_at >= known.created_at:
                latest[install.node_id] = install
        refused = self._rooms.guard.refused()

        def shaped(node: Node) -> Json:
            return node_shape(node, latest.get(node.id), refused.get(node.id))

        return 200, await gate.listed("nodes", self._rooms.inventory.all(), shaped, self._rooms.clock)

    async def add(self, request: Any) -> tuple[int, Json]:
        body = gate.body_of(request)
        gate.fields(body, known=("mac", "name"))
        node = await self._rooms.inventory.add(gate.text(body, "mac", required=True) or "", name=gate.text(body, "name"))
        return 201, self._shape(node)

    async def one(self, _request: Any, handle: str) -> tuple[int, Json]:
        return 200, await self._detail(self._rooms.inventory.find(handle))

    async def change(self, request: Any, handle: str) -> tuple[int, Json]:
        body = gate.body_of(request)
        gate.fields(body, known=_CHANGEABLE)
        node = self._rooms.inventory.find(handle)
        changes: dict[str, str | None] = {name: gate.text(body, name) for name in _CHANGEABLE if name in body}
        way = changes.get("localboot")
        if way is not None and way not in LOCALBOOT:
            raise InvalidRequest(f"localboot can't be {way[:40]!r}", field="localboot", expected=f"one of {', '.join(LOCALBOOT)}")
        program = changes.get("boot_program")
        objection = self._rooms.programs().objection(program, node.arch) if program is not None else ""
        if objection:
            expected = f"one of {', '.join(CHAINS)}, or a path below the boot program root"
            raise InvalidRequest(f"{node.label} can't be given that: {objection}", field="boot_program", expected=expected)
        changed = await self._rooms.inventory.update(node.id, **changes)
        return 200, await self._detail(changed)

    async def remove(self, _request: Any, handle: str) -> tuple[int, None]:
        await self._rooms.inventory.remove(self._rooms.inventory.find(handle).id)
        return 204, None

    async def release(self, _request: Any, handle: str) -> tuple[int, Json]:
        """Let a node boot from the network again that the guard refuses; nothing happens to any other."""
        node = self._rooms.inventory.find(handle)
        self._rooms.guard.clear(node.id)
        return 200, await self._detail(node)

    async def dhcp(self, _request: Any, handle: str) -> tuple[int, Json]:
        """The lines that make the site's own DHCP server send the node here, by kind of server."""
        node = self._rooms.inventory.find(handle)
        return 200, {"lines": [asdict(piece) for piece in self._rooms.site_lines(node)]}

    async def events(self, request: Any, handle: str) -> tuple[int, gate.Encoded]:
        node = self._rooms.inventory.find(handle)
        after = gate.number(request, "after", default=0)
        limit = gate.number(request, "limit", default=500, most=5000)
        events = await self._rooms.timeline.history(node=node.id, after=after, limit=limit)
        return 200, await gate.listed("events", events, event_shape, self._rooms.clock)

    async def _detail(self, node: Node) -> Json:
        latest = self._latest(node)
        said = verdict(node, await self._story(node), latest.state if latest is not None else None, self._rooms.now())
        refusal = self._rooms.guard.refusal(node.id)
        if refusal is not None:
            said = f"{_held(node, refusal)} {said}"
        return {**self._shape(node), "verdict": said, "install": shape(self._rooms, latest) if latest is not None else None}

    async def _story(self, node: Node) -> list[Event]:
        """What a verdict is made of: its newest events, and as many that its log and its progress can't have pushed out of those."""
        newest = await self._rooms.timeline.history(node=node.id, limit=EVENTS_FOR_VERDICT)
        steps = await self._rooms.timeline.history(node=node.id, limit=EVENTS_FOR_VERDICT, but=FREQUENT)
        return sorted({event.id: event for event in (*newest, *steps)}.values(), key=lambda event: event.id)

    def _shape(self, node: Node) -> Json:
        return node_shape(node, self._latest(node), self._rooms.guard.refusal(node.id))

    def _latest(self, node: Node) -> Any:
        return max(self._rooms.engine.all(node=node.id), key=lambda install: install.created_at, default=None)


def _held(node: Node, refusal: Refusal) -> str:
    """Why the node gets nothing to boot, and what ends that, as the first sentences of its verdict."""
    what = "Quarantined" if refusal.reason == "quarantined" else "In back-off"
    return f"{what}: {refusal.text}. `pxed node release {node.label}` lets it boot from the network again."
