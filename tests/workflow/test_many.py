"""A rack at once, on the real store with its thread."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock

from pxed.node.inventory import Inventory
from pxed.node.timeline import Timeline
from pxed.store import Store
from pxed.store.schema import journal
from pxed.testing import NOON
from pxed.workflow.engine import Engine
from pxed.workflow.install import Install
from tests.store.pump import Pump
from tests.workflow.recipes import BOOK


class Core:
    """The durable core on a file, with its thread."""

    def __init__(self, path: Path) -> None:
        self.pump, self.clock = Pump(), Clock()
        self.clock.advance(NOON)
        now = self.clock.seconds
        self.store = Store(f"sqlite:///{path}", reactor=self.pump)
        self.timeline = Timeline(now=now, store=self.store)
        self.inventory = Inventory(now=now, store=self.store, timeline=self.timeline)
        self.engine = Engine(
            store=self.store, inventory=self.inventory, timeline=self.timeline, recipes=BOOK, clock=self.clock, now=now
        )  # fmt: skip
        self.pump.until(self._start())

    async def _start(self) -> None:
        await self.store.open()
        await self.timeline.load()
        await self.inventory.load()
        await self.engine.start()

    def stop(self) -> None:
        self.pump.until(self.engine.stop())
        self.pump.until(self.timeline.flush())
        self.pump.until(self.store.close())


async def install(core: Core, number: int, phases: tuple[str, ...]) -> Install:
    node = core.inventory.seen(f"52:54:00:00:00:{number:02x}", arch=7)
    install = await core.engine.create(node.id, family="plain", release="1", recipe="plain", options={})
    for phase in phases:
        await core.engine.deliver(install.token, phase)
    return install


async def finish(core: Core, install: Install) -> None:
    for phase in ("started", "installed", "booted"):
        await core.engine.deliver(install.token, phase)


def together(*coroutines: Coroutine[Any, Any, Any]) -> Deferred[list[Any]]:
    return gatherResults([Deferred.fromCoroutine(each) for each in coroutines], consumeErrors=True)


@pytest.mark.slow
def test_a_hundred_installs_at_once_survive_a_restart_and_all_end(tmp_path: Path) -> None:
    core = Core(tmp_path / "pxed.db")
    some = [(), ("started",), ("started", "installed"), ("installed",)]
    core.pump.until(together(*(install(core, number, some[number % 4]) for number in range(100))))
    assert core.store.operations / core.store.commits > 5  # they share their commits
    core.stop()
    core = Core(tmp_path / "pxed.db")
    assert [each.state for each in core.engine.all()] == ["running"] * 100
    core.pump.until(together(*(finish(core, each) for each in core.engine.all())))
    while any(each.state == "running" for each in core.engine.all()):
        core.pump.until(core.store.read(lambda _connection: None))
    assert [each.state for each in core.engine.all()] == ["done"] * 100
    assert {node.boot.kind for node in core.inventory.all()} == {"disk"}
    steps = core.pump.until(core.store.read(lambda c: c.execute(select(journal.c.install_id, func.count()).group_by("install_id")).all()))
    assert [count for _, count in steps] == [5] * 100
    core.stop()
