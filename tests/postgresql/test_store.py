"""What `pxed.store` promises holds on PostgreSQL, with the server stopped, killed and started under it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from twisted.internet.defer import Deferred, gatherResults

from pxed.errors import HostProblem, StorageUnavailable
from pxed.store import Store
from pxed.store import database as store_database
from pxed.store.batch import Job
from pxed.store.database import Database, engine_for
from pxed.store.schema import installs, settings
from pxed.store.writer import commit_or_fail
from pxed.testing import MemoryStore, result_of
from tests.postgresql.cluster import Cluster
from tests.store.pump import Pump
from tests.store.test_writer import half, put, stall

pytestmark = pytest.mark.slow


@pytest.fixture
def mortal(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, for a test that stops it."""
    yield cluster
    cluster.stop()
    cluster.start()


def keys(cluster: Cluster, database: str) -> list[str]:
    """What another program sees, i.e. what is committed."""
    return [row[0] for row in cluster.ask("SELECT key FROM settings WHERE key <> 'appliance' ORDER BY key", database)]


def test_what_waits_goes_into_one_commit(store: Store, pump: Pump, cluster: Cluster, database: str) -> None:
    gate = stall(store)
    commits = store.commits
    everything = gatherResults([store.write(put(f"{number:03}")) for number in range(300)])
    assert keys(cluster, database) == []
    gate.set()
    pump.until(everything)
    assert store.commits - commits == 2  # the one that stalled, and all the others
    assert len(keys(cluster, database)) == 300


def test_an_operation_that_fails_is_undone_alone(store: Store, pump: Pump, cluster: Cluster, database: str) -> None:
    """On PostgreSQL an error spoils the transaction until it is rolled back to a savepoint."""

    def hushed(connection: Connection) -> None:
        try:
            connection.execute(text("SELECT nonsense"))
        except DBAPIError:
            pass

    gate = stall(store)
    before, failing, again = store.write(put("a")), store.write(half), store.write(put("a"))
    kept_quiet, after = store.write(hushed), store.write(put("b"))
    gate.set()
    assert pump.until(before) == "a"
    with pytest.raises(ValueError, match="mine"):
        pump.until(failing)
    with pytest.raises(IntegrityError):
        pump.until(again)
    with pytest.raises(Exception, match="transaction is aborted"):
        pump.until(kept_quiet)
    assert pump.until(after) == "b"
    assert keys(cluster, database) == ["a", "b"]
    assert store.healthy


def test_a_commit_is_on_the_disk_whatever_the_servers_defaults_are(cluster: Cluster, pump: Pump, database: str, url: str) -> None:
    cluster.ask(f"ALTER DATABASE {database} SET synchronous_commit = off")
    cluster.ask(f"ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'")
    cluster.ask(f"ALTER DATABASE {database} SET idle_in_transaction_session_timeout = '1min'")
    store = Store(url, reactor=pump)
    pump.until(store.open())
    names = ("synchronous_commit", "transaction_isolation", "idle_in_transaction_session_timeout", "client_encoding")
    shown = pump.until(store.read(lambda c: [c.scalar(text(f"SHOW {name}")) for name in names]))
    assert shown == ["on", "read committed", "0", "UTF8"]
    pump.until(store.close())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_while_the_server_is_away_writes_fail_and_afterwards_they_work(
    mortal: Cluster, store: Store, pump: Pump, database: str, how: signal.Signals
) -> None:
    pump.until(store.write(put("a")))
    mortal.stop(how)
    for key in ("b", "c"):
        with pytest.raises(StorageUnavailable, match="did not take it"):
            pump.until(store.write(put(key)))
    assert not store.healthy
    assert "\n" not in store.problem
    mortal.start()
    assert pump.until(store.write(put("d"))) == "d"
    assert (store.healthy, store.problem) == (True, "")
    assert keys(mortal, database) == ["a", "d"]


def test_a_server_that_was_restarted_while_nobody_wrote_is_no_failure(mortal: Cluster, store: Store, pump: Pump, database: str) -> None:
    pump.until(store.write(put("a")))
    mortal.stop()
    mortal.start()
    assert pump.until(store.write(put("b"))) == "b"
    assert store.healthy
    assert keys(mortal, database) == ["a", "b"]


def test_a_server_that_dies_in_the_middle_of_a_batch_takes_all_of_it_and_nothing_else(
    mortal: Cluster, store: Store, pump: Pump, database: str
) -> None:
    gate = stall(store)
    asked: list[Deferred[Any]] = [store.write(put("a")), store.write(lambda _: mortal.stop(signal.SIGQUIT)), store.write(put("b"))]
    gate.set()
    for each in asked:
        with pytest.raises(StorageUnavailable):
            pump.until(each)
    mortal.start()
    assert pump.until(store.write(put("c"))) == "c"
    assert keys(mortal, database) == ["c"]


# a commit whose answer is lost


class Cut:
    """A connection that breaks at the next COMMIT: after it has happened, or before; `then` is done at that moment."""

    def __init__(self, url: str) -> None:
        self.engine = engine_for(url)
        self.database = Database(url, engine=self.engine)
        self.database.upgrade()
        self._commit = self.engine.dialect.do_commit
        self.engine.dialect.do_commit = self._do_commit  # type: ignore[assignment, method-assign]
        self.cut: str | None = None
        self.then: Any = lambda: None

    def _do_commit(self, connection: Any) -> None:
        cut, self.cut = self.cut, None
        if cut != "before":
            self._commit(connection)
        if cut is not None:
            connection.dbapi_connection.close()
            self.then()
            raise self.engine.dialect.loaded_dbapi.OperationalError("server closed the connection unexpectedly")

    def store(self) -> MemoryStore:
        return MemoryStore(self.database)


def test_a_commit_whose_answer_was_lost_counts_if_it_happened(cluster: Cluster, url: str, database: str) -> None:
    cut = Cut(url)
    store = cut.store()
    cut.cut = "after"
    assert result_of(store.write(put("a"))) == "a"
    cut.cut = "before"
    with pytest.raises(StorageUnavailable, match="unexpectedly"):
        result_of(store.write(put("b")))
    assert result_of(store.write(put("c"))) == "c"
    assert keys(cluster, database) == ["a", "c"]
    cut.database.close()


def test_a_batch_that_fails_after_another_was_committed_is_not_taken_for_that(cluster: Cluster, url: str, database: str) -> None:
    cut = Cut(url)
    store = cut.store()
    result_of(store.write(put("a")))

    def dies(connection: Connection) -> None:
        connection.connection.dbapi_connection.close()  # type: ignore[union-attr]

    with pytest.raises(StorageUnavailable):
        result_of(store.write(dies))
    assert keys(cluster, database) == ["a"]
    cut.database.close()


@pytest.mark.parametrize("happened", [True, False])
def test_what_was_called_lost_and_was_not_is_never_built_upon(
    mortal: Cluster, url: str, database: str, monkeypatch: pytest.MonkeyPatch, happened: bool
) -> None:
    """The server is away for longer than anybody is kept waiting: what is in memory may differ from what is stored."""
    monkeypatch.setattr(store_database, "DOUBT", 0.3)
    cut = Cut(url)
    store = cut.store()
    cut.cut, cut.then = "after" if happened else "before", mortal.stop
    with pytest.raises(StorageUnavailable, match="unexpectedly"):
        result_of(store.write(put("a")))
    mortal.start()
    if happened:
        for _ in range(2):
            with pytest.raises(StorageUnavailable, match=r"holds a change that was reported as lost\. Restart pxed"):
                result_of(store.write(put("b")))
        assert keys(mortal, database) == ["a"]
    else:
        assert result_of(store.write(put("b"))) == "b"
    cut.database.close()


# one appliance per database


def test_a_second_appliance_is_refused_and_told_who_has_the_database(cluster: Cluster, store: Store, url: str, pump: Pump) -> None:
    with pytest.raises(HostProblem, match=r"is in use: pxed on .*, process \d+ \(server process \d+\) holds pxed's lock. One appliance"):
        pump.until(Store(url, reactor=pump).open())
    assert pump.until(store.write(put("a"))) == "a"


def test_one_that_is_just_dying_is_waited_for(url: str, pump: Pump) -> None:
    first, second = Store(url, reactor=pump), Store(url, reactor=pump)
    pump.until(first.open())
    opened = Deferred.fromCoroutine(second.open())
    time.sleep(0.5)
    assert not opened.called
    pump.until(first.close())
    pump.until(opened)
    pump.until(second.close())


def test_one_that_lost_its_connection_while_another_took_over_changes_nothing_any_more(
    cluster: Cluster, store: Store, url: str, pump: Pump, database: str
) -> None:
    cluster.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pxed on %'")
    other = Store(url, reactor=pump)
    pump.until(other.open())
    pump.until(other.write(put("theirs")))
    pump.until(other.close())
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match=r"Another pxed has used the PostgreSQL database .*\. Restart pxed"):
            pump.until(store.write(put("ours")))
    assert keys(cluster, database) == ["theirs"]


# secrets


def test_no_secret_of_a_row_gets_into_the_words_of_an_error(store: Store, pump: Pump) -> None:
    """PostgreSQL's DETAIL shows the whole row."""
    pump.until(store.write(put("a", "hunter2")))
    with pytest.raises(IntegrityError) as caught:
        pump.until(store.write(lambda c: c.execute(update(settings).values(key=None))))
    assert "hunter2" not in f"{caught.value} {caught.value.args} {caught.value.orig}"
    assert "null value in column" in str(caught.value)
    with pytest.raises(IntegrityError) as caught:
        pump.until(store.write(lambda c: c.execute(insert(installs), {"id": "i", "token": "hunter2", "options": {}})))
    assert "hunter2" not in f"{caught.value} {caught.value.orig}"


def test_the_password_is_in_no_error(cluster: Cluster, pump: Pump, database: str) -> None:
    cluster.ask("DROP ROLE IF EXISTS guarded; CREATE ROLE guarded LOGIN PASSWORD 'right'")
    for user in ("guarded", "nobody-of-that-name"):
        with pytest.raises(StorageUnavailable) as caught:
            pump.until(Store(cluster.url(database, user=user, password="hunter2"), reactor=pump).open())
        assert "hunter2" not in str(caught.value)
        assert user in str(caught.value)


# killed


def write_and_kill(url: str, first: int, acknowledgements: int) -> set[str]:
    """Start the writer, kill it after so many acknowledgements; all that it acknowledged."""
    command = [sys.executable, "-m", "tests.store.writing_until_killed", url, str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline().strip() for _ in range(acknowledgements)]
        writer.kill()
        told += writer.stdout.read().split("\n")[:-1]
    assert all(told), "the writer ended by itself"
    return set(told)


def test_every_acknowledged_write_survives_kill_9(cluster: Cluster, url: str, database: str) -> None:
    told: set[str] = set()
    for attempt, acknowledgements in enumerate((65, 500)):
        told |= write_and_kill(url, attempt * 10_000_000, acknowledgements)
        assert told <= set(keys(cluster, database))


def test_an_acknowledged_write_survives_a_crash_of_the_server(mortal: Cluster, store: Store, pump: Pump, database: str) -> None:
    pump.until(store.write(put("a")))
    mortal.stop(signal.SIGQUIT)
    mortal.start()
    assert keys(mortal, database) == ["a"]


def test_commit_or_fail_never_raises(url: str) -> None:
    """Whatever the start of a session finds."""
    first, second = Database(url), Database(url)
    first.upgrade()
    assert isinstance(commit_or_fail(second, [Job(lambda _connection: None)]), StorageUnavailable)
    first.close()
