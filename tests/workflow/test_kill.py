"""kill -9 of a whole workflow in full flight: every acknowledged notification is there, and every install goes on from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pxed.store import schema
from pxed.testing import MemoryAppliance, MemoryStore
from tests.workflow.looking import boot_of, inbox_of, journal_of, rows, say, state_of
from tests.workflow.recipes import BOOK

PHASES = ("started", "installed", "booted")


def install_and_kill(url: str, lines: int) -> list[list[str]]:
    """Run installs, kill after so many acknowledgements; all that was acknowledged, in words."""
    command = [sys.executable, "-m", "tests.workflow.installing_until_killed", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pxed:
        assert pxed.stdout is not None
        told = [pxed.stdout.readline() for _ in range(lines)]
        pxed.kill()
        told += pxed.stdout.read().split("\n")[:-1]
    assert pxed.returncode == -9
    assert all(told), "it ended by itself"
    return [line.split() for line in told]


def nothing_is_lost(told: list[list[str]], appliance: MemoryAppliance) -> None:
    """`appliance` has all that was acknowledged, and every install ends on it."""
    by_token = {install.token: install for install in appliance.engine.all()}
    for what, token, *phase in told:
        assert token in by_token, what
        if what == "told":
            assert phase[0] in [each for each, _, _ in inbox_of(appliance, by_token[token])]
    assert len({(row["install_id"], row["position"]) for row in rows(appliance, schema.journal)}) == len(rows(appliance, schema.journal))
    for install in by_token.values():
        for phase_left in PHASES:
            say(appliance, install, phase_left)
        assert state_of(appliance, install) == "done"
        assert [step for _, step, _ in journal_of(appliance, install)] == ["boot", "notification", "notification", "boot", "notification"]
    for node in appliance.inventory.all():
        assert boot_of(appliance, node.mac).install is None


@pytest.mark.slow
@pytest.mark.parametrize("lines", [25, 120, 301])
def test_every_acknowledged_notification_survives_kill_9_and_every_install_ends(tmp_path: Path, lines: int) -> None:
    url = f"sqlite:///{tmp_path / 'pxed.db'}"
    told = install_and_kill(url, lines) + install_and_kill(url, lines)
    nothing_is_lost(told, MemoryAppliance(BOOK, store=MemoryStore(url=url)))
