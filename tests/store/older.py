"""Databases as former versions of pxed left them, and as one leaves them that dies in the middle of a migration."""

from __future__ import annotations

from alembic import command
from alembic.config import Config

from pxed.store import schema
from pxed.store.database import Database
from pxed.store.migrate import MIGRATIONS

NODE = (
    "INSERT INTO nodes (id, name, known, first_seen, last_seen, facts, boot_kind) VALUES ('n1', 'web1', true, 1, 2, '{}', 'disk')",
    "INSERT INTO node_macs VALUES ('52:54:00:12:34:56', 'n1', 0)",
)


def install(state: str, reason: str, percent: int) -> str:
    """What stores an install of that node."""
    return (
        "INSERT INTO installs (id, node_id, family, release, recipe, recipe_version, options, token, state, stage, reason, percent,"
        " progress_text, created_at)"
        f" VALUES ('i1', 'n1', 'debian', '12', 'debian', 1, '{{}}', 't', '{state}', '', '{reason}', {percent}, '', 1.0)"
    )


def make(url: str, revision: str, *statements: str) -> None:
    """Bring the empty database at `url` to that revision of the schema, and fill it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    database = Database(url)
    connection = database.connection()
    with connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for statement in statements:
            connection.exec_driver_sql(statement)
    database.close()


class PowerCut(Exception):
    """Of the host."""


def break_off(url: str) -> None:
    """PowerCut: half of a migration of the database at `url` was done."""
    database = Database(url)
    try:
        with database.connection().begin():
            schema.metadata.create_all(database.connection())
            raise PowerCut
    finally:
        database.close()
