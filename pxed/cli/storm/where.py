"""What ends on this host: where a storm may go without being told twice. Reads the kernel, sends nothing.

Sources: /sys/class/net (``lower_*``, ``uevent``, ``type``), /proc/net/route (proc(5)).
"""

from __future__ import annotations

import socket
import struct
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from pxed.errors import HostProblem

_ETHERNET, _LOOPBACK = "1", "772"
_TUNNELS = frozenset({"vxlan", "geneve", "wireguard", "gretap", "ip6gretap", "l2tpeth", "batadv"})
_UPPER = frozenset({"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"})
"""Kinds that have another interface below them: if that can't be seen it is in another namespace, and may be hardware."""


def ends_here(interface: str, sys: Path = Path("/sys/class/net")) -> bool:
    """Whether all that `interface` leads to is on this host: no hardware and no tunnel behind it, nor behind any interface below it
    (bridge port, VLAN's parent). HostProblem when there is none of that name."""
    place = sys / interface
    if not place.is_dir():
        raise HostProblem(f"there is no interface {interface} here", "`ip -br link` lists them")
    if "/virtual/" not in str(place.resolve()) or _text(place / "type") not in (_ETHERNET, _LOOPBACK):
        return False
    kind = next((line.removeprefix("DEVTYPE=") for line in _text(place / "uevent").splitlines() if line.startswith("DEVTYPE=")), "")
    below = [link.name.removeprefix("lower_") for link in place.glob("lower_*")]
    return kind not in _TUNNELS and (bool(below) or kind not in _UPPER) and all(ends_here(name, sys) for name in below)


def objection(address: str, *, elsewhere: bool = False, proc: Path = Path("/proc"), sys: Path = Path("/sys/class/net")) -> str:
    """Why `address` must not be asked, "" if it may: it is one of this host's own, or on the wire of an interface that `ends_here` (by the
    main routing table); or anything, if the storm may go `elsewhere`. A host's name is never looked up."""
    try:
        number = int(IPv4Address(address))
    except AddressValueError:
        return f"{address[:60]!r} is no IPv4 address"
    if elsewhere or _is_own(address):
        return ""
    route = _route(number, proc)
    if route is None:
        return f"there is no route to {address}"
    interface, gateway = route
    if gateway:
        return f"{address} is behind a gateway"
    return "" if ends_here(interface, sys) else f"{address} is behind {interface}, outside this host"


def _is_own(address: str) -> bool:
    """Whether the kernel would speak to `address` as `address`: it does so to this host's own alone. (A bind would say nothing where
    net.ipv4.ip_nonlocal_bind is set.)"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((address, 9))  # sends nothing
        except OSError:
            return False
        return IPv4Address(address).is_loopback or sock.getsockname()[0] == address


def _route(number: int, proc: Path) -> tuple[str, bool] | None:
    """(interface, whether there is a gateway) of the longest match, None without one."""
    best: tuple[int, str, bool] | None = None
    for line in _text(proc / "net" / "route").splitlines()[1:]:
        interface, destination, gateway, _, _, _, _, mask, *_ = line.split()
        network, bits = (struct.unpack("!I", struct.pack("=I", int(field, 16)))[0] for field in (destination, mask))
        if number & bits == network and (best is None or bits > best[0]):
            best = bits, interface, gateway != "00000000"
    return None if best is None else (best[1], best[2])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
