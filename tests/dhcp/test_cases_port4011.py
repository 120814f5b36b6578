"""Cases 58-71: what arrives on port 4011."""

from __future__ import annotations

from typing import Any

import pytest

from pxed.dhcp.offer import TELL
from pxed.node.model import Boot
from tests.dhcp import clients
from tests.dhcp.decode import ACK, OFFER
from tests.dhcp.world import SERVER, World, address, link

CLIENT = "10.0.0.77"
EDK2: dict[str, Any] = {"door": 4011, "source": CLIENT, "source_port": 4011}
FROM_68: dict[str, Any] = {"door": 4011, "source": CLIENT, "source_port": 68}


def test_case_058_edk2_is_answered_at_its_address_and_port() -> None:
    world = World()
    sent = world.ask(clients.pxe_request(7, ciaddr=CLIENT, xid=0xABCDEF01), **EDK2)[0]
    assert (sent.destination, sent.door, sent.server) == ((CLIENT, 4011), 4011, SERVER)
    answer = sent.answer
    assert (answer.message, answer.xid, answer.ciaddr, answer.yiaddr) == (ACK, 0xABCDEF01, CLIENT, "0.0.0.0")
    assert (answer.siaddr, answer[54], answer[60], answer.boot_file) == (SERVER, SERVER, b"PXEClient", "snponly.efi")
    assert answer[97] == clients.GUID
    assert answer.flags == 0
    assert 43 not in answer
    assert world.inventory.by_address(CLIENT) is world.node


def test_case_059_ipxe_asks_from_68_with_54_and_is_answered_there() -> None:
    packet = clients.ipxe(7, message=3, ciaddr=CLIENT)
    packet = packet[:-1] + bytes([54, 4]) + address(SERVER) + b"\xff"
    sent = World().ask(packet, **FROM_68)[0]
    assert (sent.destination, sent.door) == ((CLIENT, 68), 4011)
    assert sent.answer.boot_file == f"http://{SERVER}/p/525400123456{TELL}"


def test_case_060_another_servers_request_is_not_answered() -> None:
    packet = clients.pxe_request(7, ciaddr=CLIENT, extra=[(54, address("10.0.0.9"))])
    assert World().silent(packet, **EDK2) == "other-server"


def test_case_061_a_boot_item_is_given_back_as_asked() -> None:
    packet = clients.pxe_request(0, ciaddr=CLIENT, extra=[(43, bytes.fromhex("470400000000ff"))])
    answer = World().answer(packet, **FROM_68)
    assert answer[43] == bytes.fromhex("470400000000ff")
    assert answer.boot_file == "undionly.kpxe"


def test_case_062_a_boot_item_with_bis_credentials_is_refused() -> None:
    packet = clients.pxe_request(0, ciaddr=CLIENT, extra=[(43, bytes.fromhex("470400008000ff"))])
    assert World().silent(packet, **FROM_68) == "boot-item"


def test_case_063_a_boot_item_of_an_unknown_type_is_not_answered() -> None:
    packet = clients.pxe_request(0, ciaddr=CLIENT, extra=[(43, bytes.fromhex("470480010000ff"))])
    assert World().silent(packet, **FROM_68) == "boot-item"


def test_case_064_without_any_address_the_answer_is_broadcast() -> None:
    """Whose broadcast flag is set, though the request's was not; an answer by unicast has the request's own."""
    world = World()
    sent = world.ask(clients.pxe_request(0, ciaddr="0.0.0.0"), door=4011, source="0.0.0.0", source_port=68)[0]
    assert (sent.destination, sent.ifindex, sent.answer.flags) == (("255.255.255.255", 68), 2, 0x8000)
    assert world.answer(clients.pxe_request(0, ciaddr=CLIENT), **FROM_68).flags == 0


def test_case_064b_without_ciaddr_the_source_address_will_do() -> None:
    sent = World().ask(clients.pxe_request(0, ciaddr="0.0.0.0"), door=4011, source=CLIENT, source_port=68)[0]
    assert sent.destination == (CLIENT, 68)


def test_case_065_a_ciaddr_that_is_not_the_source_is_answered_only_within_our_subnets() -> None:
    world = World()
    assert world.ask(clients.pxe_request(7, ciaddr="10.0.0.78"), **EDK2)[0].destination == ("10.0.0.78", 68)
    assert world.silent(clients.pxe_request(7, ciaddr="192.0.2.5"), **EDK2) == "spoofed"
    assert world.silent(clients.pxe_request(7, ciaddr="10.0.0.255"), **EDK2) == "spoofed"


def test_case_066_an_inform_is_answered_as_a_request() -> None:
    assert World().answer(clients.pxe_request(7, ciaddr=CLIENT, message=8), **EDK2).message == ACK


# Decided: silence. No specification has a DISCOVER on 4011; EDK2 takes OFFERs from port 67 only, so an answer would reach nobody.
def test_case_067_a_discover_on_4011_is_not_answered() -> None:
    """Decided: silence. No specification has a DISCOVER there; EDK2 takes OFFERs from port 67 alone and iPXE sends none to 4011, so an
    OFFER from 4011 would help nobody and could come before the real one."""
    assert World().silent(clients.pxe_request(7, ciaddr=CLIENT, message=1), **EDK2) == "other-message"


def test_case_068_bios_is_served_on_4011_too() -> None:
    assert World().answer(clients.pxe_request(0, ciaddr=CLIENT), **FROM_68).boot_file == "undionly.kpxe"


def test_case_069_offer_and_ack_come_from_the_same_server() -> None:
    world = World(links=(link("eth0", 2, "10.0.0.1/24", "10.5.0.1/24"),))
    offer = world.answer(clients.rom(7))
    assert offer.message == OFFER
    ack = world.answer(clients.pxe_request(7, ciaddr="10.0.0.77"), local=offer.siaddr, **EDK2)
    assert offer[54] == ack[54] == offer.siaddr == ack.siaddr
    other = world.answer(clients.pxe_request(7, ciaddr="10.5.0.77"), local="10.5.0.1", door=4011, source="10.5.0.77", source_port=4011)
    assert other[54] == "10.5.0.1", "who asks another of our addresses is answered by that address"


def test_case_070_a_node_that_was_sent_to_its_disk_after_the_offer_is_not_answered() -> None:
    world = World()
    assert world.ask(clients.rom(7))
    world.node.boot = Boot("disk")
    assert world.silent(clients.pxe_request(7, ciaddr=CLIENT), **EDK2) == "disk"


@pytest.mark.parametrize("source", ["255.255.255.255", "10.0.0.255", "224.0.0.1", "240.0.0.1", "127.0.0.1"])
def test_case_071_a_source_that_is_no_host_is_dropped(source: str) -> None:
    packet = clients.pxe_request(7, ciaddr=source)
    assert World().silent(packet, door=4011, source=source, source_port=4011) == "source"


def test_http_boot_is_not_answered_on_4011() -> None:
    packet = clients.packet(clients.pxe_options(16, vendor=b"HTTPClient:Arch:00016:UNDI:003000", message=3), ciaddr=CLIENT)
    assert World().silent(packet, **EDK2) == "other-message"


def test_a_routed_client_is_answered_by_the_routing_table() -> None:
    sent = World().ask(clients.pxe_request(7, ciaddr="10.99.0.5"), door=4011, source="10.99.0.5", source_port=4011)[0]
    assert (sent.destination, sent.ifindex) == (("10.99.0.5", 4011), 0)
