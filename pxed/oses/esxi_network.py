"""ESXi's network: one line of ks.cfg for the management interface, and the esxcli commands of the first boot for all the rest. Pure.

The installer makes vSwitch0 with the port group "Management Network" and vmk0 above the first device. A command is a tuple of words; a
`Nic` among them is looked up on the node, because only there a MAC address has a name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from pxed.oses.esxi_options import EsxDevice, EsxiOptions
from pxed.oses.network import Ipv4, Ipv6
from pxed.oses.strict import refusal

MANAGEMENT = "Management Network"
FIRST_SWITCH = "vSwitch0"

STANDARD = ("esxcli", "network", "vswitch", "standard")
VMKERNEL = ("esxcli", "network", "ip", "interface")


@dataclass(frozen=True, slots=True)
class Nic:
    """A NIC as the operator named it: ``vmnic1`` or a MAC address."""

    device: str


Command = tuple[str | Nic, ...]


def management(options: EsxiOptions) -> list[str]:
    """The words of ks.cfg's ``network``: the first of `networkDevices`, else DHCP."""
    device = options.networkDevices[0] if options.networkDevices else None
    nic = options.installInterface or (device.device if device else None)
    ipv4 = device.ipv4 if device else None
    words = [f"--bootproto={'static' if ipv4 else 'dhcp'}", *([f"--device={nic}"] if nic else [])]
    if ipv4 is not None:
        words += [f"--ip={ipv4.ipAddr}", f"--netmask={_mask(ipv4)}", *([f"--gateway={ipv4.gateway}"] if ipv4.gateway else [])]
        servers = [server for server in options.dnsServers if ":" not in server][:2]
        words += [f"--nameserver={','.join(servers)}"] if servers else []
        words += [f"--vlanid={ipv4.vlanIds[0]}"] if ipv4.vlanIds else []
    if options.hostname:
        words.append(f"--hostname={full_name(options)}")
    return words


def full_name(options: EsxiOptions) -> str:
    """Host name with its domain, if there is one."""
    return f"{options.hostname}.{options.domain}" if options.domain else str(options.hostname)


def network_commands(options: EsxiOptions, *, each_gateway: bool) -> list[Command]:
    """What the first boot does, in order. `each_gateway`: this release has a gateway per interface (6.5 and newer). InvalidRequest."""
    commands: list[Command] = []
    switches: set[str] = {FIRST_SWITCH}
    moved = bool(options.networkDevices) and _switch_of(options, 0) != FIRST_SWITCH
    if moved:  # the installer's own interface and switch make room
        commands += [(*VMKERNEL, "remove", "-i", "vmk0"), (*STANDARD, "remove", "-v", FIRST_SWITCH)]
        switches.clear()
    for switch in options.switchDevices:
        commands += _switch(switch.switchName, switches)
        commands += [("uplink", switch.switchName, Nic(nic)) for nic in switch.uplinks]
        if switch.failoverPolicy:
            commands.append((*STANDARD, "policy", "failover", "set", "-v", switch.switchName, "-l", switch.failoverPolicy))
    number = 0
    for place, device in enumerate(options.networkDevices):
        switch_name = _switch_of(options, place)
        made = _switch(switch_name, switches)
        commands += made
        if made or place > 0 or moved:
            commands.append(("uplink", switch_name, Nic(device.device)))
        mtu = max((each.mtu for each in (device.ipv4, device.ipv6) if each and each.mtu), default=None)
        if mtu:
            commands.append((*STANDARD, "set", "-v", switch_name, "-m", str(mtu)))
        for vlan in _vlans(device):
            fresh = number > 0 or moved
            commands += _interface(number, vlan, switch_name, mtu, fresh=fresh)
            commands += _addresses(device, number, place, fresh=fresh, each_gateway=each_gateway)
            number += 1
    return commands


def _switch_of(options: EsxiOptions, place: int) -> str:
    return options.networkDevices[place].esxSwitchName or f"vSwitch{place}"


def _switch(name: str, known: set[str]) -> list[Command]:
    if name in known:
        return []
    known.add(name)
    return [(*STANDARD, "add", "-v", name)]


def _vlans(device: EsxDevice) -> list[int | None]:
    """An interface for each VLAN of the device, one without if it names none."""
    found = dict.fromkeys([*(device.ipv4.vlanIds if device.ipv4 else []), *(device.ipv6.vlanIds if device.ipv6 else [])])
    return list(found) or [None]


def _interface(number: int, vlan: int | None, switch: str, mtu: int | None, *, fresh: bool) -> Iterator[Command]:
    group = MANAGEMENT if number == 0 else f"pxed-vmk{number}"
    name = f"vmk{number}"
    if fresh:
        yield (*STANDARD, "portgroup", "add", "-v", switch, "-p", group)
        yield (*VMKERNEL, "add", "-i", name, "-p", group)
        if number == 0:
            yield (*VMKERNEL, "tag", "add", "-i", name, "-t", "Management")
    if vlan is not None:
        yield (*STANDARD, "portgroup", "set", "-p", group, "-v", str(vlan))
    if mtu:
        yield (*VMKERNEL, "set", "-i", name, "-m", str(mtu))


def _addresses(device: EsxDevice, number: int, place: int, *, fresh: bool, each_gateway: bool) -> Iterator[Command]:
    name = f"vmk{number}"
    if fresh:
        yield from _ipv4(device, name, number, place, each_gateway)
    if device.dhcp6:
        yield (*VMKERNEL, "ipv6", "set", "-i", name, "--enable-dhcpv6=true")
    if device.ipv6 is not None:
        yield from _ipv6(device.ipv6, name)


def _ipv4(device: EsxDevice, name: str, number: int, place: int, each_gateway: bool) -> Iterator[Command]:
    if device.ipv4 is None:
        if device.asks_dhcp4:
            yield (*VMKERNEL, "ipv4", "set", "-i", name, "-t", "dhcp")
        return
    gateway = device.ipv4.gateway
    static: Command = (*VMKERNEL, "ipv4", "set", "-i", name, "-t", "static", "-I", device.ipv4.ipAddr, "-N", _mask(device.ipv4))
    if place > 0 and gateway and not each_gateway:
        raise refusal(
            f"networkDevices.{place}.ipv4.gateway",
            "this ESXi has one gateway, that of the first device",
            "no gateway, or ESXi 6.5 and newer",
        )
    yield (*static, "-g", gateway) if gateway and number > 0 and each_gateway else static
    if gateway and number == 0:
        yield ("esxcli", "network", "ip", "route", "ipv4", "add", "-g", gateway, "-n", "default")


def _ipv6(ipv6: Ipv6, name: str) -> Iterator[Command]:
    yield (*VMKERNEL, "ipv6", "address", "add", "-i", name, "-I", f"{ipv6.ipAddr}/{ipv6.prefixlen}")
    if ipv6.gateway:
        yield (*VMKERNEL, "ipv6", "set", "-i", name, "-g", ipv6.gateway)


def _mask(ipv4: Ipv4) -> str:
    return str(ipaddress.IPv4Network((0, ipv4.prefixlen)).netmask)
