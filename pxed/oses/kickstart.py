"""Options > kickstart commands, in the words of each generation of anaconda. Pure.

A command is one line of text whose words are quoted as anaconda splits them (`escape.kickstart`). `Syntax` says which generation is meant.
Sources: pykickstart's commands of RHEL6 to RHEL10 and Fedora, anaconda's kickstart documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TypeVar

from pxed.oses.disk import Partition
from pxed.oses.escape import kickstart as word
from pxed.oses.features import Bond
from pxed.oses.network import Ipv4, Ipv6, NetworkDevice

BOOT_MB = 1074
VOLUME_GROUP = "system"
_PLAIN = re.compile(r"[A-Za-z0-9._:/,@=+-]+")


@dataclass(frozen=True, slots=True)
class Syntax:
    """The generation `el` of anaconda: 6 to 10; Fedora speaks like the newest."""

    el: int

    @property
    def modern(self) -> bool:
        """dracut, systemd and the commands that came with them."""
        return self.el >= 7

    @property
    def display(self) -> str:
        """The mode that ends an install rather than ask. EL7 and older can only do that in their line mode."""
        return "text --non-interactive" if self.el >= 8 else "cmdline"


def command(*words: str) -> str:
    """One line. A word ``--name=value`` is quoted after its ``=``."""
    return " ".join(_quoted(each) for each in words)


def _quoted(text: str) -> str:
    name, equals, value = text.partition("=")
    if equals and name.startswith("--"):
        return f"{name}={_needed(value)}"
    return _needed(text)


def _needed(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else word(value)


@dataclass(frozen=True, slots=True)
class Network:
    """What the `network` commands of one install share. `names` are name servers, `search` the domains to search."""

    syntax: Syntax
    hostname: str | None = None
    names: tuple[str, ...] = ()
    search: tuple[str, ...] = ()

    def commands(self, devices: Sequence[NetworkDevice], bonds: Sequence[Bond], installer: str) -> list[str]:
        """Every `network` command. Without devices and bonds `installer`, the interface that the installer uses, asks DHCP.

        A device that is named twice has its last entry, as RackHD has it. The installer keeps the configuration that it booted with.
        """
        last = {device.device: device for device in devices}
        found = [line for device in last.values() for line in self._device(device)] + [line for bond in bonds for line in self._bond(bond)]
        if not found:
            return [command("network", *self._first(), *self._at(installer), *self._shared())]
        return [command("network", *self._first(), *found[0]), *(command("network", *words) for words in found[1:])]

    def _first(self) -> list[str]:
        return [f"--hostname={self.hostname}"] if self.hostname else []

    def _shared(self) -> list[str]:
        searched = [f"--ipv4-dns-search={','.join(self.search)}"] if self.search and self.syntax.el >= 9 else []
        return [
            *([f"--nameserver={','.join(self.names)}"] if self.names else []),
            *searched,
            "--onboot=yes",
            *(["--no-activate"] if self.syntax.modern else []),
        ]

    @staticmethod
    def _at(device: str, four: Ipv4 | None = None) -> list[str]:
        return [f"--bootproto={'static' if four else 'dhcp'}", f"--device={device}"]

    def _device(self, device: NetworkDevice) -> Iterator[list[str]]:
        four = device.ipv4 if device.ipv4 and not device.ipv4.vlanIds else None
        six = device.ipv6 if device.ipv6 and not device.ipv6.vlanIds else None
        if four or six or device.asks_dhcp4 or device.dhcp6:
            yield [
                *self._at(device.device, four),
                *self._addresses(four, six, dhcp4=device.asks_dhcp4, dhcp6=device.dhcp6),
                *self._shared(),
            ]
        for vlan in sorted({vlan for address in (device.ipv4, device.ipv6) if address for vlan in address.vlanIds}):
            yield self._vlan(device.device, vlan, _on(device.ipv4, vlan), _on(device.ipv6, vlan))

    def _bond(self, bond: Bond) -> Iterator[list[str]]:
        options = ",".join(f"{name}={value}" for name, value in {"mode": bond.mode, **bond.options}.items())
        made = [f"--bondslaves={','.join(bond.nics)}", f"--bondopts={options}"]
        addresses = self._addresses(bond.ipv4, bond.ipv6, dhcp4=bond.asks_dhcp4, dhcp6=False)
        yield [*self._at(bond.name, bond.ipv4), *made, *addresses, *self._shared()]
        for vlan in bond.vlans:
            yield self._vlan(bond.name, vlan.vlanid, vlan.ipv4, vlan.ipv6)

    def _vlan(self, parent: str, number: int, four: Ipv4 | None, six: Ipv6 | None) -> list[str]:
        dhcp = four is None and six is None
        return [*self._at(parent, four), f"--vlanid={number}", *self._addresses(four, six, dhcp4=dhcp, dhcp6=False), *self._shared()]

    def _addresses(self, four: Ipv4 | None, six: Ipv6 | None, *, dhcp4: bool, dhcp6: bool) -> list[str]:
        words = []
        if four:
            words += [f"--ip={four.ipAddr}", f"--netmask={IPv4Network((0, four.prefixlen)).netmask}"]
            words += [f"--gateway={four.gateway}"] if four.gateway else []
        elif not dhcp4:
            words.append("--noipv4")
        if six:
            words.append(f"--ipv6={six.ipAddr}/{six.prefixlen}")
            words += [f"--ipv6gateway={six.gateway}"] if six.gateway and self.syntax.modern else []
        elif dhcp6:
            words.append("--ipv6=dhcp")
        elif not (four or dhcp4):
            words.append("--noipv6")
        mtu = (four and four.mtu) or (six and six.mtu)
        return [*words, *([f"--mtu={mtu}"] if mtu else [])]


A = TypeVar("A", Ipv4, Ipv6)


def _on(address: A | None, vlan: int) -> A | None:
    """`address` if it is one of VLAN `vlan`; only its first VLAN gets the gateway, since a second default route would be an error."""
    if address is None or vlan not in address.vlanIds:
        return None
    return address if vlan == address.vlanIds[0] else address.model_copy(update={"gateway": None})


def partitions(parts: Sequence[Partition], layout: str, syntax: Syntax) -> list[str]:
    """The commands that divide the chosen disk; every `part` still lacks its ``--ondisk``, which only the node knows.

    What the firmware needs in front of them is not here: see `reqpart` in templates/redhat/pre.sh.j2.
    """
    if not parts:
        if syntax.modern:
            return [command("autopart", f"--type={'lvm' if layout == 'lvm' else 'plain'}")]
        return (
            ["autopart"]
            if layout == "lvm"
            else ["part /boot --fstype=ext4 --size=500", "part swap --recommended", "part / --size=1024 --grow"]
        )
    if layout != "lvm":
        return [command("part", *_part(part)) for part in parts]
    boot = [part for part in parts if part.mountPoint.startswith("/boot")]
    if not any(part.mountPoint == "/boot" for part in boot):
        boot.insert(0, Partition.model_validate({"mountPoint": "/boot", "size": BOOT_MB}))
    lines = [command("part", *_part(part)) for part in boot]
    lines += [command("part", "pv.01", "--size=1", "--grow"), command("volgroup", VOLUME_GROUP, "pv.01")]
    taken: set[str] = set()
    for part in parts:
        if not part.mountPoint.startswith("/boot"):
            lines.append(command("logvol", *_logvol(part, syntax, taken)))
    return lines


def _part(part: Partition) -> list[str]:
    kind = "efi" if part.mountPoint == "/boot/efi" else part.fsType
    return [part.mountPoint, f"--fstype={kind}", *_size(part), *([f"--label={part.label}"] if part.label else [])]


def _logvol(part: Partition, syntax: Syntax, taken: set[str]) -> list[str]:
    name = part.mountPoint.strip("/").replace("/", "_").replace("-", "_") or "root"
    while name in taken:
        name += "_"
    taken.add(name)
    label = [f"--label={part.label}"] if part.label and syntax.modern else []
    return [part.mountPoint, f"--vgname={VOLUME_GROUP}", f"--name={name}", f"--fstype={part.fsType}", *_size(part), *label]


def _size(part: Partition) -> list[str]:
    """Kickstart counts in MiB; what was asked for in MB is rounded up."""
    return ["--size=500", "--grow"] if part.size == "grow" else [f"--size={-(-part.size * 10**6 // 2**20)}"]
