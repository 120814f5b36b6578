"""The other servers on the wire, as far as they can be heard: who leases, and who else answers network boots.

Only answers that are broadcast to port 68 reach us, and only with a raw socket (`sockets.open_sniffer`). A second proxy is a fault worth
showing: iPXE takes the last offer, EDK2 the first with option 43, so which of the two a node boots from is a race.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from socket import inet_ntoa
from typing import Literal, NamedTuple

from pxed.dhcp import options as opt
from pxed.dhcp.packet import ACK, BOOTREPLY, OFFER, Packet

_AGAIN_AFTER = 600.0
_MOST = 64
_NO_ADDRESS = bytes(4)
_URL = re.compile(r"[A-Za-z]+://([^/:]*)")

Kind = Literal["lease", "lease+boot", "proxy"]


@dataclass(slots=True)
class Neighbour:
    """One other server. `kind`: ``lease`` gives addresses, ``lease+boot`` a boot file too, ``proxy`` only boots. Times: UTC seconds;
    `boot_seen`: when it last answered a network boot, 0 for never."""

    address: str
    interface: str
    kind: Kind
    boot_file: str
    first_seen: float
    last_seen: float
    boot_seen: float = 0.0
    answers: int = 0


class Heard(NamedTuple):
    """What one reply of another server means. `to_node`: for the timeline of the node that it is for, None if it only leases; `warning`: a
    sentence about the server, at most every ten minutes."""

    to_node: str | None = None
    warning: str | None = None


NOTHING = Heard()


class Neighbours:
    """What was heard, newest 64 servers by (interface, address). `now` gives UTC seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._known: dict[tuple[str, str], Neighbour] = {}
        self._told: dict[tuple[str, str], float] = {}

    def all(self) -> list[Neighbour]:
        return list(self._known.values())

    def leases_on(self, interface: str, *, since: float) -> bool:
        """Whether a DHCP server was heard on that interface at or after `since` (UTC seconds)."""
        return any(each.interface == interface and each.kind != "proxy" and each.last_seen >= since for each in self._known.values())

    def heard(self, packet: Packet, source: str, interface: str, own: Collection[bytes] = ()) -> Heard:
        """Note one reply. `own`: this host's addresses; a DHCP server that sends a node there (`pxed node dhcp`) is no rival."""
        if packet.op != BOOTREPLY or packet.message not in (OFFER, ACK):
            return NOTHING
        server = packet.options.get(opt.SERVER_IDENTIFIER, b"")
        address = inet_ntoa(server) if len(server) == 4 else source
        kind, file = _said(packet, own)
        what = f" (boot file {file})" if file else ""
        self._note(address, interface, kind, file)
        if kind == "lease":
            return NOTHING
        if kind == "proxy":
            to_node = f"another proxy-DHCP server, {address}, offers it a boot{what}"
            warning = f"Another proxy-DHCP server, {address}, answers network boots on {interface}{what}"
            warning += ": nodes may boot from it instead of pxed"
        else:
            to_node = f"the DHCP server {address} names it a boot server of its own{what}"
            warning = f"The DHCP server {address} on {interface} names a boot server of its own{what}"
            warning += ": some firmware will follow it instead of pxed"
        return Heard(to_node, warning if self._is_due(interface, address) else None)

    def _is_due(self, interface: str, address: str) -> bool:
        """Whether that server has not been told of for ten minutes; it is now."""
        key, now = (interface, address), self._now()
        if now - self._told.get(key, -_AGAIN_AFTER) < _AGAIN_AFTER:
            return False
        self._told[key] = now
        return True

    def _note(self, address: str, interface: str, kind: Kind, file: str) -> None:
        now = self._now()
        known = self._known.get((interface, address))
        if known is None:
            if len(self._known) >= _MOST:
                oldest = min(self._known, key=lambda key: self._known[key].last_seen)
                del self._known[oldest]
                self._told.pop(oldest, None)
            known = self._known[interface, address] = Neighbour(address, interface, kind, file, now, now)
        elif kind != "lease" or known.kind == "lease":
            known.kind, known.boot_file = kind, file
        known.last_seen = now
        if kind != "lease":
            known.boot_seen = now
        known.answers += 1


def _said(packet: Packet, own: Collection[bytes]) -> tuple[Kind, str]:
    """What kind of server speaks like that, and the boot file that it names ("" for none)."""
    given = packet.options
    file = opt.printable((given.get(opt.BOOT_FILE_NAME) or packet.file).split(b"\0", 1)[0])
    boots = bool(file) or given.get(opt.VENDOR_CLASS, b"").startswith((b"PXEClient", b"HTTPClient"))
    if packet.yiaddr == _NO_ADDRESS:
        return "proxy", file
    return ("lease+boot" if boots and not _leads_to(packet, file, own) else "lease"), file


def _leads_to(packet: Packet, file: str, own: Collection[bytes]) -> bool:
    """Whether the boot server of this reply is one of `own`: by the URL, else by option 66, `siaddr` or `sname`."""
    ours = {inet_ntoa(address) for address in own}
    url = _URL.match(file)
    if url is not None:
        return url[1] in ours
    named = (packet.options.get(opt.TFTP_SERVER_NAME, b""), packet.sname)
    return packet.siaddr in own or any(opt.printable(name.split(b"\0", 1)[0]) in ours for name in named)
