"""Installs survive pxed: killed before and after each of its commits, stopped at each await."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from pxed.errors import StorageUnavailable
from pxed.node.model import SILENT, Boot, Event
from pxed.testing import MemoryAppliance, result_of, walk
from pxed.workflow.install import Install
from pxed.workflow.recipe import HOUR, Recipe, RecipeBook, RecipeNode
from tests.workflow.dying import DyingStore
from tests.workflow.looking import MAC, boot_of, inbox_of, journal_of, kinds, say, state_of
from tests.workflow.recipes import BOOK, PLAIN, TWICE

PHASES = {"plain": ("started", "installed", "booted"), "twice": ("stage1", "stage2", "stage3", "booted")}
STEPS = {recipe.name: [step.split("(")[0] for step in walk(recipe).steps] for recipe in (PLAIN, TWICE)}


def fired(awaitable: Awaitable[Any]) -> bool:
    """Whether it ended, without an error; a dead process ends nothing."""

    async def wait() -> None:
        await awaitable

    deferred = Deferred.fromCoroutine(wait())
    if deferred.called:
        result_of(deferred)
    return bool(deferred.called)


def live(recipe: str, store: DyingStore) -> tuple[MemoryAppliance, Install, int]:
    """A whole install. Whoever waits for a dead pxed asks again once it is back: the operator, and the node.

    The appliance, the install, and how often something was asked again.
    """
    appliance, again = MemoryAppliance(BOOK, store=store), 0
    if not fired(appliance.arm(MAC, recipe)):
        appliance, again = appliance.restart(), 1
        if not appliance.engine.all():
            result_of(appliance.arm(MAC, recipe))
    for phase in PHASES[recipe]:
        token = appliance.engine.all()[0].token
        if not fired(appliance.engine.deliver(token, phase)) or (store.dead and appliance.store is store):
            appliance, again = appliance.restart(), again + 1
            say(appliance, appliance.engine.all()[0], phase)
    return appliance, appliance.engine.all()[0], again


def commits_of(recipe: str) -> int:
    store = DyingStore()
    live(recipe, store)
    return store.commits_begun


@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
@pytest.mark.parametrize("recipe", ["plain", pytest.param("twice", marks=pytest.mark.slow)])
def test_killed_at_any_commit_an_install_ends_as_if_nothing_had_happened(recipe: str, committed: bool) -> None:
    died = 0
    for dies_at in range(3, commits_of(recipe)):  # the first three are the start of the appliance itself
        store = DyingStore(dies_at=dies_at, committed=committed)
        appliance, install, again = live(recipe, store)
        died += again
        assert state_of(appliance, install) == "done", f"killed at commit {dies_at}"
        assert boot_of(appliance) == Boot("disk")
        journal = journal_of(appliance, install)
        assert [position for position, _, _ in journal] == list(range(len(STEPS[recipe])))
        assert [step for _, step, _ in journal] == STEPS[recipe]
        assert all(answer is not None for _, _, answer in journal)
        answered = [position for _, _, position in inbox_of(appliance, install) if position is not None]
        assert sorted(answered) == [position for position, step, _ in journal if step == "notification"]
    assert died > 10


@pytest.mark.parametrize("cleanly", [False, True], ids=["killed", "stopped"])
@pytest.mark.parametrize("recipe", ["plain", "twice"])
def test_restarted_at_every_await_an_install_goes_on(recipe: str, cleanly: bool) -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, recipe))
    for phase in PHASES[recipe]:
        boot, journal = boot_of(appliance), journal_of(appliance, install)
        appliance = appliance.restart(cleanly=cleanly).restart(cleanly=cleanly)
        assert state_of(appliance, install) == "running"
        assert (boot_of(appliance), journal_of(appliance, install)) == (boot, journal)
        say(appliance, install, phase)
    assert state_of(appliance, install) == "done"
    assert [step for _, step, _ in journal_of(appliance, install)] == STEPS[recipe]


def test_a_replay_tells_nothing_twice() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started")
    told = kinds(appliance)
    assert kinds(appliance.restart()) == told


def test_a_notification_that_was_acknowledged_before_the_kill_is_not_lost() -> None:
    """Killed after the inbox was committed and before the recipe was woken: the node will not say it again."""
    store = DyingStore()
    appliance = MemoryAppliance(BOOK, store=store)
    install = result_of(appliance.arm(MAC, "plain"))
    store.dies_at = store.commits_begun + 2  # inbox and its event, then the journal
    say(appliance, install, "started")
    assert store.dead
    appliance = appliance.restart()
    assert appliance.engine.get(install.id).percent == 10
    assert journal_of(appliance, install)[1][2]["ok"]["phase"] == "started"


def test_stopping_is_not_a_cancel_and_writes_nothing() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started")
    journal, boot = journal_of(appliance, install), boot_of(appliance)
    operations = appliance.store.operations
    result_of(appliance.engine.stop())
    result_of(appliance.engine.stop())
    assert appliance.store.operations == operations
    assert appliance.clock.getDelayedCalls() == []
    appliance.clock.advance(10 * HOUR)
    assert (state_of(appliance, install), journal_of(appliance, install), boot_of(appliance)) == ("running", journal, boot)


def test_a_step_that_is_on_its_way_when_pxed_stops_is_committed_and_nothing_follows_it(logged: Any) -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started")

    def hold(event: Event) -> None:
        if event.kind == "notification":
            appliance.store.held = []

    stop_holding = appliance.timeline.subscribe(hold)
    say(appliance, install, "installed")
    stop_holding()
    result_of(appliance.engine.stop())
    appliance.store.release()
    assert kinds(appliance)[-2:] == ["notification", "install.progress"]
    assert [step for _, step, _ in journal_of(appliance, install)] == ["boot", "notification", "notification"]
    assert journal_of(appliance, install)[2][2]["ok"]["phase"] == "installed"
    assert boot_of(appliance.restart()) == Boot("disk", install.id)


def test_a_recipe_with_a_finally_writes_no_row_when_pxed_stops() -> None:
    """What once wrote a journal row at the wrong position."""

    async def cleans_up(node: RecipeNode) -> None:
        try:
            await node.boot("installer")
            await node.notification("started", within=HOUR)
        finally:
            await node.boot("disk")

    appliance = MemoryAppliance(RecipeBook((Recipe("untidy", 1, cleans_up),)))
    install = result_of(appliance.arm(MAC, "untidy"))
    result_of(appliance.engine.stop())
    assert [step for _, step, _ in journal_of(appliance, install)] == ["boot", "notification"]
    assert boot_of(appliance) == Boot("installer", install.id)


def test_after_stop_a_node_is_told_to_come_back() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    result_of(appliance.engine.stop())
    with pytest.raises(StorageUnavailable, match="stopping"):
        say(appliance, install, "started")


def test_a_node_never_boots_for_an_install_that_does_not_run() -> None:
    """A database that was restored, or mended by hand."""
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    result_of(appliance.store.write(lambda c: c.exec_driver_sql("UPDATE installs SET state = 'failed'")))
    appliance = appliance.restart()
    assert (state_of(appliance, install), boot_of(appliance)) == ("failed", SILENT)
