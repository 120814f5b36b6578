"""Run by test_kill.py: installs without end, twenty nodes at a time, and prints what was acknowledged. Ends by kill -9 only.

Lines: ``created TOKEN``, ``told TOKEN PHASE``.
"""

from __future__ import annotations

import os
import sys
import time

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pxed.errors import Conflict
from pxed.node.inventory import Inventory
from pxed.node.timeline import Timeline
from pxed.store import Store
from pxed.workflow.engine import Engine
from tests.workflow.recipes import BOOK

clock = IReactorTime(reactor)
store = Store(sys.argv[1], reactor=reactor)
timeline = Timeline(now=time.time, store=store)
inventory = Inventory(now=time.time, store=store, timeline=timeline)
engine = Engine(store=store, inventory=inventory, timeline=timeline, recipes=BOOK, clock=clock, now=time.time)


def acknowledged(line: str) -> None:
    os.write(1, line.encode() + b"\n")


async def one_node(number: int) -> None:
    node = inventory.seen(f"52:54:00:00:00:{number:02x}")
    while True:
        try:
            install = await engine.create(node.id, family="plain", release="1", recipe="plain", options={})
        except Conflict:
            install = next(each for each in engine.all(node=node.id) if each.state == "running")
        acknowledged(f"created {install.token}")
        for phase in ("started", "installed", "booted"):
            await engine.deliver(install.token, phase)
            acknowledged(f"told {install.token} {phase}")


async def main() -> None:
    await store.open()
    await timeline.load()
    await inventory.load()
    await engine.start()
    for number in range(20):
        Deferred.fromCoroutine(one_node(number))


reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
