"""Progress of many installs, as it lies in the table."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select

from pxed.store.database import Database
from pxed.store.schema import installs
from pxed.workflow import journal

COLUMNS = (installs.c.id, installs.c.percent, installs.c.progress_text, installs.c.fetched, installs.c.installer)


def install(name: str, installer: str) -> dict[str, Any]:
    """A row of an install that is half done."""
    what = {
        "family": "debian",
        "release": "12",
        "recipe": "r",
        "recipe_version": 1,
        "options": {},
        "state": "running",
        "stage": "",
        "reason": "",
    }
    return {
        **what,
        "id": name,
        "node_id": name,
        "token": name,
        "created_at": 1.0,
        "percent": 50,
        "progress_text": "half",
        "fetched": 100,
        "installer": installer,
    }


def test_nothing_of_an_install_goes_back_while_others_go_on() -> None:
    database = Database("sqlite://")
    database.upgrade()
    stores_what_goes_on(database.connection())


def stores_what_goes_on(connection: Connection) -> None:
    """The claim, for any database."""
    seen = {"back": "working", "on": "served", "same": "gone", "far": "armed"}
    connection.execute(insert(installs), [install(*each) for each in seen.items()])
    journal.progress(
        connection,
        [
            journal.Reached("back", 40, "less", 99, "served"),
            journal.Reached("on", 60, "more", 101, "working"),
            journal.Reached("same", 50, "still", 0, "armed"),
            journal.Reached("far", 50, "half", 0, "gone"),
        ],
    )
    assert {row[0]: tuple(row[1:]) for row in connection.execute(select(*COLUMNS))} == {
        "back": (50, "half", 100, "working"),
        "on": (60, "more", 101, "working"),
        "same": (50, "still", 100, "gone"),
        "far": (50, "half", 100, "gone"),
    }
