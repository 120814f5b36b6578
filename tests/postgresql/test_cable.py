"""Between pxed and PostgreSQL is a network, and rights that somebody else gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, text

from pxed.errors import StorageUnavailable
from pxed.store import Store
from tests.cli.network import Network, network
from tests.postgresql.cable import Cable
from tests.postgresql.cluster import Cluster, programs
from tests.postgresql.test_store import keys
from tests.store.pump import Pump
from tests.store.test_writer import put

pytestmark = pytest.mark.slow


@pytest.fixture
def cable(cluster: Cluster) -> Iterator[Cable]:
    laid = Cable(cluster.directory)
    yield laid
    laid.remove()


def test_a_connection_that_breaks_is_opened_again_though_the_server_still_holds_the_old_one(
    cluster: Cluster, cable: Cable, pump: Pump, database: str
) -> None:
    """Which would keep the lock until the server finds out by itself, in half a minute."""
    store = Store(cable.url(database), reactor=pump)
    pump.until(store.open())
    cable.cut()
    assert pump.until(store.write(put("a"))) == "a"

    def cut_within(connection: Connection) -> None:
        put("half")(connection)
        cable.cut()
        connection.execute(text("SELECT 1"))

    with pytest.raises(StorageUnavailable):
        pump.until(store.write(cut_within))
    assert pump.until(store.write(put("b"))) == "b"
    assert keys(cluster, database) == ["a", "b"]
    pump.until(store.close())


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as net:
        yield net


@pytest.fixture
def remote(net: Network, cluster: Cluster) -> Iterator[Cluster]:
    """Another cluster, on another host."""
    found = programs()
    assert found is not None
    with net.inside(net.there):
        running = Cluster(found, listen="10.77.0.2")
    yield running
    running.remove()


def within(seconds: float, so: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not so():
        assert time.monotonic() - began < seconds
        time.sleep(0.2)


def test_a_host_that_vanishes_without_a_word_is_noticed_by_whoever_is_left(net: Network, remote: Cluster, pump: Pump) -> None:
    """Where an answer was on its way, TCP alone would wait for 15 minutes, and the lock with it."""
    database = remote.database()
    with net.inside(net.here):
        store = Store(f"postgresql://pxed@10.77.0.2/{database}", reactor=pump)
        pump.until(store.open())  # its thread stays in this namespace
    pump.until(store.write(put("a")))
    net.ip("-n", net.there, "link", "set", "there0", "down")
    with pytest.raises(StorageUnavailable):
        pump.until(store.write(put("b")), seconds=60)
    net.ip("-n", net.there, "link", "set", "there0", "up")
    assert pump.until(store.write(put("c"))) == "c"
    net.ip("-n", net.there, "link", "set", "there0", "down")
    within(60, lambda: remote.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)])
    net.ip("-n", net.there, "link", "set", "there0", "up")
    assert keys(remote, database) == ["a", "c"]
    pump.until(store.close())


def test_a_database_that_may_only_be_read_is_away(cluster: Cluster, store: Store, pump: Pump, database: str) -> None:
    """What a standby says after a failover, or a role whose rights were taken."""
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
    cluster.ask(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    cluster.ask(end)
    with pytest.raises(StorageUnavailable, match="read-only transaction"):
        pump.until(store.write(put("a")))
    assert not store.healthy
    cluster.ask(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    cluster.ask(end)
    assert pump.until(store.write(put("b"))) == "b"


def test_rights_that_were_taken_are_no_fault_of_what_was_asked(cluster: Cluster, pump: Pump) -> None:
    cluster.ask("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN")
    database = cluster.database(more="OWNER plain")
    store = Store(cluster.url(database, user="plain"), reactor=pump)
    pump.until(store.open())
    cluster.ask("ALTER TABLE settings OWNER TO pxed", database)
    with pytest.raises(StorageUnavailable, match="permission denied for table settings"):
        pump.until(store.write(put("a")))
    cluster.ask("ALTER TABLE settings OWNER TO plain", database)
    assert pump.until(store.write(put("a"))) == "a"
    pump.until(store.close())
    cluster.ask(f"DROP DATABASE {database}")
    cluster.ask("DROP ROLE plain")
