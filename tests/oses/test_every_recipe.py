"""Every recipe of the catalog, driven by a node: with pxed killed before each await, and with notifications that are said twice, too early,
in any order, or never. New families are picked up by themselves; three recipes of the workflow's own tests stand for shapes to come.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from pxed.node.model import SILENT, Boot
from pxed.oses.catalog import Catalog
from pxed.scripted import Plan, ScriptedNode
from pxed.testing import walk
from pxed.workflow.recipe import Recipe
from tests.workflow.dying import DyingStore
from tests.workflow.recipes import PLAIN, QUIET, TWICE

CATALOG = Catalog()
RECIPES = [*CATALOG.recipes.all(), PLAIN, TWICE, QUIET]


def awaits(recipe: Recipe) -> list[Any]:
    return Plan(walk(recipe).asked).awaits


def name(recipe: Recipe) -> str:
    return f"{recipe.name}-{recipe.version}"


every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=name)
every_await = pytest.mark.parametrize(
    ("recipe", "phase"),
    [(recipe, each.phase) for recipe in RECIPES for each in awaits(recipe)],
    ids=lambda value: name(value) if isinstance(value, Recipe) else value,
)
looks_itself = pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if any(each.ports for each in awaits(recipe))], ids=name)


@every_recipe
@pytest.mark.parametrize("cleanly", [False, True], ids=["killed", "stopped"])
def test_restarted_before_each_await_it_ends_as_without(recipe: Recipe, cleanly: bool) -> None:
    node = ScriptedNode(recipe)
    for each in node.awaits:
        node.kill(cleanly=cleanly)
        node.kill(cleanly=cleanly, down=5)
        node.check()
        node.say(each.phase)
        node.check()
    assert (node.state, node.boots) == ("done", Boot("disk"))
    node.kill()
    node.check()


@pytest.mark.slow
@every_recipe
def test_said_again_before_and_after_a_restart_it_counts_once(recipe: Recipe) -> None:
    node = ScriptedNode(recipe)
    said: list[str] = []
    for each in node.awaits:
        said.append(each.phase)
        for again in (*said, each.phase):
            node.say(again)
            node.check()
        node.kill()
        node.say(each.phase)
        node.check()
    assert node.state == "done"


@every_recipe
def test_plain_notifications_count_for_the_next_await(recipe: Recipe) -> None:
    """RackHD's form: no phase."""
    node = ScriptedNode(recipe)
    for _ in node.awaits:
        node.kill()
        node.say(None)
        node.check()
    assert node.state == "done"


@pytest.mark.slow
@every_recipe
def test_said_backwards_it_is_done_with_the_last_and_boots_what_it_must_meanwhile(recipe: Recipe) -> None:
    node = ScriptedNode(recipe)
    for each in reversed(node.awaits):
        node.say(each.phase)
        node.check()
        node.kill()
        node.check()
    assert node.state == "done"


@pytest.mark.slow
@settings(max_examples=8 * len(RECIPES), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(RECIPES), st.data())
def test_in_any_order_with_restarts_and_duplicates_it_ends_as_planned(recipe: Recipe, data: st.DataObject) -> None:
    """Not parametrized: pytest-twisted wraps the inner test of Hypothesis once for each parameter."""
    node = ScriptedNode(recipe)
    phases: list[str | None] = [None, "something-else", *(each.phase for each in node.awaits)]
    for what in data.draw(st.lists(st.sampled_from([*phases, "kill", "stop", "fail"]), max_size=10)):
        if what in ("kill", "stop"):
            node.kill(cleanly=what == "stop")
        elif what == "fail":
            node.say(data.draw(st.sampled_from(phases)), "fail", "in its own words")
        else:
            node.say(what)
        node.check()


@every_await
@pytest.mark.parametrize("down", [False, True], ids=["pxed runs", "pxed is down"])
def test_a_lost_notification_never_leaves_a_node_that_installs_again(recipe: Recipe, phase: str, down: bool) -> None:
    node = ScriptedNode(recipe)
    for each in node.awaits:
        if each.phase == phase:
            break
        node.say(each.phase)
    if down:
        node.kill(down=node.awaited.within)
    node.wait_too_long()
    node.check()
    assert node.state in ("failed", "unproven")
    assert node.boots.kind != "installer"
    assert repr(phase) in node.install.reason
    node.kill()
    node.check()


@every_recipe
def test_a_first_boot_that_is_seen_late_is_seen(recipe: Recipe) -> None:
    node = ScriptedNode(recipe)
    for each in node.awaits[:-1]:
        node.say(each.phase)
    node.wait_too_long()
    node.kill()
    if node.state != "unproven":
        assert node.plan.state == "failed"
        return
    node.say(node.awaits[-1].phase)
    assert (node.state, node.boots) == ("done", Boot("disk"))
    assert node.install.proof.endswith("after its deadline")


@every_await
def test_a_failure_ends_it_at_once_in_the_nodes_own_words(recipe: Recipe, phase: str) -> None:
    node = ScriptedNode(recipe)
    for each in node.awaits:
        if each.phase == phase:
            break
        node.say(each.phase)
    node.kill()
    node.say(None, "fail", "no space left on /dev/sda")
    node.check()
    assert (node.state, node.boots, node.install.reason) == ("failed", SILENT, "no space left on /dev/sda")
    node.say(phase)
    assert node.state == "failed"


@looks_itself
@pytest.mark.parametrize("killed", [False, True])
def test_a_system_that_cannot_call_back_is_found(recipe: Recipe, killed: bool) -> None:
    node = ScriptedNode(recipe)
    for each in node.awaits:
        if killed:
            node.kill()
        if each.ports:
            node.open_port()
        else:
            node.say(each.phase)
        node.check()
    assert node.state == "done"
    assert "TCP port" in node.install.proof or not node.awaits[-1].ports


@pytest.mark.slow
@every_recipe
@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
def test_killed_at_any_commit_it_ends_as_if_nothing_had_happened(recipe: Recipe, committed: bool) -> None:
    calm = DyingStore()
    node = ScriptedNode(recipe, store=calm)
    armed = calm.commits_begun
    for each in node.awaits:
        node.say(each.phase)
    for dies_at in range(armed, calm.commits_begun):
        store = DyingStore(dies_at=dies_at, committed=committed)
        node = ScriptedNode(recipe, store=store)
        for each in node.awaits:
            told = node.appliance.engine.deliver(node.install.token, each.phase)
            answered = attempt(told)
            if store.dead and node.appliance.store is store:
                node.kill()
                answered = False
            if not answered:
                node.say(each.phase)
            else:
                node.plan.say(each.phase)
        node.check()
        assert node.state == "done", f"killed at commit {dies_at}"


def attempt(awaitable: Any) -> bool:
    """Whether it ended; a dead process ends nothing."""
    return bool(Deferred.fromCoroutine(awaitable).called)
