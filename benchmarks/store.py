"""Operations per second: pxed's dedicated writer beside `twisted.enterprise.adbapi` (5 threads, and 1) on the same disk.

    python -m benchmarks.store [--rounds 5] [--operations 2000] [--directory DIR]

One operation inserts an event and updates a setting, SQLite WAL with synchronous=FULL, with 1 and with 64 operations waiting at any
time. The peers take turns in every round; the last lines are medians and ratios.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, insert, update
from twisted.enterprise.adbapi import ConnectionPool, Transaction
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from pxed.store import Store
from pxed.store.schema import events, settings

EVENT = insert(events)
SETTING = update(settings).where(settings.c.key == bindparam("k")).values(value=bindparam("v"))
Write = Callable[[int], Deferred[Any]]


def through_store(store: Store, base: int) -> Write:
    def op(connection: Connection, number: int) -> None:
        connection.execute(
            EVENT, {"id": base + number, "at": 1.0, "kind": "bench", "text": "x" * 80, "node_id": "n", "install_id": None, "data": {}}
        )
        connection.execute(SETTING, {"k": "bench", "v": str(number)})

    return lambda number: store.write(lambda connection: op(connection, number))


def through_adbapi(pool: ConnectionPool, base: int) -> Write:
    def interaction(transaction: Transaction, number: int) -> None:
        transaction.execute("INSERT INTO events VALUES (?, 1.0, 'bench', ?, 'n', NULL, '{}')", (base + number, "x" * 80))
        transaction.execute("UPDATE settings SET value = ? WHERE key = 'bench'", (str(number),))

    return lambda number: pool.runInteraction(interaction, number)


def connected(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")


async def measure(write: Write, operations: int, width: int) -> float:
    """Operations per second with `width` of them waiting at any time."""
    numbers = iter(range(operations))

    async def one_after_another() -> None:
        for number in numbers:
            await write(number)

    start = time.perf_counter()
    await gatherResults([Deferred.fromCoroutine(one_after_another()) for _ in range(width)])
    return operations / (time.perf_counter() - start)


async def main(directory: Path, rounds: int, operations: int) -> dict[str, Any]:
    """Operations per second, all rounds: "name, waiting" > list."""
    path = directory / "bench.db"
    store = Store(f"sqlite:///{path}", reactor=reactor)
    await store.open()
    await store.write(lambda connection: connection.execute(insert(settings), {"key": "bench", "value": ""}) and None)
    pools = {
        f"adbapi, {threads} thread{'s'[: threads - 1]}": ConnectionPool(
            "sqlite3", str(path), check_same_thread=False, timeout=60, cp_min=threads, cp_max=threads, cp_openfun=connected
        )
        for threads in (5, 1)
    }
    results: dict[tuple[str, int], list[float]] = {}
    base = 0
    for turn in range(rounds):
        for width in (1, 64):
            for name, pool in (("pxed", None), *pools.items()):
                base += operations
                write = through_store(store, base) if pool is None else through_adbapi(pool, base)
                count = operations if width > 1 else max(1, operations // 10)
                results.setdefault((name, width), []).append(await measure(write, count, width))
        print(f"round {turn + 1} of {rounds} done", flush=True)
    commits, done = store.commits, store.operations
    await store.close()
    for pool in pools.values():
        pool.close()
    print(f"{'writer':<20}{'waiting':>8}{'ops/s':>10}{'pxed is':>12}")
    for width in (1, 64):
        ours = statistics.median(results["pxed", width])
        for name in ("pxed", *pools):
            median = statistics.median(results[name, width])
            print(f"{name:<20}{width:>8}{median:>10.0f}{ours / median:>11.1f}x")
    print(f"{done} operations of pxed took {commits} commits", flush=True)
    return {f"{name}, {width}": rates for (name, width), rates in results.items()}


GOALS = {1: 1.0, 64: 4.0}
"""Operations that wait > at least so many times adbapi's rate."""


def rows(only: str | None = None) -> list[dict[str, str]]:
    """The table's rows (see `benchmarks.__main__`). In a process of its own: a reactor runs once."""
    if only is not None and not "store".startswith(only) and not only.startswith("store"):
        return []
    done = subprocess.run([sys.executable, "-m", "benchmarks.store", "--json"], stdout=subprocess.PIPE, text=True, timeout=900, check=True)
    rates = json.loads(done.stdout.splitlines()[-1])
    return [row for row in map(partial(_row, rates), GOALS) if only is None or row["name"].startswith(only)]


def _row(rates: dict[str, list[float]], width: int) -> dict[str, str]:
    mine, peer = rates[f"pxed, {width}"], rates[f"adbapi, 5 threads, {width}"]
    ratio = statistics.median(a / b for a, b in zip(mine, peer, strict=True))
    return {
        "name": f"store, {width} waiting, ops/s",
        "ours": f"{statistics.median(mine):.0f}",
        "peer": f"adbapi {statistics.median(peer):.0f}",
        "ratio": f"{ratio:.2f}",
        "goal": f">= {GOALS[width]:.1f}",
        "verdict": "holds" if ratio >= GOALS[width] else "short",
    }


def run() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--operations", type=int, default=2000)
    parser.add_argument("--directory", type=Path, default=None, help="where the database is written: the disk that is measured")
    parser.add_argument("--json", action="store_true", help="the last line is every round's figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        ended = Deferred.fromCoroutine(main(Path(directory), given.rounds, given.operations))
        if given.json:
            ended.addCallback(lambda rates: print(json.dumps(rates)))
        ended.addErrback(lambda failure: print(failure.getTraceback()))
        ended.addBoth(lambda _: reactor.callLater(0, reactor.stop))
        reactor.run()


if __name__ == "__main__":
    run()
