"""How nodes and events lie in the tables: plain rows, and the operations on them that run in the writer's thread.

Nothing here touches a `Node`: the reactor's thread takes a row of it, the writer's thread stores that. Each column has one kind of
writer, so that none undoes another's: what a node said (`store_nodes`, lazily), what an operator decided (`store_decision`), what it
boots (`store_boot`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from pxed.node.identity import firmware_of
from pxed.node.model import FREQUENT, Boot, Event, Node
from pxed.store.database import as_json
from pxed.store.schema import events, installs, node_macs, nodes

Row = dict[str, Any]

_SAID = ("first_seen", "last_seen", "arch", "vendor_class", "uuid", "interface", "address", "facts")
_said_by = attrgetter(*_SAID)
_DECIDED = ("name", "known", "localboot", "boot_program")
_INSERT = insert(nodes)
_UPDATE = update(nodes).where(nodes.c.id == bindparam("key")).values({name: bindparam(name) for name in _SAID})
_KNOWN_IDS = select(nodes.c.id)
_WHICH_ARE_STORED = _KNOWN_IDS.where(nodes.c.id.in_(bindparam("ids", expanding=True)))
_FORGET = tuple(
    delete(table).where(column.in_(bindparam("ids", expanding=True)))
    for table, column in ((node_macs, node_macs.c.node_id), (events, events.c.node_id), (nodes, nodes.c.id))
)
_FREE_MACS = delete(node_macs).where(node_macs.c.mac.in_(bindparam("macs", expanding=True)))
_BOOT = (
    update(nodes)
    .where(nodes.c.id == bindparam("key"))
    .values(known=True, boot_kind=bindparam("new_kind"), boot_install=bindparam("new_install"))
)
_BOOT_IF_HELD = _BOOT.where(nodes.c.boot_install == bindparam("held_by"))
_INSERT_MAC = insert(node_macs)
_INSERT_EVENT = insert(events)
_EVENT_LINE = "INSERT INTO events (id, at, kind, text, node_id, install_id, data) VALUES (?, ?, ?, ?, ?, ?, ?)"


def row_of(node: Node) -> Row:
    """What of `node` is stored lazily: what it said and when; with its id and its `macs`."""
    row: Row = dict(zip(_SAID, _said_by(node), strict=True))
    row.update(id=node.id, facts=dict(node.facts), macs=node.macs)
    return row


def store_nodes(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert or update each row. A node that is new is unknown and boots silent."""
    stored: set[str] = set()
    for chunk in _chunks([row["id"] for row in rows]):
        stored.update(connection.scalars(_WHICH_ARE_STORED, {"ids": chunk}))
    old = [{"key": row["id"], **_said(row)} for row in rows if row["id"] in stored]
    new = [row for row in rows if row["id"] not in stored]
    if old:
        connection.execute(_UPDATE, old)
    if new:
        connection.execute(_INSERT, [{"id": row["id"], "known": False, "boot_kind": "silent", **_said(row)} for row in new])
        _store_macs(connection, new)


def store_decision(connection: Connection, row: Row, decided: Row) -> None:
    """What an operator decided about the node of `row`: any of name, localboot, boot_program. It is known from now on."""
    store_nodes(connection, [row])
    connection.execute(update(nodes).where(nodes.c.id == row["id"]).values(**decided, known=True))


def store_boot(connection: Connection, row: Row, boot: Boot, held_by: str | None = None) -> None:
    """The node of `row` boots `boot` from now on, and is known; with `held_by` only if it boots for that install now."""
    store_nodes(connection, [row])
    values = {"key": row["id"], "new_kind": boot.kind, "new_install": boot.install}
    if held_by is None:
        connection.execute(_BOOT, values)
    else:
        connection.execute(_BOOT_IF_HELD, {**values, "held_by": held_by})


def delete_nodes(connection: Connection, ids: Sequence[str]) -> None:
    """The nodes, their MAC addresses and their timelines."""
    for chunk in _chunks(ids):
        for forget in _FORGET:
            connection.execute(forget, {"ids": chunk})


def running_install(connection: Connection, node_id: str) -> str | None:
    """The id of the install that runs on the node, or None."""
    found = connection.scalar(select(installs.c.id).where(installs.c.node_id == node_id, installs.c.state == "running"))
    return str(found) if found is not None else None


def load_nodes(connection: Connection) -> list[Node]:
    """Every node, in the order they were met."""
    macs: dict[str, list[str]] = {}
    for mac, node_id in connection.execute(select(node_macs.c.mac, node_macs.c.node_id).order_by(node_macs.c.position)):
        macs.setdefault(node_id, []).append(mac)
    rows = connection.execute(select(nodes).order_by(nodes.c.first_seen, nodes.c.id)).mappings()
    return [_node(row, macs[row["id"]]) for row in rows if row["id"] in macs]


def _node(row: Any, macs: list[str]) -> Node:
    remembered = {name: row[name] for name in (*_SAID, *_DECIDED)}
    boot = Boot(row["boot_kind"], row["boot_install"])
    return Node(id=row["id"], macs=tuple(macs), firmware=firmware_of(row["arch"]), boot=boot, **remembered)


def _store_macs(connection: Connection, rows: Sequence[Row]) -> None:
    """A MAC address belongs to the newest node: the one it had before may be forgotten already, but not deleted yet."""
    macs = [{"mac": mac, "node_id": row["id"], "position": at} for row in rows for at, mac in enumerate(row["macs"])]
    for chunk in _chunks([each["mac"] for each in macs]):
        connection.execute(_FREE_MACS, {"macs": chunk})
    connection.execute(_INSERT_MAC, macs)


def _said(row: Row) -> Row:
    return {name: row[name] for name in _SAID}


def _chunks(ids: Sequence[str], size: int = 500) -> list[Sequence[str]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def store_events(connection: Connection, recorded: Sequence[Event]) -> None:
    """Append to the timeline. Events are immutable, so they may cross threads.

    A boot storm brings nine an install: SQLite gets them as its driver wants them, which saves a third of the time.
    """
    if connection.dialect.name == "sqlite":
        lines = [(e.id, e.at, e.kind, e.text, e.node, e.install, as_json(e.data) if e.data else "{}") for e in recorded]
        connection.exec_driver_sql(_EVENT_LINE, lines)
        return
    connection.execute(
        _INSERT_EVENT,
        [
            {"id": e.id, "at": e.at, "kind": e.kind, "text": e.text, "node_id": e.node, "install_id": e.install, "data": e.data}
            for e in recorded
        ],
    )


def last_event_id(connection: Connection) -> int:
    return connection.scalar(select(func.max(events.c.id))) or 0


def read_events(
    connection: Connection, *, node: str | None, install: str | None, after: int, limit: int, but: Collection[str] = ()
) -> list[Event]:
    """Oldest first: the first `limit` behind `after`, or the newest `limit` if `after` is 0; `but` none of these kinds."""
    wanted = select(events).where(events.c.id > after).limit(limit)
    if but:
        wanted = wanted.where(events.c.kind.not_in(but))
    if node is not None:
        wanted = wanted.where(events.c.node_id == node)
    if install is not None:
        wanted = wanted.where(events.c.install_id == install)
    rows = list(connection.execute(wanted.order_by(events.c.id if after else events.c.id.desc())))
    found = [Event(row.id, row.at, row.kind, row.text, row.node_id, row.install_id, row.data) for row in rows]
    return found if after else found[::-1]


def prune_events(connection: Connection, node_id: str | None, keep: int) -> None:
    """Only the newest `keep` events of a node (None: of no node) stay, at most half of them of the `FREQUENT` kinds."""
    theirs = events.c.node_id == node_id if node_id is not None else events.c.node_id.is_(None)
    for which, most in ((theirs & events.c.kind.in_(FREQUENT), keep // 2), (theirs, keep)):
        oldest = connection.scalar(select(events.c.id).where(which).order_by(events.c.id.desc()).offset(most).limit(1))
        if oldest is not None:
            connection.execute(delete(events).where(which, events.c.id <= oldest))


def prune_orphans(connection: Connection, before: int) -> None:
    """Events of nodes that nobody remembers, if their id is below `before` (the node of a newer one may not be stored yet)."""
    connection.execute(delete(events).where(events.c.id < before, events.c.node_id.is_not(None), events.c.node_id.not_in(_KNOWN_IDS)))


def overfull(connection: Connection, keep: int) -> list[str | None]:
    """The nodes with more than `keep` events."""
    return list(connection.scalars(select(events.c.node_id).group_by(events.c.node_id).having(func.count() > keep)))
