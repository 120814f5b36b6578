"""Offers that learn: what is tried next, what is remembered, when pxed gives up. Through the responder, in packets."""

from __future__ import annotations

from typing import cast

import pytest

from pxed.dhcp import adapt
from pxed.dhcp.adapt import PATIENCE, Adaptation
from pxed.dhcp.sockets import RawDoor
from tests.dhcp import clients
from tests.dhcp.decode import Answer
from tests.dhcp.world import World, address


def _looks(answer: Answer) -> tuple[bool, bool]:
    """Whether it has a 43, whether it has a boot file."""
    return 43 in answer, bool(answer.boot_file)


BINL, PXE10, BARE = (False, True), (True, True), (False, False)


def _boots(world: World, times: int, arch: int = 7) -> list[tuple[bool, bool]]:
    """So many boots of firmware that never follows, each of four DISCOVERs with one xid; the shape of each boot's offers."""
    seen = []
    for _ in range(times):
        xid = int(world.wall)
        shapes = set()
        for _ in range(4):
            shapes.add(_looks(world.answer(clients.rom(arch, xid=xid))))
            world.pass_time(4.0)
        assert len(shapes) == 1, "within one boot the offers are identical"
        seen.append(shapes.pop())
        world.pass_time(60.0)
    return seen


def test_uefi_that_ignores_an_offer_gets_the_other_shapes_in_turn() -> None:
    """And its timeline says so, once for each."""
    world = World()
    assert _boots(world, 4) == [BINL, PXE10, BARE, BINL]
    said = [(event.node, event.data["shape"]) for event in world.told("dhcp.problem") if "did not follow the last offer" in event.text]
    assert said == [(world.node.id, shape) for shape in ("pxe10", "bare", "binl")]


def test_bios_that_ignores_an_offer_gets_the_other_shapes_in_turn() -> None:
    assert _boots(World(), 3, arch=0) == [PXE10, BINL, BARE]


def test_more_than_four_discovers_with_one_xid_get_the_next_shape() -> None:
    world = World()
    shapes = []
    for _ in range(6):
        shapes.append(_looks(world.answer(clients.rom(7))))
        world.pass_time(4.0)
    assert shapes == [BINL] * PATIENCE + [PXE10] * 2


def test_the_long_pauses_of_a_rom_between_its_discovers_are_one_exchange() -> None:
    world = World()
    shapes = []
    for pause in (0.0, 4.0, 8.0, 16.0):
        world.pass_time(pause)
        shapes.append(_looks(world.answer(clients.rom(0))))
    assert shapes == [PXE10] * 4


def test_a_rom_whose_xid_is_always_the_same_gets_the_next_shape_at_its_next_boot() -> None:
    world = World()
    seen = []
    for _ in range(3):
        for pause in (0.0, 4.0, 8.0, 16.0):
            world.pass_time(pause)
            seen.append(_looks(world.answer(clients.rom(7, xid=0x77000001))))
        world.pass_time(90.0)
    assert seen == [BINL] * 4 + [PXE10] * 4 + [BARE] * 4
    assert [event.data["shape"] for event in world.told("dhcp.offer")] == ["binl", "pxe10", "bare"]


def test_a_rom_whose_xid_is_always_the_same_is_told_of_at_each_boot_and_counted_in_circles() -> None:
    world = World()
    for _ in range(3):
        world.answer(clients.rom(7, xid=0x77000001))
        world.responder.treatments.followed(clients.MAC)
        world.pass_time(61.0)
    assert len(world.told("dhcp.offer")) == 3


def test_a_client_that_comes_to_4011_keeps_its_shape() -> None:
    world = World()
    assert _boots(world, 1) == [BINL]
    assert _looks(world.answer(clients.rom(7, xid=99))) == PXE10
    assert world.ask(clients.pxe_request(7, ciaddr="10.0.0.9"), door=4011, source="10.0.0.9", source_port=4011)
    world.pass_time(60.0)
    for boot in range(3):
        assert _looks(world.answer(clients.rom(7, xid=1000 + boot))) == PXE10, "what worked is remembered"
        world.ask(clients.pxe_request(7, ciaddr="10.0.0.9"), door=4011, source="10.0.0.9", source_port=4011)
        world.pass_time(130.0)


def test_a_client_that_has_followed_may_repeat_itself_as_often_as_it_likes() -> None:
    world = World()
    assert _looks(world.answer(clients.rom(7))) == BINL
    _follows(world)
    for _ in range(2 * PATIENCE):
        assert _looks(world.answer(clients.rom(7))) == BINL


@pytest.mark.parametrize("kind", ["tftp.request", "tftp.sent", "http.file", "http.profile"])
def test_a_download_proves_that_the_offer_was_followed(kind: str) -> None:
    world = World()
    for boot in range(4):
        assert _looks(world.answer(clients.rom(7, xid=boot))) == BINL
        world.timeline.record(kind, "something was fetched", node=world.node.id, data={"file": f"file{boot}"})
        world.pass_time(60.0)


def test_arriving_as_ipxe_proves_that_the_roms_offer_was_followed() -> None:
    world = World()
    for boot in range(4):
        assert _looks(world.answer(clients.rom(7, xid=boot))) == BINL
        world.pass_time(5.0)
        world.ask(clients.ipxe(7, xid=100 + boot))
        world.pass_time(60.0)


def test_the_rom_asking_again_proves_nothing_about_ipxes_offer() -> None:
    world = World()
    shapes = []
    for boot in range(2):
        world.answer(clients.rom(7, xid=boot))
        world.pass_time(5.0)
        shapes.append(_looks(world.answer(clients.ipxe(7, xid=100 + boot))))
        world.pass_time(60.0)
    assert shapes == [BINL, PXE10]


def test_rom_and_ipxe_of_one_machine_are_remembered_apart() -> None:
    world = World()
    _boots(world, 1)
    assert _looks(world.answer(clients.rom(7, xid=98))) == PXE10
    assert _looks(world.answer(clients.ipxe(7, xid=99))) == BINL


def test_another_machine_of_the_same_model_begins_with_the_usual_shape() -> None:
    world = World()
    _boots(world, 1)
    world.arm("52:54:00:00:00:02")
    assert _looks(world.answer(clients.rom(7, xid=5, mac="52:54:00:00:00:02"))) == BINL


def _follows(world: World, mac: str = clients.MAC) -> None:
    world.ask(clients.pxe_request(7, ciaddr="10.0.0.9", mac=mac), door=4011, source="10.0.0.9", source_port=4011)


def test_a_machine_never_met_begins_with_the_shape_that_alone_has_worked_for_its_vendor_class() -> None:
    world = World()
    _boots(world, 1)
    assert _looks(world.answer(clients.rom(7, xid=98))) == PXE10
    _follows(world)
    for number in (2, 3):
        world.arm(f"52:54:00:00:00:0{number}")
    assert _looks(world.answer(clients.rom(7, xid=5, mac="52:54:00:00:00:02"))) == PXE10
    other = [(k, b"PXEClient:Arch:00007:UNDI:003016" if k == 60 else v) for k, v in clients.pxe_options(7)]
    world.arm("52:54:00:00:00:04")
    assert _looks(world.answer(clients.packet(other, mac="52:54:00:00:00:04", xid=6))) == BINL, "another vendor class learns for itself"


def test_one_odd_machine_does_not_turn_a_vendor_class_that_follows_the_usual_shape() -> None:
    world = World()
    world.arm("52:54:00:00:00:02")
    world.answer(clients.rom(7, xid=5, mac="52:54:00:00:00:02"))
    _follows(world, "52:54:00:00:00:02")
    _boots(world, 1)
    assert _looks(world.answer(clients.rom(7, xid=98))) == PXE10
    _follows(world)
    world.arm("52:54:00:00:00:03")
    assert _looks(world.answer(clients.rom(7, xid=6, mac="52:54:00:00:00:03"))) == BINL


def test_a_quirks_shape_goes_before_what_was_learnt() -> None:
    world = World(settings={"dhcp": {"quirks": [{"name": "q", "mac": "52:54:00:00:00:03", "shape": "bare"}]}})
    _boots(world, 1)
    world.answer(clients.rom(7, xid=98))
    _follows(world)
    world.arm("52:54:00:00:00:03")
    assert _looks(world.answer(clients.rom(7, xid=6, mac="52:54:00:00:00:03"))) == BARE


def test_what_a_machine_followed_outlives_a_restart() -> None:
    """It is a fact of the node, stored with it; a shape that is the usual one is none."""
    world = World()
    _boots(world, 1)
    world.answer(clients.rom(7, xid=98))
    _follows(world)
    assert world.node.facts["shapes"] == {"uefi": "pxe10"}
    after = World()
    after.inventory.learn(clients.MAC, shapes={"uefi": "pxe10"})
    assert _looks(after.answer(clients.rom(7, xid=5))) == PXE10
    after.pass_time(60.0)
    assert _boots(after, 2) == [BARE, BINL], "firmware that was updated meanwhile is learnt anew"
    _follows(after)
    assert "shapes" not in after.node.facts


def test_a_machine_that_ignores_every_shape_is_in_the_status_until_it_follows_one() -> None:
    world = World()
    for _ in range(3):
        _boots(world, 1)
        assert world.responder.status()["ignoring"] == []
    _boots(world, 1)
    (ignoring,) = world.responder.status()["ignoring"]
    assert (ignoring["mac"], ignoring["shapes"]) == (clients.MAC, ["binl", "pxe10", "bare"])
    _follows(world)
    assert world.responder.status()["ignoring"] == []


def test_a_rom_that_counts_its_xid_up_is_not_taken_for_many_boots() -> None:
    world = World()
    shapes = []
    for xid in range(4):
        shapes.append(_looks(world.answer(clients.rom(7, xid=xid))))
        world.pass_time(4.0)
    assert shapes == [BINL] * 4
    assert world.responder.guard.refused() == {}


def test_a_client_that_ignores_every_shape_is_reported_once_with_lines_for_the_sites_server() -> None:
    world = World()
    _boots(world, 3)
    problems = [event for event in world.told("dhcp.problem") if "lines" in event.data]
    assert problems == []
    _boots(world, 4)
    problems = [event for event in world.told("dhcp.problem") if "lines" in event.data]
    assert len(problems) == 1
    lines = {each["server"]: each["text"] for each in problems[0].data["lines"]}
    assert set(lines) == {"ISC dhcpd", "Kea", "dnsmasq", "Windows Server"}
    assert all("10.0.0.1" in text and "snponly.efi" in text and "http://10.0.0.1/p/525400123456" in text for text in lines.values())
    assert "tried: binl, pxe10, bare" in problems[0].text


def test_a_machine_that_follows_nothing_where_nobody_leases_is_told_that_too() -> None:
    """Only an appliance that hears other servers knows it."""
    for hears, leases, told in ((True, False, True), (True, True, False), (False, False, False)):
        world = World()
        world.responder.wire.sniffer = cast(RawDoor, object()) if hears else None
        for _ in range(4):
            if leases:
                lease = clients.packet([(53, b"\2"), (54, address("10.0.0.9"))], op=2, yiaddr="10.0.0.77")
                world.responder.overheard(lease, world.links[2], "10.0.0.9")
            _boots(world, 1)
        (problem,) = [event for event in world.told("dhcp.problem") if "lines" in event.data]
        assert ("no DHCP server was heard either" in problem.text) is told
        world.responder.wire.sniffer = None


def test_boots_that_lead_nowhere_are_counted_and_repetitions_are_not() -> None:
    """Six boots in two minutes are offered the same program: nobody needs to have downloaded it. An iPXE that asks counts for nothing."""
    world = World()
    for xid in range(5):
        for _ in range(3):
            assert world.ask(clients.rom(0, xid=xid))
        assert world.ask(clients.ipxe(0, xid=1000 + xid))
        world.pass_time(15.0)
    assert world.responder.guard.refused() == {}
    assert world.ask(clients.rom(0, xid=5))
    assert world.silent(clients.rom(0, xid=6)) == "back-off"


def test_following_once_after_a_report_lets_it_be_reported_again() -> None:
    adaptation = Adaptation(lambda: clock[0])
    clock = [0.0]

    def boot(xid: int) -> bool:
        clock[0] += 100.0
        return adaptation.advise("aa", "PXEClient", "uefi", xid, ("binl", "pxe10")).gave_up

    assert [boot(xid) for xid in range(5)] == [False, False, True, False, False]
    adaptation.followed("aa")
    assert [boot(xid) for xid in range(10, 14)] == [False, False, True, False]


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapt, "_MOST", 50)
    adaptation = Adaptation(lambda: 0.0)
    for number in range(200):
        adaptation.advise(f"{number:012x}", "PXEClient", "uefi", 1, ("binl",))
    assert list(adaptation._clients) == [f"{number:012x}" for number in range(150, 200)]
    for number in range(50):
        adaptation.advise("aa", f"class {number}", "uefi", 1, ("binl",))
    assert len(adaptation._clients["aa"]) <= 8


def test_a_silent_node_is_not_offered_and_so_not_counted() -> None:
    world = World(boot=None)
    for xid in range(10):
        assert world.silent(clients.rom(7, xid=xid)) == "unknown"
        world.pass_time(60.0)
    assert world.told("dhcp.problem") == []
