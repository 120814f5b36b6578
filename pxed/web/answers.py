"""``POST /answer``: an installer that knows no more than this appliance's address asks for its answers and says who it is.

Proxmox's automated installer does so: its image holds one URL for every machine, and it posts a JSON object with its network interfaces
(``network_interfaces: [{link, mac}]``). The first of them that belongs to a node with a running install of such a family names it. What
stands in the answer is as public as a boot profile is: whoever says a node's MAC address gets it, while that node is being installed.
"""

from __future__ import annotations

import json
from typing import Any

from pxed.errors import NotFound
from pxed.node.identity import normalise_mac
from pxed.web.request import Plain
from pxed.web.rooms import Rooms

STARTED = "started"
MOST = 256
"""Interfaces that are looked at."""


class Answers(Plain):
    """The answer file of the node that asks."""

    def __init__(self, rooms: Rooms) -> None:
        super().__init__()
        self._rooms = rooms

    async def post(self, request: Any) -> None:
        """404 for a machine that has nothing to install; StorageUnavailable > 503, and nothing is handed out that was not noted."""
        rooms = self._rooms
        for mac in _macs(request.content.read()):
            node = rooms.inventory.by_mac(mac)
            install = rooms.install_on(node) if node is not None and node.boot.kind != "disk" else None
            family = rooms.catalog.families.get(install.family) if install is not None else None
            if node is None or install is None or family is None or not family.posted:
                continue
            (name,) = family.posted
            rendered = await rooms.rendering.file(install, node, rooms.urls(request.base, install.token), name)
            await rooms.engine.deliver(install.token, STARTED, message="The installer has asked for its answers", source=request.peer)
            rooms.inventory.note_address(node.mac, request.peer)
            rooms.timeline.record("http.answer", f"{node.label} fetched its answer file {name}", node=node.id, install=install.id)
            request.setHeader(b"Cache-Control", b"no-store")
            request.reply(200, rendered.body, rendered.content_type)
            return
        raise NotFound("no machine with one of these MAC addresses is being installed by such an installer")


def _macs(body: bytes) -> list[str]:
    """The MAC addresses that the body names, in its order; [] for a body that is no such thing."""
    try:
        said = json.loads(body)
        found = [str(each["mac"]) for each in said["network_interfaces"][:MOST]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [normalise_mac(mac) for mac in found if _is_mac(mac)]


def _is_mac(text: str) -> bool:
    try:
        normalise_mac(text)
    except ValueError:
        return False
    return True
