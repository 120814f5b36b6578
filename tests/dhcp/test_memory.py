"""An answer from memory is the answer that would have been given, and nothing that it hung on can change behind its back."""

from __future__ import annotations

import random
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from pxed.dhcp import memory
from pxed.node.model import Boot
from tests.dhcp import clients
from tests.dhcp.test_cases_malformed import mutated
from tests.dhcp.world import SERVER, FixedPrograms, World, link


class Forgetful(memory.Memory):
    def recall(self, *asked: Any) -> None:
        return None


def _pair() -> tuple[World, World]:
    """The same world twice, the second one without a memory."""
    worlds = World(settings={"dhcp": {"unknown": "discover"}}), World(settings={"dhcp": {"unknown": "discover"}})
    worlds[1].responder._memory = Forgetful()
    return worlds


def test_with_and_without_memory_every_answer_is_the_same() -> None:
    dice = random.Random(7)
    with_memory, without = _pair()
    packets = [clients.rom(0), clients.rom(7), clients.ipxe(7), clients.http_boot(), *(mutated(dice) for _ in range(20))]
    for number in range(1500):
        packet = bytearray(dice.choice(packets))
        packet[4:8] = dice.choice((1, 2, number)).to_bytes(4, "big")
        source = dice.choice(("0.0.0.0", "10.0.0.9"))
        door = dice.choice((67, 67, 67, 4011))
        answers = [
            [(each.data, each.destination) for each in world.ask(bytes(packet), door=door, source=source)]
            for world in (with_memory, without)
        ]
        assert answers[0] == answers[1]
        for world in (with_memory, without):
            world.pass_time(3.0)
    assert with_memory.responder.counters == without.responder.counters
    assert [event.text for event in with_memory.events] == [event.text for event in without.events]


def _recalls(world: World, packet: bytes) -> bool:
    """Whether the next answer to `packet` is one from memory."""
    link_, local = world.responder.interfaces.get(2), b"\xff" * 4
    assert link_ is not None
    return world.responder._memory.recall(packet, link_, local, "0.0.0.0") is not None


def test_a_repetition_is_recalled_with_its_own_xid() -> None:
    world = World()
    first = world.ask(clients.rom(7, xid=1))[0]
    assert _recalls(world, clients.rom(7, xid=2))
    second = world.ask(clients.rom(7, xid=2))[0]
    assert second.answer.xid == 2
    assert first.data[:4] + second.data[4:8] + first.data[8:] == second.data


def test_a_node_that_was_disarmed_is_not_answered_from_memory() -> None:
    world = World()
    assert world.ask(clients.rom(7, xid=1))
    world.node.boot = Boot("disk")
    assert world.silent(clients.rom(7, xid=2)) == "disk"


def test_a_node_that_was_removed_is_unknown_again() -> None:
    world = World()
    assert world.ask(clients.rom(7, xid=1))
    world.node.boot = Boot()
    Deferred.fromCoroutine(world.inventory.remove(world.node.id)).addErrback(lambda failure: failure.raiseException())
    assert world.silent(clients.rom(7, xid=2)) == "unknown"
    assert world.node.arch == 7


def test_an_unknown_node_that_was_pushed_out_is_met_anew() -> None:
    world = World(boot=None, settings={"dhcp": {"unknown": "discover"}})
    assert world.ask(clients.rom(7, xid=1))
    first = world.node
    Deferred.fromCoroutine(world.inventory.remove(first.id)).addErrback(lambda failure: failure.raiseException())
    assert world.ask(clients.rom(7, xid=2))
    assert world.node is not first
    assert world.node.arch == 7


def test_a_node_that_said_something_else_meanwhile_is_understood_anew() -> None:
    world = World()
    assert world.ask(clients.rom(7, xid=1))
    world.inventory.seen(world.node.mac, arch=11, uuid="another")
    assert world.ask(clients.rom(7, xid=2))
    assert world.node.arch == 7


def test_a_repetition_counts_as_a_sign_of_life() -> None:
    world = World()
    assert world.ask(clients.rom(7, xid=1))
    seen = world.node.last_seen
    world.pass_time(5.0)
    assert world.ask(clients.rom(7, xid=1))
    assert world.node.last_seen == seen + 5.0


def test_a_quarantined_node_is_not_answered_from_memory() -> None:
    world = World()
    assert world.ask(clients.ipxe(7, xid=1))
    for _ in range(3):
        world.timeline.record("http.profile", "fetched", node=world.node.id, install="install1")
    assert world.silent(clients.ipxe(7, xid=2)) == "quarantined"


def test_another_boot_program_is_offered_at_once() -> None:
    world = World()
    assert world.answer(clients.rom(7, xid=1)).boot_file == "snponly.efi"
    world.programs = FixedPrograms({7: "new.efi"})
    assert world.answer(clients.rom(7, xid=2)).boot_file == "new.efi"


def test_another_shape_is_offered_when_the_last_was_not_followed() -> None:
    world = World()
    assert 43 not in world.answer(clients.rom(7, xid=1))
    world.pass_time(60.0)
    assert 43 in world.answer(clients.rom(7, xid=2))


def test_another_address_of_the_interface_is_used_at_once() -> None:
    world = World()
    assert world.answer(clients.rom(7, xid=1)).siaddr == SERVER
    world.links[2] = link("eth0", 2, "10.0.0.5/24")
    world.responder.wire.refresh()
    assert world.answer(clients.rom(7, xid=2)).siaddr == "10.0.0.5"


def test_any_other_difference_is_not_the_same_question() -> None:
    world = World()
    packet = clients.rom(7, xid=1)
    assert world.ask(packet)
    for at in (0, 1, 2, 3, 10, 12, 24, 33, 44, 108, 240, len(packet) - 2):
        changed = bytearray(packet)
        changed[at] ^= 1
        assert not _recalls(world, bytes(changed)), f"byte {at}"
    assert not _recalls(world, packet + b"\0")
    assert _recalls(world, packet[:8] + b"\0\x09" + packet[10:]), "secs may differ"


def test_silence_is_not_kept_and_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MOST", 20)
    world = World(boot=None)
    world.silent(clients.rom(7))
    assert not _recalls(world, clients.rom(7)), "an invented MAC address costs no memory"
    for number in range(60):
        mac = f"52:54:00:00:00:{number:02x}"
        world.arm(mac)
        assert world.ask(clients.rom(7, mac=mac))
    assert len(world.responder._memory._asked) == 20
