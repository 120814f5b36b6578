"""What `pxed.store.writer` promises, on a real file with its real thread."""

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError
from twisted.internet.defer import Deferred, gatherResults

from pxed.errors import ConfigError, StorageUnavailable
from pxed.scheduling import NICER
from pxed.store import Store
from pxed.store.database import understood
from pxed.store.lazy import Batch, LazyWriter
from pxed.store.schema import settings
from pxed.store.writer import LARGEST_BATCH, SHARE
from tests.store.pump import Pump


def put(key: str, value: str = "") -> Callable[[Connection], str]:
    def op(connection: Connection) -> str:
        connection.execute(insert(settings), {"key": key, "value": value})
        return key

    return op


def half(connection: Connection) -> None:
    """Fails when half of its work is done. ValueError."""
    put("half")(connection)
    raise ValueError("mine")


def keys(connection: Connection) -> list[str]:
    return list(connection.scalars(select(settings.c.key).order_by(settings.c.key)))


def stored(path: Path) -> list[str]:
    """What another process sees, i.e. what is committed."""
    with sqlite3.connect(path) as other:
        return [row[0] for row in other.execute("SELECT key FROM settings ORDER BY key")]


def stall(store: Store) -> threading.Event:
    """Keep the thread busy until the event is set, so that what is asked meanwhile is one batch."""
    going, gate = threading.Event(), threading.Event()

    def op(_connection: Connection) -> None:
        going.set()
        assert gate.wait(10)

    store.read(op)
    assert going.wait(10)
    return gate


def test_a_write_is_committed_when_its_deferred_fires(store: Store, pump: Pump, path: Path) -> None:
    seen: list[list[str]] = []
    pump.until(store.write(put("a")).addCallback(lambda _: seen.append(stored(path))))
    assert seen == [["a"]]


def test_nobody_but_its_owner_reads_the_database(pump: Pump, path: Path) -> None:
    """Whatever the directory's mode is; that of an earlier pxed is closed as well."""
    path.touch()
    path.chmod(0o644)
    store = Store(f"sqlite:///{path}", reactor=pump)
    pump.until(store.open())
    pump.until(store.write(put("a")))
    modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    assert modes == {"pxed.db": 0o600, "pxed.db-wal": 0o600, "pxed.db-shm": 0o600}
    pump.until(store.close())


def test_a_write_is_not_visible_to_others_before_its_batch_is_committed(store: Store, pump: Pump, path: Path) -> None:
    gate = stall(store)
    first = store.write(put("a"))
    look = store.read(lambda _: stored(path))  # in the same batch, behind the write
    gate.set()
    assert pump.until(look) == []
    assert pump.until(first) == "a"
    assert stored(path) == ["a"]


def test_the_database_is_in_wal_mode_with_synchronous_full_and_foreign_keys(store: Store, pump: Pump) -> None:
    def pragmas(connection: Connection) -> list[object]:
        return [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]

    assert pump.until(store.read(pragmas)) == ["wal", 2, 1, 5000]


def test_its_thread_leaves_the_core_to_the_reactor(store: Store) -> None:
    thread = store._thread
    assert thread is not None
    assert thread.native_id is not None
    nice = [os.getpriority(os.PRIO_PROCESS, task) for task in (thread.native_id, threading.get_native_id())]
    assert nice[0] == min(19, nice[1] + NICER)


def test_what_waits_goes_into_one_commit_and_one_call_from_the_thread(store: Store, pump: Pump) -> None:
    """The check that group commit really batches."""
    gate = stall(store)
    commits, calls = store.commits, pump.calls
    everything = gatherResults([store.write(put(f"{number:03}")) for number in range(300)])
    gate.set()
    pump.until(everything)
    assert store.commits - commits == 2  # the one that stalled, and all the others
    assert pump.calls - calls == 2
    assert store.operations >= 301


def test_a_batch_is_at_most_512_operations(store: Store, pump: Pump) -> None:
    gate = stall(store)
    commits = store.commits
    everything = gatherResults([store.write(put(f"{number:04}")) for number in range(2 * LARGEST_BATCH + 1)])
    gate.set()
    pump.until(everything)
    assert LARGEST_BATCH == 512
    assert store.commits - commits == 1 + 3


def test_an_operation_that_fails_is_undone_alone(store: Store, pump: Pump, path: Path) -> None:
    gate = stall(store)
    before, failing, again, after = store.write(put("a")), store.write(half), store.write(put("a")), store.write(put("b"))
    gate.set()
    assert pump.until(before) == "a"
    with pytest.raises(ValueError, match="mine"):
        pump.until(failing)
    with pytest.raises(IntegrityError):
        pump.until(again)
    assert pump.until(after) == "b"
    assert stored(path) == ["a", "b"]
    assert store.healthy  # that was nobody's disk


def test_results_arrive_in_the_order_of_the_questions(store: Store, pump: Pump) -> None:
    order: list[str] = []

    async def ask(key: str) -> None:
        order.append(await store.write(put(key)))

    gate = stall(store)
    asked = [Deferred.fromCoroutine(ask(f"{number:02}")) for number in range(20)]
    gate.set()
    pump.until(gatherResults(asked))
    assert order == sorted(order)
    assert len(order) == 20


def test_a_read_sees_every_write_asked_before_it(store: Store, pump: Pump) -> None:
    store.write(put("a"))
    assert pump.until(store.read(keys)) == ["a"]


def test_cancelling_the_deferred_neither_undoes_the_write_nor_harms_the_batch(store: Store, pump: Pump, path: Path) -> None:
    gate = stall(store)
    cancelled, other = store.write(put("a")), store.write(put("b"))
    cancelled.addErrback(lambda _: None)
    cancelled.cancel()
    gate.set()
    assert pump.until(other) == "b"
    assert stored(path) == ["a", "b"]


def fill_the_disk(connection: Connection) -> None:
    """A real SQLITE_FULL, from SQLite itself: it may not grow, and then it has to."""
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    for number in range(50):
        connection.execute(insert(settings), {"key": f"big{number}", "value": "x" * 4000})


def test_a_full_disk_fails_the_whole_batch_and_nothing_of_it_is_there(store: Store, pump: Pump, path: Path) -> None:
    """SQLite rolls the transaction back by itself; what seemed to have worked before must not be acknowledged."""
    gate = stall(store)
    before, full, after = store.write(put("a")), store.write(fill_the_disk), store.write(put("b"))
    gate.set()
    acknowledged = []
    for asked in (before, full, after):
        with contextlib.suppress(StorageUnavailable):
            acknowledged.append(pump.until(asked))
    assert stored(path) == [key for key in acknowledged if key]
    assert not store.healthy
    assert "full" in store.problem


def test_the_thread_survives_a_full_disk_and_works_when_there_is_room(store: Store, pump: Pump) -> None:
    with pytest.raises(StorageUnavailable):
        pump.until(store.write(fill_the_disk))
    pump.until(store.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000")))
    assert pump.until(store.write(put("a"))) == "a"
    assert store.healthy
    assert store.problem == ""


def test_a_connection_that_dies_is_opened_again(store: Store, pump: Pump, path: Path) -> None:
    def kill(connection: Connection) -> None:
        connection.connection.dbapi_connection.close()  # type: ignore[union-attr]

    with pytest.raises(StorageUnavailable):
        pump.until(store.write(kill))
    assert not store.healthy
    assert pump.until(store.write(put("a"))) == "a"
    assert stored(path) == ["a"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=lambda error: type(error).__name__)
def test_nothing_that_an_operation_raises_ends_the_thread(store: Store, pump: Pump, error: BaseException) -> None:
    def op(_connection: Connection) -> None:
        raise error

    with pytest.raises(StorageUnavailable):
        pump.until(store.write(op))
    assert pump.until(store.write(put("a"))) == "a"


def test_what_was_asked_before_close_is_committed_and_what_comes_after_is_refused(pump: Pump, path: Path) -> None:
    store = Store(f"sqlite:///{path}", reactor=pump)
    pump.until(store.open())
    asked = gatherResults([store.write(put(f"{number:04}")) for number in range(1000)])
    pump.until(store.close())
    assert len(pump.until(asked)) == len(stored(path)) == 1000
    with pytest.raises(StorageUnavailable, match="closed"):
        pump.until(store.write(put("z")))
    pump.until(store.close())


def test_before_open_everything_is_refused(pump: Pump, path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="not open"):
        pump.until(Store(f"sqlite:///{path}", reactor=pump).write(put("a")))


def test_a_place_where_no_database_can_be_is_a_sentence_when_it_is_opened(pump: Pump, tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="unable to open database file"):
        pump.until(Store(f"sqlite:///{tmp_path}/no/such/pxed.db", reactor=pump).open())


def test_a_file_that_is_no_database_is_refused(pump: Pump, path: Path) -> None:
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(StorageUnavailable, match="not a database"):
        pump.until(Store(f"sqlite:///{path}", reactor=pump).open())


def test_a_url_nobody_understands_is_a_mistake_of_the_configuration(pump: Pump) -> None:
    with pytest.raises(ConfigError, match="database"):
        pump.until(Store("nonsense", reactor=pump).open())


@pytest.mark.parametrize(
    "url", ["sqlite:///x.db", "sqlite:///./x.db", "sqlite:///file:x.db?uri=true", "sqlite+pysqlite:///x.db", "sqlite://x.db"]
)
def test_a_file_by_a_relative_path_is_refused_and_none_is_made(
    pump: Pump, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"database: names a file by a relative path, .* it is sqlite:////DIR/FILE, with four slashes"):
        pump.until(Store(url, reactor=pump).open())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:////tmp/x.db", "sqlite:///file:/tmp/x.db?uri=true"])
def test_memory_and_an_absolute_path_are_understood(url: str) -> None:
    assert understood(url).get_backend_name() == "sqlite"


def test_no_secret_of_a_row_gets_into_the_words_of_an_error(store: Store, pump: Pump) -> None:
    pump.until(store.write(put("a", "hunter2")))
    with pytest.raises(IntegrityError) as caught:
        pump.until(store.write(put("a", "hunter2")))
    assert "hunter2" not in str(caught.value)


def test_a_refused_deferred_that_nobody_looks_at_is_the_only_trace(store: Store, pump: Pump) -> None:
    """The store keeps nothing of an operation once it is settled."""

    class Marker:
        alive = True

        def __del__(self) -> None:
            Marker.alive = False

    marker = Marker()
    pump.until(store.write(lambda _c, kept=marker: None))  # type: ignore[misc]
    del marker
    pump.until(store.read(keys))
    gc.collect()
    assert not Marker.alive


def test_writes_that_nobody_waits_for_share_a_commit_and_one_that_somebody_waits_for_takes_them_along(store: Store, pump: Pump) -> None:
    """Without a rest each of these would find the thread idle and be a commit of its own."""
    pump.until(store.write(put("first")))
    store._rested_at = time.monotonic() + 5
    before = store.commits
    lazy = [store.write(put(f"lazy{number}"), lazy=True) for number in range(5)]
    time.sleep(0.05)  # the thread is real: it has the first of them by now
    pump.until(store.write(put("urgent")))
    pump.until(gatherResults(lazy))
    assert store.commits == before + 1


def test_what_rests_is_committed_at_once_when_somebody_comes_to_wait_for_it(store: Store, pump: Pump, path: Path) -> None:
    waiting = ["first"]

    def op(connection: Connection) -> None:
        put("first")(connection)

    def take() -> Batch | None:
        return Batch(op, lambda: None) if waiting and waiting.pop() else None

    writer = LazyWriter(store, take, what="These", now=time.time)
    pump.until(store.write(put("before")))
    store._rested_at = time.monotonic() + 60
    writer.poke()
    time.sleep(0.05)  # the thread is real: it has it by now, and rests
    pump.until(Deferred.fromCoroutine(writer.flush()))
    assert stored(path) == ["before", "first"]


def test_a_write_that_nobody_waits_for_is_committed_all_the_same(store: Store, pump: Pump, path: Path) -> None:
    pump.until(store.write(put("first")))
    pump.until(store.write(put("lazy"), lazy=True))
    assert stored(path) == ["first", "lazy"]


def test_its_thread_gives_the_interpreter_back_after_a_millisecond(pump: Pump, path: Path) -> None:
    usual = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.005)
        store = Store(f"sqlite:///{path}", reactor=pump)
        pump.until(store.open())
        assert sys.getswitchinterval() == pytest.approx(SHARE)
        pump.until(store.close())
    finally:
        sys.setswitchinterval(usual)
