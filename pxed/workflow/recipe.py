"""All that a recipe may know: its node, three verbs, what it gets back, and how it fails.

A recipe module of `pxed.oses` imports this module and nothing else of the workflow. A recipe is

    async def run(node: RecipeNode) -> None:
        await node.boot("installer")
        await node.notification("started", within=30 * MINUTE)
        await node.notification("installed", within=2 * HOUR)
        await node.boot("disk")
        await node.notification("booted", within=HOUR)

It awaits only the methods of its node, one at a time, each phase once; no clock, no file, no `gather`, no `finally` or `with` around
an await (docs/recipes.md). `pxed.testing.walk` steps a recipe and refuses everything else; so does the engine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

MINUTE = 60.0
HOUR = 3600.0

BootVerb = Literal["installer", "disk"]
Status = Literal["ok", "fail"]


@dataclass(frozen=True, slots=True)
class Notification:
    """What a node told us. `phase` is the phase it counted for (a plain one gets that of the await it answered); `at` is UTC seconds.

    `proof` is empty, or a sentence: what pxed saw itself instead of being told (`RecipeNode.evidence`).
    """

    phase: str
    status: Status = "ok"
    message: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    at: float = 0.0
    proof: str = ""


class InstallFailed(Exception):
    """A deadline was missed, or the node reported a failure. The text is the sentence the operator reads."""


class RecipeNode(Protocol):
    """The node as its recipe sees it. Verbs are assignments, not pulses: to run one twice changes nothing."""

    def boot(self, what: BootVerb) -> Awaitable[None]:
        """From now on every network boot of the node gets the installer, or leaves for its own disk."""
        ...

    def notification(self, phase: str, *, within: float) -> Awaitable[Notification]:
        """Wait until the node has told us `phase`, at most `within` seconds from when this await is first reached, restarts of
        pxed included. One that came early answers at once. Raises InstallFailed. A recipe awaits each phase at most once."""
        ...

    def evidence(self, phase: str, *, ports: tuple[int, ...], within: float) -> Awaitable[Notification]:
        """The same for a system that may be unable to call back. If its call does not come, this is answered by pxed itself once one
        of these TCP `ports` answers at the node's address; one that has answered all along may be the installer's and does not count
        (`pxed.workflow.evidence`). Only after `boot("disk")`."""
        ...


@dataclass(frozen=True, slots=True)
class Milestone:
    """When `phase` arrives, awaited or not, the install shows `percent` (0-100) and `text`."""

    phase: str
    percent: int
    text: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """One version of how one OS family is installed. Change what it awaits and it needs a new `version`; the old one stays in the
    book until no running install names it."""

    name: str
    version: int
    run: Callable[[RecipeNode], Awaitable[None]]
    milestones: tuple[Milestone, ...] = ()

    def milestone(self, phase: str | None) -> Milestone | None:
        """The milestone of `phase`, None if the recipe names none."""
        return next((each for each in self.milestones if each.phase == phase), None)

    def after(self, phase: str) -> tuple[str, ...]:
        """The phases of the milestones behind that of `phase`: who has said one of them has been there. () if it is no milestone."""
        phases = [each.phase for each in self.milestones]
        return tuple(phases[phases.index(phase) + 1 :]) if phase in phases else ()


class RecipeBook:
    """Every recipe of this pxed, in all its versions."""

    def __init__(self, recipes: tuple[Recipe, ...] = ()) -> None:
        self._recipes: dict[tuple[str, int], Recipe] = {}
        for recipe in recipes:
            self.add(recipe)

    def add(self, recipe: Recipe) -> None:
        """ValueError if another recipe has that name and version already. To add the same one again changes nothing."""
        key = (recipe.name, recipe.version)
        if self._recipes.get(key, recipe) != recipe:
            raise ValueError(f"two recipes are called {recipe.name} version {recipe.version}")
        self._recipes[key] = recipe

    def get(self, name: str, version: int) -> Recipe:
        """KeyError if this pxed does not have it."""
        return self._recipes[name, version]

    def latest(self, name: str) -> Recipe:
        """The highest version of `name`. KeyError if there is none."""
        versions = [version for (known, version) in self._recipes if known == name]
        if not versions:
            raise KeyError(name)
        return self._recipes[name, max(versions)]

    def all(self) -> list[Recipe]:
        """Every version of every recipe, by name and version."""
        return [self._recipes[key] for key in sorted(self._recipes)]
