"""Who answers DHCP on this link: one DISCOVER of a made-up machine, and the offers that come back.

The DISCOVER says PXEClient, so that proxies and boot servers answer as well as the server that leases. It goes out as an Ethernet frame
(AF_PACKET), because another process may hold ports 67 and 68, and takes no lease: nothing is ever requested. Linux; needs CAP_NET_RAW;
blocks. The codec is deliberately small and of this file only: doors don't import each other.

Sources: RFC 2131 (layout, section 4.1), RFC 2132, RFC 4578 (options 93, 94, 97), PXE 2.1, RFC 894, RFC 791, packet(7), filter.txt (BPF).
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address

from pxed.errors import HostProblem

PXE_ARCHITECTURES = (7, 0)
"""One DISCOVER as UEFI x86_64, one as BIOS: some servers give boot files to one of them only."""
RESEND = 2.0
"""Seconds after which the DISCOVERs are sent again; dnsmasq pings an address for 3 s before it offers it."""

_COOKIE = b"\x63\x82\x53\x63"
_ETH_P_IP = 0x0800
_SO_ATTACH_FILTER, _SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_MR_PROMISC = 26, 263, 1, 1
_MAX_FRAMES = 10_000


@dataclass(frozen=True, slots=True)
class Offer:
    """One OFFER. `server` is option 54, else the packet's source; `lease` the address offered, None from a proxy; `file` what boots."""

    interface: str
    server: IPv4Address
    lease: IPv4Address | None
    vendor_class: str
    file: str
    next_server: IPv4Address | None
    arch: int

    @property
    def is_pxe(self) -> bool:
        """Whether it claims to speak PXE or HTTP Boot (option 60)."""
        return self.vendor_class.startswith(("PXEClient", "HTTPClient"))


def build_discover(mac: bytes, xid: int, arch: int) -> bytes:
    """A DHCPDISCOVER as PXE firmware of client architecture `arch` sends it; broadcast flag set; padded to 300 bytes (RFC 951)."""
    vendor_class = b"PXEClient:Arch:%05d:UNDI:003016" % arch
    options = [
        (53, b"\x01"),
        (57, struct.pack("!H", 1472)),
        (55, bytes([1, 3, 6, 12, 15, 43, 54, 60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135])),
        (97, b"\0" + mac + bytes(10)),
        (94, b"\x01\x03\x10"),
        (93, struct.pack("!H", arch)),
        (60, vendor_class),
    ]
    head = struct.pack("!BBBBIHH16x16s64x128x", 1, 1, 6, 0, xid, 0, 0x8000, mac)
    body = b"".join(bytes([code, len(value)]) + value for code, value in options)
    return (head + _COOKIE + body + b"\xff").ljust(300, b"\0")


def build_frame(mac: bytes, payload: bytes) -> bytes:
    """Ethernet, IPv4 0.0.0.0 > 255.255.255.255 and UDP 68 > 67 around `payload`. The UDP checksum is left out, which IPv4 allows."""
    udp = struct.pack("!HHHH", 68, 67, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    ip = ip[:10] + struct.pack("!H", _checksum(ip)) + ip[12:]
    return b"\xff" * 6 + mac + struct.pack("!H", _ETH_P_IP) + ip + udp


def _checksum(header: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def parse_frame(frame: bytes, interface: str, mac: bytes, xids: dict[int, int]) -> Offer | None:
    """The Offer in an Ethernet frame to `mac` with one of `xids` (xid > architecture it asked as); None for anything else. Never raises."""
    if len(frame) < 34 or frame[12:14] != b"\x08\x00" or frame[14] >> 4 != 4 or frame[23] != 17:
        return None
    start = 14 + 4 * (frame[14] & 0xF)
    if len(frame) < start + 8 + 240 or struct.unpack_from("!H", frame, start + 2)[0] != 68:
        return None
    packet = frame[start + 8 :]
    (xid,) = struct.unpack_from("!I", packet, 4)
    if packet[0] != 2 or packet[236:240] != _COOKIE or xid not in xids or packet[28:34] != mac:
        return None
    options = _options(packet[240:])
    if options.get(53) != b"\x02":
        return None
    yiaddr, siaddr = IPv4Address(packet[16:20]), IPv4Address(packet[20:24])
    server = options.get(54, b"")
    return Offer(
        interface=interface,
        server=IPv4Address(server if len(server) == 4 else frame[26:30]),
        lease=yiaddr if int(yiaddr) else None,
        vendor_class=_text(options.get(60, b"")),
        file=_text(options.get(67) or packet[108:236]),
        next_server=siaddr if int(siaddr) else None,
        arch=xids[xid],
    )


def _options(area: bytes) -> dict[int, bytes]:
    """Code > value, repeated ones joined (RFC 3396); stops quietly where the list is cut short."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(area) and area[at] != 255:
        if area[at] == 0:
            at += 1
            continue
        if at + 2 > len(area) or at + 2 + area[at + 1] > len(area):
            break
        found[area[at]] = found.get(area[at], b"") + area[at + 2 : at + 2 + area[at + 1]]
        at += 2 + area[at + 1]
    return found


def _text(value: bytes) -> str:
    return value.split(b"\0")[0].decode("ascii", "replace")


def ask(
    interfaces: Sequence[str],
    *,
    wait: float,
    random: Callable[[int], bytes] = os.urandom,
    monotonic: Callable[[], float] = time.monotonic,
) -> list[Offer]:
    """Send the DISCOVERs on each of `interfaces` and collect what answers within `wait` seconds, doubles left out.

    HostProblem without CAP_NET_RAW or when an interface vanished. Every frame is from one made-up, locally administered address.
    """
    mac = b"\x02" + random(5)
    xids = {int.from_bytes(random(4), "big"): arch for arch in PXE_ARCHITECTURES}
    frames = [build_frame(mac, build_discover(mac, xid, arch)) for xid, arch in xids.items()]
    found: dict[Offer, None] = {}
    with ExitStack() as stack:
        sockets = {stack.enter_context(_open(name)): name for name in interfaces}
        end = monotonic() + wait
        sending = monotonic()
        for _ in range(_MAX_FRAMES):
            now = monotonic()
            if now >= end:
                break
            if now >= sending:
                _send(sockets, frames)
                sending = now + RESEND
            ready, _, _ = select.select(list(sockets), [], [], max(0.0, min(end, sending) - now))
            for sock in ready:
                offer = parse_frame(_receive(sock), sockets[sock], mac, xids)
                if offer is not None:
                    found[offer] = None
    return list(found)


def _open(interface: str) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.setblocking(False)
        _only_dhcp_replies(sock)
        sock.bind((interface, _ETH_P_IP))
        membership = struct.pack("iHH8s", socket.if_nametoindex(interface), _PACKET_MR_PROMISC, 0, b"")
        sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
    except PermissionError as e:
        raise HostProblem("A DHCP probe may be sent by root only", "Run it as root: sudo pxed doctor") from e
    except OSError as e:
        raise HostProblem(f"Can't send a DHCP probe on {interface}: {e.strerror}") from e
    return sock


def _only_dhcp_replies(sock: socket.socket) -> None:
    """A BPF filter (IPv4, UDP, not a fragment, destination port 68), so that a busy link does not crowd the offers out."""
    program = (
        (0x28, 0, 0, 12), (0x15, 0, 8, _ETH_P_IP), (0x30, 0, 0, 23), (0x15, 0, 6, 17), (0x28, 0, 0, 20), (0x45, 4, 0, 0x1FFF),
        (0xB1, 0, 0, 14), (0x48, 0, 0, 16), (0x15, 0, 1, 68), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0),
    )  # fmt: skip
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(code)))


def _send(sockets: dict[socket.socket, str], frames: Sequence[bytes]) -> None:
    for sock, interface in sockets.items():
        for frame in frames:
            try:
                sock.send(frame)
            except OSError as e:
                raise HostProblem(f"Can't send a DHCP probe on {interface}: {e.strerror}", f"ip link set {interface} up") from e


def _receive(sock: socket.socket) -> bytes:
    try:
        return sock.recv(2048)
    except OSError:
        return b""
