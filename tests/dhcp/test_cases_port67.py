"""Cases 29-57: the fields of a packet on port 67, where the answer goes, and when there is none. Every answer is decoded by scapy."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from pxed.node.model import Boot
from tests.dhcp import clients
from tests.dhcp.decode import OFFER
from tests.dhcp.world import SERVER, FixedPrograms, World, address, link


def test_case_029_without_97_there_is_none_in_the_offer() -> None:
    assert 97 not in World().answer(clients.packet(clients.pxe_options(0, guid=None)))


# Decided for 30 and 31: served without an echo. What the client boots does not hang on 97, and a ROM with a broken one is a ROM that
# somebody wants to install; to give back a form that no specification has would be guessing what it means.


def _is_served_without_echo(guid: bytes) -> None:
    answer = World().answer(clients.packet(clients.pxe_options(0, guid=guid)))
    assert answer.boot_file == "undionly.kpxe"
    assert 97 not in answer


def test_case_030_a_97_of_another_type_is_served_but_not_echoed() -> None:
    """Decided: served, since nodes go by their MAC address and a ROM with a wrong 97 boots all the same; not echoed, since RFC 4578 (2.3)
    knows type 0 alone, so that no client can expect another one back."""
    _is_served_without_echo(b"\x01" + bytes(16))


def test_case_031_a_97_of_another_length_is_served_but_not_echoed() -> None:
    """Decided as 30, for the same reasons: type 0 is followed by 16 bytes and nothing else."""
    _is_served_without_echo(b"\0abcd")
    _is_served_without_echo(bytes(33))


def test_case_032_97_of_zeros_is_echoed_but_names_nobody() -> None:
    world = World()
    assert world.answer(clients.packet(clients.pxe_options(7, guid=bytes(17))))[97] == bytes(17)
    assert world.node.uuid is None


def test_case_033_a_request_on_67_belongs_to_the_dhcp_server() -> None:
    world = World()
    packet = clients.packet([*clients.pxe_options(7, message=3), (54, address("10.0.0.2")), (50, address("10.0.0.77"))])
    assert world.silent(packet) == "other-message"
    assert world.inventory.by_address("10.0.0.77") is world.node
    for _ in range(5):
        assert world.silent(packet) == "other-message"
    assert 43 not in world.answer(clients.rom(7)), "none of those was an offer that it did not follow"


def test_case_034_a_request_on_67_is_not_answered_even_when_it_names_us() -> None:
    packet = clients.packet([*clients.pxe_options(7, message=3), (54, address(SERVER))])
    assert World().silent(packet) == "other-message"


@pytest.mark.parametrize("message", [4, 7, 8])
def test_case_035_decline_release_and_inform_on_67_are_not_answered(message: int) -> None:
    assert World().silent(clients.packet(clients.pxe_options(7, message=message))) == "other-message"


def test_case_036_an_offer_seen_on_67_is_ignored() -> None:
    world = World()
    assert world.silent(clients.packet(clients.pxe_options(7, message=2), op=2)) == "not-a-request"
    assert world.silent(clients.packet(clients.pxe_options(7, message=1), op=2)) == "not-a-request"
    own = world.ask(clients.rom(7))[0].data
    assert world.silent(own) == "not-a-request"


def test_case_037_bootp_is_not_answered() -> None:
    options = [(k, v) for k, v in clients.pxe_options(7) if k != 53]
    assert World().silent(clients.packet(options)) == "bootp"


@pytest.mark.parametrize("value", [b"\x00", b"\x09", b"\x01\x01", b""])
def test_case_038_53_of_no_known_type_is_dropped(value: bytes) -> None:
    options = [(k, value if k == 53 else v) for k, v in clients.pxe_options(7)]
    assert World().silent(clients.packet(options)) == "malformed-message-type"


def test_case_039_a_relayed_discover_is_answered_to_the_relay_with_82_last() -> None:
    relay = bytes.fromhex("0104") + b"ge01" + bytes.fromhex("0206525400ffffff")
    packet = clients.packet([*clients.pxe_options(7), (82, relay)], giaddr="10.1.0.1")
    sent = World().ask(packet, source="10.1.0.1", source_port=67, local=SERVER)[0]
    assert sent.destination == ("10.1.0.1", 67)
    assert sent.ifindex == 0, "the routing table knows the way to a relay, not the interface it came in by"
    answer = sent.answer
    assert (answer.giaddr, answer.hops, answer[54], answer.siaddr) == ("10.1.0.1", 0, SERVER, SERVER)
    assert answer.codes[-1] == 82
    assert bytes([82, len(relay)]) + relay + b"\xff" in sent.data


@pytest.mark.parametrize("giaddr", ["255.255.255.255", "239.1.2.3", "127.0.0.1", "0.0.0.7", SERVER])
def test_case_040_a_giaddr_that_is_no_relay_is_dropped(giaddr: str) -> None:
    assert World().silent(clients.rom(7, giaddr=giaddr)) == "giaddr"


def test_case_041_a_16_byte_hardware_address_is_echoed_and_the_node_found_by_61() -> None:
    world = World()
    options = [*clients.pxe_options(7), (61, b"\x01" + clients.hardware(clients.MAC))]
    guid = bytes(range(100, 116)).hex(":")
    answer = world.answer(clients.packet(options, mac=guid))
    assert (answer.hlen, answer.chaddr) == (16, bytes(range(100, 116)))
    assert world.inventory.all() == [world.node]
    world.arm(guid)
    assert world.silent(clients.ipxe(7, mac=guid)) == "hardware", "no profile goes by 16 bytes"
    assert "this one has 16 bytes" in world.told("dhcp.problem")[0].text


def test_case_042_infiniband_is_dropped_and_harms_nobody() -> None:
    world = World()
    assert world.silent(clients.rom(7, htype=32, hlen=20)) == "malformed-hlen"
    assert world.answer(clients.rom(7)).message == OFFER


def test_case_043_hlen_0_is_dropped() -> None:
    assert World().silent(clients.rom(7, hlen=0)) == "malformed-hlen"


@pytest.mark.parametrize("hlen", [17, 128, 255])
def test_case_044_hlen_over_16_is_dropped(hlen: int) -> None:
    assert World().silent(clients.rom(7, hlen=hlen)) == "malformed-hlen"


def test_case_045_each_interface_answers_as_itself_and_on_itself() -> None:
    world = World(links=(link("eth0", 2, "10.0.0.1/24"), link("eth1", 5, "192.168.7.1/24")))
    for index, server in ((2, "10.0.0.1"), (5, "192.168.7.1")):
        sent = world.ask(clients.ipxe(7), index=index)[0]
        answer = sent.answer
        assert (sent.ifindex, sent.server, answer.siaddr, answer[54], answer.sname.decode()) == (index, server, server, server, server)
        assert answer.boot_file.startswith(f"http://{server}/")


def test_case_046_an_interface_without_an_address_is_dropped_and_logged_once() -> None:
    bare = link("eth0", 2, "10.0.0.1/24")
    world = World(links=(type(bare)(2, "eth0", False, ()),))
    with capturedLogs() as logs:
        assert world.silent(clients.rom(7)) == "no-address"
        assert world.silent(clients.rom(7, xid=9)) == "no-address"
    assert len([each for each in logs if "no IPv4 address" in str(each.get("text"))]) == 1


def _with_57(value: bytes | None) -> bytes:
    options = [(k, value if k == 57 and value is not None else v) for k, v in clients.pxe_options(7) if k != 57 or value is not None]
    return clients.packet([*options, (82, bytes([1, 253]) + bytes(253))], giaddr="10.1.0.1")


def test_case_047_57_of_576_keeps_the_reply_within_548_bytes() -> None:
    programs = FixedPrograms({7: "d/" * 120 + "x.efi"})
    assert World(programs=programs).answer(_with_57(b"\x02\x40")).size <= 548
    assert World(programs=programs).answer(_with_57(b"\x05\xc0")).size > 548, "the same reply is longer when the client takes it"


@pytest.mark.parametrize("value", [b"\x00\x40", b"\x00\x00", b"\x40", b""])
def test_case_048_an_absurd_57_counts_as_576(value: bytes) -> None:
    """Neither as more nor as less: a reply of 554 bytes goes without its 97, and keeps the relay's 82, which makes 535."""
    programs = FixedPrograms({7: "d/" * 120 + "x.efi"})
    answer = World(programs=programs).answer(_with_57(value))
    assert answer.size <= 548
    assert answer.boot_file == "d/" * 120 + "x.efi", "what is left out is optional"
    options = [(k, value if k == 57 else v) for k, v in clients.pxe_options(7)]
    relayed = clients.packet([*options, (82, bytes([1, 253]) + bytes(253)), (82, bytes([2, 13]) + bytes(13))], giaddr="10.1.0.1")
    answer = World().answer(relayed)
    assert (answer.size, 97 in answer, 82 in answer) == (535, False, True)


def test_case_049_without_57_the_reply_keeps_within_548_bytes() -> None:
    assert World(programs=FixedPrograms({7: "d/" * 120 + "x.efi"})).answer(_with_57(None)).size <= 548


def test_case_050_four_retransmits_get_four_identical_offers_and_one_log_line() -> None:
    """A client says in `secs` how long it has tried; the offer says 0 each time."""
    world, packet = World(), clients.rom(0)
    sent = []
    with capturedLogs() as logs:
        for secs in range(0, 16, 4):
            sent += world.ask(packet[:8] + secs.to_bytes(2, "big") + packet[10:])
            world.pass_time(4.0)
    assert len(sent) == 4
    assert len({each.data for each in sent}) == 1
    assert len([each for each in logs if "was offered" in str(each.get("text"))]) == 1
    assert len(world.told("dhcp.offer")) == 1


def test_case_051_a_node_that_boots_its_disk_is_not_answered() -> None:
    world = World(boot=Boot("disk"))
    for packet in (clients.rom(0), clients.rom(7), clients.ipxe(7), clients.http_boot()):
        assert world.silent(packet) == "disk"
    assert World(boot=Boot("silent")).silent(clients.rom(7)) == "silent"


def test_case_052_an_unknown_node_is_recorded_and_ignored_or_discovered() -> None:
    world = World(boot=None)
    assert world.silent(clients.rom(7)) == "unknown"
    node = world.node
    assert (node.arch, node.firmware, node.interface, node.last_seen) == (7, "uefi", "eth0", world.wall)
    assert node.vendor_class == "PXEClient:Arch:00007:UNDI:003000"
    assert node.uuid == "04030201-0605-0807-090a-0b0c0d0e0f10"
    discovering = World(boot=None, settings={"dhcp": {"unknown": "discover"}})
    assert discovering.answer(clients.rom(7)).message == OFFER
    discovering.node.known = True
    assert discovering.silent(clients.rom(7)) == "silent", "an adopted node with nothing to do is not unknown"


def test_case_053_a_quarantined_node_is_not_answered() -> None:
    world = World()
    for _ in range(3):
        assert world.ask(clients.ipxe(7))
        world.timeline.record("http.profile", "fetched", node=world.node.id, install="install1")
    assert world.silent(clients.ipxe(7)) == "quarantined"


def test_case_054_a_boot_program_fetched_six_times_in_two_minutes_is_withheld_for_ten() -> None:
    world = World()
    for _ in range(6):
        assert world.ask(clients.ipxe(7)), "an iPXE that asks again is no loop by itself"
        world.timeline.record("tftp.sent", "sent", node=world.node.id, data={"file": "snponly.efi"})
        world.pass_time(15.0)
    assert world.silent(clients.rom(7)) == "back-off"
    world.pass_time(570.0)
    assert world.silent(clients.rom(7)) == "back-off"
    world.pass_time(30.0)
    assert world.ask(clients.rom(7))


@pytest.mark.parametrize("spelled", ["52-54-00-AB-CD-EF", "5254.00ab.cdef", "525400ABCDEF"])
def test_case_055_the_spelling_of_a_mac_does_not_matter(spelled: str) -> None:
    world = World(boot=None)
    Deferred.fromCoroutine(world.inventory.add(spelled)).addErrback(lambda failure: failure.raiseException())
    (node,) = world.inventory.all()
    node.boot = Boot("installer", "install1")
    assert world.answer(clients.rom(7, mac="52:54:00:ab:cd:ef")).message == OFFER
    assert world.inventory.all() == [node]


@pytest.mark.parametrize("name", ["eth0.100", "br-lan", "bond0.42", "enp0s31f6"])
def test_case_056_vlan_and_bridge_interfaces_serve_like_any(name: str) -> None:
    world = World(links=(link(name, 9, "10.9.0.1/16"),), settings={"interfaces": [name]})
    assert world.answer(clients.rom(7), index=9).siaddr == "10.9.0.1"
    assert world.node.interface == name


def test_case_057_an_interface_that_is_not_allowed_is_not_served() -> None:
    world = World(links=(link("eth0", 2), link("eth1", 3, "10.3.0.1/24")), settings={"interfaces": ["eth1"]})
    assert world.silent(clients.rom(7), index=2) == "interface"
    assert world.answer(clients.rom(7), index=3).siaddr == "10.3.0.1"
