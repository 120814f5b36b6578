"""Installs survive pxed: killed before and after each of its commits, stopped at each await, upgraded under them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from pxed.errors import Conflict, StorageUnavailable
from pxed.node.model import SILENT, Boot, Event
from pxed.store import schema
from pxed.testing import NOON, MemoryAppliance, result_of, walk
from pxed.workflow.install import Install
from pxed.workflow.recipe import HOUR, Recipe, RecipeBook, RecipeNode
from pxed.workflow.run import GRACE
from tests.workflow.dying import DyingStore
from tests.workflow.looking import MAC, boot_of, inbox_of, journal_of, kinds, rows, say, state_of
from tests.workflow.recipes import BOOK, PLAIN, TWICE, run_plain

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


# upgrades


async def run_other(node: RecipeNode) -> None:
    await node.boot("installer")
    await node.notification("begun", within=HOUR)


async def run_shorter(node: RecipeNode) -> None:
    await node.boot("installer")


async def run_longer_wait(node: RecipeNode) -> None:
    await node.boot("installer")
    await node.notification("started", within=3 * HOUR)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (run_other, "position 1 is notification('started', within=1800.0) in the journal, but the recipe asks for notification('begun'"),
        (run_longer_wait, "asks for notification('started', within=10800.0)"),
        (run_shorter, "ends before notification('started', within=1800.0), which the journal holds at position 1"),
    ],
)
def test_a_recipe_that_no_longer_fits_parks_the_install_and_says_where(run: Callable[[RecipeNode], Awaitable[None]], words: str) -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    journal = journal_of(appliance, install)
    appliance = appliance.restart(recipes=RecipeBook((Recipe("plain", 1, run),)))
    parked = appliance.engine.get(install.id)
    assert state_of(appliance, parked) == "parked"
    assert words in parked.reason
    assert journal_of(appliance, install) == journal  # nothing is guessed
    assert boot_of(appliance) == SILENT  # nor does the node begin again by itself
    assert kinds(appliance)[-1] == "install.parked"


def test_an_unknown_version_of_a_recipe_parks_the_install() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance = appliance.restart(recipes=RecipeBook((Recipe("plain", 2, run_plain),)))
    parked = appliance.engine.get(install.id)
    assert (state_of(appliance, parked), boot_of(appliance)) == ("parked", SILENT)
    assert parked.reason == "This pxed does not have version 1 of the recipe plain"


def test_an_install_parked_while_its_node_boots_its_disk_leaves_it_at_that() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    for phase in ("started", "installed"):
        say(appliance, install, phase)
    appliance = appliance.restart(recipes=RecipeBook())
    assert (state_of(appliance, install), boot_of(appliance)) == ("parked", Boot("disk"))


def test_old_versions_go_on_by_the_old_recipe() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance = appliance.restart(recipes=RecipeBook((PLAIN, Recipe("plain", 2, run_other))))
    for phase in PHASES["plain"]:
        say(appliance, install, phase)
    assert state_of(appliance, install) == "done"


# parked installs


def parked(appliance: MemoryAppliance, mac: str = MAC) -> Install:
    install = result_of(appliance.arm(mac, "fault"))
    say(appliance, install, "started")
    return install


def test_a_fault_in_one_recipe_parks_that_install_and_no_other_notices() -> None:
    appliance = MemoryAppliance(BOOK)
    other = result_of(appliance.arm("52:54:00:00:00:02", "plain"))
    install = parked(appliance)
    assert (state_of(appliance, install), boot_of(appliance)) == ("parked", SILENT)
    assert install.reason == "The recipe fault version 1 raised ZeroDivisionError: a fault in this recipe"
    for phase in PHASES["plain"]:
        say(appliance, other, phase)
    assert state_of(appliance, other) == "done"
    assert state_of(appliance.restart(), install) == "parked"


def test_a_parked_install_takes_notifications_and_does_nothing_with_them() -> None:
    appliance = MemoryAppliance(BOOK)
    install = parked(appliance)
    say(appliance, install, "booted")
    assert inbox_of(appliance, install)[-1] == ("booted", False, None)
    assert (state_of(appliance, install), boot_of(appliance)) == ("parked", SILENT)


def test_restart_goes_on_where_a_mended_recipe_was_parked() -> None:
    appliance = MemoryAppliance(BOOK)
    install = parked(appliance)
    say(appliance, install, "installed")

    async def mended(node: RecipeNode) -> None:
        await node.boot("installer")
        await node.notification("started", within=HOUR)
        await node.notification("installed", within=HOUR)
        await node.notification("booted", within=HOUR)

    appliance = appliance.restart(recipes=RecipeBook((Recipe("fault", 1, mended),)))
    assert state_of(appliance, install) == "parked"  # only the operator lets it go on
    result_of(appliance.engine.restart(install.id))
    assert (state_of(appliance, install), boot_of(appliance)) == ("running", Boot("installer", install.id))
    assert [step for _, step, _ in journal_of(appliance, install)] == ["boot", "notification", "notification", "notification"]
    say(appliance, install, "booted")
    assert (state_of(appliance, install), boot_of(appliance)) == ("done", Boot("disk"))


def test_restart_is_refused_unless_it_is_parked_and_its_recipe_is_there() -> None:
    appliance = MemoryAppliance(BOOK)
    install = parked(appliance)
    second = result_of(appliance.arm(MAC, "plain"))
    with pytest.raises(Conflict, match=second.id):
        result_of(appliance.engine.restart(install.id))  # another one runs on its node
    with pytest.raises(Conflict, match="running, not parked"):
        result_of(appliance.engine.restart(second.id))
    appliance = appliance.restart(recipes=RecipeBook((PLAIN,)))
    with pytest.raises(Conflict, match="does not have"):
        result_of(appliance.engine.restart(install.id))


def test_retry_replaces_a_parked_install_and_cancel_ends_it() -> None:
    appliance = MemoryAppliance(BOOK)
    first = parked(appliance)
    second = result_of(appliance.engine.retry(first.id))
    assert (state_of(appliance, first), state_of(appliance, second)) == ("cancelled", "running")
    assert boot_of(appliance) == Boot("installer", second.id)
    third = parked(appliance, "52:54:00:00:00:03")
    result_of(appliance.engine.cancel(third.id))
    assert state_of(appliance, third) == "cancelled"


def test_cancel_of_a_parked_install_leaves_the_node_to_the_one_that_runs_now() -> None:
    appliance = MemoryAppliance(BOOK)
    old = parked(appliance)
    new = result_of(appliance.arm(MAC, "plain"))
    result_of(appliance.engine.cancel(old.id))
    assert boot_of(appliance) == Boot("installer", new.id)


@pytest.mark.parametrize("first", ["restart", "cancel"])
def test_restart_and_cancel_at_the_same_moment_leave_no_armed_node(first: str) -> None:
    appliance = MemoryAppliance(BOOK)
    install = parked(appliance)
    appliance = appliance.restart(recipes=RecipeBook((Recipe("fault", 1, run_like_fault),)))
    appliance.store.held = []
    verbs = [appliance.engine.restart, appliance.engine.cancel]
    asked = [Deferred.fromCoroutine(verb(install.id)) for verb in (verbs if first == "restart" else reversed(verbs))]
    for each in asked:
        each.addErrback(lambda failure: failure.trap(Conflict))
    appliance.store.release()
    assert (state_of(appliance, install), boot_of(appliance)) == ("cancelled", SILENT)


async def run_like_fault(node: RecipeNode) -> None:
    await node.boot("installer")
    await node.notification("started", within=HOUR)
    await node.notification("installed", within=HOUR)


# the database goes away


def test_while_the_database_is_away_an_install_waits_and_does_not_fail() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.store.broken = "no disk"
    appliance.clock.advance(1800 + 60)  # its deadline passes, but nobody could have told us
    assert install.state == "running"
    appliance.store.broken = None
    say(appliance, install, "started")  # comes in time after all
    appliance.clock.advance(60)
    assert (state_of(appliance, install), install.percent) == ("running", 10)


def test_a_step_that_could_not_be_stored_is_tried_again() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    node = appliance.inventory.by_mac(MAC)
    assert node is not None
    say(appliance, install, "started")
    appliance.store.held = []
    told = Deferred.fromCoroutine(appliance.engine.deliver(install.token, "installed"))
    appliance.store.release()
    appliance.store.broken = "no disk"
    result_of(told)
    appliance.store.broken = None
    appliance.clock.advance(1)
    assert boot_of(appliance) == Boot("disk", install.id)


# strays


def test_a_node_never_boots_for_an_install_that_does_not_run() -> None:
    """A database that was restored, or mended by hand."""
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    result_of(appliance.store.write(lambda c: c.exec_driver_sql("UPDATE installs SET state = 'failed'")))
    appliance = appliance.restart()
    assert (state_of(appliance, install), boot_of(appliance)) == ("failed", SILENT)


# deadlines


def test_a_missed_deadline_fails_and_says_what_how_long_and_what_was_last_seen() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.clock.advance(600)
    appliance.timeline.record("http.profile", "It fetched its boot profile", node=install.node_id)
    appliance.clock.advance(1199)
    assert state_of(appliance, install) == "running"
    appliance.clock.advance(1)
    assert (state_of(appliance, install), boot_of(appliance)) == ("failed", SILENT)
    assert (
        install.reason == "'started' was awaited for 30 minutes and did not come; last seen 20 minutes before: It fetched its boot profile"
    )
    assert journal_of(appliance, install)[1][2] == {"failed": install.reason, "missed": True}


def test_a_missed_deadline_of_a_node_that_was_never_seen_says_so() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.clock.advance(1800)
    assert install.reason.endswith("did not come; nothing was seen of the node since the install was created")


def test_each_await_has_its_own_deadline_from_when_it_was_reached() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.clock.advance(1700)
    say(appliance, install, "started")
    appliance.clock.advance(7199)
    assert state_of(appliance, install) == "running"
    appliance.clock.advance(1)
    assert "'installed' was awaited for 2 hours" in install.reason


def test_a_deadline_is_a_time_of_day_and_not_time_remaining() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    for _ in range(5):
        appliance = appliance.restart(down=300)
        assert [row["deadline"] for row in rows(appliance, schema.journal)][-1] == NOON + 1800
    appliance.clock.advance(299)
    assert state_of(appliance, install) == "running"
    appliance.clock.advance(1)
    assert state_of(appliance, install) == "failed"


def test_a_deadline_that_passed_while_pxed_was_down_leaves_a_moment_for_a_retry() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    late = appliance.restart(down=5 * HOUR)
    late.clock.advance(GRACE - 1)
    assert late.engine.get(install.id).deadline == NOON + 5 * HOUR + GRACE
    say(late, install, "started")
    assert (state_of(late, install), late.engine.get(install.id).percent) == ("running", 10)


def test_after_that_moment_the_install_fails() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    late = appliance.restart(down=5 * HOUR)
    late.clock.advance(GRACE)
    assert (state_of(late, install), boot_of(late)) == ("failed", SILENT)


def test_a_failure_in_the_journal_is_raised_again_and_ends_the_install_once() -> None:
    """Killed between the answer and the end."""
    store = DyingStore()
    appliance = MemoryAppliance(BOOK, store=store)
    install = result_of(appliance.arm(MAC, "plain"))
    store.dies_at, store.committed = store.commits_begun + 1, True  # the history is read, then the answer is written
    appliance.clock.advance(1800)
    assert store.dead
    assert install.state == "running"
    appliance = appliance.restart()
    assert (state_of(appliance, install), boot_of(appliance)) == ("failed", SILENT)
    assert appliance.engine.get(install.id).reason.startswith("'started' was awaited")


def test_a_notification_that_came_in_time_counts_although_the_deadline_is_looked_at_later() -> None:
    """Both are in the queue of the database at once."""
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.store.held = []
    told = Deferred.fromCoroutine(appliance.engine.deliver(install.token, "started"))
    appliance.clock.advance(1800)
    appliance.store.release()
    result_of(told)
    assert (state_of(appliance, install), install.percent) == ("running", 10)


def test_a_wall_clock_that_was_set_back_only_waits_longer() -> None:
    """`now` and `clock` are two things on a real host."""
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.clock.rightNow -= 900
    for call in appliance.clock.getDelayedCalls():
        call.time -= 900  # type: ignore[attr-defined]  # monotonic time did not jump
    appliance.clock.advance(1800)
    assert state_of(appliance, install) == "running"
    appliance.clock.advance(900)
    assert state_of(appliance, install) == "failed"
