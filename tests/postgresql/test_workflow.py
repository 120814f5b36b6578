"""Installs, nodes and the timeline on PostgreSQL: restarted, killed, pruned, and told everything that a node may say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from twisted.internet.task import Clock

from pxed.errors import Conflict, StorageUnavailable
from pxed.node.inventory import Inventory
from pxed.node.model import Boot
from pxed.node.timeline import Timeline
from pxed.store import Store
from pxed.store.schema import inbox, installs, nodes
from pxed.testing import MemoryAppliance, MemoryStore, Ports, result_of
from pxed.web import callback
from pxed.workflow.install import row_of
from tests.postgresql.cluster import Cluster
from tests.store.pump import Pump
from tests.workflow import test_forgetting as forgetting
from tests.workflow.looking import MAC, boot_of, inbox_of, journal_of, rows, say, state_of
from tests.workflow.recipes import BOOK
from tests.workflow.test_kill import install_and_kill, nothing_is_lost
from tests.workflow.test_progress_rows import stores_what_goes_on
from tests.workflow.test_restart import PHASES, STEPS

pytestmark = pytest.mark.slow

# These run here on the `appliance` below.
test_old_ones_go = forgetting.test_old_ones_go_with_journal_and_inbox_and_young_ones_stay
test_the_last_one_of_a_node_stays = forgetting.test_the_last_one_of_a_node_stays_until_its_node_is_forgotten
test_a_parked_one_stays = forgetting.test_a_parked_one_stays


class OwnConnection(MemoryStore):
    """A new process has a new connection, as it has in life."""

    def __init__(self, url: str) -> None:
        super().__init__(url=url)
        self._url_again = url

    def again(self) -> MemoryStore:
        self.end()
        return OwnConnection(self._url_again)

    def end(self) -> None:
        self._accepting = self.healthy = False
        self._database.close()


@pytest.fixture
def appliance(url: str) -> Iterator[MemoryAppliance]:
    made: list[OwnConnection] = []

    class Noted(OwnConnection):
        def again(self) -> MemoryStore:
            self.end()
            made.append(Noted(url))
            return made[-1]

    made.append(Noted(url))
    yield MemoryAppliance(BOOK, store=made[0])
    for each in made:
        each.end()


@pytest.mark.parametrize(("recipe", "cleanly"), [("twice", False), ("plain", True)], ids=["killed", "stopped"])
def test_restarted_at_every_await_an_install_goes_on(appliance: MemoryAppliance, recipe: str, cleanly: bool) -> None:
    install = result_of(appliance.arm(MAC, recipe))
    for phase in PHASES[recipe]:
        boot, journal = boot_of(appliance), journal_of(appliance, install)
        appliance = appliance.restart(cleanly=cleanly)
        assert state_of(appliance, install) == "running"
        assert (boot_of(appliance), journal_of(appliance, install)) == (boot, journal)
        say(appliance, install, phase)
    assert state_of(appliance, install) == "done"
    assert boot_of(appliance) == Boot("disk")
    assert [step for _, step, _ in journal_of(appliance, install)] == STEPS[recipe]


def test_deadlines_evidence_cancel_retry_and_progress(url: str, appliance: MemoryAppliance) -> None:
    """The verbs and answers that a straight install does not need."""
    missed = result_of(appliance.arm(MAC, "plain"))
    appliance.clock.advance(31 * 60)
    assert state_of(appliance, missed) == "failed"
    again = result_of(appliance.engine.retry(missed.id))
    appliance.engine.served(again.id)
    appliance.engine.progress(again.id, 30, "größer als \0 nichts")
    result_of(appliance.engine.cancel(again.id))
    assert state_of(appliance, again) == "cancelled"
    failed = result_of(appliance.arm(MAC, "plain"))
    say(appliance, failed, "started", status="fail", message="no disk")
    assert (state_of(appliance, failed), appliance.engine.get(failed.id).reason) == ("failed", "no disk")
    quiet = result_of(appliance.arm(MAC, "quiet"))
    say(appliance, quiet, "installed")
    say(appliance, quiet, "installed")
    appliance.ports = Ports()
    appliance.clock.advance(7200)
    assert state_of(appliance, quiet) == "unproven"
    say(appliance, quiet, "booted")
    assert state_of(appliance, quiet) == "done"
    assert [duplicate for _, duplicate, _ in inbox_of(appliance, quiet)] == [False, True, False]


def test_a_notification_without_a_phase_and_one_that_implies_earlier_ones(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, None)
    say(appliance, install, "booted")
    assert state_of(appliance, install) == "done"


def test_the_database_itself_refuses_a_second_running_install(appliance: MemoryAppliance) -> None:
    first = result_of(appliance.arm(MAC, "plain"))
    second = {**row_of(first), "id": "another", "token": "another"}
    with pytest.raises(IntegrityError):
        result_of(appliance.store.write(lambda c: c.execute(insert(installs), second)))
    with pytest.raises(Conflict, match=first.id):
        result_of(appliance.arm(MAC, "plain"))
    result_of(appliance.store.write(lambda c: c.execute(insert(installs), {**second, "state": "failed"})))


def test_every_acknowledged_notification_survives_kill_9_and_every_install_ends(url: str) -> None:
    told = install_and_kill(url, 25) + install_and_kill(url, 90)
    store = OwnConnection(url)
    nothing_is_lost(told, MemoryAppliance(BOOK, store=store))
    store.end()


def test_while_the_server_is_away_installs_wait_and_then_go_on(cluster: Cluster, appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started")
    cluster.stop()
    try:
        with pytest.raises(StorageUnavailable):
            say(appliance, install, "installed")
        appliance.clock.advance(3 * 3600)  # a deadline passes, which can't be stored
        assert appliance.engine.get(install.id).state == "running"
    finally:
        cluster.start()
    say(appliance, install, "installed")
    appliance.clock.advance(60)  # its run has tried again
    say(appliance, install, "booted")
    assert state_of(appliance, install) == "done"


# the timeline


def test_history_and_pruning(appliance: MemoryAppliance) -> None:
    clock, store = Clock(), appliance.store
    timeline = Timeline(now=clock.seconds, store=store, keep=20)
    inventory = Inventory(now=clock.seconds, store=store, timeline=timeline)
    loud, calm = inventory.seen("52:54:00:00:00:0a"), inventory.seen("52:54:00:00:00:0b")
    result_of(inventory.flush())
    timeline.record("calm", "once", node=calm.id)
    timeline.record("note", "of no node")
    told = [timeline.record("loud", f"{number}", node=loud.id, install="i1" if number % 2 else None) for number in range(100)]
    kept = result_of(timeline.history(node=loud.id, after=-1))
    assert 20 <= len(kept) <= 25
    assert kept == told[-len(kept) :]
    assert result_of(timeline.history(node=loud.id, limit=3)) == told[-3:]
    assert result_of(timeline.history(after=told[95].id, limit=2)) == told[96:98]
    assert result_of(timeline.history(install="i1", limit=1)) == [told[99]]
    assert [e.text for e in result_of(timeline.history(node=calm.id))][-1] == "once"
    result_of(store.write(lambda c: c.execute(nodes.delete().where(nodes.c.id == "none"))))
    result_of(inventory.remove(calm.id))
    again = Timeline(now=clock.seconds, store=store, keep=5)
    result_of(again.load())
    left = result_of(again.history(after=-1))
    assert [e for e in left if e.node == loud.id] == told[-5:]
    assert not [e for e in left if e.node == calm.id]
    assert again.record("note", "next").id > told[-1].id + 1000


# what a node may say

WILD = "Grüße \0 \U0001f600 \ud800 日本\x7f\x1b[31m"
BODIES = (
    WILD.encode("utf-8", "surrogatepass"),
    json.dumps({"status": "ok", "message": WILD, "why": WILD, WILD: [WILD, None]}).encode(),
    b'{"a": NaN, "b": Infinity, "c": -1e999, "d": 123456789012345678901234567890, "e": 1e300, "f": "\\u0000", "g": {"\\ud800": "\\u0000"}}',
    b"message=%00%ff%c3%28&percent=%00&x=%ed%a0%80",
    b"\xff\xfe\0\0" * 5000,
)


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_whatever_a_notification_holds_it_is_stored(appliance: MemoryAppliance, body: bytes) -> None:
    """PostgreSQL refuses NUL and half characters in text, NaN in JSON, and what is longer than its column."""
    install = result_of(appliance.arm(MAC, "plain"))
    told = callback.read({"q\0": "\udcff\0"}, body)
    say(appliance, install, "started", status=told.status, message=told.message, data=told.data, source="192.0.2.7" * 20)
    assert inbox_of(appliance, install) == [("started", False, 1)]
    assert appliance.restart().engine.get(install.id).percent == 10


def test_whatever_a_node_says_does_not_keep_what_others_say_from_being_stored(appliance: MemoryAppliance, logged: Any) -> None:
    """One batch holds what all of them said."""
    store = appliance.store
    store.held = []  # the store is busy: all that follows waits for it and goes together
    appliance.timeline.record("note", "begins it")
    quiet = appliance.inventory.seen("52:54:00:00:00:0b", arch=7, vendor_class="PXEClient:Arch:00007:UNDI:003016")
    wild = appliance.inventory.seen(MAC, arch=65535, vendor_class=WILD * 100, uuid="\0" * 500, interface="\udcff" * 500)
    appliance.inventory.note_address(MAC, "192.0.2.9")
    appliance.inventory.learn(MAC, product=WILD * 100, asset=float("nan"), list=[WILD, float("inf")], deep={WILD: {WILD: WILD}})
    data = {"text": WILD, "nan": float("nan"), "deep": [{"x": float("-inf"), WILD: WILD}], "long": "x" * 100_000, "big": 10**40}
    appliance.timeline.record("syslog", WILD * 1000, node=wild.id, data=data)
    appliance.timeline.record("syslog", "of a quiet one", node=quiet.id, data={"größe": "日本"})
    store.release()
    result_of(appliance.inventory.flush())
    result_of(appliance.timeline.flush())
    again = appliance.restart()
    stored = again.inventory.get(wild.id)
    assert stored is not None
    assert stored.vendor_class == wild.vendor_class
    assert stored.address == "192.0.2.9"
    assert stored.facts["deep"] == {WILD: {WILD: WILD}}
    assert stored.facts["asset"] is None
    assert stored.facts["list"] == [WILD, None]
    assert again.inventory.get(quiet.id) is not None
    (event,) = result_of(again.timeline.history(node=quiet.id, limit=1))
    assert (event.text, event.data) == ("of a quiet one", {"größe": "日本"})
    (event,) = result_of(again.timeline.history(node=wild.id, limit=1))
    assert event.data == {**data, "nan": None, "deep": [{"x": None, WILD: WILD}]}
    assert "\0" not in event.text


def test_the_columns_of_text_hold_what_they_held(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain", hostname="größe", note="日本\U0001f600", path="a\0b"))
    say(appliance, install, "started", message="größe 日本\U0001f600")
    (row,) = rows(appliance, inbox)
    assert row["message"] == "größe 日本\U0001f600"
    assert appliance.restart().engine.get(install.id).options == {"hostname": "größe", "note": "日本\U0001f600", "path": "a\0b"}


def test_how_far_many_installs_are_is_stored_at_once(store: Store, pump: Pump) -> None:
    pump.until(store.write(stores_what_goes_on))
