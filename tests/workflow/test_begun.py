"""An installer that was seen at work is not given to its node again: the next network boot may be that of the finished system."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from pxed.errors import Conflict
from pxed.node.model import SILENT, Boot
from pxed.store.schema import installs
from pxed.testing import NOON, MemoryAppliance, result_of
from pxed.workflow import journal
from pxed.workflow.install import INSTALLERS, Install
from pxed.workflow.recipe import HOUR
from tests.workflow.looking import MAC, boot_of, inbox_of, kinds, rows, say, state_of
from tests.workflow.recipes import BOOK


def served(recipe: str = "plain") -> tuple[MemoryAppliance, Install]:
    """A node that has its boot profile."""
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, recipe))
    appliance.engine.served(install.id)
    return appliance, install


def asks(appliance: MemoryAppliance, kind: str = "dhcp.silent") -> None:
    """The node boots from the network, and a door tells that it got nothing."""
    node = appliance.inventory.by_mac(MAC)
    assert node is not None
    appliance.timeline.record(kind, "asked", node=node.id)


def gone() -> tuple[MemoryAppliance, Install]:
    """A node that was restarted while its installer was at work."""
    appliance, install = served()
    say(appliance, install, "started")
    asks(appliance)
    return appliance, install


def works(appliance: MemoryAppliance, install: Install) -> None:
    appliance.engine.works(install.id)


def progresses(appliance: MemoryAppliance, install: Install) -> None:
    appliance.engine.progress(install.id, 30, "30 MB of packages")


def speaks(appliance: MemoryAppliance, install: Install) -> None:
    say(appliance, install, "packages")


@pytest.mark.parametrize("evidence", [works, progresses, speaks])
@pytest.mark.parametrize("killed", [False, True])
def test_whatever_shows_that_the_installer_works_ends_the_offers(evidence: Any, killed: bool) -> None:
    appliance, install = served()
    assert boot_of(appliance) == Boot("installer", install.id)
    evidence(appliance, install)
    result_of(appliance.timeline.flush())
    if killed:
        appliance = appliance.restart()
    assert boot_of(appliance) == Boot("silent", install.id)
    appliance.clock.advance(60)
    assert boot_of(appliance) == Boot("silent", install.id)


def test_until_then_every_network_boot_gets_the_installer_again() -> None:
    appliance, install = served()
    for _ in range(2):
        say(appliance, install, "started", data={"loader": "1"})  # iPXE has kernel and initrd: the kernel may still hang
        asks(appliance, "http.localboot")
        appliance.engine.served(install.id)
        appliance = appliance.restart()
        assert boot_of(appliance) == Boot("installer", install.id)
    assert "install.rebooted" not in kinds(appliance)


def test_what_the_system_before_does_is_no_sign_of_the_installer() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    progresses(appliance, install)
    works(appliance, install)
    assert boot_of(appliance) == Boot("installer", install.id)


def test_a_failure_is_no_sign_of_work_but_the_end() -> None:
    appliance, install = served()
    say(appliance, install, "started", status="fail")
    assert (state_of(appliance, install), boot_of(appliance)) == ("failed", SILENT)
    assert appliance.engine.get(install.id).installer == "served"


def test_a_recipe_that_asks_for_the_installer_once_more_gets_it_once_more() -> None:
    appliance, install = served("twice")
    say(appliance, install, "stage1")
    assert boot_of(appliance) == Boot("disk", install.id)
    say(appliance, install, "stage2")
    appliance = appliance.restart()
    progresses(appliance, install)  # the system on the disk, on its way down
    assert boot_of(appliance) == Boot("installer", install.id)
    appliance.engine.served(install.id)
    works(appliance, install)
    assert boot_of(appliance) == Boot("silent", install.id)


@pytest.mark.parametrize("kind", ["dhcp.silent", "http.localboot"])
def test_a_restart_in_the_middle_is_told_once_with_what_can_be_done(kind: str) -> None:
    appliance, install = served()
    say(appliance, install, "started")
    asks(appliance, kind)
    asks(appliance, kind)
    (told,) = [event for event in result_of(appliance.timeline.history()) if event.kind == "install.rebooted"]
    assert f"pxed install retry {MAC}" in told.text
    assert told.install == install.id
    assert (state_of(appliance, install), boot_of(appliance)) == ("running", Boot("silent", install.id))


@pytest.mark.parametrize("phase", ["installed", "booted"])
@pytest.mark.parametrize("killed", [False, True])
def test_the_install_goes_on_when_the_node_calls_back_after_all(phase: str, killed: bool) -> None:
    appliance, install = gone()
    if killed:
        appliance = appliance.restart()
    say(appliance, install, phase)
    assert boot_of(appliance) == (Boot("disk") if phase == "booted" else Boot("disk", install.id))
    say(appliance, install, "booted")
    assert (state_of(appliance, install), boot_of(appliance)) == ("done", Boot("disk"))


def test_one_that_never_calls_back_is_unproven_and_done_when_it_does() -> None:
    appliance, install = gone()
    appliance.clock.advance(2 * HOUR)
    assert (state_of(appliance, install), boot_of(appliance)) == ("unproven", Boot("disk"))
    assert install.reason.startswith("'installed' was awaited for 2 hours and did not come")
    last = result_of(appliance.timeline.history())[-1]
    assert last.text.startswith("Unproven: the node was restarted while its installer was at work, and the installed system was not seen")
    appliance = appliance.restart()
    install = say(appliance, install, "booted")
    assert (state_of(appliance, install), boot_of(appliance)) == ("done", Boot("disk"))


def test_one_that_was_not_restarted_has_failed() -> None:
    appliance, install = served()
    say(appliance, install, "started")
    appliance.clock.advance(2 * HOUR)
    assert (state_of(appliance, install), boot_of(appliance)) == ("failed", SILENT)


@pytest.mark.parametrize("killed", [False, True])
def test_the_operator_may_install_it_again_and_nothing_of_the_old_one_counts(killed: bool) -> None:
    appliance, install = gone()
    result_of(appliance.timeline.flush())
    if killed:
        appliance = appliance.restart()
    new = result_of(appliance.engine.retry(install.id))
    assert (state_of(appliance, install), state_of(appliance, new)) == ("cancelled", "running")
    assert "who installs again" in appliance.engine.get(install.id).reason
    assert boot_of(appliance) == Boot("installer", new.id)
    say(appliance, install, "installed")
    say(appliance, install, "booted")
    appliance.clock.advance(60)
    assert (state_of(appliance, new), boot_of(appliance)) == ("running", Boot("installer", new.id))
    assert inbox_of(appliance, new) == []
    appliance = appliance.restart()
    assert (state_of(appliance, install), state_of(appliance, new)) == ("cancelled", "running")
    assert boot_of(appliance) == Boot("installer", new.id)


def test_one_whose_installer_may_still_be_at_work_is_not_replaced() -> None:
    appliance, install = served()
    say(appliance, install, "started")
    with pytest.raises(Conflict, match="cancel it first"):
        result_of(appliance.engine.retry(install.id))
    assert (state_of(appliance, install), boot_of(appliance)) == ("running", Boot("silent", install.id))


def test_one_that_ends_at_the_same_moment_is_not_replaced() -> None:
    appliance, install = gone()
    ending = partial(journal.finish, install_id=install.id, state="done", reason="", at=NOON, assign=lambda _connection: None)
    result_of(appliance.store.write(ending))
    with pytest.raises(Conflict):
        result_of(appliance.engine.retry(install.id))
    assert len(rows(appliance, installs)) == 1


def test_what_was_seen_of_an_installer_only_goes_forward() -> None:
    for there in INSTALLERS:
        for what in INSTALLERS:
            install = Install("i1", "n1", "plain", "1", "plain", 1, {}, "secret", 0.0, installer=there)
            assert install.saw(what) == (INSTALLERS.index(what) > INSTALLERS.index(there))
            assert install.installer == max(there, what, key=INSTALLERS.index)
