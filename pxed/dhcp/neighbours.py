"""The other servers on the wire, as far as they can be heard: who leases, and who else answers network boots.

Only answers that are broadcast to port 68 reach us, and only with a raw socket (`sockets.open_sniffer`). A second proxy is a fault worth
showing: iPXE takes the last offer, EDK2 the first with option 43, so which of the two a node boots from is a race.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from socket import inet_ntoa
from typing import Literal

from pxed.dhcp import options as opt
from pxed.dhcp.packet import ACK, BOOTREPLY, OFFER, Packet

_AGAIN_AFTER = 600.0
_MOST = 64
_NO_ADDRESS = bytes(4)


@dataclass(slots=True)
class Neighbour:
    """One other server. `kind`: ``lease`` gives addresses, ``lease+boot`` a boot file too, ``proxy`` only boots. Times: UTC seconds."""

    address: str
    interface: str
    kind: Literal["lease", "lease+boot", "proxy"]
    boot_file: str
    first_seen: float
    last_seen: float
    answers: int = 0


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

    def heard(self, packet: Packet, source: str, interface: str) -> str | None:
        """Note one reply. A sentence for the timeline when somebody else answers network boots, at most every ten minutes per server."""
        if packet.op != BOOTREPLY or packet.message not in (OFFER, ACK):
            return None
        server = packet.options.get(opt.SERVER_IDENTIFIER, b"")
        address = inet_ntoa(server) if len(server) == 4 else source
        neighbour = self._note(address, interface, packet)
        if neighbour.kind == "lease":
            return None
        key = (interface, address)
        now = self._now()
        if now - self._told.get(key, -_AGAIN_AFTER) < _AGAIN_AFTER:
            return None
        self._told[key] = now
        what = f" (boot file {neighbour.boot_file})" if neighbour.boot_file else ""
        if neighbour.kind == "proxy":
            return (
                f"Another proxy-DHCP server, {address}, answers network boots on {interface}{what}: nodes may boot from it instead of pxed"
            )
        return (
            f"The DHCP server {address} on {interface} names a boot server of its own{what}: some firmware will follow it instead of pxed"
        )

    def _note(self, address: str, interface: str, packet: Packet) -> Neighbour:
        given = packet.options
        vendor = given.get(opt.VENDOR_CLASS, b"")
        file = opt.printable((given.get(opt.BOOT_FILE_NAME) or packet.file).split(b"\0", 1)[0])
        boots = bool(file) or vendor.startswith((b"PXEClient", b"HTTPClient"))
        kind: Literal["lease", "lease+boot", "proxy"] = "proxy"
        if packet.yiaddr != _NO_ADDRESS:
            kind = "lease+boot" if boots else "lease"
        now = self._now()
        known = self._known.get((interface, address))
        if known is None:
            if len(self._known) >= _MOST:
                oldest = min(self._known, key=lambda key: self._known[key].last_seen)
                del self._known[oldest]
                self._told.pop(oldest, None)
            known = self._known[interface, address] = Neighbour(address, interface, kind, file, now, now)
        elif boots or known.kind == "lease":
            known.kind, known.boot_file = kind, file
        known.last_seen = now
        known.answers += 1
        return known
