"""``/api/v1/installs`` and ``/api/v1/preview``: ordering, watching and ending installs."""

from __future__ import annotations

from typing import Any

from pxed.errors import InvalidRequest, NotFound
from pxed.node.identity import normalise_mac
from pxed.node.model import Node
from pxed.oses.family import ARM64
from pxed.web.api import gate
from pxed.web.api.shapes import Json, install_shape, moment
from pxed.web.rooms import Rooms

STATES = ("running", "done", "unproven", "failed", "cancelled", "parked")
PREVIEW_TOKEN = "TOKEN"


def add_to(routes: gate.Routes, rooms: Rooms) -> None:
    api = Installs(rooms)
    routes.add("POST", "/v1/installs", api.create)
    routes.add("GET", "/v1/installs", api.all)
    routes.add("GET", "/v1/installs/<install_id>", api.one)
    routes.add("POST", "/v1/installs/<install_id>/cancel", api.cancel)
    routes.add("POST", "/v1/installs/<install_id>/retry", api.retry)
    routes.add("POST", "/v1/installs/<install_id>/restart", api.restart)
    routes.add("POST", "/v1/preview", api.preview)


def shape(rooms: Rooms, install: Any) -> Json:
    """An install as JSON, its options without secrets."""
    options = rooms.catalog.visible(install.options)
    return install_shape(install, rooms.inventory.get(install.node_id), options=options, now=rooms.now())


class Installs:
    """Options are validated, hashed and rendered in a thread before anything else happens: a refused request changes nothing."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def create(self, request: Any) -> tuple[int, Json]:
        handle, prepared = await self._prepared(request)
        self._check_repository(prepared, self._known(handle))
        node = await self._adopted(handle)
        install = await self._rooms.engine.create(
            node.id, family=prepared.family, release=prepared.release, recipe=prepared.recipe, options=prepared.options
        )
        return 201, self._ordered(install)

    async def preview(self, request: Any) -> tuple[int, Json]:
        handle, prepared = await self._prepared(request)
        node = self._known(handle) or Node("", (self._mac(handle),), first_seen=0.0, last_seen=0.0)
        urls = self._rooms.urls(self._rooms.base_of(node) or request.base, PREVIEW_TOKEN)
        files = await self._rooms.disk.do(self._rooms.catalog.preview, prepared, node, urls)
        return 200, {"files": files, "warnings": self._warnings(prepared, node)}

    async def all(self, request: Any) -> tuple[int, gate.Encoded]:
        handle, state = request.argument("node"), request.argument("state")
        if state and state not in STATES:
            raise InvalidRequest(f"No install has the state {state[:40]!r}", field="state", expected=f"one of {', '.join(STATES)}")
        node = self._find(handle) if handle else None
        installs = [each for each in self._rooms.engine.all(node=node.id if node else None) if not state or each.state == state]
        return 200, await gate.listed("installs", installs, lambda each: shape(self._rooms, each), self._rooms.clock)

    async def one(self, _request: Any, install_id: str) -> tuple[int, Json]:
        install = self._rooms.engine.get(install_id)
        steps = await self._rooms.engine.steps(install_id)
        for step in steps:
            step.update(at=moment(step["at"]), deadline=moment(step["deadline"]))
        return 200, {**shape(self._rooms, install), "steps": steps}

    async def cancel(self, _request: Any, install_id: str) -> tuple[int, Json]:
        return 200, shape(self._rooms, await self._rooms.engine.cancel(install_id))

    async def retry(self, _request: Any, install_id: str) -> tuple[int, Json]:
        old = self._rooms.engine.get(install_id)
        self._check_repository(old, self._rooms.inventory.get(old.node_id))
        await self._rooms.disk.do(self._rooms.catalog.check, old)
        return 201, self._ordered(await self._rooms.engine.retry(install_id))

    async def restart(self, _request: Any, install_id: str) -> tuple[int, Json]:
        return 200, shape(self._rooms, await self._rooms.engine.restart(install_id))

    def _ordered(self, install: Any) -> Json:
        """A new install, with `warnings`: sentences on what its operator will probably regret."""
        return {**shape(self._rooms, install), "warnings": self._warnings(install, self._rooms.inventory.get(install.node_id))}

    def _warnings(self, wanted: Any, node: Node | None) -> list[str]:
        """Of what is installed, and of firmware that nothing here can boot."""
        arches = () if node is None or node.arch is None else (node.arch,)
        return self._rooms.catalog.warnings(wanted) + [
            f"No boot program here runs on {each.name} (architecture {each.arch}), needed unless its firmware is iPXE. {each.remedy}"
            for each in self._rooms.programs().missing(arches)
        ]

    async def _prepared(self, request: Any) -> tuple[str, Any]:
        body = gate.body_of(request)
        gate.fields(body, known=("node", "os", "release", "options"))
        handle = gate.text(body, "node", required=True) or ""
        family = gate.text(body, "os", required=True) or ""
        release = gate.text(body, "release")
        options = body.get("options", {})
        if not isinstance(options, dict):
            raise InvalidRequest("options is no object", field="options", expected="an object")
        return handle, await self._rooms.disk.do(self._rooms.catalog.prepare, family, release, options)

    def _check_repository(self, wanted: Any, node: Node | None) -> None:
        """InvalidRequest if what `wanted` (prepared, or an install) would be installed from on `node` does not exist. A node that has not
        shown its architecture yet may be of either."""
        arches = (None, ARM64[0]) if node is None or node.arch is None else (node.arch,)
        name, *others = (self._rooms.catalog.needs(wanted, arch) for arch in arches)
        if name is not None and not any(each in self._rooms.repositories for each in (name, *others)):
            raise InvalidRequest(
                f"This is installed from the repository {name}, which does not exist. Add it: pxed repo add {name} ISO-DIRECTORY-OR-URL",
                field="options.repo",
                expected=f"one of {', '.join(sorted(self._rooms.repositories)) or 'none yet'}, or a URL",
            )

    def _known(self, handle: str) -> Node | None:
        """None for a MAC address that nobody has seen yet. NotFound for what is none."""
        try:
            return self._find(handle)
        except NotFound:
            self._mac(handle)
            return None

    async def _adopted(self, handle: str) -> Node:
        """The node; a MAC address that nobody has seen yet becomes one, so that it can be armed before it is plugged in."""
        try:
            mac = self._find(handle).mac
        except NotFound:
            mac = self._mac(handle)
        try:
            return await self._rooms.inventory.add(mac)
        except InvalidRequest as e:
            raise InvalidRequest(str(e), field="node", expected=e.expected) from None

    def _find(self, handle: str) -> Node:
        return gate.found("node", self._rooms.inventory.find, handle)

    def _mac(self, handle: str) -> str:
        try:
            return normalise_mac(handle)
        except ValueError:
            self._find(handle)  # NotFound, in its own words
            raise
