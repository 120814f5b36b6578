"""Boot loops end: quarantine, back-off, who clears them, and that a legitimate install never meets either."""

from __future__ import annotations

import time

import pytest

from pxed.node import guard as module
from pxed.node.guard import FETCHES, Guard
from pxed.node.inventory import Inventory
from pxed.node.model import Event
from pxed.node.timeline import Timeline


class Loop:
    """A guard, a node, and a clock of each kind."""

    def __init__(self) -> None:
        self.monotonic = 0.0
        self.wall = 1_700_000_000.0
        self.timeline = Timeline(now=lambda: self.wall)
        self.inventory = Inventory(now=lambda: self.wall, timeline=self.timeline)
        self.node = self.inventory.seen("52:54:00:12:34:56").id
        self.events: list[Event] = []
        self.timeline.subscribe(self.events.append)
        self.guard = Guard(inventory=self.inventory, timeline=self.timeline, seconds=lambda: self.monotonic)

    def happens(self, kind: str, times: int = 1, *, install: str | None = "i1", **data: object) -> None:
        for _ in range(times):
            self.timeline.record(kind, kind, node=self.node, install=install, data=dict(data))

    @property
    def reason(self) -> str | None:
        refusal = self.guard.refusal(self.node)
        return refusal.reason if refusal else None


def test_three_profile_fetches_without_a_callback_quarantine_the_node_and_say_so_once() -> None:
    loop = Loop()
    loop.happens("http.profile", 2)
    assert loop.reason is None, "an install fetches its profile once or twice"
    loop.happens("http.profile", 3)
    assert loop.reason == "quarantined"
    assert [event.kind for event in loop.events if event.data.get("guard")] == ["dhcp.problem"]
    loop.monotonic += 86400.0
    assert loop.reason == "quarantined", "nothing but a person or the installer ends it"


def test_a_callback_starts_the_count_again() -> None:
    loop = Loop()
    for _ in range(5):
        loop.happens("http.profile", FETCHES - 1)
        loop.happens("notification")
    assert loop.reason is None


def test_a_callback_frees_a_quarantined_node() -> None:
    loop = Loop()
    loop.happens("http.profile", FETCHES)
    loop.happens("notification")
    assert loop.reason is None


def test_a_waiting_node_may_fetch_its_waiting_script_for_ever() -> None:
    loop = Loop()
    loop.happens("http.profile", 100, install=None)
    loop.happens("http.localboot", 100, install=None)
    assert loop.reason is None


@pytest.mark.parametrize("kind", ["install.created", "install.retried", "install.cancelled"])
def test_an_operators_order_frees_the_node(kind: str) -> None:
    loop = Loop()
    loop.happens("http.profile", FETCHES)
    loop.happens(kind)
    assert loop.reason is None


def test_clear_frees_the_node_and_tells_the_timeline() -> None:
    loop = Loop()
    assert loop.guard.clear(loop.node) is False
    assert loop.events == []
    loop.happens("http.profile", FETCHES)
    assert list(loop.guard.refused()) == [loop.node]
    assert loop.guard.clear(loop.node) is True
    assert loop.events[-1].kind == "node.updated"
    assert loop.guard.refused() == {}
    loop.happens("http.profile", FETCHES - 1)
    assert loop.reason is None, "it counts from the beginning"


def test_more_than_five_offers_in_two_minutes_are_followed_by_ten_minutes_of_silence() -> None:
    loop = Loop()
    for _ in range(5):
        loop.guard.offered(loop.node, 7)
        loop.monotonic += 20.0
    assert loop.reason is None
    loop.guard.offered(loop.node, 7)
    assert loop.reason == "back-off"
    refusal = loop.guard.refusal(loop.node)
    assert refusal is not None
    assert refusal.left == 600.0
    loop.monotonic += 599.0
    assert loop.reason == "back-off"
    loop.monotonic += 1.0
    assert loop.reason is None
    loop.guard.offered(loop.node, 7)
    assert loop.reason is None, "the old rounds are forgotten"


def test_six_offers_over_a_longer_time_are_no_loop() -> None:
    loop = Loop()
    for _ in range(50):
        loop.guard.offered(loop.node, 7)
        loop.monotonic += 25.0
        assert loop.reason is None


def test_offers_to_different_firmware_of_one_node_are_counted_apart() -> None:
    loop = Loop()
    for _ in range(3):
        loop.guard.offered(loop.node, 7)
        loop.guard.offered(loop.node, 16)
    assert loop.reason is None


def test_downloads_of_one_file_are_counted_those_of_many_are_not() -> None:
    """GRUB fetches dozens of files by TFTP within seconds; only the same one again and again is a loop."""
    loop = Loop()
    for number in range(100):
        loop.happens("tftp.sent", file=f"grub/x86_64-efi/module{number}.mod")
    assert loop.reason is None
    loop.happens("tftp.sent", 6, file="snponly.efi")
    assert loop.reason == "back-off"


def test_boot_programs_fetched_by_http_count_and_other_files_do_not() -> None:
    loop = Loop()
    loop.happens("http.file", 20, path="/repo/debian/linux")
    assert loop.reason is None
    loop.happens("http.file", 6, path="snponly.efi", boot_program="snponly.efi")
    assert loop.reason == "back-off"


def test_size_queries_and_failed_transfers_are_no_downloads() -> None:
    loop = Loop()
    loop.happens("tftp.request", 50, file="snponly.efi")
    loop.happens("tftp.failed", 50, file="snponly.efi")
    assert loop.reason is None


def test_case_108_a_clock_that_jumps_neither_frees_nor_holds_anybody() -> None:
    loop = Loop()
    for _ in range(6):
        loop.guard.offered(loop.node, 7)
        loop.wall += 86400.0
    assert loop.reason == "back-off", "a day passed on the wall between the offers, nothing on the monotonic clock"
    loop.wall -= 10 * 86400.0
    loop.monotonic += 600.0
    assert loop.reason is None, "ten minutes have passed, whatever the wall says"
    assert Guard.__init__.__kwdefaults__ is not None
    assert Guard.__init__.__kwdefaults__["seconds"] is time.monotonic


def test_the_memory_is_bounded_and_keeps_the_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 50)
    loop = Loop()
    loop.happens("http.profile", FETCHES)
    for number in range(200):
        loop.guard.offered(f"node{number}", 7)
    assert loop.reason == "quarantined"
    assert len(loop.guard._records) <= 50
    for number in range(1000):
        loop.happens("tftp.sent", file=f"name{number}")
    assert len(loop.guard._records[loop.node].rounds) <= 256


def test_who_is_forgotten_is_refused_no_more_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 5)
    loop = Loop()
    loop.happens("http.profile", FETCHES)
    for number in range(20):
        for _ in range(6):
            loop.guard.offered(f"node{number}", 7)
    assert len(loop.guard._records) <= 5
    assert set(loop.guard._paused) | loop.guard._quarantined <= set(loop.guard._records)
    assert loop.guard.refused().keys() == loop.guard._records.keys()
    for node in list(loop.guard._records):
        loop.guard.clear(node)
    assert not loop.guard._paused
    assert not loop.guard._quarantined


def test_a_closed_guard_hears_nothing() -> None:
    loop = Loop()
    loop.guard.close()
    loop.guard.close()
    loop.happens("http.profile", FETCHES)
    assert loop.reason is None
