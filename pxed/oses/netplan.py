"""Network devices and bonds > netplan's configuration, version 2, as a mapping. Pure.

Default routes are written as ``0.0.0.0/0`` and ``::/0``, which every netplan since Ubuntu 18.04 knows (``default`` came with 22.04, where
``gateway4`` went). Name servers are not in here: they are the whole system's, not a device's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pxed.errors import InvalidRequest
from pxed.oses.features import Bond, BondVlan
from pxed.oses.network import Ipv4, Ipv6, NetworkDevice

NAME_LENGTH = 15
"""Characters in an interface's name (IFNAMSIZ less one)."""

BOND_PARAMETERS: Mapping[str, str] = {
    "miimon": "mii-monitor-interval",
    "lacp_rate": "lacp-rate",
    "xmit_hash_policy": "transmit-hash-policy",
    "updelay": "up-delay",
    "downdelay": "down-delay",
    "min_links": "min-links",
    "ad_select": "ad-select",
    "arp_interval": "arp-interval",
    "arp_validate": "arp-validate",
    "arp_all_targets": "arp-all-targets",
    "fail_over_mac": "fail-over-mac-policy",
    "primary": "primary",
    "primary_reselect": "primary-reselect-policy",
    "packets_per_slave": "packets-per-slave",
    "lp_interval": "learn-packet-interval",
    "resend_igmp": "resend-igmp",
    "num_grat_arp": "gratuitous-arp",
    "all_slaves_active": "all-members-active",
}
"""The bonding driver's options > netplan's words (netplan-yaml(5))."""
_NUMBERS = frozenset({"min_links", "packets_per_slave", "resend_igmp", "num_grat_arp"})


def netplan(devices: Sequence[NetworkDevice], bonds: Sequence[Bond] = ()) -> dict[str, Any]:
    """``{"network": {...}}``; if a device is named twice the later wins, as RackHD has it. InvalidRequest: an option of a bond."""
    plan = _Plan()
    for device in {device.device: device for device in devices}.values():
        plan.device(device)
    for place, bond in enumerate(bonds):
        plan.bond(bond, f"options.bonds.{place}.options")
    return {"network": {"version": 2, **{kind: each for kind, each in plan.found.items() if each}}}


class _Plan:
    """`found` is what stands below ``network``. Ethernet devices that are named by their MAC address are called ``nic0``, ``nic1``, ..."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {"ethernets": {}, "bonds": {}, "vlans": {}}
        self._names: dict[str, str] = {}

    def device(self, device: NetworkDevice) -> None:
        name = self._ethernet(device.device)
        plain = [address for address in (device.ipv4, device.ipv6) if address and not address.vlanIds]
        self.found["ethernets"][name] |= _addresses(plain, dhcp4=device.asks_dhcp4, dhcp6=device.dhcp6)
        tagged = [address for address in (device.ipv4, device.ipv6) if address and address.vlanIds]
        for vlan in sorted({vlan for address in tagged for vlan in address.vlanIds}):
            here = [address for address in tagged if vlan in address.vlanIds]
            routed = [address for address in here if vlan == address.vlanIds[0]]
            self._vlan(name, vlan, _addresses(here, routed=routed))

    def bond(self, bond: Bond, field: str) -> None:
        members = [self._ethernet(nic) for nic in bond.nics]
        addresses = [address for address in (bond.ipv4, bond.ipv6) if address]
        self.found["bonds"][bond.name] = {
            "interfaces": members,
            "parameters": {"mode": bond.mode, **self._parameters(bond, field)},
            **_addresses(addresses, dhcp4=bond.asks_dhcp4),
        }
        for vlan in bond.vlans:
            self._vlan(bond.name, vlan.vlanid, _addresses(_of(vlan), dhcp4=not _of(vlan)))

    def _parameters(self, bond: Bond, field: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for option, value in bond.options.items():
            if option not in BOND_PARAMETERS:
                known = ", ".join(BOND_PARAMETERS)
                raise InvalidRequest(f"{field}: netplan does not know {option[:40]!r}", field=field, expected=f"some of {known}")
            made[BOND_PARAMETERS[option]] = int(value) if option in _NUMBERS and value.isdigit() else value
        if made.get("lacp-rate") in ("0", "1"):
            made["lacp-rate"] = {"0": "slow", "1": "fast"}[made["lacp-rate"]]
        return made

    def _ethernet(self, named: str) -> str:
        """What `named` (an interface or a MAC address) is called in the plan; it is in there afterwards."""
        if named not in self._names:
            by_mac = ":" in named
            self._names[named] = f"nic{len(self._names)}" if by_mac else named
            self.found["ethernets"][self._names[named]] = {"match": {"macaddress": named}} if by_mac else {}
        return self._names[named]

    def _vlan(self, link: str, number: int, settings: Mapping[str, Any]) -> None:
        name = f"{link}.{number}"
        name = name if len(name) <= NAME_LENGTH else f"vlan{len(self.found['vlans'])}.{number}"
        self.found["vlans"][name] = {"id": number, "link": link, **settings}


def _of(vlan: BondVlan) -> list[Ipv4 | Ipv6]:
    return [address for address in (vlan.ipv4, vlan.ipv6) if address]


def _addresses(
    given: Sequence[Ipv4 | Ipv6], *, routed: Sequence[Ipv4 | Ipv6] | None = None, dhcp4: bool = False, dhcp6: bool = False
) -> dict[str, Any]:
    """The settings of one device; only the gateways of `routed` (default: of all) are used."""
    routes = [
        {"to": "0.0.0.0/0" if isinstance(address, Ipv4) else "::/0", "via": address.gateway}
        for address in (given if routed is None else routed)
        if address.gateway
    ]
    sizes = [address.mtu for address in given if address.mtu]
    return {
        "dhcp4": dhcp4,
        "dhcp6": dhcp6,
        **({"addresses": [f"{address.ipAddr}/{address.prefixlen}" for address in given]} if given else {}),
        **({"routes": routes} if routes else {}),
        **({"mtu": max(sizes)} if sizes else {}),
    }
