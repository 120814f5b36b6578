"""One connection to the database, set up so that a commit means what it says.

SQLite: WAL with synchronous=FULL (durable on power loss), foreign keys on. Python's `sqlite3` would open transactions by itself and
only before some statements, which breaks SAVEPOINT and transactional DDL; so it is told to open none (`isolation_level = None`) and
SQLAlchemy's "begin" event says BEGIN, as SQLAlchemy's page on SQLite transactions asks. PostgreSQL: `pxed.store.postgresql`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import time
from contextlib import suppress
from threading import Event
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, InternalError, OperationalError
from sqlalchemy.pool import NullPool

from pxed.errors import ConfigError, PxedError, StorageUnavailable
from pxed.store import postgresql
from pxed.store.migrate import migrate

BUSY_MILLISECONDS = 5000
DOUBT = 10.0
"""Seconds for which who waits for a commit that got no answer is kept waiting for the server to come back."""
PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"busy_timeout = {BUSY_MILLISECONDS}", "temp_store = MEMORY")
"""The last: what a savepoint may have to undo would else go into a file of its own, made anew for each batch."""
IN_MEMORY = (None, "", ":memory:")
"""What SQLite's URL names instead of a file."""
_STRICT = json.JSONEncoder(allow_nan=False)
_OUR_DISK = (OperationalError, InterfaceError, InternalError)


class Database:
    """Opens, upgrades, and opens again after a failure. Blocking: one thread only uses it. `engine`: one of `engine_for(url)`."""

    def __init__(self, url: str, *, engine: Engine | None = None) -> None:
        """ConfigError, HostProblem (no driver)."""
        self._url = understood(url)
        self.in_memory = self._url.get_backend_name() == "sqlite" and self._url.database in IN_MEMORY
        self._engine = engine or engine_for(url)
        self._session: postgresql.Session | None = None
        self.name = self._url.database or "the database in memory"
        if self._url.get_backend_name() == "postgresql":
            self.name = postgresql.called(self._url)
            self._session = postgresql.Session(self.name)
        self._connection: Connection | None = None
        self._committing: str | None = None

    def connection(self) -> Connection:
        """The connection, opened if it isn't, or if it has died while nobody used it. StorageUnavailable; for PostgreSQL also ConfigError
        and HostProblem of `postgresql.Session.begin`."""
        self._committing = None
        if self._connection is not None and self._session is not None and not _answers(self._connection):
            self.forget()
        if self._connection is None:
            try:
                self._connection = self._engine.connect()
                if self._session is not None:
                    self._session.begin(self._connection)
            except DatabaseError as error:
                self.forget()
                raise unavailable(error) from error
            except PxedError:
                self.forget()
                raise
        return self._connection

    def look(self) -> None:
        """See the function of this name."""
        if self._session is None:
            return
        try:
            with self._engine.connect() as connection:
                self._session.check(connection)
        except DatabaseError as error:
            raise unavailable(error) from error

    def upgrade(self) -> None:
        """Bring the schema up to date. ConfigError (a newer pxed's database), StorageUnavailable; as `connection`."""
        if self._session is None and not self.in_memory:
            _keep_private(str(self._url.database))
        try:
            migrate(self.connection(), name=self.name)
            if self._session is not None:
                self._session.sign(self.connection())
        except DatabaseError as error:
            raise unavailable(error) from error

    def committing(self, cursor: DBAPICursor) -> None:
        """COMMIT is next: remember of what, in case that no answer comes."""
        if self._session is not None:
            cursor.execute("SELECT txid_current_if_assigned()")
            self._committing = next((str(row[0]) for row in cursor.fetchall() if row[0] is not None), None)

    def has_committed(self) -> bool:
        """After a failure and `forget`: whether the COMMIT that got no answer has happened. Asks for `DOUBT` s; what is not known by then
        counts as lost, and if that was wrong this database is not used again."""
        transaction = self._committing
        if transaction is None or self._session is None:
            return False
        ends = time.monotonic() + DOUBT
        while True:
            try:
                return self._session.is_committed(self.connection(), transaction)
            except (DatabaseError, PxedError):
                self.forget()
            if time.monotonic() >= ends:
                self._session.doubt(transaction)
                return False
            Event().wait(0.2)

    def forget(self) -> None:
        """After a failure: roll back; the next `connection` is a new one (a database in memory keeps its only one)."""
        if self._connection is None:
            return
        if self._session is not None:  # the server rolls back; to ask it for that may be in vain, which SQLAlchemy would log
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
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
    if isinstance(error, (*_OUR_DISK, sqlite3.DatabaseError)) or type(error) is DatabaseError:
        return True
    return isinstance(error, DatabaseError) and getattr(error.orig, "sqlstate", None) in postgresql.TAKEN_AWAY


def unavailable(error: BaseException) -> StorageUnavailable:
    """The sentence for the operator: the driver's own words without SQL and parameters (they may hold secrets)."""
    if isinstance(error, StorageUnavailable):
        return error
    if isinstance(error, PxedError):
        return StorageUnavailable(str(error))
    driver = getattr(error, "orig", None) or error
    if hasattr(driver, "diag"):
        return StorageUnavailable(f"The database did not take it: {postgresql.words(driver)}")
    words = driver if driver is not error or isinstance(driver, sqlite3.Error) else type(error).__name__
    return StorageUnavailable(f"The database did not take it: {words}")


def understood(url: str) -> URL:
    """`url` with the driver that pxed uses. ConfigError shows nothing of it: it may hold a password. HostProblem: no driver."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter about a port that is no number
        parsed = None
    if parsed is not None and "@" not in (parsed.host or ""):
        if parsed.drivername in postgresql.SPELLINGS:
            return postgresql.with_driver(parsed)
        if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
            _refuse_relative(parsed)
            return parsed
    raise ConfigError(
        "is not the URL of a database pxed can use: sqlite:////DIR/FILE or postgresql://USER:PASSWORD@HOST/NAME "
        "(what is no letter or digit in the password is written as %40 for '@', and so on)",
        key="database",
    ) from None


def _refuse_relative(url: URL) -> None:
    """ConfigError for a SQLite file that another one is, or none, when pxed starts in another directory."""
    in_memory = url.database in IN_MEMORY
    if url.host is not None or not (in_memory or str(url.database).startswith(("/", "file:/"))):
        raise ConfigError(
            "names a file by a relative path, which is another file for a service than for you: it is sqlite:////DIR/FILE, with four "
            "slashes and the absolute path of the file",
            key="database",
        )


def engine_for(url: str) -> Engine:
    """What makes connections to `url`, each set up as above. Two connections to ``sqlite://`` are two databases. As `understood`."""
    parsed = understood(url)
    in_network = parsed.get_backend_name() == "postgresql"
    arguments = postgresql.connect_arguments(parsed) if in_network else {}
    engine = create_engine(parsed, poolclass=NullPool, hide_parameters=True, connect_args=arguments, json_serializer=as_json)
    if in_network:
        postgresql.prepare(engine)
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


def look(url: str) -> str:
    """Whether the database at `url` can be used, as far as that shows without changing anything: what it is called. Blocking.
    ConfigError, HostProblem (no driver), StorageUnavailable."""
    database = Database(url)
    try:
        database.look()
    finally:
        database.close()
    return database.name


def _keep_private(file: str) -> None:
    """Nobody but its owner reads an SQLite file: there are password hashes and tokens in it. What SQLite makes beside it gets its mode."""
    if file.startswith("file:"):  # a URI of SQLite's own: the operator knows better
        return
    with suppress(OSError):  # what is wrong with the place is said when the file is opened
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for each in (file, f"{file}-wal", f"{file}-shm"):
        with suppress(OSError):
            os.chmod(each, stat.S_IMODE(os.stat(each).st_mode) & 0o700)


def as_json(value: Any) -> str:
    """JSON in plain ASCII; what it can't say (NaN, the infinities) is null."""
    try:
        return _STRICT.encode(value)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None))


def _answers(connection: Connection) -> bool:
    """Whether a connection that was used before still works: the server may have been restarted since."""
    try:
        cursor = connection.connection.cursor()
        cursor.execute("SELECT 1")
        cursor.close()
    except Exception:
        return False
    return True
