"""One connection to the database, set up so that a commit means what it says.

SQLite: WAL with synchronous=FULL (durable on power loss), foreign keys on. Python's `sqlite3` would open transactions by itself and
only before some statements, which breaks SAVEPOINT and transactional DDL; so it is told to open none (`isolation_level = None`) and
SQLAlchemy's "begin" event says BEGIN, as SQLAlchemy's page on SQLite transactions asks.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, InternalError, OperationalError
from sqlalchemy.pool import NullPool

from pxed.errors import ConfigError, PxedError, StorageUnavailable
from pxed.store.migrate import migrate

BUSY_MILLISECONDS = 5000
PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"busy_timeout = {BUSY_MILLISECONDS}", "temp_store = MEMORY")
"""The last: what a savepoint may have to undo would else go into a file of its own, made anew for each batch."""
_OUR_DISK = (OperationalError, InterfaceError, InternalError)


class Database:
    """Opens, upgrades, and opens again after a failure. Blocking: one thread only uses it. `engine`: one of `engine_for(url)`."""

    def __init__(self, url: str, *, engine: Engine | None = None) -> None:
        try:
            self._url = make_url(url)
            self.in_memory = self._url.get_backend_name() == "sqlite" and self._url.database in (None, "", ":memory:")
            self._engine = engine or engine_for(url)
        except (ArgumentError, ImportError) as error:
            raise ConfigError(f"is not the URL of a database pxed can use: {error}", key="database") from error
        self.name = self._url.database or "the database in memory"
        self._connection: Connection | None = None

    def connection(self) -> Connection:
        """The connection, opened if it isn't. StorageUnavailable."""
        if self._connection is None:
            try:
                self._connection = self._engine.connect()
            except DatabaseError as error:
                raise unavailable(error) from error
        return self._connection

    def upgrade(self) -> None:
        """Bring the schema up to date. ConfigError (a newer pxed's database), StorageUnavailable."""
        try:
            migrate(self.connection(), name=self.name)
        except DatabaseError as error:
            raise unavailable(error) from error

    def forget(self) -> None:
        """After a failure: roll back; the next `connection` is a new one (a database in memory keeps its only one)."""
        if self._connection is None:
            return
        try:
            self._connection.rollback()
            if not self.in_memory:
                self._connection.close()
        except Exception:
            self._connection.invalidate()
        if not self.in_memory:
            self._connection = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()


def lies_with_the_disk(error: BaseException) -> bool:
    """Whether the database or its disk failed, rather than what was asked of it."""
    return isinstance(error, _OUR_DISK) or type(error) is DatabaseError


def unavailable(error: BaseException) -> StorageUnavailable:
    """The sentence for the operator: the driver's own words without SQL and parameters (they may hold secrets)."""
    if isinstance(error, StorageUnavailable):
        return error
    if isinstance(error, PxedError):
        return StorageUnavailable(str(error))
    words = getattr(error, "orig", None) or (error if isinstance(error, sqlite3.Error) else type(error).__name__)
    return StorageUnavailable(f"The database did not take it: {words}")


def engine_for(url: str) -> Engine:
    """What makes connections to `url`, each set up as above. Two connections to ``sqlite://`` are two databases."""
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    if engine.dialect.name != "sqlite":
        return engine

    @event.listens_for(engine, "connect")
    def connected(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None
        for pragma in PRAGMAS:
            dbapi_connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if connection.info.get("reads only") else "BEGIN IMMEDIATE")

    return engine
