"""Brings a database to the present schema, in one transaction: it is at the old one or at the new one, never between."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from pxed.errors import ConfigError

MIGRATIONS = Path(__file__).with_name("migrations")


def migrate(connection: Connection, *, name: str) -> None:
    """Upgrade the database behind `connection`; it may not be in a transaction. Blocking. May be run again.

    `name` is what the operator calls it (a path). ConfigError when a newer pxed wrote it, or something that is not pxed.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    with connection.begin():
        found = set(MigrationContext.configure(connection).get_current_heads())
        known = {revision.revision for revision in script.walk_revisions()}
        if found - known:
            raise ConfigError(
                f"was written by a newer pxed (schema {', '.join(sorted(found))}, this pxed knows up to {script.get_current_head()}); "
                "run that pxed, or restore the copy from before the upgrade",
                file=name,
            )
        tables = inspect(connection).get_table_names()
        if not found and tables:
            raise ConfigError(f"is a database of something else (it has a table {tables[0]!r})", file=name)
        if found != {script.get_current_head()}:
            command.upgrade(config, "head")
