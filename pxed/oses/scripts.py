"""Boot scripts: what a node that has come as far as a boot loader is told, chosen by the boot it is assigned and by nothing else.

A node asks more than once per install, so every request is answered from the assigned boot as it is now. TFTP and HTTP answer from here
alike. Where a script is rendered: `pxed.oses.rendering`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

from twisted.logger import Logger

from pxed.errors import NotFound, PxedError
from pxed.node.guard import Guard
from pxed.node.identity import normalise_mac
from pxed.node.inventory import Inventory
from pxed.node.model import Node
from pxed.node.timeline import Timeline
from pxed.oses.catalog import Catalog
from pxed.oses.family import Urls
from pxed.oses.rendering import Rendering
from pxed.workflow.engine import Engine
from pxed.workflow.install import Install

log = Logger()

Syntax = Literal["ipxe", "grub"]

_GRUB_BY_MAC = re.compile(r"grub\.cfg-01-((?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2})")
"""GRUB's own search uses hyphens, our `which` script GRUB's $net_default_mac, which has colons. 01 is Ethernet."""


def why(problem: Exception) -> str:
    """`problem` in a sentence for the timeline, which gets no more of our own faults than that there is one."""
    return str(problem) if isinstance(problem, PxedError) else "this pxed has a fault, which its log describes"


class BootScripts:
    """`urls(base, token)` makes the URLs of an install; `base` is ``http://IP[:port]`` as the asking node reaches us.

    A node that `guard` has quarantined is sent to its disk, whatever it is assigned. `grub(arch)`: the path of a GRUB for that client
    architecture below the boot program root, None for none. `rendering`: where the scripts of installs are rendered, None for here.
    """

    def __init__(
        self,
        *,
        inventory: Inventory,
        timeline: Timeline,
        engine: Engine,
        catalog: Catalog,
        urls: Callable[[str, str], Urls],
        guard: Guard,
        grub: Callable[[int | None], str | None] = lambda _arch: None,
        rendering: Rendering | None = None,
    ) -> None:
        self._rendering = rendering or Rendering(catalog)
        self._guard = guard
        self._grub = grub
        self._inventory = inventory
        self._timeline = timeline
        self._engine = engine
        self._catalog = catalog
        self._urls = urls

    @staticmethod
    def is_named(name: str) -> bool:
        """Whether boot loaders ask for `name` of their own accord: what `named` has a script for."""
        last = name.rsplit("/", 1)[-1].lower()
        return last in {"autoexec.ipxe", "grub.cfg"} or _GRUB_BY_MAC.fullmatch(last) is not None

    async def named(self, name: str, peer: str, base: str, *, asked: bool = True) -> str | None:
        """The script for a file that boot loaders ask for of their own accord; None for every other name.

        iPXE asks for ``autoexec.ipxe`` beside where it came from, GRUB for ``grub.cfg`` below the prefix it was built with or beside where
        it came from: so the last part of `name` counts, in any folder.
        """
        last = name.rsplit("/", 1)[-1].lower()
        if last == "autoexec.ipxe":
            return self._catalog.autoexec(base)
        if last == "grub.cfg":
            return self._catalog.which()
        by_mac = _GRUB_BY_MAC.fullmatch(last)
        return await self.of(normalise_mac(by_mac[1]), peer, base, "grub", asked=asked) if by_mac else None

    async def of(self, mac: str, peer: str, base: str, syntax: Syntax, *, asked: bool = True) -> str:
        """The script of the node `mac`, which asks from the address `peer`. `asked` False: somebody only wants to know its size."""
        node = self._inventory.seen(mac)
        self._inventory.note_address(mac, peer)
        install = self._install(node)
        refusal = self._guard.refusal(node.id) if install is not None else None
        if install is None or (refusal is not None and refusal.reason == "quarantined"):
            if asked:
                begun = (
                    ", because its installer has begun and is not started again" if node.boot.kind == "silent" and node.boot.install else ""
                )
                why = f" because it is quarantined: {refusal.text}" if refusal is not None else begun
                text = f"{node.label} asked for a boot profile and was sent on to its disk{why}"
                self._timeline.record("http.localboot", text, node=node.id)
            return self._catalog.localboot(node, syntax, base, self._grub(node.arch))
        script = await self._script(install, node, self._urls(base, install.token), mac, syntax)
        if self._install(node) is not install:  # it ended meanwhile, or its node is to boot the disk
            return await self.of(mac, peer, base, syntax, asked=asked)
        if asked:
            text = f"{node.label} fetched its boot profile ({install.family} {install.release}{', for GRUB' if syntax == 'grub' else ''})"
            self._timeline.record("http.profile", text, node=node.id, install=install.id)
            self._engine.served(install.id)
        return script

    async def _script(self, install: Install, node: Node, urls: Urls, mac: str, syntax: Syntax) -> str:
        """The script of `install`. If it cannot be made, the operator hears of it: the node's screen is all that shows it otherwise."""
        try:
            if syntax == "ipxe":
                return await self._rendering.profile(install, node, urls)
            return await self._rendering.grub(install, node, urls, mac)
        except Exception as problem:
            self._timeline.record("http.failed", f"{node.label} got no boot profile: {why(problem)}", node=node.id, install=install.id)
            raise

    def told(self, mac: str, facts: Mapping[str, str]) -> None:
        """What a node that asked said of itself; "" says nothing."""
        self._inventory.learn(mac, **{name: value for name, value in facts.items() if value})

    def _install(self, node: Node) -> Install | None:
        """The running install that `node` is to boot."""
        if node.boot.kind != "installer" or node.boot.install is None:
            return None
        try:
            install = self._engine.get(node.boot.install)
        except NotFound:
            log.error("Node {node} is assigned install {install}, which does not exist", node=node.id, install=node.boot.install)
            return None
        return install if install.state == "running" else None
