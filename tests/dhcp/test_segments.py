"""Several networks at once, on real wires: two interfaces, VLANs, a VLAN-aware bridge, and a relay that somebody else wrote."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dhcp.leasing import LeaseClient, Pxed
from tests.dhcp.netns import CLIENT, SERVER, _delete, needs_root
from tests.lab.process import Child, LabProblem, eventually, run

pytestmark = [needs_root, pytest.mark.slow]

SECOND = "10.94.0.1"
BEHIND = "10.95.0.1"
_numbers = itertools.count()


class Wires:
    """Namespaces, made by `host`, and the cables between them. Removed with everything inside by `remove`."""

    def __init__(self) -> None:
        self._stem = f"pxseg{os.getpid()}n{next(_numbers)}"
        self._names: list[str] = []

    def host(self, role: str) -> str:
        name = f"{self._stem}{role}"
        run("ip", "netns", "add", name)
        self._names.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def cable(self, one: str, its: str, other: str, theirs: str) -> None:
        run("ip", "-n", one, "link", "add", its, "type", "veth", "peer", "name", theirs, "netns", other)
        for name, interface in ((one, its), (other, theirs)):
            run("ip", "-n", name, "link", "set", interface, "up")

    def address(self, name: str, interface: str, text: str) -> None:
        run("ip", "-n", name, "address", "add", f"{text}/24", "brd", "+", "dev", interface)

    def remove(self) -> None:
        for name in self._names:
            _delete(name)


@pytest.fixture
def wires() -> Iterator[Wires]:
    made = Wires()
    yield made
    made.remove()


def is_served(client: LeaseClient, server: str, address: str) -> None:
    """One OFFER, by broadcast, as `server`; then an ACK from its port 4011 once the client has `address`, as from a DHCP server."""
    (offer,) = client.discover(wanted=1, more_within=0.3)
    assert (offer[54], offer.siaddr, offer.sname.decode(), offer.boot_file) == (server, server, server, "snponly.efi")
    run("ip", "-n", client.namespace, "address", "add", f"{address}/24", "brd", "+", "dev", "eth0")
    told = client.boot_server(server, address)
    assert told is not None
    assert (told[54], told.siaddr, told.boot_file) == (server, server, "snponly.efi")
    (ipxe,) = client.discover(wanted=1, more_within=0.3, user=b"iPXE")
    assert ipxe.boot_file.startswith(f"http://{server}/p/")


@pytest.mark.parametrize("socket", ["bound", "raw"])
def test_two_interfaces_answer_each_as_itself_and_on_itself(wires: Wires, tmp_path: Path, socket: str) -> None:
    server, one, other = wires.host("s"), wires.host("a"), wires.host("b")
    for number, (host, address) in enumerate(((one, SERVER), (other, SECOND))):
        wires.cable(server, f"eth{number}", host, "eth0")
        wires.address(server, f"eth{number}", address)
    clients = [LeaseClient(one), LeaseClient(other)]
    both = ["--interface", "eth0", "--interface", "eth1"]
    pxed = Pxed(server, tmp_path, clients[0].mac, "--arm", clients[1].mac, *both, "--socket", socket)
    assert pxed.raw is (socket == "raw")
    is_served(clients[0], SERVER, CLIENT)
    is_served(clients[1], SECOND, "10.94.0.2")


def test_an_interface_that_is_not_named_is_left_alone(wires: Wires, tmp_path: Path) -> None:
    server, one, other = wires.host("s"), wires.host("a"), wires.host("b")
    for number, (host, address) in enumerate(((one, SERVER), (other, SECOND))):
        wires.cable(server, f"eth{number}", host, "eth0")
        wires.address(server, f"eth{number}", address)
    clients = [LeaseClient(one), LeaseClient(other)]
    Pxed(server, tmp_path, clients[0].mac, "--arm", clients[1].mac, "--interface", "eth1")
    assert clients[1].discover(wanted=1)[0][54] == SECOND
    assert clients[0].discover(seconds=0.5) == []


def test_vlan_interfaces_answer_each_as_itself(wires: Wires, tmp_path: Path) -> None:
    """Two VLANs on one cable, tagged by the kernel (802.1Q)."""
    server, one = wires.host("s"), wires.host("a")
    wires.cable(server, "trunk", one, "trunk")
    other = wires.host("b")
    try:
        for number, (host, address) in enumerate(((one, SERVER), (other, SECOND))):
            tag = str(41 + number)
            run("ip", "-n", server, "link", "add", "link", "trunk", "name", f"trunk.{tag}", "type", "vlan", "id", tag)
            run("ip", "-n", server, "link", "set", f"trunk.{tag}", "up")
            wires.address(server, f"trunk.{tag}", address)
            run("ip", "-n", one, "link", "add", "link", "trunk", "name", "eth0", "netns", host, "type", "vlan", "id", tag)
            run("ip", "-n", host, "link", "set", "eth0", "up")
    except LabProblem as refused:
        pytest.skip(f"this kernel makes no VLAN interfaces (module 8021q): {refused}")
    clients = [LeaseClient(one), LeaseClient(other)]
    clients[1].mac = clients[0].mac  # one machine, one card
    Pxed(server, tmp_path, clients[0].mac, "--interface", "trunk.41", "--interface", "trunk.42")
    is_served(clients[0], SERVER, CLIENT)
    is_served(clients[1], SECOND, "10.94.0.2")


def test_on_a_vlan_aware_bridge_only_the_bridges_own_vlan_is_answered(wires: Wires, tmp_path: Path) -> None:
    """pxed on the bridge itself, as on a virtualisation host: machines on ports of VLAN 10, which is the bridge's, and of VLAN 20."""
    server, inside, outside = wires.host("s"), wires.host("a"), wires.host("b")
    try:
        run("ip", "-n", server, "link", "add", "br0", "type", "bridge", "vlan_filtering", "1", "vlan_default_pvid", "0")
    except LabProblem as refused:
        pytest.skip(f"this kernel's bridges know no VLANs (CONFIG_BRIDGE_VLAN_FILTERING): {refused}")
    run("bridge", "-n", server, "vlan", "add", "dev", "br0", "vid", "10", "pvid", "untagged", "self")
    run("ip", "-n", server, "link", "set", "br0", "up")
    wires.address(server, "br0", SERVER)
    for number, (host, tag) in enumerate(((inside, "10"), (outside, "20"))):
        wires.cable(server, f"port{number}", host, "eth0")
        run("ip", "-n", server, "link", "set", f"port{number}", "master", "br0")
        run("bridge", "-n", server, "vlan", "add", "dev", f"port{number}", "vid", tag, "pvid", "untagged")
    clients = [LeaseClient(inside), LeaseClient(outside)]
    Pxed(server, tmp_path, clients[0].mac, "--arm", clients[1].mac, "--interface", "br0")
    is_served(clients[0], SERVER, CLIENT)
    assert clients[1].discover(seconds=0.5) == []


@pytest.mark.parametrize("socket", ["bound", "raw"])
def test_a_node_behind_a_relay_is_served_through_it(wires: Wires, tmp_path: Path, socket: str) -> None:
    """ISC's relay adds option 82 (-a) and passes on no answer that lacks it (-D); port 4011 is asked across the router."""
    if not (dhcrelay := shutil.which("dhcrelay", path=os.environ.get("PATH", "") + ":/usr/sbin")):
        pytest.skip("dhcrelay is not installed (apt install isc-dhcp-relay)")
    server, relay, behind = wires.host("s"), wires.host("r"), wires.host("b")
    wires.cable(server, "eth0", relay, "up0")
    wires.cable(relay, "down0", behind, "eth0")
    wires.address(server, "eth0", SERVER)
    wires.address(relay, "up0", "10.93.0.254")
    wires.address(relay, "down0", BEHIND)
    run("ip", "-n", server, "route", "add", "10.95.0.0/24", "via", "10.93.0.254")
    run("ip", "netns", "exec", relay, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    client = LeaseClient(behind)
    pxed = Pxed(server, tmp_path, client.mac, "--socket", socket)
    log = tmp_path / "dhcrelay.log"
    Child("dhcrelay", [dhcrelay, "-4", "-d", "-a", "-D", "-iu", "up0", "-id", "down0", SERVER], namespace=relay, log=log)
    eventually(f"dhcrelay: {log}", lambda: "Sending on   Socket" in log.read_text(), within=30.0, every=0.05)
    (offer,) = client.discover(wanted=1, more_within=0.3)
    assert (offer.giaddr, offer[54], offer.siaddr, offer.boot_file) == (BEHIND, SERVER, SERVER, "snponly.efi")
    wires.address(behind, "eth0", "10.95.0.100")
    run("ip", "-n", behind, "route", "add", "default", "via", BEHIND)
    told = client.boot_server(SERVER, "10.95.0.100")
    assert told is not None
    assert (told[54], told.boot_file) == (SERVER, "snponly.efi")
    assert pxed.told("dhcp.problem") == []
