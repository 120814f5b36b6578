"""Rule 1: a recipe awaits only its node, one step at a time. What `Script` refuses, and what `walk` finds before it runs anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults, succeed

from pxed.testing import NOON, check_source, walk
from pxed.workflow.recipe import HOUR, InstallFailed, Notification, Recipe, RecipeNode
from pxed.workflow.replay import AwaitStep, BootStep, Broken, Done, Failed, Script, notified
from tests.workflow.recipes import PLAIN, TWICE

Run = Callable[[RecipeNode], Coroutine[Any, Any, None]]
OK = {"ok": None}


def came(phase: str, **data: Any) -> dict[str, Any]:
    return notified(Notification(phase, "ok", "", data, NOON))


def test_a_recipe_is_answered_step_by_step() -> None:
    script = Script(PLAIN.run)
    assert script.start() == BootStep("installer")
    assert script.answer(OK) == AwaitStep("started", 1800.0)
    assert script.answer(came("started")) == AwaitStep("installed", 7200.0)
    assert script.answer(came("installed")) == BootStep("disk")
    assert script.answer(OK) == AwaitStep("booted", 3600.0)
    assert script.answer(came("booted")) == Done()


def test_the_names_of_steps_are_those_of_the_journal() -> None:
    assert walk(PLAIN).steps == [
        "boot('installer')",
        "notification('started', within=1800.0)",
        "notification('installed', within=7200.0)",
        "boot('disk')",
        "notification('booted', within=3600.0)",
    ]


def test_a_failure_is_an_answer_and_is_raised_at_its_place() -> None:
    assert walk(PLAIN, {"installed": "no space on /dev/sda"}).outcome == Failed("no space on /dev/sda")


def test_a_recipe_may_catch_a_failure_and_go_another_way() -> None:
    async def run(node: RecipeNode) -> None:
        try:
            await node.notification("started", within=HOUR)
        except InstallFailed:
            await node.boot("disk")

    walked = walk(Recipe("careful", 1, run), {"started": "no"})
    assert walked.steps[-1] == "boot('disk')"
    assert walked.outcome == Done()


def test_the_data_of_a_notification_may_choose_the_way() -> None:
    assert len(walk(TWICE).steps) == 8
    assert len(walk(TWICE, {"stage3": Notification("stage3", data={"again": True})}).steps) == 9


# what is refused while it runs; each of these needs the driver, not the source


async def awaits_a_deferred(node: RecipeNode) -> None:
    await Deferred[None]()


async def awaits_a_sleep(node: RecipeNode) -> None:
    await asyncio.sleep(1)


async def gathers(node: RecipeNode) -> None:
    async def boot() -> None:
        await node.boot("installer")

    await gatherResults([Deferred.fromCoroutine(boot()), Deferred.fromCoroutine(boot())], consumeErrors=True)


async def forgets_to_await(node: RecipeNode) -> None:
    node.boot("installer")
    await node.notification("started", within=HOUR)


async def forgets_the_last_await(node: RecipeNode) -> None:
    await node.boot("installer")
    node.boot("disk")


async def awaits_one_twice(node: RecipeNode) -> None:
    boot = node.boot("installer")
    await boot
    await boot


async def awaits_one_phase_twice(node: RecipeNode) -> None:
    await node.notification("rebooted", within=HOUR)
    await node.notification("rebooted", within=HOUR)


async def awaits_for_ever(node: RecipeNode) -> None:
    await node.notification("started", within=float("inf"))


async def awaits_no_time(node: RecipeNode) -> None:
    await node.notification("started", within=0)


async def boots_a_cake(node: RecipeNode) -> None:
    await node.boot("cake")  # type: ignore[arg-type]


async def swallows_everything(node: RecipeNode) -> None:
    with contextlib.suppress(Exception):
        await node.notification("a", within=HOUR)
        await node.notification("a", within=HOUR)


async def raises(node: RecipeNode) -> None:
    raise KeyError("hostname")


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (awaits_a_deferred, "awaits something that is not its node's: Deferred"),
        (awaits_a_sleep, "no running event loop"),
        (gathers, "hands boot('installer') to something else|did not await boot|awaits something that is not its node's"),
        (forgets_to_await, "did not await boot('installer')"),
        (forgets_the_last_await, "did not await boot('disk')"),
        (awaits_one_twice, "awaits boot('installer') a second time"),
        (awaits_one_phase_twice, "awaits the phase 'rebooted' twice"),
        (awaits_for_ever, "within inf"),
        (awaits_no_time, "within 0"),
        (boots_a_cake, "boot('cake')"),
        (swallows_everything, "awaits the phase 'a' twice"),
        (raises, "raised KeyError: 'hostname'"),
    ],
)
def test_a_recipe_that_breaks_a_rule_is_broken(run: Run, words: str) -> None:
    script = Script(run)
    outcome = script.start()
    while isinstance(outcome, (BootStep, AwaitStep)):
        outcome = script.answer(OK if isinstance(outcome, BootStep) else came(outcome.phase))
    assert isinstance(outcome, Broken)
    assert any(word in outcome.reason for word in words.split("|")), outcome.reason


async def cleans_up(node: RecipeNode) -> None:
    try:
        await node.boot("installer")
    finally:
        await node.boot("disk")


async def holds_something(node: RecipeNode) -> None:
    with contextlib.suppress(KeyError):
        await node.boot("installer")


async def looks_at_the_clock(node: RecipeNode) -> None:
    if time.time() > 0:
        await node.boot("installer")


async def awaits_a_friend(node: RecipeNode) -> None:
    await cleans_up(node)


async def awaits_what_has_fired(node: RecipeNode) -> None:
    await succeed(None)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (cleans_up, "`finally` around an await"),
        (holds_something, "`with` or `async for` around an await"),
        (looks_at_the_clock, "uses time"),
        (awaits_a_friend, "not its node's"),
        (awaits_what_has_fired, "not its node's"),
        (gathers, "not its node's"),
    ],
)
def test_what_shows_in_the_source_is_refused_before_it_runs(run: Run, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_source(run)


def test_walk_refuses_what_only_shows_when_the_recipe_is_dropped() -> None:
    """A `finally` hidden in a generator or a decorator is not in the source of the recipe."""

    async def hidden(node: RecipeNode) -> None:
        await node.boot("installer")

    async def wrapped(node: RecipeNode) -> None:
        try:
            await hidden(node)
        finally:
            await node.boot("disk")

    async def run(node: RecipeNode) -> None:
        await node.boot("installer")

    sneaky = Recipe("sneaky", 1, wrapped)
    wrapped.__wrapped__ = run  # type: ignore[attr-defined]  # what `inspect.getsource` follows, as for any decorator
    with pytest.raises(AssertionError, match="still asks for boot"):
        walk(sneaky)


def test_a_closed_recipe_takes_no_step_whatever_it_does_on_its_way_out() -> None:
    script = Script(cleans_up)
    assert script.start() == BootStep("installer")
    script.close()
    assert script.after_close == ["boot('disk')"]
    script.close()
