"""What the DHCP door says in the health report is what `pxed doctor` reads out of it: one's status, the other's findings."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, cast

from pxed.cli import appliance_view
from pxed.cli.findings import Finding
from pxed.dhcp.sockets import RawDoor
from tests.dhcp import clients
from tests.dhcp.test_neighbours import _offer
from tests.dhcp.world import World


def doctor(world: World, *, hears: bool = True) -> list[Finding]:
    """As `pxed doctor` asks: the health report as JSON, then the lines of each node that follows no offer. `hears`: other servers."""
    world.responder.wire.sniffer = cast(RawDoor, object()) if hears else None
    health: dict[str, Any] = json.loads(json.dumps({"services": {"dhcp": world.responder.status()}}))
    world.responder.wire.sniffer = None
    lines = {}
    for each in appliance_view.ignoring(health):
        node = world.inventory.get(each["node"])
        assert node is not None
        lines[node.id] = [asdict(piece) for piece in world.responder.site_server_lines(node)]
    return appliance_view.findings(health, lines, world.wall)


def test_a_machine_that_follows_no_offer_is_found_with_the_very_lines_for_each_server() -> None:
    world = World()
    for xid in range(4):
        world.ask(clients.rom(7, xid=1000 + xid))
        world.pass_time(120.0)
    (found,) = doctor(world)
    assert (found.check, found.level) == ("offers", "warn")
    assert "follows no proxy offer (tried: binl, pxe10, bare)" in found.text
    for line in (
        "# ISC dhcpd: /etc/dhcp/dhcpd.conf",
        "  hardware ethernet 52:54:00:12:34:56;",
        "  next-server 10.0.0.1;",
        '  option tftp-server-name "10.0.0.1";',
        '    filename "snponly.efi";',
        '    "next-server": "10.0.0.1",',
        "dhcp-boot=tag:pxed-525400123456,tag:!ipxe,snponly.efi,,10.0.0.1",
        "Set-DhcpServerv4OptionValue -ScopeId 10.0.0.0 -PolicyName $rom -OptionId 66 -Value '10.0.0.1'",
        "Set-DhcpServerv4OptionValue -ScopeId 10.0.0.0 -PolicyName $rom -OptionId 67 -Value 'snponly.efi'",
    ):
        assert line in found.detail.splitlines()


def test_machines_in_quarantine_and_other_servers_are_found() -> None:
    world = World()
    eth0 = world.responder.interfaces.get(2)
    assert eth0 is not None
    world.responder.overheard(_offer(), eth0, "10.0.0.9")
    for _ in range(3):
        world.timeline.record("http.profile", "fetched", node=world.node.id, install="install1")
    assert [(each.check, each.level) for each in doctor(world)] == [("dhcp", "warn"), ("loops", "warn")]
    world.responder.guard.clear(world.node.id)
    assert [each.check for each in doctor(world)] == ["dhcp"]


def test_an_appliance_that_could_not_notice_another_proxy_says_so() -> None:
    (found,) = doctor(World(), hears=False)
    assert (found.check, found.level) == ("dhcp", "warn")
    assert "would not notice that another one answers network boots" in found.text
    assert "CAP_NET_RAW" in found.remedy
    assert doctor(World()) == []


def test_a_server_that_has_stopped_to_answer_network_boots_is_found_for_a_day() -> None:
    """What it leases from then on changes nothing: whether anybody asked it for a boot file does not show in that."""
    world = World()
    eth0 = world.links[2]
    world.responder.overheard(_offer("10.0.0.8"), eth0, "10.0.0.8")
    world.responder.overheard(_offer(yiaddr="10.0.0.77", vendor=b""), eth0, "10.0.0.9")
    for hour in range(24):
        age = f", {hour} h 00 m ago" if hour else ", 0 s ago"
        assert [age in each.text for each in doctor(world)] == [True, True]
        world.pass_time(3600.0)
        world.responder.overheard(_offer(yiaddr="10.0.0.77", vendor=b"", file=b""), eth0, "10.0.0.9")
    assert doctor(world) == []
