"""Recipes for these tests: the shape of every real one, one with two reboots, and some that break a rule."""

from __future__ import annotations

from pxed.workflow.recipe import HOUR, MINUTE, Milestone, Recipe, RecipeBook, RecipeNode


async def run_plain(node: RecipeNode) -> None:
    await node.boot("installer")
    await node.notification("started", within=30 * MINUTE)
    await node.notification("installed", within=2 * HOUR)
    await node.boot("disk")
    await node.notification("booted", within=HOUR)


PLAIN = Recipe(
    "plain",
    1,
    run_plain,
    (
        Milestone("started", 10, "The installer runs"),
        Milestone("packages", 40, "Packages are being unpacked"),
        Milestone("installed", 80, "Installed; boots its disk"),
        Milestone("booted", 100, "The installed system runs"),
    ),
)


async def run_twice(node: RecipeNode) -> None:
    """An installer that needs a second boot, as some do."""
    await node.boot("installer")
    await node.notification("stage1", within=HOUR)
    await node.boot("disk")
    await node.notification("stage2", within=HOUR)
    await node.boot("installer")
    last = await node.notification("stage3", within=HOUR)
    if last.data.get("again"):
        await node.notification("stage4", within=HOUR)
    await node.boot("disk")
    await node.notification("booted", within=HOUR)


TWICE = Recipe("twice", 1, run_twice)


async def run_quiet(node: RecipeNode) -> None:
    """A system that may be unable to call back."""
    await node.boot("installer")
    await node.notification("installed", within=2 * HOUR)
    await node.boot("disk")
    await node.evidence("booted", ports=(443, 902), within=HOUR)


QUIET = Recipe("quiet", 1, run_quiet, (Milestone("installed", 80, "Installed; boots its disk"), Milestone("booted", 100, "It runs")))


async def run_fault(node: RecipeNode) -> None:
    await node.boot("installer")
    await node.notification("started", within=HOUR)
    raise ZeroDivisionError("a fault in this recipe")


FAULT = Recipe("fault", 1, run_fault)

BOOK = RecipeBook((PLAIN, TWICE, QUIET, FAULT))
