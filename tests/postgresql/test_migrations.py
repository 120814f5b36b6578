"""From nothing to the present schema, and no further."""

from __future__ import annotations

from typing import Any

import pytest

from pxed.errors import ConfigError
from pxed.node.inventory import Inventory
from pxed.store import Store, schema
from pxed.store.database import engine_for
from tests.postgresql.cluster import Cluster
from tests.store import older
from tests.store.pump import Pump

pytestmark = pytest.mark.slow

# The server's own words; Alembic's comparison sees neither the condition of an index nor what a foreign key does on delete.
COLUMNS = """
    SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version' ORDER BY 1, 2
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1"
CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version' ORDER BY 1, 2
"""


@pytest.fixture
def database(cluster: Cluster) -> str:
    """An empty one."""
    return cluster.database()


def described(cluster: Cluster, database: str) -> list[list[tuple[Any, ...]]]:
    return [cluster.ask(query, database) for query in (COLUMNS, INDEXES, CONSTRAINTS)]


def test_the_migrations_end_at_exactly_the_schema(cluster: Cluster, store: Store, database: str) -> None:
    fresh = cluster.database()
    engine = engine_for(cluster.url(fresh))
    with engine.begin() as connection:
        schema.metadata.create_all(connection)
    migrated, made = described(cluster, database), described(cluster, fresh)
    assert migrated == made
    assert len(made[0]) > 40
    assert any("UNIQUE" in line and "state" in line and "running" in line for (line,) in made[1])


def test_opening_again_changes_nothing(cluster: Cluster, pump: Pump, database: str, url: str) -> None:
    seen = []
    for _ in range(2):
        store = Store(url, reactor=pump)
        pump.until(store.open())
        pump.until(store.close())
        seen.append((described(cluster, database), cluster.ask("SELECT version_num FROM alembic_version", database)))
    assert seen[0] == seen[1]


def test_a_database_of_the_first_schema_keeps_its_nodes_and_installs(pump: Pump, url: str) -> None:
    older.make(url, "0001", *older.NODE, older.install("running", "", 40))
    store = Store(url, reactor=pump)
    pump.until(store.open())
    inventory = Inventory(now=lambda: 3.0, store=store)
    pump.until(inventory.load())
    assert inventory.find("web1").boot.kind == "disk"
    assert pump.until(store.read(lambda c: c.execute(schema.installs.select()).one().installer)) == "working"
    pump.until(store.close())


def test_a_migration_that_breaks_off_leaves_the_database_as_it_was(cluster: Cluster, database: str, url: str) -> None:
    with pytest.raises(older.PowerCut):
        older.break_off(url)
    assert described(cluster, database) == [[], [], []]


def test_the_database_of_something_else_is_refused(cluster: Cluster, pump: Pump, database: str, url: str) -> None:
    cluster.ask("CREATE TABLE cakes (name text)", database)
    with pytest.raises(ConfigError, match=f"PostgreSQL database '{database}' at .*: is a database of something else"):
        pump.until(Store(url, reactor=pump).open())


def test_a_database_that_cannot_hold_every_letter_is_refused(cluster: Cluster, pump: Pump) -> None:
    """What initdb makes where no locale is set, as on many a Debian host."""
    database = cluster.database(more="TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    with pytest.raises(ConfigError, match=r"has the encoding SQL_ASCII.*ENCODING 'UTF8'"):
        pump.until(Store(cluster.url(database), reactor=pump).open())
