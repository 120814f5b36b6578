"""Evidence: the installed system's own word, or a port that answers where nothing answered before; never the installer's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from pxed.node.model import Boot, Event
from pxed.testing import NOON, MemoryAppliance, Ports, result_of, walk
from pxed.workflow.evidence import KIND, LOOK_EVERY, Look, Vigil
from pxed.workflow.install import Install
from pxed.workflow.recipe import HOUR, Recipe, RecipeBook, RecipeNode
from tests.workflow.looking import MAC, boot_of, inbox_of, journal_of, kinds, say, state_of
from tests.workflow.recipes import BOOK, QUIET

A = "192.0.2.9"


def waiting(*open_: int) -> tuple[MemoryAppliance, Install]:
    """An install whose installer has finished; `open_` are ports that answer from the beginning."""
    appliance = MemoryAppliance(BOOK, ports=Ports(*open_))
    install = result_of(appliance.arm(MAC, "quiet"))
    say(appliance, install, "installed")
    return appliance, install


def texts(appliance: MemoryAppliance, kind: str) -> list[str]:
    return [event.text for event in result_of(appliance.timeline.history()) if event.kind == kind]


def test_a_port_that_answers_after_it_was_silent_proves_the_boot() -> None:
    appliance, install = waiting()
    appliance.clock.advance(1)
    appliance.ports.open = {902}
    appliance.clock.advance(LOOK_EVERY)
    assert (state_of(appliance, install), boot_of(appliance)) == ("done", Boot("disk"))
    assert install.proof == f"TCP port 902 at {A} answers, where nothing answered before"
    assert journal_of(appliance, install)[-1][2]["ok"]["proof"] == install.proof
    assert journal_of(appliance, install)[-1][2]["ok"]["data"] == {"address": A, "port": 902}
    assert inbox_of(appliance, install)[-1] == ("booted", False, 3)
    assert texts(appliance, KIND) == [
        f"Nothing answers on TCP port 443 and 902 at {A}: what answers there from now on is the installed system"
    ]
    assert texts(appliance, "install.evidence") == [f"'booted' is proven: {install.proof}"]
    assert texts(appliance, "install.done")[0].endswith(f": {install.proof}")
    assert result_of(appliance.engine.steps(install.id))[-1]["answer"] == f"seen: {install.proof}"


def test_the_nodes_own_word_counts_as_ever_and_is_named_as_the_proof() -> None:
    appliance, install = waiting()
    say(appliance, install, "booted")
    assert (state_of(appliance, install), install.proof) == ("done", "The installed system called back ('booted')")
    assert "proof" not in journal_of(appliance, install)[-1][2]["ok"]


def test_a_port_that_has_answered_all_along_is_the_installers_and_proves_nothing() -> None:
    appliance, install = waiting(443)
    for _ in range(100):
        appliance.clock.advance(LOOK_EVERY)
    assert state_of(appliance, install) == "running"
    assert f"TCP port 443 at {A} answers already" in texts(appliance, KIND)[0]
    appliance.ports.open = set()  # it restarts
    appliance.clock.advance(LOOK_EVERY)
    appliance.ports.open = {443}
    appliance.clock.advance(LOOK_EVERY)
    assert (state_of(appliance, install), install.proof[:12]) == ("done", "TCP port 443")


def test_what_was_silent_is_known_after_a_restart_however_much_the_node_logs_meanwhile() -> None:
    appliance, install = waiting()
    appliance.clock.advance(1)
    for number in range(600):
        appliance.timeline.record("syslog", str(number), node=install.node_id, install=install.id)
    appliance.ports.open = {902}
    appliance = appliance.restart()
    appliance.clock.advance(1)
    assert state_of(appliance, install) == "done"


def test_nobody_looks_before_the_node_was_sent_to_its_disk_nor_after_the_end() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "quiet"))
    appliance.clock.advance(100)
    assert appliance.ports.looks == 0
    say(appliance, install, "installed")
    appliance.clock.advance(1)
    assert appliance.ports.looks == 1
    say(appliance, install, "booted")
    appliance.clock.advance(100)
    assert (appliance.ports.looks, appliance.clock.getDelayedCalls()) == (1, [])


@pytest.mark.parametrize("cleanly", [False, True], ids=["killed", "stopped"])
def test_what_was_silent_is_known_after_a_restart_of_pxed(cleanly: bool) -> None:
    """The node restarts while pxed is down: its port answers at the first look of the new pxed, and counts."""
    appliance, install = waiting()
    appliance.clock.advance(1)
    result_of(appliance.timeline.flush())
    appliance = appliance.restart(cleanly=cleanly, down=300)
    appliance.ports.open = {443}
    appliance.clock.advance(1)
    assert state_of(appliance, install) == "done"


def test_the_installers_port_is_still_its_own_after_a_restart_of_pxed() -> None:
    appliance, install = waiting(443)
    appliance.clock.advance(1)
    appliance = appliance.restart(down=300)
    for _ in range(3):
        appliance.clock.advance(LOOK_EVERY)
    assert state_of(appliance, install) == "running"


def test_a_silence_of_an_earlier_await_is_none_of_this_one() -> None:
    silent = Event(1, NOON, KIND, "", "n", "i", {"silent": [[A, 443]]})
    look = Look(frozenset({(A, 443)}), frozenset({(A, 443)}))
    assert Vigil([silent], since=NOON).take(look) == (A, 443)
    assert Vigil([silent], since=NOON + 1).take(look) is None


def test_an_address_nobody_has_asked_at_is_not_silent() -> None:
    """An address that becomes known when something answers there already: that may be anybody."""
    vigil = Vigil()
    for look in (Look(frozenset(), frozenset()), Look(frozenset({(A, 443)}), frozenset({(A, 443)}))):
        assert vigil.take(look) is None
        vigil.news(look)
    assert vigil.take(look) is None


def test_a_callback_that_comes_while_pxed_looks_wins_and_is_answered_once() -> None:
    class Slow(Ports):
        asked: Deferred[None] = Deferred()

        async def look(self, install: Install, ports: tuple[int, ...]) -> Look:
            seen = await super().look(install, ports)
            await self.asked
            return seen

    ports = Slow()
    appliance = MemoryAppliance(BOOK, ports=ports)
    install = result_of(appliance.arm(MAC, "quiet"))
    say(appliance, install, "installed")
    appliance.clock.advance(1)
    say(appliance, install, "booted")
    ports.asked.callback(None)
    assert (state_of(appliance, install), install.proof) == ("done", "The installed system called back ('booted')")


def test_a_look_under_way_is_cancelled_when_pxed_stops(logged: Any) -> None:
    cancelled: list[Any] = []

    class Hanging(Ports):
        async def look(self, install: Install, ports: tuple[int, ...]) -> Look:
            await Deferred(cancelled.append)
            raise AssertionError

    appliance = MemoryAppliance(BOOK, ports=Hanging())
    install = result_of(appliance.arm(MAC, "quiet"))
    say(appliance, install, "installed")
    appliance.clock.advance(1)
    result_of(appliance.engine.stop())
    assert len(cancelled) == 1
    assert (state_of(appliance, install), appliance.clock.getDelayedCalls()) == ("running", [])


def test_a_fault_of_the_probe_is_logged_and_the_install_waits_on(logged: Any) -> None:
    class Faulty(Ports):
        async def look(self, install: Install, ports: tuple[int, ...]) -> Look:
            raise ZeroDivisionError

    appliance = MemoryAppliance(BOOK, ports=Faulty())
    install = result_of(appliance.arm(MAC, "quiet"))
    say(appliance, install, "installed")
    appliance.clock.advance(1)
    assert logged.take(ZeroDivisionError)
    assert state_of(appliance, install) == "running"
    say(appliance, install, "booted")
    assert state_of(appliance, install) == "done"


def test_a_late_callback_after_the_port_is_a_duplicate() -> None:
    appliance, install = waiting()
    appliance.clock.advance(1)
    appliance.ports.open = {443}
    appliance.clock.advance(LOOK_EVERY)
    proof = install.proof
    say(appliance, install, "booted")
    assert inbox_of(appliance, install)[-1] == ("booted", True, None)
    assert (state_of(appliance, install), install.proof) == ("done", proof)


happenings = st.lists(st.sampled_from(["open", "shut", "look", "look", "kill", "booted", "started"]), max_size=14)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.booleans(), happenings)
def test_in_any_order_only_the_nodes_word_or_a_port_that_was_silent_makes_it_done(held: bool, happened: list[str]) -> None:
    """The model: done once it said so, or once a look found the port open after a look that found it shut."""
    appliance, install = waiting(*([443] if held else []))
    is_open, was_silent, done = held, False, False
    for what in happened:
        if what == "kill":
            result_of(appliance.timeline.flush())
            appliance = appliance.restart()
        elif what in ("open", "shut"):
            is_open = what == "open"
            appliance.ports.open = {443} if is_open else set()
        elif what == "look":
            appliance.clock.advance(LOOK_EVERY)
            done = done or (was_silent and is_open)
            was_silent = was_silent or not is_open
        else:
            say(appliance, install, what)
            done = done or what == "booted"
        assert (state_of(appliance, install) == "done") == done


# what a recipe may ask


def test_its_name_in_the_journal_has_ports_and_deadline() -> None:
    assert walk(QUIET).steps[-1] == "evidence('booted', ports=(443, 902), within=3600.0)"


async def too_early(node: RecipeNode) -> None:
    await node.boot("installer")
    await node.evidence("booted", ports=(443,), within=HOUR)


async def back_again(node: RecipeNode) -> None:
    await node.boot("disk")
    await node.boot("installer")
    await node.evidence("booted", ports=(443,), within=HOUR)


async def no_ports(node: RecipeNode) -> None:
    await node.boot("disk")
    await node.evidence("booted", ports=(), within=HOUR)


async def no_port(node: RecipeNode) -> None:
    await node.boot("disk")
    await node.evidence("booted", ports=(70000,), within=HOUR)


async def twice_the_phase(node: RecipeNode) -> None:
    await node.boot("disk")
    await node.notification("booted", within=HOUR)
    await node.evidence("booted", ports=(443,), within=HOUR)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (too_early, "does not boot its disk"),
        (back_again, "does not boot its disk"),
        (no_ports, "must be a tuple of TCP ports"),
        (no_port, "must be a tuple of TCP ports"),
        (twice_the_phase, "awaits the phase 'booted' twice"),
    ],
)
def test_evidence_that_could_be_the_installers_is_refused(run: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        walk(Recipe("r", 1, run))
    appliance = MemoryAppliance(RecipeBook((Recipe("r", 1, run),)))
    install = result_of(appliance.arm(MAC, "r"))
    if state_of(appliance, install) == "running":
        say(appliance, install, "booted")
    assert state_of(appliance, install) == "parked"
    assert words in install.reason
    assert kinds(appliance)[-1] == "install.parked"
