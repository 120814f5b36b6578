"""What goes wrong between a node and pxed, at every await in turn: pxed restarts; notifications come twice, late, too early, or never.

Nothing here is simulated but the wire: the hooks try again as they really do, pxed is all of pxed, on its database on disk.
"""

from __future__ import annotations

import pytest

from pxed.workflow.recipe import HOUR
from tests.oses.scripted.conftest import Make
from tests.oses.scripted.esxi import Esxi
from tests.oses.scripted.node import Fate, Node, Weather, fair
from tests.oses.scripted.table import BEHAVIOURS, Behaviour, node_of

pytestmark = pytest.mark.slow

DOWN = 25.0
"""Seconds that a restart of the appliance may take: well within what every hook tries."""


HOOKED = [each for each in BEHAVIOURS if node_of(each.family, each.release).hooks]
"""Those whose installer runs hooks of ours: only these try again, and can say what fails."""
FIRST_BOOTS = [each for each in BEHAVIOURS if each.family in ("debian", "centos", "esxi")]
"""One for each script that the installed system tells us by; these try for long, which costs time."""


def named(what: Behaviour | str | float) -> str:
    return "-".join(map(str, what)) if isinstance(what, Behaviour) else str(what)


every = pytest.mark.parametrize("what", BEHAVIOURS, ids=named)
hooked = pytest.mark.parametrize("what", HOOKED, ids=named)
PHASES = [(what, phase) for what in BEHAVIOURS for phase in what.phases]


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


@pytest.mark.parametrize(
    ("what", "phase", "down"),
    [(*each, down) for each in PHASES for down in (0.0, DOWN) if not down or each[0] in FIRST_BOOTS[:3]],
    ids=named,
)
def test_pxed_restarts_before_an_await_is_answered(make: Make, what: Behaviour, phase: str, down: float) -> None:
    node = make(what)
    node.weather = killing(node, phase, down=down)
    starts = node.pxed.starts
    node.live()
    assert node.pxed.starts == starts + 1
    finished(node, what)


@hooked
def test_an_acknowledgement_that_is_lost_makes_the_hook_say_it_again(make: Make, what: Behaviour) -> None:
    """And pxed is killed between the two."""
    node = make(what)

    def weather(_phase: str, before: int) -> Fate:
        if before == 1:
            node.pxed.kill()
        return Fate.ARRIVES if before else Fate.ANSWER_LOST

    node.weather = weather
    node.live()
    finished(node, what)
    events = node.pxed.api("GET", f"/nodes/{node.mac}/events")["events"]
    assert len([each for each in events if each["kind"] == "notification" and "again" in each["text"]]) == len(what.phases)


@hooked
def test_words_that_come_late_each_one_behind_the_next_cost_nothing(make: Make, what: Behaviour) -> None:
    """Something in between holds each of them back until the next has overtaken it, or the machine restarts."""
    node = make(what)
    node.weather = lambda said, _before: Fate.LATE if said != what.phases[-1] else Fate.ARRIVES
    node.live()
    finished(node, what)


@pytest.mark.parametrize(("what", "phase"), [(what, phase) for what in FIRST_BOOTS for phase in what.phases[:-1]], ids=named)
def test_a_word_that_is_lost_for_good_costs_nothing(make: Make, what: Behaviour, phase: str) -> None:
    node = make(what)
    node.weather = lambda said, _before: Fate.LOST if said == phase else Fate.ARRIVES
    node.live()
    finished(node, what)


@hooked
def test_a_machine_that_was_installed_without_a_word_is_not_installed_again(make: Make, what: Behaviour) -> None:
    """No hook of the installer gets through, only its answers and hooks are fetched: that is enough to know that it was at work."""
    node = make(what)
    node.weather = lambda said, _before: Fate.LOST if said in ("started", "installed") else Fate.ARRIVES
    node.live()
    if what.phases[2:]:
        finished(node, what)


@pytest.mark.parametrize("what", FIRST_BOOTS, ids=named)
def test_a_machine_that_never_gets_a_word_through_is_unproven_and_boots_its_disk(make: Make, what: Behaviour) -> None:
    node = make(what)
    node.weather = lambda said, _before: Fate.ARRIVES if said == "started" else Fate.LOST
    node.live(boots=1)
    assert node.power_on() is None
    node.pxed.kill()
    node.pxed.advance(3 * HOUR, step=HOUR / 4)
    shown = node.shown
    assert (shown["state"], node.installs) == ("unproven", 1)
    assert shown["reason"].startswith("'installed' was awaited for ")
    assert "last seen" in shown["reason"]
    assert node.power_on() is None


@every
def test_a_power_cut_in_the_middle_wipes_nothing_and_tells_the_operator_what_to_do(make: Make, what: Behaviour) -> None:
    node = make(what)
    node.cut = True
    node.live(boots=2)
    node.pxed.kill()
    assert node.power_on() is None
    shown = node.shown
    assert (shown["state"], shown["installer"], node.answers.count("installer")) == ("running", "gone", 1)
    events = node.pxed.api("GET", f"/nodes/{node.mac}/events")["events"]
    (told,) = [each["text"] for each in events if each["kind"] == "install.rebooted"]
    assert f"`pxed install retry {node.mac}`" in told
    assert node.pxed.api("GET", f"/nodes/{node.mac}")["verdict"] == told
    again = node.pxed.api("POST", f"/installs/{shown['id']}/retry")
    assert node.pxed.api("GET", f"/installs/{shown['id']}")["state"] == "cancelled"
    node.sent.clear()
    node.live()
    assert node.shown["id"] == again["id"]
    finished(node, what, installs=2)


@every
def test_before_the_installer_has_begun_a_restart_is_a_new_try(make: Make, what: Behaviour) -> None:
    """Kernel and initrd came, or the boot program has all that it loads, and nobody knows what happened then."""
    node = make(what)
    for killed in (True, False, True):
        booted = node.power_on()
        assert booted is not None
        node.load(booted)
        if killed:
            node.pxed.kill()
    shown = node.shown
    assert (shown["state"], shown["installer"]) == ("running", "served")
    files = {path.split("/", 3)[3] for path in node.fetched if path.startswith("/i/") and "/notify/" not in path}
    assert files <= what.installer.loads


@pytest.mark.parametrize("what", FIRST_BOOTS[1:3], ids=named)
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


@pytest.mark.parametrize("what", [each for each in HOOKED if each.family != "windows"], ids=named)
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
