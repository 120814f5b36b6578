"""The timeline: told at once, stored soon, bounded always."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select
from twisted.internet.task import Clock

from pxed.errors import StorageUnavailable
from pxed.node.inventory import Inventory
from pxed.node.model import FREQUENT, Event
from pxed.node.timeline import JUMP, QUEUE, Timeline
from pxed.store.schema import events
from pxed.testing import MemoryStore, memory_timeline, result_of


class Times:
    """A timeline on a store, and the process it lives in."""

    def __init__(self, store: MemoryStore | None = None, keep: int = 2000) -> None:
        self.clock = Clock()
        self.store = store or MemoryStore()
        self.timeline = Timeline(now=self.clock.seconds, store=self.store, keep=keep)
        result_of(self.timeline.load())

    def again(self) -> Times:
        return Times(self.store.again())

    def texts(self, **which: object) -> list[str]:
        return [event.text for event in result_of(self.timeline.history(**which))]  # type: ignore[arg-type]

    def count(self) -> int:
        return result_of(self.store.read(lambda c: c.scalar(select(func.count()).select_from(events)) or 0))


def test_an_event_comes_back_as_it_was_told() -> None:
    times = Times()
    times.clock.advance(12.5)
    node = Inventory(now=times.clock.seconds, store=times.store).seen("52:54:00:00:00:01").id
    told = times.timeline.record("dhcp.offer", "It was offered", node=node, install="i1", data={"file": "ipxe.efi", "n": [1, None]})
    assert told == Event(1, 12.5, "dhcp.offer", "It was offered", node, "i1", {"file": "ipxe.efi", "n": [1, None]})
    assert result_of(times.again().timeline.history()) == [told]


def test_recording_does_not_wait_for_the_store() -> None:
    times = Times()
    times.store.held = []
    heard: list[str] = []
    times.timeline.subscribe(lambda event: heard.append(event.text))
    times.timeline.record("node.new", "a")
    times.timeline.record("node.new", "b")
    assert heard == ["a", "b"]
    assert len(times.store.held) == 1  # one write under way, the other waits for the next
    times.store.release()
    assert times.texts() == ["a", "b"]


def test_history_is_of_a_node_or_an_install_or_everything() -> None:
    times = Times()
    for text, node, install in (("a", "n1", None), ("b", "n2", "i1"), ("c", "n1", "i1"), ("d", None, None)):
        times.timeline.record("node.new", text, node=node, install=install)
    assert times.texts() == ["a", "b", "c", "d"]
    assert times.texts(node="n1") == ["a", "c"]
    assert times.texts(install="i1") == ["b", "c"]
    assert times.texts(node="n1", install="i1") == ["c"]


@pytest.mark.parametrize("stored", [True, False], ids=["on a store", "in memory"])
def test_history_leaves_out_the_kinds_that_nobody_wants(stored: bool) -> None:
    timeline = Times().timeline if stored else memory_timeline()
    for kind in ("node.new", "syslog", "syslog", "dhcp.offer", "install.progress"):
        timeline.record(kind, kind)
    assert [event.kind for event in result_of(timeline.history(limit=2, but=FREQUENT))] == ["node.new", "dhcp.offer"]


@pytest.mark.parametrize("stored", [True, False], ids=["on a store", "in memory"])
def test_history_goes_on_behind_an_id_and_else_gives_the_newest(stored: bool) -> None:
    timeline = Times().timeline if stored else memory_timeline()
    ids = [timeline.record("node.new", str(number)).id for number in range(10)]

    def texts(*, after: int = 0, limit: int = 500) -> list[str]:
        return [event.text for event in result_of(timeline.history(after=after, limit=limit))]

    assert texts(limit=3) == ["7", "8", "9"]
    assert texts(after=ids[1], limit=3) == ["2", "3", "4"]
    assert texts(after=-1, limit=3) == ["0", "1", "2"]
    assert texts(after=ids[9]) == []


def test_no_id_is_ever_given_twice_even_to_what_was_told_and_not_stored() -> None:
    times = Times()
    first = times.timeline.record("node.new", "a").id
    times.store.broken = "no disk"
    lost = times.timeline.record("node.new", "b").id
    after = times.again().timeline.record("node.new", "c").id
    assert first < lost < after
    assert after >= first + JUMP


def test_a_subscriber_that_fails_harms_nobody(logged: object) -> None:
    timeline = memory_timeline()
    heard: list[str] = []

    def fails(_event: Event) -> None:
        raise ValueError("a broken console")

    timeline.subscribe(fails)
    stop = timeline.subscribe(lambda event: heard.append(event.text))
    timeline.record("node.new", "a")
    stop()
    stop()
    timeline.record("node.new", "b")
    assert heard == ["a"]
    assert len(logged.take(ValueError)) == 2  # type: ignore[attr-defined]


def test_what_was_told_while_the_database_was_away_is_stored_when_it_is_back() -> None:
    times = Times()
    times.store.broken = "no disk"
    for number in range(100):
        times.timeline.record("node.new", str(number))
    with pytest.raises(StorageUnavailable):
        result_of(times.timeline.history())
    times.store.broken = None
    assert times.texts() == [str(number) for number in range(100)]


def test_the_queue_is_bounded_and_installs_go_before_noise() -> None:
    times = Times()
    times.store.held = []
    for number in range(3 * QUEUE):
        times.timeline.record("dhcp.silent", str(number), node="n1")
    times.timeline.record("install.done", "the one that matters", node="n2", install="i1")
    assert times.timeline.dropped == 3 * QUEUE - QUEUE - 1  # the first is under way already
    times.store.release()
    assert times.texts(node="n2") == ["the one that matters"]


def test_a_node_keeps_its_newest_events_only() -> None:
    times = Times(keep=20)
    for number in range(500):
        times.timeline.record("dhcp.silent", str(number), node="n1")
    times.timeline.record("node.new", "quiet", node="n2")
    assert times.texts(node="n2") == ["quiet"]
    kept = times.texts(node="n1")
    assert kept[-20:] == [str(number) for number in range(480, 500)]
    assert len(kept) <= 20 + 20 // 4 + 1


def test_a_chatty_installer_pushes_out_nothing_but_its_own_lines() -> None:
    times = Times(keep=20)
    for text in ("created", "answer", "started"):
        times.timeline.record("notification", text, node="n1")
    for number in range(500):
        times.timeline.record("syslog" if number % 2 else "install.progress", str(number), node="n1")
    kept = times.texts(node="n1")
    assert kept[:3] == ["created", "answer", "started"]
    assert kept[-10:] == [str(number) for number in range(490, 500)]
    assert len(kept) <= 3 + 10 + 20 // 4 + 1


def test_loading_prunes_what_is_too_much_and_whose_node_is_gone() -> None:
    times = Times(keep=100)
    inventory = Inventory(now=times.clock.seconds, store=times.store)
    node = inventory.seen("52:54:00:00:00:01")
    for number in range(20):
        times.timeline.record("dhcp.silent", str(number), node=node.id)
        times.timeline.record("syslog", "whose?", node="forgotten")
        times.timeline.record("dhcp.problem", "of no node")
    result_of(inventory.flush())
    result_of(times.timeline.flush())
    less = Times(times.store.again(), keep=5)
    assert less.texts(node=node.id) == ["15", "16", "17", "18", "19"]
    assert less.texts(node="forgotten") == []
    assert less.count() == 10


@pytest.mark.parametrize("text", ["\udcff\udc00 raw bytes", "nul \0 inside", "x" * 5000])
def test_any_text_a_node_may_send_is_stored(text: str) -> None:
    times = Times()
    times.timeline.record("syslog", text, node="n1", data={"raw": text[:100], "odd": object()})
    assert len(times.texts()) == 1
    assert len(times.texts()[0]) <= 1000


@pytest.mark.slow
def test_a_flood_of_invented_nodes_leaves_a_bounded_timeline() -> None:
    """Their events go when they are forgotten; what is recorded after that goes with the next search."""
    times = Times()
    inventory = Inventory(now=times.clock.seconds, store=times.store, timeline=times.timeline, max_unknown=50)
    for number in range(12_000):
        if number % 100 == 0:
            times.store.release()
            times.store.held = []
        node = inventory.seen(f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}")
        times.timeline.record("dhcp.silent", "asked", node=node.id)
    times.store.release()
    result_of(times.timeline.flush())
    assert times.count() < 11_000
    assert len(inventory.all()) == 50
