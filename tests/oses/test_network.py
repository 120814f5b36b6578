"""Network devices in RackHD's spelling and ours, and what Debian's interfaces file makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pxed.oses.ifupdown import stanzas
from pxed.oses.network import Ipv4, Ipv6, NetworkDevice


def device(**given: Any) -> NetworkDevice:
    return NetworkDevice.model_validate({"device": "eth0", **given})


def written(*devices: NetworkDevice) -> str:
    """The interfaces file as the hook's printf writes it, MAC addresses left in place of names."""
    return "".join(line.format.replace("\\n", "\n") % ((each.name,) * line.count) for each in stanzas(devices) for line in each.lines)


@pytest.mark.parametrize(("mask", "prefix"), [("255.255.255.0", 24), ("255.255.255.255", 32), ("128.0.0.0", 1), ("255.255.254.0", 23)])
def test_a_netmask_becomes_a_prefix_length(mask: str, prefix: int) -> None:
    assert Ipv4.model_validate({"ipAddr": "10.0.0.1", "netmask": mask}).prefixlen == prefix


@pytest.mark.parametrize(
    ("mask", "prefix"), [("ffff.ffff.ffff.ffff.0.0.0.0", 64), ("ffff:ffff:ffff::", 48), ("ffff:ffff:ffff:ffff:0:0:0:0", 64)]
)
def test_rackhds_ipv6_netmask_becomes_a_prefix_length(mask: str, prefix: int) -> None:
    assert Ipv6.model_validate({"ipAddr": "fec0::1", "netmask": mask}).prefixlen == prefix


@pytest.mark.parametrize(
    "given",
    [
        {"ipAddr": "10.0.0.1", "netmask": "255.0.255.0"},
        {"ipAddr": "10.0.0.1", "netmask": "0.0.0.0"},
        {"ipAddr": "10.0.0.1", "netmask": "x"},
        {"ipAddr": "10.0.0.1"},
        {"ipAddr": "10.0.0.1", "prefixlen": 33},
        {"ipAddr": "10.0.0.1", "netmask": "255.0.0.0", "prefixlen": 24},
        {"ipAddr": "fe80::1", "prefixlen": 8},
        {"ipAddr": "10.0.0.1", "prefixlen": 8, "vlanIds": [4095]},
        {"ipAddr": "10.0.0.1", "prefixlen": 8, "mtu": 9},
    ],
)
def test_an_address_that_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Ipv4.model_validate(given)


@pytest.mark.parametrize("name", ["eth0; x", "a" * 16, "", "0eth", "52:54:00:12:34"])
def test_a_name_no_interface_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        device(device=name)


def test_both_an_address_and_dhcp_are_refused() -> None:
    with pytest.raises(ValidationError, match="either ipv4 or dhcp4"):
        device(ipv4={"ipAddr": "10.0.0.1", "prefixlen": 8}, dhcp4=True)


def test_a_device_without_addresses_asks_dhcp() -> None:
    assert written(device()) == "\nauto eth0\niface eth0 inet dhcp\n"


def test_static_addresses_of_both_families() -> None:
    both = device(
        ipv4={"ipAddr": "10.0.0.5", "netmask": "255.255.255.0", "gateway": "10.0.0.1", "mtu": 9000},
        ipv6={"ipAddr": "2001:db8::5", "prefixlen": 64, "gateway": "fe80::1"},
    )
    assert written(both) == (
        "\nauto eth0\niface eth0 inet static\n    address 10.0.0.5/24\n    gateway 10.0.0.1\n    mtu 9000\n"
        "iface eth0 inet6 static\n    address 2001:db8::5/64\n    gateway fe80::1\n"
    )


def test_vlans_get_interfaces_of_their_own_and_one_gateway() -> None:
    text = written(device(ipv4={"ipAddr": "10.0.0.5", "prefixlen": 24, "gateway": "10.0.0.1", "vlanIds": [104, 105]}))
    assert text.count("gateway") == 1
    assert "auto eth0\niface eth0 inet manual\n" in text
    assert "auto eth0.104\niface eth0.104 inet static\n    address 10.0.0.5/24\n    gateway 10.0.0.1\n" in text
    assert "    pre-up ip link add link eth0 name eth0.105 type vlan id 105 || true\n" in text


def test_a_vlan_of_both_families_is_made_once() -> None:
    text = written(
        device(ipv4={"ipAddr": "10.0.0.5", "prefixlen": 24, "vlanIds": [7]}, ipv6={"ipAddr": "fec0::5", "prefixlen": 64, "vlanIds": [7]})
    )
    assert text.count("pre-up") == 1
    assert text.count("auto eth0.7") == 1


def test_the_later_of_two_entries_for_one_device_wins() -> None:
    found = stanzas([device(dhcp4=True), device(ipv4={"ipAddr": "10.0.0.5", "prefixlen": 24})])
    assert len(found) == 1
    assert "inet static" in found[0].lines[2].format


def test_a_mac_address_in_any_spelling_is_looked_up_on_the_node() -> None:
    found = stanzas([device(device="52-54-00-AA-BB-CC")])[0]
    assert (found.name, found.is_mac) == ("52:54:00:aa:bb:cc", True)
    assert found.lines[1].count == 1
