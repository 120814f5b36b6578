"""Recorded journals guard the recipes: an install that a former pxed left behind goes on in this one, from wherever it was.

`tests/journals/NAME-VERSION-PATH.json` is a list of ``{"step", "answer"}``. Those of the recipes of these tests are written by
``PXED_RECORD=1 pytest tests/workflow/test_journals.py``, those of the OS families beside them by their own tests; what is there is
never changed. If a recipe no longer fits its journals, it needs a new version and not new journals.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from pxed.oses.catalog import Catalog
from pxed.store import schema
from pxed.testing import NOON, MemoryAppliance, MemoryStore, replay_recorded, result_of, walk
from pxed.workflow.install import Install, row_of
from pxed.workflow.recipe import HOUR, Recipe, RecipeBook, RecipeNode
from pxed.workflow.replay import AwaitStep, Failed
from tests.workflow.looking import MAC, boot_of, journal_of, say, state_of
from tests.workflow.recipes import PLAIN, QUIET, TWICE

JOURNALS = Path(__file__).parents[1] / "journals"
BOOK = RecipeBook((*Catalog().recipes.all(), PLAIN, TWICE, QUIET))


def paths() -> list[tuple[Recipe, str | None]]:
    """Each recipe of these tests, and each phase that it fails at."""
    phases = {recipe: [step.phase for step in walk(recipe).asked if isinstance(step, AwaitStep)] for recipe in (PLAIN, TWICE, QUIET)}
    return [(recipe, phase) for recipe in phases for phase in (None, *phases[recipe])]


@pytest.mark.parametrize(("recipe", "fails_at"), paths(), ids=lambda value: getattr(value, "name", value))
def test_every_path_of_a_recipe_is_recorded(recipe: Recipe, fails_at: str | None) -> None:
    file = JOURNALS / f"{recipe.name}-{recipe.version}-{f'no-{fails_at}' if fails_at else 'done'}.json"
    if os.environ.get("PXED_RECORD") and not file.exists():
        answers = {fails_at: f"no notification {fails_at!r} came in time"} if fails_at else {}
        file.write_text(json.dumps(walk(recipe, answers).journal, indent=1) + "\n", encoding="ascii")
    outcome = replay_recorded(recipe, json.loads(file.read_text(encoding="ascii")))
    assert isinstance(outcome, Failed) == (fails_at is not None)


def left_behind(recipe: str, version: int, recorded: list[dict[str, Any]], length: int, *, answered: bool = False) -> MemoryAppliance:
    """An appliance that finds the first `length` rows of a journal in its database; the last one still waits, if it is an await and not
    `answered`."""
    rows = []
    for position, entry in enumerate(recorded[:length]):
        within = re.search(r"within=([0-9.]+)", entry["step"])
        waits = within is not None and position == length - 1 and not answered
        deadline = NOON + float(within[1]) if within else None
        answer = None if waits else entry["answer"]
        rows.append({"position": position, "step": entry["step"], "reached_at": NOON, "deadline": deadline, "answer": answer})
    appliance = MemoryAppliance(BOOK, store=MemoryStore())
    node = result_of(appliance.inventory.add(MAC))
    install = Install("i1", node.id, "f", "1", recipe, version, {}, "token", NOON)

    def write(connection: Any) -> None:
        connection.execute(insert(schema.installs), row_of(install))
        for row in rows:
            connection.execute(insert(schema.journal), {"install_id": "i1", **row})

    result_of(appliance.store.write(write))
    return appliance.restart()


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(JOURNALS.glob("*.json")), ids=lambda path: path.stem)
def test_a_recorded_install_goes_on_from_each_of_its_steps(path: Path) -> None:
    recorded = json.loads(path.read_text(encoding="ascii"))
    name = re.fullmatch(r"(.+)-(\d+)-(?:done|no-.+)", path.stem)
    assert name is not None
    for length in range(len(recorded) + 1):
        appliance = left_behind(name[1], int(name[2]), recorded, length)
        install = appliance.engine.get("i1")
        for entry in recorded[max(0, length - 1) :]:
            if "failed" in entry["answer"]:
                say(appliance, install, None, status="fail", message=entry["answer"]["failed"])
            elif entry["answer"]["ok"] is not None:
                told = entry["answer"]["ok"]
                say(appliance, install, told["phase"], message=told["message"], data=told["data"])
        assert state_of(appliance, install) == ("done" if path.stem.endswith("-done") else "failed"), f"from step {length}"
        assert boot_of(appliance).install is None
        steps = [(position, step) for position, step, _ in journal_of(appliance, install)]
        assert steps == [(position, entry["step"].split("(")[0]) for position, entry in enumerate(recorded)]


def test_an_answer_that_pxed_found_itself_replays() -> None:
    """Left behind between the proof and the end."""
    recorded = json.loads((JOURNALS / "quiet-1-done.json").read_text(encoding="ascii"))
    recorded[-1]["answer"]["ok"] |= {"proof": "TCP port 443 at 192.0.2.9 answers", "data": {"address": "192.0.2.9", "port": 443}}
    appliance = left_behind("quiet", 1, recorded, len(recorded), answered=True)
    install = appliance.engine.get("i1")
    assert (state_of(appliance, install), install.proof) == ("done", "TCP port 443 at 192.0.2.9 answers")


def test_a_changed_recipe_is_told_by_its_journals() -> None:
    """This guard can fail."""

    async def run(node: RecipeNode) -> None:
        await node.boot("installer")
        await node.notification("started", within=HOUR)

    recorded = json.loads((JOURNALS / "plain-1-done.json").read_text(encoding="ascii"))
    with pytest.raises(AssertionError, match=r"position 1 is notification\('started', within=1800.0\) in the journal; plain 1 asks for"):
        replay_recorded(Recipe("plain", 1, run), recorded)
