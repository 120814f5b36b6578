"""What goes wrong between a node and pxed, at every await in turn: pxed restarts; notifications come twice, late, too early, or never.

Nothing here is simulated but the wire: the hooks try again as they really do, pxed is all of pxed, on its database on disk.
"""

from __future__ import annotations

import pytest

from pxed.workflow.recipe import HOUR
from tests.oses.scripted.conftest import Make
from tests.oses.scripted.esxi import Esxi
from tests.oses.scripted.node import Fate, Node, Weather, fair
from tests.oses.scripted.table import BEHAVIOURS, Behaviour

DOWN = 25.0
"""Seconds that a restart of the appliance may take: well within what every hook tries."""


FIRST_BOOTS = [each for each in BEHAVIOURS if each.family in ("debian", "centos", "esxi")]
"""One for each script that the installed system tells us by; these try for long, which costs time."""


def named(what: Behaviour | str) -> str:
    return what if isinstance(what, str) else "-".join(map(str, what))


every = pytest.mark.parametrize("what", BEHAVIOURS, ids=named)
at_each = pytest.mark.parametrize(("what", "phase"), [(what, phase) for what in BEHAVIOURS for phase in what.phases], ids=named)


def during_first_install(node: Node, phase: str, fate: Fate) -> Weather:
    return lambda said, _before: fate if said == phase and node.installs == 1 else Fate.ARRIVES


def killing(node: Node, phase: str, *, down: float) -> Weather:
    """pxed dies just before `phase` arrives."""

    def weather(said: str, before: int) -> Fate:
        if said == phase and not before:
            node.pxed.kill(down=down)
        return Fate.ARRIVES

    return weather


def finished(node: Node, what: Behaviour, *, installs: int = 1) -> None:
    assert not node.stopped
    shown = node.shown
    assert (shown["state"], shown["reason"]) == ("done", "")
    assert node.sent == what.phases
    assert node.installs == installs
    assert node.answers[-1] == "silence"
    assert (node.root / "ran").read_text() == "ran\n", "the operator's commands run once"
    steps = node.pxed.api("GET", f"/installs/{shown['id']}")["steps"]
    assert [step["position"] for step in steps] == list(range(len(steps)))


@at_each
@pytest.mark.parametrize("down", [0.0, DOWN], ids=["killed", "away"])
def test_pxed_restarts_before_an_await_is_answered(make: Make, what: Behaviour, phase: str, down: float) -> None:
    node = make(what)
    node.weather = killing(node, phase, down=down)
    starts = node.pxed.starts
    node.live()
    assert node.pxed.starts == starts + 1
    finished(node, what)


@every
@pytest.mark.parametrize("killed", [False, True])
def test_an_acknowledgement_that_is_lost_makes_the_hook_say_it_again(make: Make, what: Behaviour, killed: bool) -> None:
    node = make(what)

    def weather(_phase: str, before: int) -> Fate:
        if before == 1 and killed:
            node.pxed.kill()
        return Fate.ARRIVES if before else Fate.ANSWER_LOST

    node.weather = weather
    node.live()
    finished(node, what)
    events = node.pxed.api("GET", f"/nodes/{node.mac}/events")["events"]
    assert len([each for each in events if each["kind"] == "notification" and "again" in each["text"]]) == len(what.phases)


@pytest.mark.parametrize(("what", "phase"), [(what, phase) for what in BEHAVIOURS for phase in what.phases[:-1]], ids=named)
@pytest.mark.parametrize("fate", [Fate.LATE, Fate.LOST], ids=["behind the next", "lost for good"])
def test_a_word_that_does_not_come_in_its_turn_costs_one_more_install_at_most(make: Make, what: Behaviour, phase: str, fate: Fate) -> None:
    """Whether something in between holds it back until the next one has overtaken it, or no try of the hook gets through. Only a lost
    `installed` can't be made up for: nobody can tell this restart from one in the middle of the installation."""
    node = make(what)
    node.weather = during_first_install(node, phase, fate)
    node.live()
    finished(node, what, installs=2 if (phase, fate) == ("installed", Fate.LOST) else 1)


@pytest.mark.parametrize("what", [each for each in FIRST_BOOTS if each.arch == 0 or each.family == "esxi"], ids=named)
def test_an_installer_that_never_gets_through_ends_the_install_failed_and_is_offered_no_more(make: Make, what: Behaviour) -> None:
    node = make(what)
    node.weather = lambda said, _before: Fate.LOST if said == "installed" else Fate.ARRIVES
    node.live(boots=2)
    node.pxed.kill()
    node.pxed.advance(3 * HOUR)
    shown = node.shown
    assert shown["state"] == "failed"
    assert shown["reason"].startswith("'installed' was awaited for ")
    assert "last seen" in shown["reason"]
    assert node.answers == ["silence", "installer", "installer"]
    assert node.power_on() is None


@pytest.mark.parametrize("what", FIRST_BOOTS, ids=named)
def test_a_system_that_cannot_say_that_it_runs_is_unproven_until_it_does(make: Make, what: Behaviour) -> None:
    node = make(what)
    last = what.phases[-1]
    node.weather = lambda said, _before: Fate.LOST if said == last else Fate.ARRIVES
    node.live(boots=len(what.phases) - 1)
    shown = node.shown
    assert shown["state"] == "unproven"
    assert shown["reason"].startswith(f"{last!r} was awaited for ")
    assert set(node.answers[2:]) == {"silence"}
    node.pxed.kill()
    node.weather = fair
    node.live()
    assert node.installs == 1
    if what.family == "esxi":  # local.sh has taken itself out: nothing is left that could say it
        assert node.shown["state"] == "unproven"
    else:
        finished(node, what)
        assert node.shown["proof"].endswith("after its deadline")


@every
def test_a_machine_without_the_disk_that_was_asked_for_says_so_and_is_left_alone(make: Make, what: Behaviour) -> None:
    node = make(what, installDisk={"serial": "another"})
    node.live()
    assert node.stopped
    shown = node.shown
    assert (shown["state"], shown["percent"] < 95) == ("failed", True)
    assert shown["reason"].startswith("no disk of this machine fits the option disk it has: ")
    node.pxed.kill()
    assert node.power_on() is None


@pytest.mark.parametrize("what", [each for each in BEHAVIOURS if each.family == "esxi" and each.arch], ids=named)
@pytest.mark.parametrize("killed", [False, True])
def test_an_esxi_that_secure_boot_keeps_silent_is_proven_by_its_ports(make: Make, what: Behaviour, killed: bool) -> None:
    node = make(what)
    assert isinstance(node, Esxi)
    node.secure = True
    node.live(boots=1)
    node.pxed.advance(30, step=15)
    if killed:
        node.pxed.kill()
    node.live()
    node.pxed.advance(HOUR)
    shown = node.shown
    assert (shown["state"], node.sent) == ("done", ["started", "installed"])
    assert "TCP port 443" in shown["proof"]
