"""What people read: one event and one line for each step, the whole of a storm, and not a flood."""

from __future__ import annotations

import pytest
from twisted.logger import capturedLogs

from pxed.dhcp import report
from pxed.dhcp.packet import OFFER
from pxed.dhcp.report import Allowance
from tests.dhcp import clients
from tests.dhcp.world import World


def test_an_allowance_gives_its_burst_then_its_rate() -> None:
    at = [0.0]
    allowance = Allowance(5, 2, lambda: at[0])
    assert [allowance.take() for _ in range(7)] == [True] * 5 + [False] * 2
    assert allowance.refused == 2
    at[0] = 1.0
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    at[0] = 1000.0
    assert [allowance.take() for _ in range(6)] == [True] * 5 + [False], "no more than the burst, however long the pause"


def test_a_flood_is_answered_in_full_and_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "EVENTS", (50, 10))
    monkeypatch.setattr(report, "LINES", (20, 10))
    world = World()
    with capturedLogs() as logs:
        for number in range(200):
            mac = f"52:54:00:00:01:{number:02x}"
            world.arm(mac)
            assert world.ask(clients.rom(7, mac=mac))
        assert len(world.told("dhcp.offer")) == 50
        assert len([each for each in logs if "was offered" in str(each.get("text"))]) == 20
        world.responder.report.catch_up()
        world.responder.report.catch_up()
    assert world.responder.counters["offer"] == 200
    assert [event.text for event in world.told("dhcp.problem")] == [
        "DHCP is being flooded: 150 answers or silences were counted but not told one by one"
    ]
    assert len([each for each in logs if "were left out" in str(each.get("log_format"))]) == 1


def test_a_storm_of_a_thousand_nodes_is_told_in_full() -> None:
    world = World()
    for number in range(1000):
        mac = f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"
        world.arm(mac)
        world.ask(clients.rom(7, mac=mac))
        world.ask(clients.pxe_request(7, mac=mac, ciaddr="10.0.0.9"), door=4011, source="10.0.0.9", source_port=4011)
        world.ask(clients.ipxe(7, mac=mac))
    assert (len(world.told("dhcp.offer")), len(world.told("dhcp.ack"))) == (2000, 1000)


def test_what_was_told_is_remembered_of_so_many_machines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_REMEMBERED", 50)
    world = World()
    for number in range(200):
        mac = f"52:54:00:00:01:{number:02x}"
        world.arm(mac)
        for _ in range(2):
            world.ask(clients.rom(7, mac=mac))
    assert len(world.responder.report._told[OFFER]) == 50
    assert len(world.told("dhcp.offer")) == 200


def test_malformed_packets_do_not_flood_the_log() -> None:
    world = World()
    with capturedLogs() as logs:
        for _ in range(2000):
            world.ask(b"x" * 300)
    assert world.responder.counters["malformed-cookie"] == 2000
    assert len(logs) <= report.LINES[0]


def test_the_same_silence_is_told_once_a_minute() -> None:
    world = World(boot=None)
    for xid in range(10):
        world.silent(clients.rom(7, xid=xid))
        world.pass_time(13.0)
    assert [event.at - 1_700_000_000.0 for event in world.told("dhcp.silent")] == [0.0, 65.0]


def test_the_request_that_belongs_to_the_dhcp_server_is_counted_and_not_told() -> None:
    """It follows every offer; as a line on the timeline it read as if pxed had refused something."""
    world = World()
    world.ask(clients.rom(7))
    assert world.silent(clients.packet(clients.pxe_options(7, message=3))) == "other-message"
    assert world.told("dhcp.silent") == []


def test_an_event_says_who_asked_where_and_what_was_offered() -> None:
    world = World()
    world.node.name = "rack7"
    world.ask(clients.ipxe(7))
    (event,) = world.told("dhcp.offer")
    assert event.text == "rack7 (iPXE 1.0.21) asked on eth0 and was offered http://10.0.0.1/p/525400123456"
    assert event.install == "install1"
    assert event.data["class"] == "ipxe-http"
