"""What nodes download, told briefly: an installing node's progress shows "62 MB of packages, 60 % of the last time's", not eight hundred
events; or "60 % of the packages' bytes", if its release knows how many there are.

A download belongs to the install that the node at that address is assigned. Kernels, initial RAM disks and images are events of their own;
packages and indexes only count. So do their 404s: installers probe for files that need not be there.
"""

from __future__ import annotations

import re
from typing import Any

from pxed.errors import NotFound
from pxed.web.rooms import Rooms

MEGABYTE = 1_000_000
TELL_EVERY = 5.0
"""Seconds between two progress texts of one install."""
LARGE = MEGABYTE
"""Bytes from which a file that is no package is an event."""
MAX_COUNTED = 10_000
"""Installs of which is remembered when they were told of last."""

_PACKAGE = re.compile(r"(^|/)(pool|by-hash|repodata)/|\.(u?deb|d?rpm|apk)$")
_PROBED = re.compile(
    r"/(InRelease|Release(\.gpg)?|Packages|Sources|Translation|Contents|i18n|repomd\.xml|\.treeinfo|\.discinfo|.*\.(img|gpg|asc))\b"
)


class Traffic:
    """Pass it to the resources that send files."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._told: dict[str, tuple[float, int]] = {}  # when last, and what the last install of that system had fetched; longest ago first

    def sent(self, peer: str, path: str, size: int) -> None:
        """`size` bytes of `path` went to the node at `peer`."""
        node, install = self._whose(peer)
        if node is None:
            return
        package = _PACKAGE.search(path) is not None
        if not package and size >= LARGE:
            self._rooms.timeline.record(
                "http.file",
                f"{node.label} fetched {path[-120:]} ({size / MEGABYTE:.1f} MB)",
                node=node.id,
                install=install.id if install else None,
                data={"path": path[-500:], "bytes": size},
            )
        if package and install is not None:
            self._count(install, size)

    def program(self, request: Any, name: str, size: int, sent: int) -> None:
        """The node behind `request` was sent boot program `name`, or a part of it: by HTTP Boot, or by a boot loader."""
        node, install = self._whose(request.peer)
        if node is not None and sent == size:
            self._rooms.timeline.record(
                "http.file",
                f"{node.label} fetched boot program {name[-120:]} ({size} bytes)",
                node=node.id,
                install=install.id if install else None,
                data={"path": name[-500:], "bytes": size, "boot_program": name[-500:]},
            )

    def missing(self, peer: str, path: str) -> None:
        """The node at `peer` asked for a file that is nowhere."""
        if _PACKAGE.search(path) is None and _PROBED.search(path) is None:
            self._problem(peer, f"asked for {path[-120:]}, which is in no layer of that repository", path)

    def failed(self, peer: str, path: str, why: str) -> None:
        """The node at `peer` got no `path` because an upstream failed."""
        self._problem(peer, f"could not be given {path[-120:]}: {why}", path)

    def _problem(self, peer: str, what: str, path: str) -> None:
        node, install = self._whose(peer)
        if node is not None:
            self._rooms.timeline.record(
                "http.failed", f"{node.label} {what}", node=node.id, install=install.id if install else None, data={"path": path[-500:]}
            )

    def _count(self, install: Any, size: int) -> None:
        self._rooms.engine.fetched(install.id, size)
        now = self._rooms.clock.seconds()
        at, before = (
            self._told.pop(install.id) if install.id in self._told else (float("-inf"), self._rooms.engine.fetched_before(install.id))
        )
        due = not 0 <= now - at < TELL_EVERY  # Twisted's clock may be set back
        self._told[install.id] = (now if due else at, before)
        while len(self._told) > MAX_COUNTED:
            del self._told[next(iter(self._told))]
        if due:
            self._rooms.engine.progress(install.id, *self._rooms.catalog.fetched(install, before))

    def _whose(self, peer: str) -> tuple[Any, Any]:
        node = self._rooms.node_at(peer)
        try:
            return node, self._rooms.install_on(node)
        except NotFound:
            return node, None
