"""One batch: many operations, one commit.

Every operation stands behind its own savepoint: one that raises is undone alone and the others are committed. When the database
itself gives up in the middle (SQLite rolls the whole transaction back on a full disk), nothing of the batch counts, not even what
seemed to have worked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DatabaseError
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pxed.store.database import lies_with_the_disk, unavailable


@dataclass(slots=True)
class Job:
    """One operation and who waits for it; nobody if `lazy`. `outcome` counts once the batch has been committed: a value or a Failure."""

    op: Callable[[Connection], Any]
    reads_only: bool = False
    lazy: bool = False
    done: Deferred[Any] = field(default_factory=Deferred)
    outcome: Any = None


def commit_batch(connection: Connection, jobs: Sequence[Job], committing: Callable[[DBAPICursor], None]) -> None:
    """Run `jobs` in order in one transaction and commit it; each `outcome` is set. `committing` is called just before COMMIT.

    StorageUnavailable: none of them happened, unless the answer to COMMIT was lost (`Database.has_committed`)."""
    connection.info["reads only"] = all(job.reads_only for job in jobs)
    try:
        with connection.begin():
            cursor = connection.connection.cursor()  # the driver's own: a savepoint through SQLAlchemy costs more than most operations
            for job in jobs:
                _run(connection, cursor, job)
            committing(cursor)
            cursor.close()
    except connection.dialect.loaded_dbapi.Error as error:
        raise unavailable(error) from error
    except DatabaseError as error:
        raise unavailable(error) from error


def _run(connection: Connection, cursor: DBAPICursor, job: Job) -> None:
    cursor.execute("SAVEPOINT op")
    try:
        job.outcome = job.op(connection)
        cursor.execute("RELEASE SAVEPOINT op")  # PostgreSQL refuses that after an error that `op` kept to itself
    except Exception as error:
        _undo(cursor, error)
        job.outcome = Failure(unavailable(error) if lies_with_the_disk(error) else error)


def _undo(cursor: DBAPICursor, error: Exception) -> None:
    """Undo one operation. If even that fails, the whole transaction is gone: StorageUnavailable for all of the batch."""
    try:
        cursor.execute("ROLLBACK TO SAVEPOINT op")
        cursor.execute("RELEASE SAVEPOINT op")
    except Exception:
        raise unavailable(error) from error
