"""The other servers on the wire: who is noticed, what is said of them, how often."""

from __future__ import annotations

from typing import Any

import pytest

from pxed.dhcp import neighbours as module
from pxed.dhcp.neighbours import Neighbours
from pxed.dhcp.packet import parse
from pxed.node.model import Boot
from tests.dhcp import clients
from tests.dhcp.world import World, address


def _offer(
    server: str = "10.0.0.9",
    *,
    yiaddr: str = "0.0.0.0",
    vendor: bytes = b"PXEClient",
    file: bytes = b"pxelinux.0",
    message: int = 2,
    siaddr: str = "0.0.0.0",
    more: tuple[tuple[int, bytes], ...] = (),
    **header: Any,
) -> bytes:
    options = [(53, bytes([message])), (54, address(server)), *([(60, vendor)] if vendor else []), *more]
    made = clients.packet(options, op=2, yiaddr=yiaddr, file=file, **header)
    return made[:20] + address(siaddr) + made[24:]


class Wire:
    def __init__(self) -> None:
        self.now = 0.0
        self.neighbours = Neighbours(lambda: self.now)

    def hear(self, data: bytes, interface: str = "eth0") -> str | None:
        return self.neighbours.heard(parse(data), "10.0.0.9", interface, [address("10.0.0.1")]).warning


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
    """And is not forgotten because the same server's next lease is an ordinary client's."""
    wire = Wire()
    wire.hear(_offer(yiaddr="10.0.0.76", vendor=b"", file=b""))
    assert "names a boot server of its own (boot file pxelinux.0)" in str(wire.hear(_offer(yiaddr="10.0.0.77", vendor=b"")))
    wire.hear(_offer(yiaddr="10.0.0.78", vendor=b"", file=b""))
    assert [(each.kind, each.boot_file, each.answers) for each in wire.neighbours.all()] == [("lease+boot", "pxelinux.0", 3)]


@pytest.mark.parametrize(
    "how",
    [
        {"siaddr": "10.0.0.1"},
        {"sname": b"10.0.0.1"},
        {"more": ((66, b"10.0.0.1\0"),)},
        {"file": b"http://10.0.0.1:8080/b/snponly.efi", "vendor": b"HTTPClient"},
    ],
)
def test_a_dhcp_server_that_was_told_to_send_nodes_here_is_no_rival(how: dict[str, Any]) -> None:
    """By next-server, by option 66, by the URL: what the lines of `pxed node dhcp` make of it."""
    wire = Wire()
    assert wire.hear(_offer(**{"yiaddr": "10.0.0.77", "vendor": b"", "file": b"snponly.efi", **how})) is None
    assert [each.kind for each in wire.neighbours.all()] == ["lease"]


@pytest.mark.parametrize(
    "how", [{"siaddr": "10.0.0.3"}, {"siaddr": "10.0.0.1", "file": b"http://10.0.0.3/x.efi"}, {"file": b"http://[::1/x.efi"}]
)
def test_one_that_sends_them_elsewhere_is(how: dict[str, Any]) -> None:
    assert "boot server of its own" in str(Wire().hear(_offer(**{"yiaddr": "10.0.0.77", "vendor": b"", **how})))


def test_a_boot_file_in_option_67_is_one_too() -> None:
    said = str(Wire().hear(_offer(yiaddr="10.0.0.77", vendor=b"", file=b"", more=((67, b"other.efi\0"),))))
    assert "names a boot server of its own (boot file other.efi)" in said


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
    world.responder.overheard(_offer(message=5, vendor=b"", file=b""), eth0, "10.0.0.9")
    assert world.node.address == "10.0.0.77", "an ACK without an address (of an INFORM) takes none away"
    world.responder.overheard(b"garbage", eth0, "10.0.0.9")
    world.responder.overheard(_offer("10.0.0.1"), eth0, "10.0.0.1")
    assert len(world.told("dhcp.problem")) == 1, "what we sent ourselves is no neighbour"


def test_a_rivals_answer_to_a_node_that_is_to_be_installed_is_on_that_nodes_timeline() -> None:
    """Once, whatever the transaction; again after ten minutes, or when the answer is another one. Nothing for a node at rest."""
    world = World()
    rests = world.arm("52:54:00:00:00:02", boot=Boot("disk"))
    eth0 = world.responder.interfaces.get(2)
    assert eth0 is not None
    for xid in range(3):
        world.responder.overheard(_offer(mac=clients.MAC, xid=xid), eth0, "10.0.0.9")
        world.responder.overheard(_offer(mac=rests.mac, xid=xid), eth0, "10.0.0.9")
        world.responder.overheard(_offer(mac="52:54:00:00:00:77", xid=xid), eth0, "10.0.0.9")
    (told,) = world.told("dhcp.rival")
    assert (told.node, told.install, told.data) == (world.node.id, "install1", {"server": "10.0.0.9"})
    assert told.text.endswith("may boot something else: another proxy-DHCP server, 10.0.0.9, offers it a boot (boot file pxelinux.0)")
    world.responder.overheard(_offer("10.0.0.8", yiaddr="10.0.0.77"), eth0, "10.0.0.8")
    assert "the DHCP server 10.0.0.8 names it a boot server of its own" in world.told("dhcp.rival")[1].text
    world.pass_time(601.0)
    world.responder.overheard(_offer("10.0.0.8", yiaddr="10.0.0.77"), eth0, "10.0.0.8")
    assert len(world.told("dhcp.rival")) == 3
    world.responder.overheard(_offer(yiaddr="10.0.0.77", vendor=b"", file=b""), eth0, "10.0.0.9")
    assert len(world.told("dhcp.rival")) == 3, "a lease is no rival's"
