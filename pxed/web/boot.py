"""Boot profiles: the iPXE script a node is served, chosen by the boot it is assigned and by nothing else.

A node asks more than once per install, so every request is answered from the assigned boot as it is now. Rendering happens in the reactor:
a profile takes well under a millisecond (benchmarks/http.py measures it), a thread would cost more than it saves.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from pxed.errors import NotFound
from pxed.node.identity import normalise_mac
from pxed.node.model import Node
from pxed.web.request import Plain
from pxed.web.rooms import Rooms

log = Logger()

SCRIPT = "text/plain; charset=utf-8"

AUTOEXEC = """#!ipxe
# iPXE asks for this file where nobody told it a script: its EFI binaries look beside the place that they came from.
# --replace: how the profile leaves (exit 1) must reach the firmware, not this script.
isset ${{netX/ip}} || dhcp ||
chain --autofree --replace {base}/p/${{netX/mac:hexhyp}} || echo No boot profile; once more in 5 s
sleep 5
dhcp ||
chain --autofree --replace {base}/p/${{netX/mac:hexhyp}} || exit 1
"""


class Profiles(Plain):
    """``/p/<mac>``: twelve hexadecimal digits, or any other spelling of a MAC address."""

    def __init__(self, rooms: Rooms) -> None:
        super().__init__()
        self._rooms = rooms

    async def get(self, request: Any) -> None:
        try:
            mac = normalise_mac(b"".join(request.postpath[:1]).decode("ascii"))
        except ValueError:
            request.reply(404, "the path of a profile is /p/ and the MAC address, twelve hexadecimal digits\n")
            return
        node = self._rooms.inventory.seen(mac)
        self._rooms.inventory.note_address(mac, request.peer)
        request.reply(200, self._script(node, request), SCRIPT)

    def _script(self, node: Node, request: Any) -> str:
        rooms = self._rooms
        install = self._install(node) if node.boot.kind == "installer" else None
        asked = request.method == b"GET"
        if install is None:
            if asked:
                rooms.timeline.record("http.localboot", f"{node.label} asked for a boot profile and was sent on to its disk", node=node.id)
            return str(rooms.catalog.localboot(node))
        script = str(rooms.catalog.profile(install, node, rooms.urls(request.base, install.token)))
        if asked:
            text = f"{node.label} fetched its boot profile ({install.family} {install.release})"
            rooms.timeline.record("http.profile", text, node=node.id, install=install.id)
            rooms.engine.progress(install.id, 2, "boot profile fetched")
        return script

    def _install(self, node: Node) -> Any:
        try:
            return self._rooms.install_on(node)
        except NotFound:
            log.error("Node {node} is assigned install {install}, which does not exist", node=node.id, install=node.boot.install)
            return None


class Autoexec(Plain):
    """``/autoexec.ipxe``: leads an iPXE without a script of its own to its profile."""

    async def get(self, request: Any) -> None:
        request.reply(200, AUTOEXEC.format(base=request.base), SCRIPT)
