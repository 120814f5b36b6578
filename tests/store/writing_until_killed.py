"""Run by test_kill.py: writes numbers as fast as it can and prints each one once its Deferred has fired. Ends by kill -9 only."""

from __future__ import annotations

import os
import sys

from sqlalchemy import insert
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from pxed.store import Store
from pxed.store.schema import settings

store = Store(sys.argv[1], reactor=reactor)
first = int(sys.argv[2])


def write(number: int) -> None:
    def stored(_result: object) -> None:
        os.write(1, b"%d\n" % number)
        write(number + 64)

    store.write(lambda c: c.execute(insert(settings), {"key": str(number), "value": "x" * 100}) and None).addCallback(stored)


async def main() -> None:
    await store.open()
    for number in range(64):
        write(first + number)


reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
