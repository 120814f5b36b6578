"""Durable state: one database, one thread that talks to it, group commit.

Rules of the room: what `Store.write` acknowledges is on the disk (SQLite WAL, synchronous=FULL); an operation is a function of a
`sqlalchemy.Connection`, runs in the writer's thread, may run beside others in one transaction and never commits by itself; it touches
no object of the reactor's thread. `schema` is every table, `migrations` how a database got there. Must not import node or workflow.
"""

from pxed.store.writer import Store

__all__ = ["Store"]
