"""This host's interfaces: what netlink says, which address answers, and that changes are noticed."""

from __future__ import annotations

import select
import timeit
from typing import Any

import pytest

from pxed.dhcp.interfaces import ChangeWatch, Interface, Interfaces, Subnet, read_interfaces
from tests.dhcp.netns import SERVER, Cable, inside, needs_root
from tests.dhcp.world import address, link
from tests.lab.process import run


def test_the_address_of_the_clients_subnet_answers() -> None:
    eth0 = link("eth0", 2, "10.0.0.1/24", "10.5.0.1/16", "192.168.7.1/24")
    everybody = address("255.255.255.255")
    assert eth0.server_address(everybody, address("0.0.0.0"), None) == address("10.0.0.1")
    assert eth0.server_address(everybody, address("10.5.99.3"), None) == address("10.5.0.1")
    assert eth0.server_address(address("192.168.7.1"), address("10.5.99.3"), None) == address("192.168.7.1")
    assert eth0.server_address(everybody, address("0.0.0.0"), address("192.168.7.1")) == address("192.168.7.1")
    assert eth0.server_address(everybody, address("0.0.0.0"), address("172.16.0.1")) == address("10.0.0.1"), "never one from elsewhere"
    assert Interface(3, "eth1", False, ()).server_address(everybody, address("0.0.0.0"), None) is None


def test_what_an_interface_reaches() -> None:
    eth0 = link("eth0", 2, "10.0.0.1/24", "10.9.0.0/31")
    assert eth0.reaches(address("10.0.0.254"))
    assert not eth0.reaches(address("10.0.0.255")), "that is everybody"
    assert not eth0.reaches(address("10.0.1.1"))
    assert eth0.reaches(address("10.9.0.1")), "a /31 has no broadcast address"
    assert eth0.broadcasts == {address("10.0.0.255")}
    assert [str(subnet) for subnet in eth0.subnets] == ["10.0.0.1/24", "10.9.0.0/31"]


def test_without_a_list_all_but_loopback_are_served_with_one_only_those() -> None:
    links = [link("lo", 1, "127.0.0.1/8", loopback=True), link("eth0", 2), link("eth1", 3, "10.3.0.1/24")]
    every = Interfaces(read=lambda: links)
    assert every.refresh() is True
    assert [each.name for each in every.all()] == ["eth0", "eth1"]
    assert every.own == {address("127.0.0.1"), address("10.0.0.1"), address("10.3.0.1")}
    only = Interfaces(["eth1", "eth9"], read=lambda: links)
    only.refresh()
    assert (only.get(2), only.get(3), only.missing()) == (None, links[2], ["eth9"])


def test_refresh_says_whether_anything_changed() -> None:
    links = [link("eth0", 2)]
    interfaces = Interfaces(read=lambda: list(links))
    assert [interfaces.refresh(), interfaces.refresh()] == [True, False]
    links[0] = link("eth0", 2, "10.0.0.1/24", "10.5.0.1/24")
    assert interfaces.refresh() is True
    lo = [link("lo", 1, "127.0.0.1/8", loopback=True), link("lo", 1, "127.0.0.1/8", "10.6.0.1/32", loopback=True)]
    links.append(lo[0])
    assert interfaces.refresh() is True
    links[1] = lo[1]
    assert interfaces.refresh() is True, "an address of ours, though on an interface that is not served"
    assert interfaces.refresh() is False
    links.clear()
    assert interfaces.refresh() is True
    assert interfaces.get(2) is None


class Readers:
    def __init__(self) -> None:
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)


@needs_root
def test_netlink_tells_names_addresses_and_changes() -> None:
    with Cable() as cable:
        run("ip", "-n", cable.server, "link", "add", "name", "eth0.100", "type", "bridge")  # a VLAN's name; its module may be missing
        run("ip", "-n", cable.server, "address", "add", "10.100.0.1/20", "dev", "eth0.100")
        run("ip", "-n", cable.server, "address", "add", "10.93.0.9/24", "dev", "eth0")
        changes: list[int] = []
        with inside(cable.server):
            found = {each.name: each for each in read_interfaces()}
            watch = ChangeWatch(Readers(), lambda: changes.append(1))
        assert found["lo"].loopback
        assert not found["eth0"].loopback
        assert found["eth0.100"].subnets == (Subnet(address("10.100.0.1"), 20),)
        assert found["eth0"].addresses == (address(SERVER), address("10.93.0.9")), "the primary address first"
        try:
            watch.doRead()
            changes.clear()
            run("ip", "-n", cable.server, "address", "del", "10.93.0.9/24", "dev", "eth0")
            assert select.select([watch], [], [], 20.0)[0], "the kernel tells"
            watch.doRead()
            assert changes
        finally:
            watch.close()
            watch.close()


@needs_root
def test_a_netlink_that_raises_in_changed_does_not_raise_out() -> None:
    def broken() -> None:
        raise OSError("no")

    watch = ChangeWatch(Readers(), broken)
    try:
        watch.doRead()
    finally:
        watch.close()


def test_reading_the_interfaces_is_quick_enough_for_a_change() -> None:
    assert any(each.loopback for each in read_interfaces())
    assert min(timeit.repeat(read_interfaces, number=1, repeat=20)) < 0.05


@pytest.mark.parametrize("prefix", [0, 1, 31, 32])
def test_every_prefix_length_has_a_mask(prefix: int) -> None:
    assert bin(Subnet(address("10.0.0.1"), prefix).mask).count("1") == prefix
