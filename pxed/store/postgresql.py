"""What PostgreSQL needs beside SQL: its driver (psycopg 3), a session in which a commit means what it says, one appliance at a time.

A connection over a network can break while COMMIT is under way, and two appliances can reach one database. So each session takes a lock
that dies with it; a row says which appliance wrote last; and of a commit that got no answer PostgreSQL is asked what became of it.
"""

from __future__ import annotations

import importlib
import os
import secrets
import socket
import sys
from typing import Any

from sqlalchemy import URL, Connection, Engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError

from pxed.errors import ConfigError, HostProblem, StorageUnavailable

DRIVER = "postgresql+psycopg"
SPELLINGS = ("postgresql", "postgres", DRIVER)
CONNECT = {
    "client_encoding": "utf8",
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""For libpq, unless the URL says otherwise. Seconds, the last in milliseconds: a server that is gone is noticed before a node gives up."""
_SESSION = text("""
    SELECT set_config(name, wanted, false) FROM (VALUES
        ('default_transaction_isolation', 'read committed'), ('lock_timeout', '5s'), ('statement_timeout', '0'),
        ('idle_session_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
        ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'),
        ('tcp_user_timeout', '10000')
    ) AS ours (name, wanted) JOIN pg_settings USING (name)
    UNION ALL SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
""")
"""Whatever the server's or the role's defaults are. The last four make the server notice an appliance that is gone, so that its lock
goes too: keepalives where it had answered everything, the time-out (ms) where an answer was on its way: that TCP sends for 15 minutes."""
_LOCK = 0x70786564  # "pxed"
_TAKE = text("SELECT pg_advisory_lock(:lock, hashtext(coalesce(current_schema(), '')))")
_HOLDER = text("""
    SELECT application_name, pid FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND classid = :lock AND objsubid = 2
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")
_SELF = text("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
_END = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = :pid AND backend_start = :backend_start")
"""Our own former session: where the network was cut, the server may not know yet that nobody is there any more."""
_SIGN = text("INSERT INTO settings (key, value) VALUES ('appliance', :run) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
_SIGNED = text("SELECT value FROM settings WHERE key = 'appliance'")
TAKEN_AWAY = frozenset({"42501"})
"""SQLSTATE: the role may not do any more what it could; that is nobody's mistake in what was asked."""
LOST = "Restart pxed, so that it reads what the database holds now"


class Session:
    """One appliance's right to the database. `name`: how the operator calls that."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._run = secrets.token_hex(8)
        self._has_signed = False
        self._in_doubt: str | None = None
        self._backend: dict[str, Any] | None = None

    def begin(self, connection: Connection) -> None:
        """For each new connection: settings, lock, and whether the database is still ours. ConfigError (its encoding), HostProblem
        (another appliance uses it), StorageUnavailable (another one has, or it holds what we took for lost), DatabaseError."""
        self.check(connection)
        connection.execute(_SESSION)
        connection.commit()
        if self._backend is not None:  # what it left half done is undone before the lock is ours
            connection.execute(_END, self._backend)
        self._lock(connection)
        if self._has_signed and connection.scalar(_SIGNED) != self._run:
            raise StorageUnavailable(f"Another pxed has used the {self._name} meanwhile, or it was restored. {LOST}")
        connection.commit()
        if self._in_doubt is not None and self.is_committed(connection, self._in_doubt):
            raise StorageUnavailable(f"The {self._name} holds a change that was reported as lost. {LOST}")
        self._in_doubt = None

    def check(self, connection: Connection) -> None:
        """ConfigError if not every text can be stored, DatabaseError."""
        encoding = connection.scalar(text("SHOW server_encoding"))
        if encoding != "UTF8":
            raise ConfigError(
                f"has the encoding {encoding}, which can't hold every letter; make one with: "
                "CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8'",
                file=self._name,
            )

    def sign(self, connection: Connection) -> None:
        """From now on the database is ours. Once the schema is there."""
        with connection.begin():
            connection.execute(_SIGN, {"run": self._run})
        self._has_signed = True

    def is_committed(self, connection: Connection, transaction: str) -> bool:
        """Whether this transaction of ours was committed; its session is gone, since `connection` holds the lock. One that the server
        does not know (a standby that never got it has taken over) was not. DatabaseError."""
        try:
            status = connection.scalar(text("SELECT txid_status(CAST(:of AS bigint))"), {"of": transaction})
        except DatabaseError as error:
            if getattr(error.orig, "sqlstate", None) != "22023":
                raise
            status = None
        connection.rollback()
        return bool(status == "committed")

    def doubt(self, transaction: str) -> None:
        """It was reported as lost, and nobody knows whether it is: the next `begin` finds out."""
        self._in_doubt = transaction

    def _lock(self, connection: Connection) -> None:
        """Wait as long as `lock_timeout` says: an appliance that was killed may still be dying."""
        try:
            connection.execute(_TAKE, {"lock": _LOCK})
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != "55P03":
                raise
            connection.rollback()
            holder = connection.execute(_HOLDER, {"lock": _LOCK}).first()
            who = f"{holder.application_name or 'a program without a name'} (server process {holder.pid})" if holder else "a program"
            raise HostProblem(
                f"The {self._name} is in use: {who} holds pxed's lock",
                "One appliance per database: stop that one, or name another",
            ) from error
        self._backend = dict(connection.execute(_SELF).mappings().one())
        connection.commit()


def with_driver(url: URL) -> URL:
    """`url` with the driver that pxed uses. HostProblem if that can't be loaded."""
    try:
        importlib.import_module("psycopg")
    except ImportError as error:
        raise HostProblem(
            "PostgreSQL needs the Python driver psycopg 3, which is not installed or does not find libpq",
            f"Install it: {sys.executable} -m pip install 'psycopg[binary]'",
        ) from error
    return url.set(drivername=DRIVER)


def called(url: URL) -> str:
    """What messages call the database at `url`: never its password, nor anything else of its query."""
    where = url.host or url.query.get("host") or "this host"
    return f"PostgreSQL database {url.database or url.username or 'of this user'!r} at {where}"


def connect_arguments(url: URL) -> dict[str, str]:
    """What libpq is told beside `url`."""
    ours = {**CONNECT, "application_name": f"pxed on {socket.gethostname()}, process {os.getpid()}"[:63]}
    return {key: value for key, value in ours.items() if key not in url.query}


def words(error: BaseException) -> str:
    """The driver's own words on one line, without DETAIL: that shows the row, and a row may hold secrets."""
    diag = getattr(error, "diag", None)
    return " ".join(str((diag.message_primary if diag is not None else None) or error).split())


def prepare(engine: Engine) -> None:
    """No error of `engine` says more than `words`."""

    @event.listens_for(engine, "handle_error")
    def without_detail(context: Any) -> None:
        original, shown = context.original_exception, context.sqlalchemy_exception
        if shown is not None and hasattr(original, "diag"):
            original.args = (words(original),)
            shown.args = (f"({type(original).__name__}) {original}",)
