"""One cluster for all of these tests, a database for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pxed.store import Store
from pxed.store.database import Database
from tests.postgresql.cluster import Cluster, programs
from tests.store.pump import Pump


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian package postgresql)")
    running = Cluster(found)
    yield running
    running.remove()


@pytest.fixture(scope="session")
def migrated(cluster: Cluster) -> str:
    """The name of a database with the present schema, to be copied: that is faster than another migration."""
    name = cluster.database()
    database = Database(cluster.url(name))
    database.upgrade()
    database.close()
    return name


@pytest.fixture
def database(cluster: Cluster, migrated: str) -> str:
    """The name of a database with the present schema and nothing in it."""
    return cluster.database(more=f"TEMPLATE {migrated}")


@pytest.fixture
def url(cluster: Cluster, database: str) -> str:
    return cluster.url(database)


@pytest.fixture
def pump() -> Pump:
    return Pump()


@pytest.fixture
def store(pump: Pump, url: str) -> Iterator[Store]:
    opened = Store(url, reactor=pump)
    pump.until(opened.open())
    yield opened
    pump.until(opened.close())
