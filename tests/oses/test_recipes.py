"""Every recipe of every family keeps the rules, and still answers the journals that its versions have left behind.

`tests/journals/NAME-VERSION-PATH.json` is written once per path and version, by ``PXED_RECORD=1 pytest tests/oses/test_recipes.py``, and
never changed afterwards: it stands for the journals of installs that are running when pxed is upgraded.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pxed.oses.catalog import Catalog
from pxed.oses.debian import BOOT, INSTALL, START
from pxed.testing import Walk, replay_recorded, walk
from pxed.workflow.recipe import Recipe
from pxed.workflow.replay import Done, Failed

JOURNALS = Path(__file__).parent.parent / "journals"
CATALOG = Catalog()
RECIPES = CATALOG.recipes.all()
PATHS = [(recipe, phase) for recipe in RECIPES for phase in (None, *(each.phase for each in recipe.milestones))]
EVERY_PATH = pytest.mark.parametrize(
    ("recipe", "fails_at"), PATHS, ids=[f"{recipe.name}-{recipe.version}-{f'no-{phase}' if phase else 'done'}" for recipe, phase in PATHS]
)


def walked(recipe: Recipe, fails_at: str | None) -> Walk:
    return walk(recipe, {} if fails_at is None else {fails_at: f"no notification {fails_at!r} came in time"})


@EVERY_PATH
def test_a_recipe_awaits_only_its_node_and_ends_as_the_node_says(recipe: Recipe, fails_at: str | None) -> None:
    outcome = walked(recipe, fails_at).outcome
    assert isinstance(outcome, Done if fails_at is None else Failed)
    assert fails_at is None or fails_at in getattr(outcome, "reason", "")


@EVERY_PATH
def test_a_recorded_journal_still_fits(recipe: Recipe, fails_at: str | None) -> None:
    file = JOURNALS / f"{recipe.name}-{recipe.version}-{f'no-{fails_at}' if fails_at else 'done'}.json"
    if os.environ.get("PXED_RECORD") and not file.exists():
        file.write_text(json.dumps(walked(recipe, fails_at).journal, indent=1) + "\n")
    assert file.exists(), f"{file.name} is missing: record it with PXED_RECORD=1"
    outcome = replay_recorded(recipe, json.loads(file.read_text()))
    assert isinstance(outcome, Done if fails_at is None else Failed)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: f"{recipe.name}-{recipe.version}")
def test_the_node_is_sent_to_its_disk_only_after_the_installer_is_done(recipe: Recipe) -> None:
    steps = walked(recipe, None).steps
    installer, installed, disk = (
        next(place for place, step in enumerate(steps) if word in step) for word in ("installer", "installed", "disk")
    )
    assert installer < installed < disk


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: f"{recipe.name}-{recipe.version}")
def test_milestones_rise_in_the_order_of_the_awaits(recipe: Recipe) -> None:
    steps = [step for step in walked(recipe, None).steps if "boot" not in step.split("(")[0]]
    assert [next(place for place, step in enumerate(steps) if each.phase in step) for each in recipe.milestones] == list(
        range(len(recipe.milestones))
    )
    percents = [each.percent for each in recipe.milestones]
    assert percents == sorted(set(percents))


def test_debians_deadlines_leave_room_for_slow_machines() -> None:
    assert (START, INSTALL, BOOT) == (1800.0, 7200.0, 1800.0)
