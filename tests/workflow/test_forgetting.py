"""Installs that ended long ago are forgotten, and nothing else is."""

from __future__ import annotations

import pytest

from pxed.errors import NotFound, StorageUnavailable
from pxed.store.schema import inbox, installs, journal
from pxed.testing import MemoryAppliance, result_of
from pxed.workflow import engine
from pxed.workflow.install import Install
from tests.workflow.looking import rows, say
from tests.workflow.recipes import BOOK


@pytest.fixture
def appliance() -> MemoryAppliance:
    return MemoryAppliance(BOOK)


def mac(number: int) -> str:
    return f"52:54:00:00:00:{number:02x}"


def installed(appliance: MemoryAppliance, number: int = 1) -> Install:
    """One install of node `number` from armed to done, in one second."""
    install = result_of(appliance.arm(mac(number), "plain"))
    for phase in ("started", "installed", "booted"):
        say(appliance, install, phase)
    appliance.clock.advance(1)
    return install


def kept(appliance: MemoryAppliance) -> list[str]:
    """What is in memory, which has to be what is stored."""
    ids = [each.id for each in appliance.engine.all()]
    assert sorted(ids) == [row["id"] for row in rows(appliance, installs)]
    return ids


def forget(appliance: MemoryAppliance, age: float) -> int:
    return result_of(appliance.engine.forget_old(appliance.clock.seconds() - age))


def test_old_ones_go_with_journal_and_inbox_and_young_ones_stay(appliance: MemoryAppliance) -> None:
    old = installed(appliance)
    appliance.clock.advance(100)
    young, last = installed(appliance), installed(appliance)
    assert forget(appliance, 50) == 1
    assert kept(appliance) == [young.id, last.id]
    for table in (journal, inbox):
        assert {row["install_id"] for row in rows(appliance, table)} == {young.id, last.id}
    for look in (lambda: appliance.engine.get(old.id), lambda: appliance.engine.by_token(old.token)):
        with pytest.raises(NotFound):
            look()
    assert forget(appliance, 50) == 0
    assert kept(appliance.restart()) == [young.id, last.id]


def test_the_last_one_of_a_node_stays_until_its_node_is_forgotten(appliance: MemoryAppliance) -> None:
    first, last = installed(appliance), installed(appliance)
    assert forget(appliance, 0) == 1
    assert kept(appliance) == [last.id]
    result_of(appliance.inventory.remove(first.node_id))
    assert forget(appliance, 0) == 1
    assert kept(appliance) == []


def test_one_that_runs_stays_however_old_it_is(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(mac(1), "plain"))
    result_of(appliance.arm(mac(2), "plain"))
    appliance.clock.advance(10)
    assert forget(appliance, 0) == 0
    say(appliance, install, "started")
    assert len(kept(appliance)) == 2


def test_a_parked_one_stays(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(mac(1), "plain"))
    later = appliance.restart(lost=lambda _install: "its system is gone")
    assert later.engine.get(install.id).state == "parked"
    installed(later)
    later.clock.advance(10)
    assert forget(later, 0) == 0
    assert install.id in kept(later)


def test_the_oldest_of_many_go_first_and_the_rest_the_next_time(appliance: MemoryAppliance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "FORGET_AT_ONCE", 2)
    ids = [installed(appliance).id for _ in range(4)]
    assert forget(appliance, 0) == 2
    assert kept(appliance) == ids[2:]
    assert forget(appliance, 0) == 1
    assert kept(appliance) == ids[3:]


def test_while_the_database_is_away_nothing_is_forgotten(appliance: MemoryAppliance) -> None:
    first, last = installed(appliance), installed(appliance)
    appliance.store.broken = "the disk is full"
    with pytest.raises(StorageUnavailable):
        forget(appliance, 0)
    appliance.store.broken = None
    assert kept(appliance) == [first.id, last.id]
    assert appliance.engine.by_token(first.token) is first
    assert forget(appliance, 0) == 1


def test_a_retry_of_a_forgotten_one_still_runs(appliance: MemoryAppliance) -> None:
    first = result_of(appliance.arm(mac(1), "plain"))
    result_of(appliance.engine.cancel(first.id))
    again = result_of(appliance.engine.retry(first.id))
    appliance.clock.advance(10)
    assert forget(appliance, 0) == 1
    say(appliance, again, "started")
    assert appliance.restart().engine.get(again.id).retry_of == first.id
