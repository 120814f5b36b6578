"""Every install there is, in memory: by id, by the secret that its node was given, oldest first. No I/O."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from pxed.errors import NotFound
from pxed.workflow.install import Install


class Installs:
    """Iterating gives them oldest first, as long as they are added in that order."""

    def __init__(self) -> None:
        self._by_id: dict[str, Install] = {}
        self._by_digest: dict[bytes, Install] = {}

    def add(self, install: Install) -> None:
        """Also back, after `hide`."""
        self._by_id[install.id] = install
        self._by_digest[_digest(install.token)] = install

    def hide(self, install: Install) -> None:
        """Its token is no token any more."""
        del self._by_digest[_digest(install.token)]

    def drop(self, install: Install) -> None:
        """After `hide`."""
        del self._by_id[install.id]

    def find(self, install_id: str) -> Install | None:
        """By id."""
        return self._by_id.get(install_id)

    def get(self, install_id: str) -> Install:
        """By id. NotFound."""
        install = self._by_id.get(install_id)
        if install is None:
            raise NotFound(f"There is no install {install_id[:80]!r}")
        return install

    def by_token(self, token: str) -> Install:
        """By the secret its node was given, ended ones too. NotFound. What it takes tells nothing about how much of a guess was right."""
        install = self._by_digest.get(_digest(token))
        if install is None or not hmac.compare_digest(install.token.encode(), token.encode("utf-8", "replace")):
            raise NotFound("There is no install with this token")
        return install

    def all(self, *, node: str | None = None) -> list[Install]:
        """Every one (of a node), oldest first."""
        return [install for install in self._by_id.values() if node is None or install.node_id == node]

    def ended(self, before: float, is_known: Callable[[str], bool]) -> list[Install]:
        """Those that ended before this time (UTC seconds), but for the last one of a node that `is_known`: it says what is on its disk."""
        last = {each.node_id: each.id for each in self._by_id.values()}
        return [
            each
            for each in self._by_id.values()
            if each.finished_at is not None and each.finished_at < before and (last[each.node_id] != each.id or not is_known(each.node_id))
        ]

    def fetched_before(self, install_id: str) -> int:
        """Bytes of packages of the last install of the same system that was done and fetched any here, 0 for none. NotFound."""
        this = self.get(install_id)
        what = (this.family, this.release)
        done = (each for each in reversed(self._by_id.values()) if each.state == "done" and (each.family, each.release) == what)
        return next((each.fetched for each in done if each.fetched), 0)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
