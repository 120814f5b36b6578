"""Options > sections of an AutoYaST profile, as plain values. Pure.

A mapping is an element with children, a list is ``config:type="list"``, bool and int say their type, `Symbol` is a word of YaST's own;
`written` makes XML of them (a recursive template would take twenty times as long, in the reactor). `PLACEHOLDER` and `nic_mark` stand for
what is known on the node only: pre.sh puts it in.

Sources: SUSE's AutoYaST guides for SLES 12 and 15 (partitioning, networking, ntp-client) and YaST's
numbers of partition types.
Traps: AutoYaST's M is 2^20 bytes; SLES 12 wants the partition that takes the rest to be the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pxed.errors import InvalidRequest
from pxed.oses.disk import PLACEHOLDER, Partition
from pxed.oses.escape import xml
from pxed.oses.network import Ipv4, Ipv6, NetworkDevice

VOLUME_GROUP = "system"
NAME_LENGTH = 15

_ESP, _BIOS_BOOT, _SWAP, _LVM, _LINUX = 259, 263, 130, 142, 131
_BOOT = Partition(mountPoint="/boot", size=1074)
_DEFAULT = (Partition(mountPoint="swap", size=2048, fsType="swap"), Partition(mountPoint="/", size="grow", fsType="xfs"))


@dataclass(frozen=True, slots=True)
class Symbol:
    """One of YaST's own words: ``config:type="symbol"``."""

    symbol: str


def written(sections: Mapping[str, Any]) -> str:
    """The sections as XML, a line each for what has no children. Unwritable."""
    lines: list[str] = []
    for name, value in sections.items():
        _write(lines, name, value)
    return "".join(f"{line}\n" for line in lines)


def _write(lines: list[str], name: str, value: Any) -> None:
    if isinstance(value, Mapping):
        lines.append(f"<{name}>")
        for inner, each in value.items():
            _write(lines, inner, each)
        lines.append(f"</{name}>")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        lines.append(f'<{name} config:type="list">')
        for each in value:
            _write(lines, ENTRIES.get(name, "listentry"), each)
        lines.append(f"</{name}>")
    else:
        kind, plain = ("symbol", value.symbol) if isinstance(value, Symbol) else (_TYPES.get(type(value), ""), value)
        typed = f' config:type="{kind}"' if kind else ""
        lines.append(f"<{name}{typed}>{xml(plain)}</{name}>")


_TYPES = {bool: "boolean", int: "integer"}
ENTRIES: Mapping[str, str] = {
    "partitioning": "drive", "partitions": "partition", "users": "user", "pre-scripts": "script", "chroot-scripts": "script",
    "interfaces": "interface", "routes": "route", "nameservers": "nameserver", "searchlist": "search", "peers": "peer",
    "ntp_servers": "ntp_server", "zones": "zone", "services": "service", "enable": "service", "disable": "service",
    "patterns": "pattern", "packages": "package", "products": "product",
}  # fmt: skip
"""List > what YaST's schemas call its entries (YaST itself reads any name); the add-ons' is ``listentry``."""


def nic_mark(place: int) -> str:
    """What stands for the interface that was given by its MAC address, `place` in ``networkDevices``."""
    return f"pxed-nic-{place}-"


def partitioning(parts: Sequence[Partition], *, lvm: bool) -> list[dict[str, Any]]:
    """The section ``partitioning``: the disk, with what BIOS and UEFI each need to start from it, and with `lvm` a volume group."""
    parts = sorted(parts or _DEFAULT, key=lambda part: part.size == "grow")
    outside = [part for part in parts if not lvm or part.mountPoint in ("/boot", "/boot/efi")]
    points = {part.mountPoint for part in parts}
    made: list[dict[str, Any]] = [{"create": True, "format": False, "partition_id": _BIOS_BOOT, "size": "8M"}]
    if "/boot/efi" not in points:
        made.append(_partition(Partition(mountPoint="/boot/efi", size=537, fsType="vfat")))
    if lvm and "/boot" not in points:
        made.append(_partition(_BOOT))
    made += [_partition(part) for part in outside]
    if not lvm:
        return [_drive(PLACEHOLDER, "CT_DISK", made)]
    made.append({"create": True, "format": False, "partition_id": _LVM, "lvm_group": VOLUME_GROUP, "size": "max"})
    volumes = [_volume(part, place) for place, part in enumerate(part for part in parts if part not in outside)]
    return [_drive(PLACEHOLDER, "CT_DISK", made), _drive(f"/dev/{VOLUME_GROUP}", "CT_LVM", volumes)]


def _drive(device: str, kind: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    whole = {"disklabel": "gpt", "initialize": True} if kind == "CT_DISK" else {}
    return {"device": device, "type": Symbol(kind), **whole, "use": "all", "partitions": parts}


def _partition(part: Partition) -> dict[str, Any]:
    number = _ESP if part.mountPoint == "/boot/efi" else _SWAP if part.fsType == "swap" else _LINUX
    return {"partition_id": number, **_file_system(part)}


def _volume(part: Partition, place: int) -> dict[str, Any]:
    name = "root" if part.mountPoint == "/" else part.mountPoint.strip("/").replace("/", "_")
    return {"lv_name": f"swap{place}" if name == "swap" else name, **_file_system(part)}


def _file_system(part: Partition) -> dict[str, Any]:
    return {
        "create": True,
        "format": True,
        "filesystem": Symbol(part.fsType),
        "mount": part.mountPoint,
        "mountby": Symbol("uuid"),
        **({"label": part.label} if part.label else {}),
        "size": "max" if isinstance(part.size, str) else f"{-(-part.size * 1_000_000 // 2**20)}M",
    }


def interfaces(devices: Sequence[NetworkDevice], *, named: str) -> list[dict[str, Any]]:
    """The list ``networking/interfaces``; `named` is the release's element for an interface's name. InvalidRequest: see `_addresses`."""
    found: list[dict[str, Any]] = []
    for place, device in _last(devices):
        name = _name(device, place)
        plain = [each for each in (device.ipv4, device.ipv6) if each and not each.vlanIds]
        field = f"options.networkDevices.{place}"
        found.append({named: name, "startmode": "auto", **_addresses(plain, device, field)})
        for vlan, tagged in _tagged(device).items():
            link = f"{name}.{vlan}"
            if ":" not in device.device and len(link) > NAME_LENGTH:
                raise InvalidRequest(
                    f"{field}.device: {link} is too long for the name of an interface", field=f"{field}.device", expected="a shorter name"
                )
            found.append({named: link, "startmode": "auto", "vlan_id": str(vlan), "etherdevice": name, **_addresses(tagged, None, field)})
    return found


def routes(devices: Sequence[NetworkDevice]) -> list[dict[str, Any]]:
    """The list ``networking/routing/routes``: every gateway once, through the first VLAN if its address is for VLANs."""
    found = []
    for place, device in _last(devices):
        for address in (device.ipv4, device.ipv6):
            if address is not None and address.gateway:
                name = _name(device, place) + (f".{address.vlanIds[0]}" if address.vlanIds else "")
                found.append({"destination": "default", "gateway": address.gateway, "device": name, "netmask": "-"})
    return found


def marks(devices: Sequence[NetworkDevice]) -> dict[str, str]:
    """What stands for an interface > its MAC address."""
    return {nic_mark(place): device.device for place, device in _last(devices) if ":" in device.device}


def _last(devices: Sequence[NetworkDevice]) -> list[tuple[int, NetworkDevice]]:
    """(place, device), each device once: if one is named twice the later wins, as RackHD has it."""
    return list({device.device: (place, device) for place, device in enumerate(devices)}.values())


def _name(device: NetworkDevice, place: int) -> str:
    return nic_mark(place) if ":" in device.device else device.device


def _tagged(device: NetworkDevice) -> dict[int, list[Ipv4 | Ipv6]]:
    found: dict[int, list[Ipv4 | Ipv6]] = {}
    for address in (device.ipv4, device.ipv6):
        for vlan in address.vlanIds if address else ():
            found.setdefault(vlan, []).append(address)  # type: ignore[arg-type]
    return dict(sorted(found.items()))


def _addresses(given: Sequence[Ipv4 | Ipv6], device: NetworkDevice | None, field: str) -> dict[str, Any]:
    """How one interface gets its addresses. InvalidRequest if by DHCP and by hand at once, which one ``bootproto`` cannot say."""
    dhcp4, dhcp6 = (device.asks_dhcp4, device.dhcp6) if device else (False, False)
    if given and (dhcp4 or dhcp6):
        raise InvalidRequest(
            f"{field}: pxed's SUSE profile cannot give one interface addresses by hand and by DHCP",
            field=field,
            expected="either addresses or DHCP",
        )
    if not given:
        return {"bootproto": {(True, True): "dhcp", (True, False): "dhcp4", (False, True): "dhcp6"}.get((dhcp4, dhcp6), "none")}
    first, *others = given
    sizes = [address.mtu for address in given if address.mtu]
    aliases = {f"alias{n}": {"IPADDR": each.ipAddr, "PREFIXLEN": str(each.prefixlen), "LABEL": str(n)} for n, each in enumerate(others)}
    return {
        "bootproto": "static",
        "ipaddr": first.ipAddr,
        "prefixlen": str(first.prefixlen),
        **({"mtu": str(max(sizes))} if sizes else {}),
        **({"aliases": aliases} if aliases else {}),
    }


def ntp(servers: Sequence[str], *, chrony: bool) -> dict[str, Any]:
    """The section ``ntp-client``, which is another one since SLES 15."""
    if chrony:
        listed = [{"address": server, "iburst": True, "offline": False} for server in servers]
        return {"ntp_policy": "static", "ntp_servers": listed, "ntp_sync": "systemd"}
    peers = [{"address": server, "type": "server", "options": "iburst"} for server in servers]
    return {"configure_dhcp": False, "start_at_boot": True, "start_in_chroot": False, "ntp_policy": "static", "peers": peers}
