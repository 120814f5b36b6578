"""Cases 1-57: what arrives on port 67 and what must come of it. Every answer is decoded by scapy."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from pxed.dhcp.offer import TELL
from pxed.node.model import Boot
from tests.dhcp import clients
from tests.dhcp.decode import OFFER
from tests.dhcp.world import SERVER, FixedPrograms, World, address, link

EVERYBODY = ("255.255.255.255", 68)
PROFILE = f"http://{SERVER}/p/525400123456{TELL}"


def test_case_001_bios_is_offered_undionly_with_43_6_8() -> None:
    world = World()
    sent = world.ask(clients.rom(0, xid=0xDEADBEEF))[0]
    answer = sent.answer
    assert (answer.op, answer.xid, answer.message, answer.yiaddr, answer.siaddr) == (2, 0xDEADBEEF, OFFER, "0.0.0.0", SERVER)
    assert (answer[54], answer[60], answer[97]) == (SERVER, b"PXEClient", clients.GUID)
    assert answer[43] == bytes.fromhex("060108ff")
    assert answer.file == b"undionly.kpxe"
    assert answer.sname == SERVER.encode()
    assert sent.destination == EVERYBODY
    assert (sent.door, sent.ifindex, sent.server) == (67, 2, SERVER)


def test_case_002_without_the_broadcast_flag_the_offer_is_broadcast_all_the_same() -> None:
    sent = World().ask(clients.rom(0, flags=0))[0]
    assert sent.destination == EVERYBODY
    assert sent.answer.flags == 0x8000


def test_case_003_x64_uefi_is_offered_without_43_so_that_it_comes_to_4011() -> None:
    answer = World().answer(clients.rom(7))
    assert 43 not in answer
    assert (answer.siaddr, answer[54], answer[60], answer.boot_file) == (SERVER, SERVER, b"PXEClient", "snponly.efi")


def test_case_004_arch_9_is_treated_as_7() -> None:
    world = World()
    nine, seven = world.answer(clients.rom(9)), world.answer(clients.rom(7))
    assert (nine.boot_file, nine.codes) == (seven.boot_file, seven.codes)


def test_case_005_ia32_gets_its_own_file_or_nothing() -> None:
    assert World(programs=FixedPrograms({6: "i386/snponly.efi"})).answer(clients.rom(6)).boot_file == "i386/snponly.efi"
    world = World(programs=FixedPrograms({7: "snponly.efi"}))
    assert world.silent(clients.rom(6)) == "no-program"
    assert "IA32 UEFI" in world.told("dhcp.problem")[0].text


def test_case_006_arm64_gets_the_arm64_file() -> None:
    assert World().answer(clients.rom(11)).boot_file == "arm64/snponly.efi"


def test_case_007_riscv_gets_its_file_or_nothing() -> None:
    assert World().answer(clients.rom(27)).boot_file == "riscv64/snponly.efi"
    assert World(programs=FixedPrograms({})).silent(clients.rom(27)) == "no-program"


@pytest.mark.parametrize(
    "packet",
    [
        clients.rom(41),
        clients.rom(0, mac="b8:27:eb:01:02:03"),
        clients.rom(0, mac="dc:a6:32:01:02:03"),
        clients.packet([(k, b"\0RPi4" + bytes(12) if k == 97 else v) for k, v in clients.pxe_options(0)]),
    ],
)
def test_case_008_raspberry_pi_gets_its_menu_and_no_undionly(packet: bytes) -> None:
    world = World()
    world.arm("b8:27:eb:01:02:03")
    world.arm("dc:a6:32:01:02:03")
    answer = world.answer(packet)
    assert answer[43] == bytes.fromhex("060108 0914 000011") + b"Raspberry Pi Boot" + bytes.fromhex("0a04 00") + b"PXE\xff"
    assert answer[66] == SERVER.encode()
    assert answer.boot_file == ""


def test_case_008b_uefi_on_a_raspberry_pi_is_uefi() -> None:
    world = World()
    world.arm("dc:a6:32:01:02:03")
    assert world.answer(clients.rom(11, mac="dc:a6:32:01:02:03")).boot_file == "arm64/snponly.efi"


@pytest.mark.parametrize(("codes", "file"), [("00090007", "snponly.efi"), ("ffff000b", "arm64/snponly.efi"), ("00020000", "undionly.kpxe")])
def test_case_009_of_several_architectures_the_first_known_counts(codes: str, file: str) -> None:
    options = [(k, bytes.fromhex(codes) if k == 93 else v) for k, v in clients.pxe_options(7, vendor=b"PXEClient")]
    assert World().answer(clients.packet(options)).boot_file == file


def test_case_010_architecture_ffff_is_not_answered() -> None:
    world = World()
    assert world.silent(clients.rom(0xFFFF)) == "architecture"
    assert world.silent(clients.rom(0xFFFF, xid=2)) == "architecture"
    assert len(world.told("dhcp.silent")) == 1


def test_case_011_without_93_and_not_ipxe_there_is_no_answer() -> None:
    assert World().silent(clients.rom(None)) == "architecture"


@pytest.mark.parametrize("value", [b"\x00", b"\x00\x07\x00", b""])
def test_case_012_93_of_odd_length_is_malformed(value: bytes) -> None:
    options = [(k, value if k == 93 else v) for k, v in clients.pxe_options(7)]
    assert World().silent(clients.packet(options)) == "malformed-architecture"


def test_case_013_ipxe_with_http_gets_its_profile_at_once() -> None:
    answer = World().answer(clients.ipxe(0, user=b"iPXE"))
    assert (answer.boot_file, answer[60], answer.siaddr) == (PROFILE, b"PXEClient", SERVER)
    assert 43 not in answer


def test_case_014_user_class_with_length_prefix_is_the_same_as_the_raw_string() -> None:
    world = World()
    raw, prefixed = world.ask(clients.ipxe(0, user=b"iPXE"))[0], world.ask(clients.ipxe(0, user=b"\x04iPXE"))[0]
    assert raw.data == prefixed.data
    assert world.answer(clients.ipxe(0, user=b"\x03foo\x04iPXE")).boot_file == PROFILE


def test_case_015_ipxe_without_http_gets_a_full_ipxe_by_tftp() -> None:
    answer = World().answer(clients.ipxe(0, features=clients.IPXE_NO_HTTP))
    assert answer.boot_file == f"tftp://{SERVER}/undionly.kpxe"
    assert answer[43] == bytes.fromhex("060108ff")


def test_case_016_our_own_user_class_needs_no_175() -> None:
    assert World().answer(clients.ipxe(None, user=b"pxed", features=None)).boot_file == PROFILE
    assert World().answer(clients.ipxe(None, user=b"\x04pxed", features=None)).boot_file == PROFILE


def test_case_017_ipxe_on_uefi_gets_its_profile_and_60_stays_pxeclient() -> None:
    answer = World().answer(clients.ipxe(7, features=bytes.fromhex("130101240101")))
    assert (answer.boot_file, answer[60]) == (PROFILE, b"PXEClient")


@pytest.mark.parametrize("user", [b"", b"\xff\xff\xff", b"\x00", b"\x05abc", b"iPXE2", b"\x00iPXE"])
def test_case_018_a_garbage_user_class_is_a_rom(user: bytes) -> None:
    assert World().answer(clients.ipxe(0, user=user)).boot_file == "undionly.kpxe"


def test_case_019_http_boot_gets_an_absolute_url_and_60_httpclient() -> None:
    answer = World().answer(clients.http_boot(16))
    assert (answer.boot_file, answer[60]) == (f"http://{SERVER}/b/snponly.efi", b"HTTPClient")
    assert 43 not in answer


def test_case_020_http_boot_on_arm64_gets_the_arm64_file() -> None:
    assert World().answer(clients.http_boot(19)).boot_file == f"http://{SERVER}/b/arm64/snponly.efi"


def test_case_021_httpclient_wins_over_a_pxe_architecture() -> None:
    packet = clients.packet(clients.pxe_options(7, vendor=b"HTTPClient:Arch:00007:UNDI:003000"))
    answer = World().answer(packet)
    assert (answer[60], answer.boot_file) == (b"HTTPClient", f"http://{SERVER}/b/snponly.efi")


def test_case_022_pxeclient_with_an_http_architecture_is_answered_as_pxe_and_noted() -> None:
    world = World()
    answer = world.answer(clients.rom(16))
    assert (answer[60], answer.boot_file) == (b"PXEClient", "snponly.efi")
    assert "answered as PXE" in world.told("dhcp.offer")[0].text


@pytest.mark.parametrize("vendor", [b"pxeclient:Arch:00007:UNDI:003000", b"PxeClient", b"xPXEClient", b"PXE"])
def test_case_023_60_is_case_sensitive(vendor: bytes) -> None:
    assert World().silent(clients.packet(clients.pxe_options(7, vendor=vendor))) == "not-pxe"


def test_case_024_60_may_be_just_pxeclient() -> None:
    assert World().answer(clients.packet(clients.pxe_options(7, vendor=b"PXEClient"))).boot_file == "snponly.efi"


def test_case_025_93_wins_over_the_architecture_in_60_and_the_timeline_says_so() -> None:
    world = World()
    answer = world.answer(clients.packet(clients.pxe_options(0, vendor=b"PXEClient:Arch:00007:UNDI:003000")))
    assert answer.boot_file == "undionly.kpxe"
    assert "option 60 says architecture 7, option 93 says 0" in world.told("dhcp.offer")[0].text


def _is_nobodys_business(vendor: bytes, message: int) -> None:
    world = World(boot=None)
    counted = world.silent(clients.packet(clients.pxe_options(None, vendor=vendor, message=message)))
    assert counted == ("not-pxe" if message == 1 else "other-message")
    assert world.inventory.all() == []


def test_case_026_apple_bsdp_is_not_answered_and_not_recorded() -> None:
    _is_nobodys_business(b"AAPLBSDPC/i386/iMac4,1", 8)
    _is_nobodys_business(b"AAPLBSDPC/i386/iMac4,1", 1)


def test_case_027_windows_is_not_answered_and_not_recorded() -> None:
    _is_nobodys_business(b"MSFT 5.0", 1)


def test_case_028_arista_is_not_answered_and_not_recorded() -> None:
    _is_nobodys_business(b"Arista;DCS-7050", 1)


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
    programs = FixedPrograms({7: "d/" * 120 + "x.efi"})
    answer = World(programs=programs).answer(_with_57(value))
    assert answer.size <= 548
    assert answer.boot_file == "d/" * 120 + "x.efi", "what is left out is optional"


def test_case_049_without_57_the_reply_keeps_within_548_bytes() -> None:
    assert World(programs=FixedPrograms({7: "d/" * 120 + "x.efi"})).answer(_with_57(None)).size <= 548


def test_case_050_four_retransmits_get_four_identical_offers_and_one_log_line() -> None:
    world = World()
    sent = []
    with capturedLogs() as logs:
        for _ in range(4):
            sent += world.ask(clients.rom(0))
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
