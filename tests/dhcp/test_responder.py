"""The service: start and stop on real ports, what it refuses to start without, delays, and what it knows for others."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock

from pxed.config import load
from pxed.dhcp.offer import TELL
from pxed.dhcp.responder import Responder
from pxed.errors import HostProblem
from pxed.node.inventory import Inventory
from pxed.node.model import Boot, Node
from pxed.node.timeline import Timeline
from tests.dhcp import clients
from tests.dhcp.netns import Cable, inside, needs_root
from tests.dhcp.test_sockets import Readers
from tests.dhcp.world import INSTALLER, FixedPrograms, World, link
from tests.lab.process import run


class ClockAndReaders(Clock, Readers):
    """A reactor of which the test turns every wheel."""

    def __init__(self) -> None:
        Clock.__init__(self)
        Readers.__init__(self)


@pytest.fixture(scope="module")
def cable() -> Iterator[Cable]:
    with Cable() as made:
        yield made


def _responder(reactor: Any, **settings: Any) -> Responder:
    timeline = Timeline(now=reactor.seconds)
    inventory = Inventory(now=reactor.seconds, timeline=timeline)
    node = inventory.seen(clients.MAC)
    node.known, node.boot = True, INSTALLER
    return Responder(
        reactor=reactor, inventory=inventory, timeline=timeline, programs=FixedPrograms, settings=load(None, settings), now=reactor.seconds
    )


@needs_root
def test_it_binds_first_and_reads_from_its_start_on_and_leaves_nothing_behind(cable: Cable) -> None:
    reactor = ClockAndReaders()
    with inside(cable.server):
        responder = _responder(reactor, interfaces=["eth0"])
        responder.privilegedStartService()
        assert reactor.readers == set(), "what comes in waits in the kernel until the store is open"
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.sendto(clients.pxe_request(7, ciaddr="10.93.0.1"), ("10.93.0.1", 4011))
        responder.startService()
        assert len(reactor.readers) == 4, "67, 4011, the sniffer, netlink"
        for _ in range(1000):
            for reader in list(reactor.readers):
                reader.doRead()
            if responder.counters["ack"]:
                break
            time.sleep(0.01)
    client.close()
    assert responder.counters["ack"] == 1
    reactor.advance(35.0)
    responder.stopService()
    responder.stopService()
    assert reactor.readers == set()
    assert reactor.getDelayedCalls() == []
    with inside(cable.server):
        again = _responder(reactor, interfaces=["eth0"])
        again.privilegedStartService()
        assert again.status()["raw"] is False, "the port is free again"
        again.stopService()


@needs_root
def test_an_interface_that_does_not_exist_is_refused_with_the_remedy(cable: Cable) -> None:
    with inside(cable.server), pytest.raises(HostProblem, match="there is no network interface eth7") as caught:
        _responder(ClockAndReaders(), interfaces=["eth0", "eth7"]).privilegedStartService()
    assert "ip -br address" in caught.value.remedy


@needs_root
def test_a_busy_4011_is_refused_and_67_let_go(cable: Cable) -> None:
    with inside(cable.server), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", 4011))
        responder = _responder(ClockAndReaders())
        with pytest.raises(HostProblem, match="4011"):
            responder.privilegedStartService()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("0.0.0.0", 67))


@needs_root
def test_an_address_that_comes_later_is_served_without_a_restart(cable: Cable) -> None:
    reactor = ClockAndReaders()
    with inside(cable.client):
        responder = _responder(reactor, interfaces=["eth0"])
        responder.privilegedStartService()
        responder.startService()
        try:
            index = socket.if_nametoindex("eth0")
            responder.received(67, clients.rom(7), index, b"\xff" * 4, "0.0.0.0", 68)
            assert responder.counters["no-address"] == 1
            run("ip", "-n", cable.client, "address", "add", "10.93.9.1/24", "dev", "eth0")
            for _ in range(1000):
                for reader in list(reactor.readers):
                    reader.doRead()
                if responder.interfaces.own:
                    break
                time.sleep(0.01)
            responder.received(67, clients.rom(7), index, b"\xff" * 4, "0.0.0.0", 68)
            assert responder.counters["offer"] == 1
        finally:
            responder.stopService()
            run("ip", "-n", cable.client, "address", "flush", "dev", "eth0")


def test_case_108b_a_clock_that_jumps_makes_no_repetition_another_boot() -> None:
    """Neither for the shape that is offered, nor for what is told, nor for the guard against circles; `test_guard` has its own."""
    world = World()
    answers = []
    for jump in (86_400.0, -200_000.0, 3600.0, 86_400.0):
        answers += [sent.data for sent in world.ask(clients.rom(7))]
        world.wall += jump
        world.monotonic += 4.0
    assert (len(answers), len(set(answers)), len(world.told("dhcp.offer"))) == (4, 1, 1)
    assert Responder.__init__.__kwdefaults__ is not None
    assert Responder.__init__.__kwdefaults__["seconds"] is time.monotonic


def test_a_configured_delay_holds_offers_back_and_not_acks() -> None:
    world = World(settings={"dhcp": {"delay": 0.5}})
    assert world.ask(clients.rom(7)) == []
    assert world.ask(clients.pxe_request(7, ciaddr="10.0.0.9"), door=4011, source="10.0.0.9") != []
    world.sent.clear()
    world.clock.advance(0.4)
    assert world.sent == []
    world.clock.advance(0.2)
    assert [sent.answer.message for sent in world.sent] == [2]


def test_an_offer_held_back_is_forgotten_when_the_service_stops() -> None:
    world = World(settings={"dhcp": {"delay": 0.5}})
    world.ask(clients.rom(7))
    world.responder.wire.doors.clear()
    world.clock.advance(1.0)
    assert world.sent == []


def test_urls_carry_the_port_of_http() -> None:
    world = World(settings={"ports": {"http": 8080}})
    assert world.answer(clients.ipxe(7)).boot_file == f"http://10.0.0.1:8080/p/525400123456{TELL}"
    assert world.answer(clients.http_boot()).boot_file == "http://10.0.0.1:8080/b/snponly.efi"


def test_the_longest_profile_url_fits_the_header() -> None:
    world = World(links=(link("eth0", 2, "255.255.255.254/8"),), settings={"ports": {"http": 65535}})
    answer = world.answer(clients.ipxe(7))
    assert 67 not in answer
    assert answer.file.decode().startswith("http://255.255.255.254:65535/p/525400123456?m=${manufacturer:hexraw}&p=")


def test_the_configured_address_is_used_where_it_lives_and_nowhere_else() -> None:
    links = (link("eth0", 2, "10.0.0.1/24", "10.0.0.9/24"), link("eth1", 3, "10.3.0.1/24"))
    world = World(links=links, settings={"address": "10.0.0.9"})
    assert world.answer(clients.rom(7), index=2).siaddr == "10.0.0.9"
    assert world.answer(clients.rom(7, xid=2), index=3).siaddr == "10.3.0.1"


def test_status_is_json() -> None:
    world = World()
    world.ask(clients.rom(7))
    for _ in range(3):
        world.timeline.record("http.profile", "fetched", node=world.node.id, install="i")
    status = json.loads(json.dumps(world.responder.status()))
    assert status["counters"] == {"offer": 1}
    assert status["refused"][world.node.id]["reason"] == "quarantined"


def test_the_sites_server_is_told_real_values_of_the_nodes_own_interface() -> None:
    world = World(links=(link("eth0", 2), link("eth1", 3, "10.3.0.1/24")))
    world.ask(clients.rom(7), index=3)
    text = {piece.server: piece.text for piece in world.responder.site_server_lines(world.node)}["dnsmasq"]
    assert "snponly.efi,,10.3.0.1" in text
    assert "http://10.3.0.1/p/525400123456" in text
    world.ask(clients.http_boot(), index=3)
    text = {piece.server: piece.text for piece in world.responder.site_server_lines(world.node)}["dnsmasq"]
    assert "http://10.3.0.1/b/snponly.efi" in text


def test_a_node_reaches_us_at_our_address_on_its_own_interface() -> None:
    world = World(links=(link("eth0", 2), link("eth1", 3, "10.3.0.1/24")), settings={"ports": {"http": 8080}})
    assert world.responder.base_of(Node("", ("52:54:00:00:00:99",), first_seen=0.0, last_seen=0.0)) == "http://10.0.0.1:8080"
    world.ask(clients.rom(7), index=3)
    assert world.responder.base_of(world.node) == "http://10.3.0.1:8080"


def test_nobody_reaches_us_while_no_interface_has_an_address() -> None:
    world = World()
    world.links.clear()
    world.responder.interfaces.refresh()
    assert world.responder.base_of(world.node) is None
    assert world.responder.base_url("10.0.0.9") is None
    assert world.responder.site_server_lines(world.node) == []


def test_a_zero_hardware_address_names_nobody() -> None:
    world = World(boot=None)
    assert world.silent(clients.rom(7, mac="00:00:00:00:00:00")) == "hardware"
    assert world.inventory.all() == []


def test_the_sites_ordinary_dhcp_clients_are_not_recorded() -> None:
    world = World(boot=None)
    assert world.silent(clients.packet([(53, b"\1"), (60, b"MSFT 5.0"), (55, b"\1\3\6")])) == "not-pxe"
    assert world.silent(clients.packet([(53, b"\3"), (50, b"\x0a\0\0\x4d")])) == "other-message"
    assert world.inventory.all() == []
    assert world.events == []


def test_a_node_that_is_disarmed_while_it_boots_falls_silent_at_every_stage() -> None:
    world = World()
    assert world.ask(clients.rom(7))
    world.node.boot = Boot("silent")
    assert world.silent(clients.pxe_request(7, ciaddr="10.0.0.9"), door=4011, source="10.0.0.9") == "silent"
    assert world.silent(clients.ipxe(7)) == "silent"


def test_without_a_program_for_its_architecture_a_node_gets_no_lines_rather_than_another_machines() -> None:
    """IA32 firmware and arm64 were told to load BIOS' undionly.kpxe."""
    world = World(programs=FixedPrograms({0: "undionly.kpxe", 16: "a b/snponly.efi"}))
    for arch in (6, 7, 11):
        assert world.responder.site_server_lines(world.inventory.seen("52:54:00:00:00:07", arch=arch)) == []
    for node in (world.inventory.seen("52:54:00:00:00:08"), world.inventory.seen("52:54:00:00:00:09", arch=0)):
        assert all("undionly.kpxe" in piece.text for piece in world.responder.site_server_lines(node))
    by_http = world.responder.site_server_lines(world.inventory.seen("52:54:00:00:00:10", arch=16))
    assert all("http://10.0.0.1/b/a%20b/snponly.efi" in piece.text for piece in by_http)


def test_a_card_that_is_not_ethernets_gets_no_lines_for_another_server() -> None:
    """No boot profile goes by more than six bytes. Asking for its lines was an internal error, also while its last offer was sent."""
    world = World()
    node = world.inventory.seen("00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff", arch=7)
    assert world.responder.site_server_lines(node) == []
