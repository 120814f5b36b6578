"""Any order of notifications, duplicates and losses, with pxed killed anywhere between: the same end as without all that.

The expectation is a model of the eight rules in a dozen lines; it knows no database and no restart.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pxed.node.model import SILENT, Boot
from pxed.testing import MemoryAppliance, result_of
from pxed.workflow.recipe import Recipe
from tests.workflow.looking import MAC, boot_of, inbox_of, journal_of, say, state_of
from tests.workflow.recipes import BOOK, PLAIN, TWICE

AWAITS = {"plain": ["started", "installed", "booted"], "twice": ["stage1", "stage2", "stage3", "booted"]}
ORDER = {"plain": ["started", "packages", "installed", "booted"], "twice": []}
"""Milestones: a later one implies those before it."""
BOOTS = {"plain": {0: "installer", 2: "disk"}, "twice": {0: "installer", 1: "disk", 2: "installer", 3: "disk"}}
"""How many awaits were answered when a boot is assigned."""


@dataclass
class Model:
    """What has to come out, from what was said."""

    recipe: str
    state: str = "running"
    answered: list[str] = field(default_factory=list)
    box: list[str | None] = field(default_factory=list)
    counted: set[str] = field(default_factory=set)
    begun: bool = False
    """Whether the node has said something since it was sent to its installer."""

    def say(self, phase: str | None, status: str) -> None:
        if self.state != "running":
            return
        if status == "fail":
            self.state = "failed"
            return
        if phase is not None and (phase in self.counted or phase in self.box):
            return
        self.box.append(phase)
        self.begun = True
        while self.state == "running":
            awaited = AWAITS[self.recipe][len(self.answered)]
            found = next((said for said in self.box if said in (awaited, None)), "nothing")
            order = ORDER[self.recipe]
            if found != "nothing":
                self.box.remove(found)
            elif awaited not in order or not set(order[order.index(awaited) + 1 :]) & set(self.box):
                return
            self.counted.add(awaited)
            self.answered.append(awaited)
            if BOOTS[self.recipe].get(len(self.answered)) == "installer":
                self.begun = False
            if len(self.answered) == len(AWAITS[self.recipe]):
                self.state = "done"

    def boot(self, install: str) -> Boot:
        if self.state != "running":
            return Boot("disk") if self.state == "done" else SILENT
        kind = max((at, kind) for at, kind in BOOTS[self.recipe].items() if at <= len(self.answered))[1]
        return Boot("disk" if kind == "disk" else "silent" if self.begun else "installer", install)


@st.composite
def lives(draw: st.DrawFn) -> tuple[Recipe, list[tuple[str, str | None]]]:
    """A recipe and what happens: ("ok" | "fail", phase), ("kill", None) or ("stop", None)."""
    recipe = draw(st.sampled_from([PLAIN, TWICE]))
    phases: st.SearchStrategy[str | None] = st.sampled_from([*AWAITS[recipe.name], "packages", None])
    said = st.tuples(st.just("ok"), phases)
    failed = st.tuples(st.just("fail"), phases)
    restarted: st.SearchStrategy[tuple[str, str | None]] = st.sampled_from([("kill", None), ("stop", None)])
    return recipe, draw(st.lists(st.one_of(said, said, said, said, restarted, failed), max_size=12))


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lives())
def test_any_order_of_notifications_and_restarts_ends_as_the_rules_say(life: tuple[Recipe, list[tuple[str, str | None]]]) -> None:
    recipe, happenings = life
    appliance, model = MemoryAppliance(BOOK), Model(recipe.name)
    install = result_of(appliance.arm(MAC, recipe.name))
    acknowledged: list[str | None] = []
    for what, phase in happenings:
        if what in ("kill", "stop"):
            appliance = appliance.restart(cleanly=what == "stop")
        else:
            say(appliance, install, phase, status=what)
            model.say(phase, what)
            acknowledged.append(phase)
        assert state_of(appliance, install) == model.state
        assert boot_of(appliance) == model.boot(install.id)
    journal = journal_of(appliance, install)
    assert [position for position, _, _ in journal] == list(range(len(journal)))
    came = [answer["ok"]["phase"] for _, step, answer in journal if step == "notification" and answer and "ok" in answer]
    assert came == model.answered
    assert [phase for phase, _, _ in inbox_of(appliance, install)] == acknowledged  # each one, in order, and nothing else
    used = [position for _, _, position in inbox_of(appliance, install) if position is not None]
    assert len(used) == len(set(used))


@settings(max_examples=20, deadline=None)
@given(st.permutations(AWAITS["twice"]))
def test_notifications_in_any_order_wait_for_their_turn(order: list[str]) -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "twice"))
    for phase in order:
        assert state_of(appliance, install) == "running"
        say(appliance, install, phase)
    assert state_of(appliance, install) == "done"


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=3, max_size=3))
def test_what_is_said_again_changes_nothing(times: list[int]) -> None:
    """A retry of the first notification is what completes the wait of the second elsewhere."""
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    for phase, often in zip(AWAITS["plain"], times, strict=True):
        for _ in range(often):
            say(appliance, install, phase)
        answered = [answer for _, step, answer in journal_of(appliance, install) if step == "notification" and answer]
        assert answered[-1]["ok"]["phase"] == phase
    assert [duplicate for _, duplicate, _ in inbox_of(appliance, install)].count(True) == sum(times) - 3


def test_a_plain_notification_counts_once_even_if_its_phase_comes_by_name_as_well() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, None)
    say(appliance, install, "started")
    assert inbox_of(appliance, install) == [(None, False, 1), ("started", True, None)]
    assert state_of(appliance, install) == "running"


@pytest.mark.parametrize("lost", [["installed"], ["started"], ["started", "installed"]])
def test_what_was_not_heard_is_implied_by_what_comes_later(lost: list[str]) -> None:
    """The installed system says itself that it runs: to wait for its installer's word would be to offer the installer again meanwhile."""
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    for phase in AWAITS["plain"]:
        if phase not in lost:
            say(appliance, install, phase)
    assert (state_of(appliance, install), boot_of(appliance)) == ("done", Boot("disk"))
    assert install.proof == "The installed system called back ('booted')"
    steps = result_of(appliance.engine.steps(install.id))
    said = {step["step"].split("'")[1]: step["answer"] for step in steps}
    assert all(said[phase].startswith("came: was not heard, but '") for phase in lost)


def test_the_installers_last_word_ends_its_being_offered_although_its_first_was_lost() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "installed")
    assert boot_of(appliance) == Boot("disk", install.id)
    assert (install.percent, install.stage) == (80, "Installed; boots its disk")


def test_without_milestones_nothing_is_implied_and_a_lost_notification_is_missed_by_its_deadline() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "twice"))
    say(appliance, install, "stage2")
    appliance.clock.advance(3600)
    assert state_of(appliance, install) == "failed"
    assert "'stage1' was awaited for 1 hour" in install.reason
    assert install.reason.endswith("The node says 'stage2'")
