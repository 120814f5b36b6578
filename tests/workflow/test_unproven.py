"""Installed, but never seen booting: neither done nor failed, never installed again, and done as soon as it says so after all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from twisted.internet.defer import Deferred

from pxed.errors import Conflict
from pxed.node.model import SILENT, Boot
from pxed.store import schema
from pxed.testing import NOON, MemoryAppliance, MemoryStore, result_of
from pxed.workflow.install import Install, row_of
from pxed.workflow.recipe import HOUR, InstallFailed, Milestone, Recipe, RecipeBook, RecipeNode
from tests.workflow.dying import DyingStore
from tests.workflow.looking import MAC, boot_of, inbox_of, journal_of, kinds, say, state_of
from tests.workflow.recipes import BOOK, PLAIN

JOURNALS = Path(__file__).parents[1] / "journals"


def unproven(recipe: str = "plain", store: MemoryStore | None = None) -> tuple[MemoryAppliance, Install]:
    appliance = MemoryAppliance(BOOK, store=store)
    install = result_of(appliance.arm(MAC, recipe))
    for phase in ("started", "installed"):
        say(appliance, install, phase)
    appliance.clock.advance(HOUR)
    return appliance, install


def test_the_first_boot_that_does_not_come_in_time_leaves_it_unproven_on_its_disk() -> None:
    appliance, install = unproven()
    assert (state_of(appliance, install), boot_of(appliance)) == ("unproven", Boot("disk"))
    assert (install.percent, install.stage, install.proof) == (80, "Installed; boots its disk", "")
    assert install.reason.startswith("'booted' was awaited for 1 hour and did not come")
    assert install.finished_at == NOON + HOUR
    assert kinds(appliance)[-1] == "install.unproven"
    assert journal_of(appliance, install)[-1][2] == {"failed": install.reason, "missed": True}


def test_evidence_that_does_not_come_leaves_it_unproven_as_well() -> None:
    appliance, install = unproven("quiet")
    assert (state_of(appliance, install), boot_of(appliance)) == ("unproven", Boot("disk"))


@pytest.mark.parametrize("phase", ["booted", None])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_late_word_of_the_installed_system_makes_it_done(phase: str | None, restarted: bool) -> None:
    appliance, install = unproven()
    if restarted:
        appliance = appliance.restart(down=HOUR)
    appliance.clock.advance(24 * HOUR)
    install = say(appliance, install, phase)
    assert (state_of(appliance, install), boot_of(appliance)) == ("done", Boot("disk"))
    assert (install.percent, install.reason) == (100, "")
    assert install.proof == "The installed system called back ('booted'), after its deadline"
    assert kinds(appliance)[-1] == "install.done"
    say(appliance, install, phase)
    assert state_of(appliance.restart(), install) == "done"


@pytest.mark.parametrize("phase", ["started", "installed", "packages", "other"])
def test_no_other_word_does(phase: str) -> None:
    appliance, install = unproven()
    say(appliance, install, phase)
    say(appliance, install, "booted", status="fail", message="no network")
    assert (state_of(appliance, install), boot_of(appliance)) == ("unproven", Boot("disk"))
    assert len(inbox_of(appliance, install)) == 4  # what was said is kept all the same


def test_a_late_word_counts_although_the_inbox_is_full() -> None:
    appliance = MemoryAppliance(BOOK, most_notifications=2)
    install = result_of(appliance.arm(MAC, "plain"))
    for phase in ("started", "installed"):
        say(appliance, install, phase)
    appliance.clock.advance(HOUR)
    say(appliance, install, "booted")
    assert state_of(appliance, install) == "done"


def test_a_node_that_says_itself_that_it_failed_has_failed() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    for phase in ("started", "installed"):
        say(appliance, install, phase)
    say(appliance, install, "booted", status="fail", message="no network")
    assert (state_of(appliance, install), boot_of(appliance), install.reason) == ("failed", SILENT, "no network")


@pytest.mark.parametrize("said", [(), ("started",)])
def test_before_the_installer_has_finished_a_missed_deadline_is_a_failure(said: tuple[str, ...]) -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    for phase in said:
        say(appliance, install, phase)
    appliance.clock.advance(3 * HOUR)
    assert (state_of(appliance, install), boot_of(appliance)) == ("failed", SILENT)


async def run_again(node: RecipeNode) -> None:
    """Needs its installer a second time."""
    await node.boot("installer")
    await node.notification("installed", within=HOUR)
    await node.boot("disk")
    await node.boot("installer")
    await node.notification("finished", within=HOUR)


async def run_other_way(node: RecipeNode) -> None:
    """Has another way when the first boot is not seen, and that fails too."""
    await node.boot("installer")
    await node.notification("installed", within=HOUR)
    await node.boot("disk")
    try:
        await node.notification("booted", within=HOUR)
    except InstallFailed:
        raise InstallFailed("the other way failed as well") from None


@pytest.mark.parametrize("run", [run_again, run_other_way])
def test_an_install_that_was_not_merely_waiting_for_its_first_boot_has_failed(run: Any) -> None:
    appliance = MemoryAppliance(RecipeBook((Recipe("r", 1, run),)))
    install = result_of(appliance.arm(MAC, "r"))
    say(appliance, install, "installed")
    appliance.clock.advance(HOUR)
    assert (state_of(appliance, install), boot_of(appliance)) == ("failed", SILENT)


def test_each_of_two_first_boots_leaves_it_unproven_and_only_the_last_one_proves_it() -> None:
    async def run(node: RecipeNode) -> None:
        await node.boot("installer")
        await node.notification("installed", within=HOUR)
        await node.boot("disk")
        await node.notification("configured", within=HOUR)
        await node.notification("booted", within=HOUR)

    recipe = Recipe("two", 1, run, (Milestone("installed", 80, "i"), Milestone("configured", 90, "c"), Milestone("booted", 100, "b")))
    appliance = MemoryAppliance(RecipeBook((recipe,)))
    install = result_of(appliance.arm(MAC, "two"))
    say(appliance, install, "installed")
    appliance.clock.advance(HOUR)
    say(appliance, install, "configured")
    assert state_of(appliance, install) == "unproven"
    say(appliance, install, "booted")
    assert state_of(appliance, install) == "done"


def test_another_install_may_follow_and_a_late_word_of_the_old_one_leaves_it_alone() -> None:
    appliance, old = unproven()
    with pytest.raises(Conflict, match="unproven already"):
        result_of(appliance.engine.cancel(old.id))
    new = result_of(appliance.engine.retry(old.id))
    say(appliance, old, "booted")
    assert (state_of(appliance, old), state_of(appliance, new)) == ("done", "running")
    assert boot_of(appliance) == Boot("installer", new.id)


@pytest.mark.parametrize("committed", [False, True])
def test_killed_at_any_commit_of_its_end_it_is_unproven_all_the_same(committed: bool) -> None:
    for later in range(1, 4):
        store = DyingStore()
        appliance = MemoryAppliance(BOOK, store=store)
        install = result_of(appliance.arm(MAC, "plain"))
        for phase in ("started", "installed"):
            say(appliance, install, phase)
        store.dies_at, store.committed = store.commits_begun + later, committed
        appliance.clock.advance(HOUR)
        appliance = appliance.restart()
        appliance.clock.advance(120)
        assert (state_of(appliance, install), boot_of(appliance)) == ("unproven", Boot("disk"))


def test_the_journal_of_a_former_pxed_that_holds_a_missed_deadline_still_ends_as_it_did() -> None:
    """Written before a missed deadline was told from a failure of the node."""
    appliance = MemoryAppliance(BOOK)
    node = result_of(appliance.inventory.add(MAC))
    recorded = json.loads((JOURNALS / "plain-1-no-booted.json").read_text("ascii"))
    install = Install("i1", node.id, "f", "1", PLAIN.name, 1, {}, "token", NOON)

    def write(connection: Any) -> None:
        connection.execute(insert(schema.installs), row_of(install))
        for position, entry in enumerate(recorded):
            connection.execute(insert(schema.journal), {"install_id": "i1", "position": position, "reached_at": NOON, **entry})

    result_of(appliance.store.write(write))
    assert state_of(appliance.restart(), install) == "failed"


# beside the reason: what the node's log said last


def test_the_last_lines_of_the_nodes_log_stand_beside_the_reason() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started")
    for number in range(9):
        appliance.timeline.record("syslog", f"grub-installer: line {number} {'x' * 900}", node=install.node_id, install=install.id)
    appliance.timeline.record("syslog", "of another node", node="other")
    say(appliance, install, "installed", status="fail", message="grub-install failed")
    assert (state_of(appliance, install), install.reason) == ("failed", "grub-install failed")
    assert [line[:22] for line in install.last_lines] == [f"grub-installer: line {number}" for number in range(4, 9)]
    assert max(len(line) for line in install.last_lines) == 300
    assert appliance.restart().engine.get(install.id).last_lines == install.last_lines


def test_an_install_that_is_done_keeps_no_lines() -> None:
    appliance, install = unproven()
    appliance.timeline.record("syslog", "a line", node=install.node_id, install=install.id)
    say(appliance, install, "booted")
    assert (install.last_lines, appliance.restart().engine.get(install.id).last_lines) == ([], [])


def test_while_the_database_is_away_an_install_fails_without_lines_and_not_never() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.store.held = []
    told = Deferred.fromCoroutine(appliance.engine.deliver(install.token, None, status="fail", message="no disk"))
    appliance.store.release()
    appliance.store.broken = "away"
    result_of(told)
    appliance.store.broken = None
    appliance.clock.advance(60)
    assert (state_of(appliance, install), install.reason) == ("failed", "no disk")
