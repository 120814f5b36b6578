"""``/api/v1/repositories``, ``/imports`` and ``/recognise``: where installer files come from, and adding more while the appliance runs."""

from __future__ import annotations

from typing import Any

from pxed.errors import Conflict, InvalidRequest
from pxed.repo.importing import Import
from pxed.repo.isolayer import IsoLayer
from pxed.repo.recognise import Medium, to_json
from pxed.repo.registry import Entry
from pxed.web.api import gate
from pxed.web.api.shapes import Json, moment
from pxed.web.rooms import Rooms


def add_to(routes: gate.Routes, rooms: Rooms) -> None:
    api = Repositories(rooms)
    routes.add("GET", "/v1/repositories", api.all)
    routes.add("POST", "/v1/repositories", api.add)
    routes.add("GET", "/v1/repositories/<name>", api.one)
    routes.add("DELETE", "/v1/repositories/<name>", api.remove)
    routes.add("GET", "/v1/imports", api.imports)
    routes.add("GET", "/v1/imports/<number>", api.one_import)
    routes.add("POST", "/v1/recognise", api.recognise)


class Repositories:
    """Adding answers 202 at once with an import to be asked about: reading an image takes seconds, downloading one longer."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms, self._registry = rooms, rooms.repositories

    async def all(self, _request: Any) -> tuple[int, Json]:
        return 200, {"repositories": [shape(entry, facts=False) for entry in self._registry.entries()]}

    async def one(self, _request: Any, name: str) -> tuple[int, Json]:
        return 200, shape(self._registry.entry(name), facts=True)

    async def add(self, request: Any) -> tuple[int, Json]:
        body = gate.body_of(request)
        gate.fields(body, known=("source", "name", "replace"))
        replace = body.get("replace", False)
        if not isinstance(replace, bool):
            raise InvalidRequest("replace is neither true nor false", field="replace", expected="true or false")
        source = gate.text(body, "source", required=True) or ""
        return 202, import_shape(self._registry.begin(source, gate.text(body, "name"), replace=replace))

    async def remove(self, _request: Any, name: str) -> tuple[int, None]:
        self._registry.entry(name)
        users = [each for each in self._rooms.engine.all() if each.state == "running" and self._needed(each) == name]
        if users:
            raise Conflict(f"Install {users[0].id} runs and takes its files from {name}; cancel it first, or wait")
        await self._registry.remove(name)
        return 204, None

    def _needed(self, install: Any) -> str | None:
        """The repository that a running install takes its files from."""
        node = self._rooms.inventory.get(install.node_id)
        return self._rooms.catalog.needs(install, node.arch if node is not None else None)

    async def imports(self, _request: Any) -> tuple[int, Json]:
        return 200, {"imports": [import_shape(job) for job in self._registry.imports()]}

    async def one_import(self, _request: Any, number: str) -> tuple[int, Json]:
        return 200, import_shape(self._registry.find_import(number))

    async def recognise(self, request: Any) -> tuple[int, Json]:
        body = gate.body_of(request)
        gate.fields(body, known=("source",))
        medium = await self._registry.recognise(gate.text(body, "source", required=True) or "")
        return 200, {"repository": medium.repository, "medium": medium_shape(medium, facts=True)}


def shape(entry: Entry, *, facts: bool) -> Json:
    """A repository; `path` is below the appliance's URL, `image` where the whole .iso can be had."""
    image = any(isinstance(layer, IsoLayer) for layer in entry.repository.layers)
    return {
        "name": entry.name,
        "configured": entry.configured,
        "sources": list(entry.sources),
        "path": f"/repo/{entry.name}/",
        "image": f"/repo/{entry.name}.iso" if image else None,
        "medium": medium_shape(entry.medium, facts=facts) if entry.medium is not None else None,
        "note": entry.note or None,
        "added_at": moment(entry.record.added_at) if entry.record is not None else None,
    }


def medium_shape(medium: Medium, *, facts: bool) -> Json:
    """What was recognised; lists leave the facts out, which can be long."""
    value = to_json(medium)
    return value if facts else {key: each for key, each in value.items() if key != "facts"}


def import_shape(job: Import) -> Json:
    """An import; `received` and `size` in bytes, of a download."""
    return {
        "id": job.id,
        "source": job.source,
        "name": job.name,
        "state": job.state,
        "stage": job.stage,
        "received": job.received,
        "size": job.size,
        "repository": job.repository,
        "error": job.error or None,
    }
