"""Installs under another pxed than the one that began them: recipes that no longer fit, versions that are gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from pxed.node.model import SILENT, Boot
from pxed.testing import MemoryAppliance, result_of
from pxed.workflow.recipe import HOUR, Recipe, RecipeBook, RecipeNode
from tests.workflow.looking import MAC, boot_of, journal_of, kinds, say, state_of
from tests.workflow.recipes import BOOK, PLAIN, run_plain

PHASES = ("started", "installed", "booted")


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


@pytest.mark.parametrize("run", [run_other, run_longer_wait])
def test_an_answer_of_the_journal_is_given_to_no_other_step(run: Callable[[RecipeNode], Awaitable[None]]) -> None:
    """The step that no longer fits was answered already: its answer would be taken for that of another one."""
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started")
    appliance = appliance.restart(recipes=RecipeBook((Recipe("plain", 1, run),)))
    parked = appliance.engine.get(install.id)
    assert state_of(appliance, parked) == "parked"
    assert "position 1 is notification('started', within=1800.0) in the journal" in parked.reason


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
    for phase in PHASES:
        say(appliance, install, phase)
    assert state_of(appliance, install) == "done"
