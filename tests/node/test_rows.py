"""Events, as they lie in the table."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import Connection, insert

from pxed.node import rows
from pxed.node.model import Event
from pxed.store.database import Database
from pxed.store.schema import events

ODD: dict[str, Any] = {"text": "K\u00f6ln \u2603", "none": None, "list": [1, {"a": 2.5}], "flag": True}


def database() -> Connection:
    made = Database("sqlite://")
    made.upgrade()
    return made.connection()


def test_events_by_the_driver_are_what_sqlalchemy_would_store() -> None:
    recorded = [
        Event(1, 2.5, "dhcp.offer", "an offer", "n1", "i1", ODD),
        Event(2, 3.0, "tftp.sent", "K\u00f6ln \u2603, 'quoted' \"twice\" ?", None, None, {}),
    ]
    ours, usual = database(), database()
    rows.store_events(ours, recorded)
    usual.execute(
        insert(events),
        [
            {"id": e.id, "at": e.at, "kind": e.kind, "text": e.text, "node_id": e.node, "install_id": e.install, "data": e.data}
            for e in recorded
        ],
    )
    raw = "SELECT id, at, kind, text, node_id, install_id, data, typeof(data) FROM events ORDER BY id"
    assert ours.exec_driver_sql(raw).all() == usual.exec_driver_sql(raw).all()
    assert rows.read_events(ours, node=None, install=None, after=-1, limit=9) == recorded


def test_what_json_cannot_say_is_null() -> None:
    connection = database()
    rows.store_events(connection, [Event(1, 1.0, "x", "y", data={"a": math.nan, "b": 1})])
    assert rows.read_events(connection, node=None, install=None, after=-1, limit=9)[0].data == {"a": None, "b": 1}
