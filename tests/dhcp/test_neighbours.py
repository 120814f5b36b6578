"""The other servers on the wire: who is noticed, what is said of them, how often."""

from __future__ import annotations

import pytest

from pxed.dhcp import neighbours as module
from pxed.dhcp.neighbours import Neighbours
from pxed.dhcp.packet import parse
from tests.dhcp import clients
from tests.dhcp.world import World, address


def _offer(
    server: str = "10.0.0.9", *, yiaddr: str = "0.0.0.0", vendor: bytes = b"PXEClient", file: bytes = b"pxelinux.0", message: int = 2
) -> bytes:
    options = [(53, bytes([message])), (54, address(server)), *([(60, vendor)] if vendor else [])]
    return clients.packet(options, op=2, yiaddr=yiaddr, file=file)


class Wire:
    def __init__(self) -> None:
        self.now = 0.0
        self.neighbours = Neighbours(lambda: self.now)

    def hear(self, data: bytes, interface: str = "eth0") -> str | None:
        return self.neighbours.heard(parse(data), "10.0.0.9", interface)


def test_another_proxy_is_told_once_in_ten_minutes_per_interface() -> None:
    wire = Wire()
    assert "Another proxy-DHCP server, 10.0.0.9, answers network boots on eth0 (boot file pxelinux.0)" in str(wire.hear(_offer()))
    assert wire.hear(_offer()) is None
    assert wire.hear(_offer(), "eth1") is not None
    wire.now = 600.0
    assert wire.hear(_offer()) is not None
    assert [(each.interface, each.kind, each.answers) for each in wire.neighbours.all()] == [("eth0", "proxy", 3), ("eth1", "proxy", 1)]


def test_a_server_that_only_leases_is_known_and_not_told() -> None:
    wire = Wire()
    assert wire.hear(_offer(yiaddr="10.0.0.77", vendor=b"", file=b"")) is None
    assert [each.kind for each in wire.neighbours.all()] == ["lease"]
    assert wire.neighbours.leases_on("eth0", since=0.0)
    assert not wire.neighbours.leases_on("eth1", since=0.0)
    assert not wire.neighbours.leases_on("eth0", since=1.0)


def test_a_lease_with_a_boot_file_is_told() -> None:
    assert "names a boot server of its own (boot file pxelinux.0)" in str(Wire().hear(_offer(yiaddr="10.0.0.77", vendor=b"")))


def test_replies_that_are_no_offers_say_nothing() -> None:
    wire = Wire()
    assert wire.hear(_offer(message=6)) is None
    assert wire.neighbours.all() == []


def test_the_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 10)
    wire = Wire()
    for number in range(50):
        wire.now = float(number)
        wire.hear(_offer(f"10.0.0.{number}"))
    assert [each.address for each in wire.neighbours.all()] == [f"10.0.0.{number}" for number in range(40, 50)]


def test_the_responder_shows_it_and_learns_addresses_from_acks() -> None:
    world = World()
    eth0 = world.responder.interfaces.get(2)
    assert eth0 is not None
    world.responder.overheard(_offer(), eth0, "10.0.0.9")
    (problem,) = world.told("dhcp.problem")
    assert problem.data == {"server": "10.0.0.9", "interface": "eth0"}
    assert world.responder.status()["neighbours"][0]["address"] == "10.0.0.9"
    world.responder.overheard(_offer(yiaddr="10.0.0.77", message=5, vendor=b"", file=b""), eth0, "10.0.0.9")
    assert world.inventory.by_address("10.0.0.77") is world.node
    world.responder.overheard(b"garbage", eth0, "10.0.0.9")
    world.responder.overheard(_offer("10.0.0.1"), eth0, "10.0.0.1")
    assert len(world.told("dhcp.problem")) == 1, "what we sent ourselves is no neighbour"
