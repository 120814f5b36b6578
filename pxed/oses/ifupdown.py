"""Network devices > lines of Debian's ``/etc/network/interfaces`` (interfaces(5)). Pure.

A device may be named by its MAC address, and its interface name is known only on the node; so a line is a `Line`: text with ``%s`` for
that name, and how often it stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pxed.oses.network import Ipv4, Ipv6, NetworkDevice

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Line:
    """A format for the shell's `printf` (ends with ``\\n``) and how many names it takes."""

    format: str
    count: int


@dataclass(frozen=True, slots=True)
class Stanzas:
    """Everything about one device; `name` is an interface name, or a MAC address if `is_mac`."""

    name: str
    is_mac: bool
    lines: tuple[Line, ...]


def stanzas(devices: Sequence[NetworkDevice]) -> list[Stanzas]:
    """The stanzas of `devices`; if one is named twice the later wins, as RackHD has it."""
    last = {device.device: device for device in devices}
    return [Stanzas(name, bool(_MAC.fullmatch(name)), tuple(_line(text) for text in _device(device))) for name, device in last.items()]


def _line(text: str) -> Line:
    return Line(text.replace("%", "%%").replace("@@", "%s") + "\\n", text.count("@@"))


def _device(device: NetworkDevice) -> Iterator[str]:
    """Lines of text with ``@@`` for the interface's name."""
    plain = [address for address in (device.ipv4, device.ipv6) if address and not address.vlanIds]
    yield from ("", "auto @@")
    if device.asks_dhcp4:
        yield "iface @@ inet dhcp"
    if device.dhcp6:
        yield "iface @@ inet6 dhcp"
    for address in plain:
        yield from _static("@@", address, first=True)
    if not (plain or device.asks_dhcp4 or device.dhcp6):
        yield "iface @@ inet manual"
    vlans = sorted({vlan for address in (device.ipv4, device.ipv6) if address for vlan in address.vlanIds})
    for vlan in vlans:
        yield from ("", f"auto @@.{vlan}")
        here = [address for address in (device.ipv4, device.ipv6) if address and vlan in address.vlanIds]
        for place, address in enumerate(here):
            yield from _static(f"@@.{vlan}", address, first=vlan == address.vlanIds[0])
            if place == 0:
                yield f"    pre-up ip link add link @@ name @@.{vlan} type vlan id {vlan} || true"
                yield f"    post-down ip link del @@.{vlan} || true"


def _static(name: str, address: Ipv4 | Ipv6, *, first: bool) -> Iterator[str]:
    """One static stanza; only the `first` of several VLANs gets the gateway, since a second default route would be an error."""
    yield f"iface {name} {'inet' if isinstance(address, Ipv4) else 'inet6'} static"
    yield f"    address {address.ipAddr}/{address.prefixlen}"
    if address.gateway and first:
        yield f"    gateway {address.gateway}"
    if address.mtu:
        yield f"    mtu {address.mtu}"
