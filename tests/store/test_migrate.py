"""Databases old and new: what `pxed.store.migrate` does to them, and what it refuses."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from pxed.errors import ConfigError
from pxed.node.inventory import Inventory
from pxed.store import Store, schema
from pxed.store.database import Database
from pxed.store.migrate import MIGRATIONS
from pxed.workflow.journal import load_installs
from tests.store import older
from tests.store.pump import Pump

NEWEST = max(path.name[1:5] for path in (MIGRATIONS / "versions").glob("m*.py"))


def test_the_migrations_end_at_exactly_the_schema(store: Store, pump: Pump) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, schema.metadata))

    assert pump.until(store.read(differences)) == []


def test_the_partial_unique_index_is_the_same_in_both(store: Store, pump: Pump) -> None:
    """Alembic's comparison does not look at the condition of an index."""
    migrated = pump.until(
        store.read(lambda c: c.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'uq_installs_running'").scalar())
    )
    fresh = Database("sqlite://")
    with fresh.connection().begin():
        schema.metadata.create_all(fresh.connection())
        created = fresh.connection().exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'uq_installs_running'").scalar()
    assert migrated == created
    assert "WHERE state = 'running'" in str(created)
    fresh.close()


def test_opening_again_changes_nothing(pump: Pump, path: Path) -> None:
    for _ in range(2):
        store = Store(f"sqlite:///{path}", reactor=pump)
        pump.until(store.open())
        pump.until(store.close())
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT version_num FROM alembic_version").fetchall() == [(NEWEST,)]


def test_a_database_of_the_first_schema_keeps_its_nodes(pump: Pump, path: Path) -> None:
    """As pxed 0.1 left it: the operator's choices survive, what is new is empty."""
    older.make(f"sqlite:///{path}", "0001", *older.NODE)
    store = Store(f"sqlite:///{path}", reactor=pump)
    pump.until(store.open())
    inventory = Inventory(now=lambda: 3.0, store=store)
    pump.until(inventory.load())
    node = inventory.find("web1")
    assert (node.boot.kind, node.boot_program) == ("disk", None)
    pump.until(inventory.update(node.id, boot_program="shim-grub"))
    pump.until(store.close())


def test_the_database_of_a_newer_pxed_is_refused_and_left_as_it_is(pump: Pump, path: Path) -> None:
    first = Store(f"sqlite:///{path}", reactor=pump)
    pump.until(first.open())
    pump.until(first.close())
    with sqlite3.connect(path) as other:
        other.execute("UPDATE alembic_version SET version_num = '0099'")
    with pytest.raises(ConfigError, match=rf"pxed\.db: was written by a newer pxed \(schema 0099, this pxed knows up to {NEWEST}\)"):
        pump.until(Store(f"sqlite:///{path}", reactor=pump).open())
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT version_num FROM alembic_version").fetchall() == [("0099",)]


def test_the_database_of_something_else_is_refused(pump: Pump, path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE recipes (cake TEXT)")
    with pytest.raises(ConfigError, match="something else"):
        pump.until(Store(f"sqlite:///{path}", reactor=pump).open())


def test_a_migration_that_breaks_off_leaves_the_database_as_it_was(path: Path) -> None:
    """DDL is part of the transaction, which Python's sqlite3 undoes unless it is told otherwise."""
    with pytest.raises(older.PowerCut):
        older.break_off(f"sqlite:///{path}")
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == []


def test_every_migration_has_its_number_and_its_predecessor() -> None:
    names = sorted(module.stem for module in (MIGRATIONS / "versions").glob("m*.py"))
    assert [name[1:5] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)]


def test_installs_of_an_older_schema_are_kept(pump: Pump, path: Path) -> None:
    """What a pxed before the third schema left behind: no proof, no lines."""
    older.make(f"sqlite:///{path}", "0002", older.install("failed", "no disk", 5))
    store = Store(f"sqlite:///{path}", reactor=pump)
    pump.until(store.open())
    ((install, _),) = pump.until(store.read(load_installs))
    assert (install.reason, install.proof, install.last_lines) == ("no disk", "", [])
    pump.until(store.close())
