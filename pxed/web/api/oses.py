"""``/api/v1/oses``: what can be installed, and which options each takes."""

from __future__ import annotations

from typing import Any

from pxed.web.api import gate
from pxed.web.api.shapes import Json
from pxed.web.rooms import Rooms


def add_to(routes: gate.Routes, rooms: Rooms) -> None:
    async def all_of_them(_request: Any) -> tuple[int, Json]:
        return 200, {"oses": rooms.catalog.list()}

    async def one(request: Any, name: str) -> tuple[int, Json]:
        return 200, {"name": name, "schema": rooms.catalog.schema(name, request.argument("release") or None)}

    routes.add("GET", "/v1/oses", all_of_them)
    routes.add("GET", "/v1/oses/<name>", one)
