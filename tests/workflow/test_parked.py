"""Parked installs: one fault harms no other install, and what the operator can do about it."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from pxed.errors import Conflict
from pxed.node.model import SILENT, Boot
from pxed.testing import MemoryAppliance, result_of
from pxed.workflow.install import Install
from pxed.workflow.recipe import HOUR, Recipe, RecipeBook, RecipeNode
from tests.workflow.looking import MAC, boot_of, inbox_of, journal_of, say, state_of
from tests.workflow.recipes import BOOK, PLAIN

PHASES = ("started", "installed", "booted")


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
    for phase in PHASES:
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
    assert (state_of(appliance, install), boot_of(appliance)) == ("running", Boot("silent", install.id))  # its installer had begun
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
