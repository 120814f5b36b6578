"""What people and the workflow ask of the inventory: committed first, visible after."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pxed.errors import Conflict, InvalidRequest, NotFound, StorageUnavailable
from pxed.node.inventory import Inventory
from pxed.node.model import SILENT, Boot, Node
from pxed.node.timeline import Timeline
from pxed.store.schema import installs, nodes
from pxed.testing import memory_inventory, result_of
from tests.node.test_inventory import A, B, C, Rack

# people


@pytest.mark.parametrize("spelling", ["52:54:00:00:00:0a", "52-54-00-00-00-0A", "5254.0000.000a", "52540000000A", " 52:54:00:00:00:0a "])
def test_a_node_is_found_by_its_mac_in_any_spelling(spelling: str) -> None:
    inventory = memory_inventory(A, B)
    assert inventory.find(spelling) is inventory.by_mac(A)


def test_a_node_is_found_by_id_by_name_and_by_the_beginning_of_its_id() -> None:
    ids = iter(["abcd0001", "abcd0002", "ef000003"])
    inventory = Inventory(now=Clock().seconds, new_id=lambda: next(ids))
    first, second, third = (inventory.seen(mac) for mac in (A, B, C))
    result_of(inventory.update(first.id, name="Web-1"))
    assert inventory.find("abcd0002") is second
    assert inventory.find("ABCD0002") is second
    assert inventory.find("web-1") is first
    assert inventory.find("ef") is third
    with pytest.raises(NotFound, match=r"2 nodes have an id that begins with 'abcd': Web-1 \(abcd0001\), 52:54:00:00:00:0b \(abcd0002\)"):
        inventory.find("abcd")


def test_what_is_not_there_is_answered_with_what_is() -> None:
    with pytest.raises(NotFound, match="There is no node 'web9'; there is: no node yet"):
        memory_inventory().find("web9")
    with pytest.raises(NotFound, match=f"there is: {A}"):
        memory_inventory(A).find("web9")
    with pytest.raises(NotFound):
        memory_inventory(A).find("")


def test_a_node_may_be_added_before_anybody_saw_it() -> None:
    rack = Rack()
    node = result_of(rack.inventory.add("52-54-00-00-00-0A", name="web1"))
    assert rack.inventory.seen(A, arch=0) is node
    again = rack.again().inventory.find("web1")
    assert (again.mac, again.known, again.arch) == (A, True, 0)


def test_adding_a_node_again_keeps_it() -> None:
    rack = Rack()
    node = result_of(rack.inventory.add(A, name="web1"))
    assert result_of(rack.inventory.add(A)) is node
    assert node.name == "web1"


@pytest.mark.parametrize("name", ["", "a b", "-a", "a-", "x" * 64, "52:54:00:00:00:0f", "52540000000f", "../a", "ä"])
def test_a_name_that_is_none_is_refused_with_its_field(name: str) -> None:
    rack = Rack()
    with pytest.raises(InvalidRequest) as caught:
        result_of(rack.inventory.add(A, name=name))
    assert caught.value.field == "name"
    assert rack.inventory.all() == []


def test_something_that_is_no_mac_is_refused_with_its_field() -> None:
    with pytest.raises(InvalidRequest) as caught:
        result_of(Rack().inventory.add("52:54"))
    assert caught.value.field == "mac"


@pytest.mark.parametrize("mac", ["ff:ff:ff:ff:ff:ff", "01005e000001", "33-33-00-00-00-01", "0000.0000.0000"])
def test_an_address_that_no_card_has_is_refused_with_its_field(mac: str) -> None:
    rack = Rack()
    with pytest.raises(InvalidRequest) as caught:
        result_of(rack.inventory.add(mac))
    assert (caught.value.field, rack.inventory.all()) == ("mac", [])


def test_a_name_belongs_to_one_node() -> None:
    rack = Rack()
    result_of(rack.inventory.add(A, name="web1"))
    other = result_of(rack.inventory.add(B))
    for asked in (rack.inventory.add(B, name="WEB1"), rack.inventory.update(other.id, name="web1")):
        with pytest.raises(Conflict, match="already called"):
            result_of(asked)
    assert other.name is None


def test_of_two_who_take_a_name_at_the_same_moment_the_database_lets_one_have_it() -> None:
    rack = Rack()
    rack.store.held = []
    asked = [Deferred.fromCoroutine(rack.inventory.add(mac, name="web1")) for mac in (A, B)]
    rack.store.release()
    assert result_of(asked[0]).name == "web1"
    with pytest.raises(Conflict, match="already called web1"):
        result_of(asked[1])
    assert [node.name for node in rack.inventory.all()] == ["web1", None]


def test_an_update_changes_what_is_given_and_clears_with_none() -> None:
    rack = Rack()
    node = result_of(rack.inventory.add(A, name="web1"))
    result_of(rack.inventory.update(node.id, localboot="exit1"))
    assert (node.name, node.localboot) == ("web1", "exit1")
    result_of(rack.inventory.update(node.id, name=None))
    assert (node.name, node.localboot) == (None, "exit1")
    assert rack.again().inventory.all() == [node]
    with pytest.raises(NotFound):
        result_of(rack.inventory.update("nobody", name="x"))


def test_nothing_is_shown_that_could_not_be_stored() -> None:
    rack = Rack()
    node = rack.inventory.seen(A)
    rack.store.broken = "no disk"
    for asked in (
        rack.inventory.update(node.id, name="web1"),
        rack.inventory.assign(node.id, Boot("installer", "i")),
        rack.inventory.remove(node.id),
    ):
        with pytest.raises(StorageUnavailable):
            result_of(asked)
    assert (node.name, node.boot, node.known) == (None, SILENT, False)
    assert rack.inventory.all() == [node]


def test_what_a_packet_says_meanwhile_does_not_undo_what_the_operator_decides() -> None:
    """The lazy write of an older row comes after the decision."""
    rack = Rack()
    node = rack.inventory.seen(A)
    rack.store.held = []
    rack.inventory.seen(A, arch=0)
    named = Deferred.fromCoroutine(rack.inventory.update(node.id, name="web1", localboot="exit1"))
    assigned = Deferred.fromCoroutine(rack.inventory.assign(node.id, Boot("installer", "i1")))
    rack.inventory.seen(A, arch=7)
    rack.store.release()
    result_of(named)
    result_of(assigned)
    result_of(rack.inventory.flush())
    again = rack.again().inventory.all()[0]
    assert (again.name, again.localboot, again.boot, again.arch, again.known) == ("web1", "exit1", Boot("installer", "i1"), 7, True)


# removal


def test_a_removed_node_is_gone_with_its_timeline() -> None:
    rack = Rack()
    timeline = Timeline(now=rack.clock.seconds, store=rack.store)
    node = rack.inventory.seen(A)
    timeline.record("syslog", "hello", node=node.id)
    result_of(rack.inventory.remove(node.id))
    assert (rack.inventory.all(), rack.again().inventory.all()) == ([], [])
    with pytest.raises(NotFound):
        result_of(rack.inventory.remove(node.id))


def test_a_removed_node_that_is_seen_again_is_a_new_one() -> None:
    rack = Rack()
    node = result_of(rack.inventory.add(A, name="web1"))
    result_of(rack.inventory.remove(node.id))
    again = rack.inventory.seen(A)
    assert again.id != node.id
    assert (again.name, again.known) == (None, False)


def test_a_node_can_not_be_removed_while_an_install_runs_whoever_knows_of_it() -> None:
    rack = Rack()
    node = rack.inventory.seen(A)
    row = {
        "id": "i1", "node_id": node.id, "family": "f", "release": "r", "recipe": "r", "recipe_version": 1, "options": {}, "token": "t",
        "state": "running", "stage": "", "reason": "", "percent": 0, "progress_text": "", "created_at": 1.0,
    }  # fmt: skip
    result_of(rack.store.write(lambda c: c.execute(insert(installs), row)))
    with pytest.raises(Conflict, match="install i1"):
        result_of(rack.inventory.remove(node.id))  # only the database knows
    node.boot = Boot("installer", "i1")
    with pytest.raises(Conflict, match="install i1"):
        result_of(rack.inventory.remove(node.id))
    assert rack.inventory.all() == [node]


def test_a_packet_during_the_removal_does_not_bring_the_row_back() -> None:
    rack = Rack()
    node = rack.inventory.seen(A)
    rack.store.held = []
    removed = Deferred.fromCoroutine(rack.inventory.remove(node.id))
    rack.inventory.seen(A, arch=9)
    rack.store.release()
    result_of(removed)
    result_of(rack.inventory.flush())
    assert rack.again().inventory.all() == []


# what a node boots


def test_a_boot_is_committed_before_it_is_shown() -> None:
    rack = Rack()
    node = rack.inventory.seen(A)
    rack.store.held = []
    assigned = Deferred.fromCoroutine(rack.inventory.assign(node.id, Boot("installer", "i1")))
    assert node.boot == SILENT
    rack.store.release()
    result_of(assigned)
    assert node.boot == Boot("installer", "i1")
    assert rack.again().inventory.all()[0].boot == Boot("installer", "i1")


def test_a_boot_held_by_an_install_changes_only_while_the_node_boots_for_it() -> None:
    rack = Rack()
    node = rack.inventory.seen(A)
    result_of(rack.inventory.assign(node.id, Boot("installer", "i2")))
    for held_by, boot in (("i1", Boot("installer", "i2")), ("i2", SILENT)):
        change = rack.inventory.assignment(node.id, SILENT, held_by=held_by)
        result_of(rack.store.write(change.store))
        change.show()
        assert node.boot == boot
        assert result_of(rack.store.read(lambda c: c.scalar(select(nodes.c.boot_install)))) == boot.install


def test_without_a_store_everything_works_in_memory() -> None:
    inventory = memory_inventory(A)
    node: Node = result_of(inventory.add(A, name="web1"))
    result_of(inventory.assign(node.id, Boot("disk")))
    result_of(inventory.flush())
    result_of(inventory.load())
    assert (node.boot, inventory.find("web1")) == (Boot("disk"), node)
    result_of(inventory.remove(node.id))
    assert inventory.all() == []
