"""Nodes: met by packets, remembered by the store, and no more of them than there may be."""

from __future__ import annotations

from sqlalchemy import Table, func, select
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pxed.node.inventory import Inventory
from pxed.node.model import SILENT, Boot
from pxed.store.schema import node_macs, nodes
from pxed.testing import MemoryStore, memory_inventory, memory_timeline, result_of

A, B, C = (f"52:54:00:00:00:0{letter}" for letter in "abc")


class Rack:
    """An inventory on a store, and the process it lives in."""

    def __init__(self, store: MemoryStore | None = None, max_unknown: int = 4096) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.store = store or MemoryStore()
        self.max_unknown = max_unknown
        self.inventory = Inventory(now=self.clock.seconds, store=self.store, max_unknown=max_unknown)
        result_of(self.inventory.load())

    def again(self) -> Rack:
        return Rack(self.store.again(), self.max_unknown)

    def count(self, table: Table) -> int:
        return result_of(self.store.read(lambda c: c.scalar(select(func.count()).select_from(table)) or 0))


# packets


def test_a_new_mac_is_a_new_node_that_boots_nothing() -> None:
    timeline = memory_timeline()
    inventory = memory_inventory(timeline=timeline)
    node = inventory.seen(A, arch=7, vendor_class="PXEClient:Arch:00007", uuid="u", interface="eth0")
    assert (node.mac, node.arch, node.firmware, node.boot, node.known) == (A, 7, "uefi", SILENT, False)
    assert [event.kind for event in result_of(timeline.history())] == ["node.new"]
    assert inventory.seen(A) is node
    assert len(result_of(timeline.history())) == 1


def test_what_a_packet_does_not_say_is_not_forgotten() -> None:
    inventory = memory_inventory()
    inventory.seen(A, arch=16, interface="eth0")
    node = inventory.seen(A, vendor_class="iPXE")
    assert (node.arch, node.firmware, node.interface, node.vendor_class) == (16, "uefi-http", "eth0", "iPXE")


def test_what_a_node_says_is_cut_and_made_printable() -> None:
    node = memory_inventory().seen(A, vendor_class="\udcff\0" + "x" * 1000, uuid="y" * 1000)
    assert node.vendor_class is not None
    assert node.uuid is not None
    assert node.vendor_class.startswith("? x")
    assert len(node.vendor_class) == len(node.uuid) == 128


def test_all_that_was_seen_is_there_after_a_restart() -> None:
    rack = Rack()
    rack.inventory.seen(A, arch=7, vendor_class="v", uuid="u", interface="eth0")
    rack.inventory.note_address(A, "10.0.0.5")
    rack.clock.advance(1)
    rack.inventory.seen(B)
    before = rack.inventory.all()
    again = rack.again().inventory
    assert again.all() == before
    assert again.by_address("10.0.0.5") == before[0]


def test_only_what_changed_is_written_and_the_time_every_five_minutes() -> None:
    rack = Rack()
    rack.inventory.seen(A, arch=7)
    operations = rack.store.operations
    for _ in range(299):
        rack.clock.advance(1)
        rack.inventory.seen(A, arch=7)
    assert rack.store.operations == operations
    rack.clock.advance(2)
    rack.inventory.seen(A, arch=7)
    assert rack.store.operations == operations + 1
    assert rack.again().inventory.all()[0].last_seen == 1301


def test_to_say_the_same_again_is_written_every_five_minutes_too_and_makes_a_regular() -> None:
    rack = Rack(max_unknown=4)
    node = rack.inventory.seen(A, arch=7)
    operations = rack.store.operations
    for _ in range(299):
        rack.clock.advance(1)
        rack.inventory.seen_again(node)
    assert rack.store.operations == operations
    rack.clock.advance(2)
    rack.inventory.seen_again(node)
    assert rack.store.operations == operations + 1
    assert rack.again().inventory.all()[0].last_seen == 1301
    for number in range(20):
        rack.inventory.seen(f"02:00:00:00:00:{number:02x}")
    assert rack.inventory.get(node.id) is node
    assert not node.gone


def test_a_node_that_was_forgotten_says_so() -> None:
    rack = Rack(max_unknown=2)
    first = rack.inventory.seen(A)
    for number in range(5):
        rack.inventory.seen(f"02:00:00:00:00:{number:02x}")
    assert first.gone
    removed = rack.inventory.seen(B)
    result_of(rack.inventory.remove(removed.id))
    assert removed.gone


def test_many_nodes_at_once_share_their_writes() -> None:
    rack = Rack()
    rack.store.held = []
    for number in range(500):
        rack.inventory.seen(f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}")
    assert len(rack.store.held) == 1
    commits = rack.store.commits
    rack.store.release()
    assert rack.store.commits - commits == 2
    assert rack.count(nodes) == rack.count(node_macs) == 500


def test_an_address_belongs_to_who_used_it_last() -> None:
    inventory = memory_inventory(A, B)
    inventory.note_address(A, "10.0.0.5")
    inventory.note_address(A, "10.0.0.6")
    assert inventory.by_address("10.0.0.5") is None
    inventory.note_address(B, "10.0.0.6")
    assert inventory.by_address("10.0.0.6") is inventory.by_mac(B)
    node = inventory.by_mac(A)
    assert node is not None
    assert node.address is None
    inventory.note_address(C, "10.0.0.7")  # nobody has seen that one
    assert inventory.by_address("10.0.0.7") is None


# a flood


def test_a_flood_of_invented_macs_fills_neither_memory_nor_disk() -> None:
    rack = Rack(max_unknown=100)
    mine = result_of(rack.inventory.add(A, name="web1"))
    installing = rack.inventory.seen(B)
    result_of(rack.inventory.assign(installing.id, Boot("installer", "i1")))
    for _ in range(3):
        asking = rack.inventory.seen(C)
    for number in range(3000):
        if number % 50 == 0:
            rack.store.release()
            rack.store.held = []
        rack.inventory.seen(f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}")
    rack.store.release()
    result_of(rack.inventory.flush())
    assert len(rack.inventory.all()) == 102
    assert rack.count(nodes) == rack.count(node_macs) == 102
    for node in (mine, installing, asking):
        assert rack.inventory.get(node.id) is node
    again = rack.again().inventory
    assert len(again.all()) == 102
    assert sorted(node.mac for node in again.all() if node.known) == [A, B]


def test_a_node_that_was_forgotten_and_comes_back_in_the_same_moment_is_stored_once() -> None:
    rack = Rack(max_unknown=1)
    rack.inventory.seen(A)
    rack.store.held = []
    rack.inventory.seen(B)
    back = rack.inventory.seen(A)
    rack.store.release()
    result_of(rack.inventory.flush())
    assert [node.id for node in rack.again().inventory.all()] == [back.id]


def test_a_forgotten_mac_can_be_adopted_before_its_old_row_is_gone() -> None:
    """Adopting goes past the lazy writes, one of which would delete that row."""
    rack = Rack(max_unknown=2)
    rack.inventory.seen(A)
    rack.inventory.seen(B)
    rack.store.held = []
    rack.inventory.note_address(B, "10.0.0.5")  # under way; all that comes now waits for the next lazy write
    rack.inventory.seen(C)
    assert rack.inventory.by_mac(A) is None
    adopted = Deferred.fromCoroutine(rack.inventory.add(A, name="web1"))
    rack.store.release()
    node = result_of(adopted)
    result_of(rack.inventory.flush())
    assert rack.again().inventory.find("web1").id == node.id


def test_the_crowd_does_not_push_out_a_node_that_is_being_adopted() -> None:
    rack = Rack(max_unknown=2)
    rack.store.held = []
    adopted = Deferred.fromCoroutine(rack.inventory.add(A))
    for number in range(10):
        rack.inventory.seen(f"02:00:00:00:00:{number:02x}")
    rack.store.release()
    assert rack.inventory.by_mac(A) is result_of(adopted)
