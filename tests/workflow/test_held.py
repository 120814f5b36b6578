"""Between an acknowledged notification and what the recipe makes of it the node is not offered the installer, however long that takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail

from pxed.errors import StorageUnavailable
from pxed.node.guard import Guard
from pxed.node.model import Boot, Event
from pxed.oses.catalog import Catalog
from pxed.oses.family import Urls
from pxed.oses.scripts import BootScripts
from pxed.testing import MemoryAppliance, MemoryStore, result_of
from pxed.workflow import journal
from pxed.workflow.install import Install
from tests.workflow.looking import MAC, boot_of, say, state_of
from tests.workflow.recipes import BOOK

T = TypeVar("T")


def acknowledged_and_then_no_disk(appliance: MemoryAppliance, install: Install, phase: str | None, **more: Any) -> None:
    """The inbox is committed and the node has its 2xx; whatever comes after that fails."""

    def full(event: Event) -> None:
        if event.kind == "notification":
            appliance.store.broken = "no space left on device"

    stop = appliance.timeline.subscribe(full)
    say(appliance, install, phase, **more)
    stop()
    assert appliance.store.broken


def shown(appliance: MemoryAppliance) -> Boot:
    node = appliance.inventory.by_mac(MAC)
    assert node is not None
    return node.boot


@pytest.mark.parametrize("phase", ["installed", None], ids=["by name", "plain"])
def test_a_node_that_reboots_before_boots_disk_could_be_stored_is_not_installed_again(phase: str | None) -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started")
    acknowledged_and_then_no_disk(appliance, install, phase)
    assert shown(appliance) == Boot("silent", install.id)  # DHCP: no offer
    appliance.clock.advance(3600)
    assert shown(appliance) == Boot("silent", install.id)
    appliance.store.broken = None
    appliance.clock.advance(30)
    assert (boot_of(appliance), state_of(appliance, install)) == (Boot("disk", install.id), "running")


def test_one_that_reaches_a_boot_loader_is_sent_to_its_disk() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started")
    acknowledged_and_then_no_disk(appliance, install, "installed")
    guard = Guard(inventory=appliance.inventory, timeline=appliance.timeline, seconds=appliance.clock.seconds)
    scripts = BootScripts(
        inventory=appliance.inventory,
        timeline=appliance.timeline,
        engine=appliance.engine,
        catalog=Catalog(),
        urls=Urls,
        guard=guard,
    )
    script = result_of(scripts.of(MAC, "192.0.2.9", "http://192.0.2.1", "ipxe"))
    assert "sanboot" in script
    assert install.token not in script


def test_after_a_word_of_the_boot_program_the_installer_is_offered_again() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    acknowledged_and_then_no_disk(appliance, install, "started", data={"loader": "1"})
    assert shown(appliance) == Boot("silent", install.id)
    appliance.store.broken = None
    appliance.clock.advance(30)
    assert boot_of(appliance) == Boot("installer", install.id)


def test_two_words_at_once_hold_it_until_both_are_dealt_with() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    seen: list[str] = []
    appliance.store.held = []
    told = [Deferred.fromCoroutine(appliance.engine.deliver(install.token, phase)) for phase in ("started", "installed")]
    appliance.store.release()
    stop = appliance.timeline.subscribe(lambda event: seen.append(shown(appliance).kind) if event.kind == "install.step" else None)
    for each in told:
        result_of(each)
    stop()
    assert "installer" not in seen
    assert boot_of(appliance) == Boot("disk", install.id)


def test_a_pxed_that_starts_without_its_disk_does_not_offer_what_may_be_done() -> None:
    """Killed after the acknowledgement; the new one can read, and its first write fails."""
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started")
    acknowledged_and_then_no_disk(appliance, install, "installed")

    again = NothingOfInstalls(appliance.store)
    started = MemoryAppliance(BOOK, store=again, clock=appliance.clock)
    assert again.refused
    assert shown(started) == Boot("silent", install.id)
    again.refusing = False
    started.clock.advance(60)
    assert boot_of(started) == Boot("disk", install.id)


class NothingOfInstalls(MemoryStore):
    """A new process whose disk takes no step of an install, but all else."""

    def __init__(self, before: MemoryStore) -> None:
        super().__init__(before.again()._database)
        self.refusing, self.refused = True, 0

    def write(self, op: Callable[[Connection], T], *, lazy: bool = False) -> Deferred[T]:
        if self.refusing and isinstance(op, partial) and op.func in (journal.settle, journal.boot):
            self.refused += 1
            return fail(StorageUnavailable("no space left on device"))
        return super().write(op, lazy=lazy)


def test_a_cancelled_install_leaves_nothing_held() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    acknowledged_and_then_no_disk(appliance, install, "started")
    appliance.store.broken = None
    result_of(appliance.engine.cancel(install.id))
    appliance.inventory.release(install.node_id)
    assert boot_of(appliance) == Boot("silent")
