"""``/i/<token>/...``: what an installer asks for (answer files, hooks) and where it reports. The token is the permission.

An unknown token and an ended install look the same from outside: 404 and one plain line.
"""

from __future__ import annotations

from typing import Any

from twisted.web.error import UnsupportedMethod

from pxed.errors import NotFound
from pxed.oses.scripts import why
from pxed.web import callback
from pxed.web.request import Plain
from pxed.web.rooms import Rooms

NO_INSTALL = "no such install, or it has ended\n"
SERVED = frozenset({"running", "parked", "unproven"})
"""A parked install is our fault, not the node's: its installer still gets its files. The system of an unproven one may be late."""
ANSWERED = 5
"""Percent when a node has its answer file; what it fetches of its install later (a unit file, say) is no step back to here."""
_HOOKS = (".sh", ".py", ".ps1", ".cmd", ".bat")


class InstallerFiles(Plain):
    """Answer files, ``notify[/<phase>]`` (GET, POST, PUT), ``progress`` and ``webhook`` (POST)."""

    def __init__(self, rooms: Rooms) -> None:
        super().__init__()
        self._rooms = rooms

    async def get(self, request: Any) -> None:
        await self._route(request)

    async def post(self, request: Any) -> None:
        await self._route(request)

    async def _route(self, request: Any) -> None:
        token, *rest = [part.decode("utf-8", "replace") for part in request.postpath] or [""]
        try:
            if rest[:1] == ["notify"] and len(rest) <= 2 and request.method != b"HEAD":
                await callback.notify(self._rooms, request, token, rest[1] if rest[1:] and rest[1] else None)
            elif rest == ["progress"] and request.method != b"HEAD":
                await callback.progress(self._rooms, request, token)
            elif rest == ["webhook"] and request.method == b"POST":
                await callback.webhook(self._rooms, request, token)
            elif rest[:1] == ["notify"] or request.method == b"PUT" or (request.method == b"POST" and not self._posted(token, rest)):
                raise UnsupportedMethod([b"GET"])
            else:
                await self._file(request, token, "/".join(rest))
        except NotFound:
            request.reply(404, NO_INSTALL)
        except UnsupportedMethod:
            request.reply(405, "method not allowed\n")

    def _posted(self, token: str, rest: list[str]) -> bool:
        """Whether the install's installer asks for this file by POST. NotFound."""
        return self._rooms.catalog.asks_by_post(self._rooms.engine.by_token(token), "/".join(rest))

    async def _file(self, request: Any, token: str, name: str) -> None:
        rooms = self._rooms
        install = rooms.engine.by_token(token)
        node = rooms.inventory.get(install.node_id)
        if node is None:
            request.reply(404, NO_INSTALL)
            return
        if self._is_over(request, install, node, name):
            return
        rooms.inventory.note_address(node.mac, request.peer)
        try:
            rendered = await rooms.rendering.file(install, node, rooms.urls(request.base, install.token), name)
        except NotFound:
            request.reply(404, "no such file\n")
            self._missing(install, node, f"asked for {name[:80]!r}, which its install does not have")
            return
        except Exception as problem:
            self._missing(install, node, f"could not be given {name[:80]}: {why(problem)}")
            raise
        if self._is_over(request, install, node, name):
            return
        request.setHeader(b"Cache-Control", b"no-store")
        request.reply(200, rendered.body, rendered.content_type)
        if request.method != b"HEAD":
            self._served(install, node, name)

    def _is_over(self, request: Any, install: Any, node: Any, name: str) -> bool:
        """Whether `name` is not, or no longer, for `node`; then that is what it has been told."""
        if install.state not in SERVED:
            request.reply(404, NO_INSTALL)
            return True
        if node.boot.kind == "disk" and name in self._rooms.catalog.plain_secrets(install):
            request.reply(404, "no such file any more\n")
            self._missing(install, node, f"asked for {name}, which holds secrets, after its installer had ended")
            return True
        return False

    def _missing(self, install: Any, node: Any, what: str) -> None:
        self._rooms.timeline.record("http.failed", f"{node.label} {what}", node=node.id, install=install.id)

    def _served(self, install: Any, node: Any, name: str) -> None:
        hook = name.endswith(_HOOKS)
        what = "the hook" if hook else "its answer file"
        kind = "http.hook" if hook else "http.answer"
        self._rooms.timeline.record(kind, f"{node.label} fetched {what} {name}", node=node.id, install=install.id)
        if name in self._rooms.catalog.loads(install):
            return
        self._rooms.engine.works(install.id)
        if not hook and install.state == "running" and install.percent < ANSWERED:
            self._rooms.engine.progress(install.id, ANSWERED, "answer file fetched")
