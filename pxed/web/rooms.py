"""What the web resources are given: the other rooms, the clock, the disk. Nothing else is global."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pxed.node.guard import Guard
from pxed.node.inventory import Inventory
from pxed.node.model import Node
from pxed.node.siteserver import Piece
from pxed.node.timeline import Timeline
from pxed.oses.catalog import Catalog, Urls
from pxed.oses.rendering import Rendering
from pxed.repo.bootprograms import BootPrograms
from pxed.repo.disk import Disk
from pxed.repo.registry import Registry
from pxed.workflow.engine import Engine
from pxed.workflow.install import Install


@dataclass(frozen=True, slots=True)
class Rooms:
    """`clock`: IReactorTime; `now`: UTC seconds; `urls(base, token)` makes a `pxed.oses.catalog.Urls`; `base_of(node)`:
    ``http://10.0.0.1`` as the node reaches us, None while that isn't known; `site_lines(node)`: see `pxed.node.siteserver`."""

    inventory: Inventory
    timeline: Timeline
    engine: Engine
    catalog: Catalog
    urls: Callable[[str, str], Urls]
    base_of: Callable[[Node], str | None]
    disk: Disk
    clock: Any
    now: Callable[[], float]
    guard: Guard
    programs: Callable[[], BootPrograms]
    site_lines: Callable[[Node], list[Piece]]
    repositories: Registry
    rendering: Rendering

    def node_at(self, address: str) -> Node | None:
        """The node that used this IP address last."""
        return self.inventory.by_address(address)

    def install_on(self, node: Node | None) -> Install | None:
        """The install that `node` is assigned, if it runs; else None. NotFound if there is no such install."""
        if node is None or node.boot.install is None:
            return None
        install = self.engine.get(node.boot.install)
        return install if install.state == "running" else None
