"""A netplan plan > the files of systemd-networkd or of NetworkManager, for systems without netplan. Pure: path > text.

`plan` is what `netplan()` makes, without bonds. Sources: systemd.network(5), systemd.netdev(5); nm-settings-keyfile(5).
Traps: a VLAN has its parent's MAC address, so its .network file must sort before one that matches by MAC; NetworkManager reads no keyfile
that others may read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NETWORKD = "/etc/systemd/network"
KEYFILES = "/etc/NetworkManager/system-connections"
_Sections = list[tuple[str, list[str]]]


def networkd(plan: Mapping[str, Any]) -> dict[str, str]:
    """The .network and .netdev files below /etc/systemd/network."""
    links, vlans = plan["network"].get("ethernets", {}), plan["network"].get("vlans", {})
    made: dict[str, str] = {}
    for name, vlan in vlans.items():
        made[f"{NETWORKD}/10-pxed-{name}.netdev"] = _text([("NetDev", [f"Name={name}", "Kind=vlan"]), ("VLAN", [f"Id={vlan['id']}"])])
        made[f"{NETWORKD}/10-pxed-{name}.network"] = _text([("Match", [f"Name={name}"]), *_networkd(vlan, [])])
    for name, link in links.items():
        mac = link.get("match", {}).get("macaddress")
        above = [above for above, vlan in vlans.items() if vlan["link"] == name]
        match = [f"MACAddress={mac}"] if mac else [f"Name={name}"]
        made[f"{NETWORKD}/20-pxed-{name}.network"] = _text([("Match", match), *_networkd(link, above)])
    return made


def keyfiles(plan: Mapping[str, Any]) -> dict[str, str]:
    """The connections of NetworkManager; they are to have the mode 600."""
    links, vlans = plan["network"].get("ethernets", {}), plan["network"].get("vlans", {})
    made: dict[str, str] = {}
    for name, link in links.items():
        mac = link.get("match", {}).get("macaddress")
        made[name] = _text([*_connection(name, "ethernet", by_name=mac is None), *_ethernet(mac, link.get("mtu")), *_addresses(link)])
    for name, vlan in vlans.items():
        mac = links[vlan["link"]].get("match", {}).get("macaddress")
        above = ("vlan", [f"id={vlan['id']}", *([] if mac else [f"parent={vlan['link']}"])])
        made[name] = _text([*_connection(name, "vlan"), *_ethernet(mac, vlan.get("mtu")), above, *_addresses(vlan)])
    return {f"{KEYFILES}/pxed-{name}.nmconnection": text for name, text in made.items()}


def _networkd(settings: Mapping[str, Any], vlans: list[str]) -> _Sections:
    dhcp = {(True, True): "yes", (True, False): "ipv4", (False, True): "ipv6", (False, False): "no"}
    network = [
        f"DHCP={dhcp[settings.get('dhcp4', False), settings.get('dhcp6', False)]}",
        *(f"Address={address}" for address in settings.get("addresses", [])),
        *(f"VLAN={name}" for name in vlans),
    ]
    link: _Sections = [("Link", [f"MTUBytes={settings['mtu']}"])] if "mtu" in settings else []
    return [*link, ("Network", network), *(("Route", [f"Gateway={route['via']}"]) for route in settings.get("routes", []))]


def _connection(name: str, kind: str, *, by_name: bool = True) -> _Sections:
    return [("connection", [f"id=pxed-{name}", f"type={kind}", *([f"interface-name={name}"] if by_name else [])])]


def _ethernet(mac: str | None, mtu: int | None) -> _Sections:
    lines = [*([f"mac-address={mac}"] if mac else []), *([f"mtu={mtu}"] if mtu else [])]
    return [("ethernet", lines)] if lines else []


def _addresses(settings: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """The sections ipv4 and ipv6. Without a word about IPv6 the routers of the network are believed, as networkd and the kernel do."""
    for section, asks, none in (("ipv4", "dhcp4", "disabled"), ("ipv6", "dhcp6", "auto")):
        here = [each for each in settings.get("addresses", []) if (":" in each) == (section == "ipv6")]
        ways = [route["via"] for route in settings.get("routes", []) if (":" in route["via"]) == (section == "ipv6")]
        method = "manual" if here else "auto" if settings.get(asks) else none
        yield (
            section,
            [
                f"method={method}",
                *(f"address{number}={address}" for number, address in enumerate(here, 1)),
                *(f"gateway={way}" for way in ways[:1]),
            ],
        )


def _text(sections: _Sections) -> str:
    parts = [f"[{name}]\n" + "".join(f"{line}\n" for line in lines) for name, lines in sections]
    return "# Written by pxed when this system was installed.\n" + "\n".join(parts)
