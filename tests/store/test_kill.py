"""kill -9 in the middle of batches: every acknowledged write is there."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest


def write_and_kill(path: Path, first: int, acknowledgements: int) -> set[str]:
    """Start the writer, kill it after so many acknowledgements; all that it acknowledged."""
    command = [sys.executable, "-m", "tests.store.writing_until_killed", f"sqlite:///{path}", str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline().strip() for _ in range(acknowledgements)]
        writer.kill()
        told += writer.stdout.read().split("\n")[:-1]
    assert writer.returncode == -9
    assert all(told), "the writer ended by itself"
    return set(told)


def in_database(path: Path) -> set[str]:
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {row[0] for row in database.execute("SELECT key FROM settings")}


def test_every_acknowledged_write_survives_kill_9(path: Path) -> None:
    told = write_and_kill(path, 0, 500)
    assert told <= in_database(path)


@pytest.mark.slow
def test_every_acknowledged_write_survives_kill_9_again_and_again(path: Path) -> None:
    told: set[str] = set()
    for attempt, acknowledgements in enumerate((1, 63, 65, 1000, 3000)):
        told |= write_and_kill(path, attempt * 10_000_000, acknowledgements)
        assert told <= in_database(path)
