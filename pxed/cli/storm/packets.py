"""The few packets a network-booting UEFI machine and the iPXE behind it send, and what is read from the answers.

Sources: RFC 2131 section 2 (BOOTP layout), RFC 4578 (options 93, 94, 97), PXE 2.1; shapes as OVMF and iPXE send them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
_COOKIE = b"\x63\x82\x53\x63"
_UEFI_X64 = b"\x00\x07"
_IPXE_FEATURES = bytes.fromhex("b105011af41000 eb03010000 170101 150101 130101 110101 240101 180101".replace(" ", ""))


@dataclass(frozen=True, slots=True)
class Answer:
    """What an OFFER or ACK said. `server` is option 54, else siaddr; `file` is the header's boot file, else option 67."""

    xid: int
    chaddr: bytes
    message: int
    server: str
    next_server: str
    file: str
    proxy: bool


def _option(code: int, value: bytes) -> bytes:
    return bytes((code, len(value))) + value


def _packet(xid: int, mac: bytes, ciaddr: bytes, flags: int, options: bytes) -> bytes:
    head = struct.pack("!BBBBIHH4s4s4s4s16s64s128s", 1, 1, 6, 0, xid, 0, flags, ciaddr, b"", b"", b"", mac, b"", b"")
    return head + _COOKIE + options + b"\xff"


def _client(mac: bytes, undi: bytes) -> bytes:
    return (
        _option(57, struct.pack("!H", 1472))
        + _option(60, b"PXEClient:Arch:00007:UNDI:" + undi)
        + _option(93, _UEFI_X64)
        + _option(94, b"\x01\x03\x00")
        + _option(97, b"\x00" + mac + bytes(10))
    )


def discover(xid: int, mac: bytes, *, ipxe: bool) -> bytes:
    """A DISCOVER of UEFI firmware (`ipxe` false) or of the iPXE it loaded (user class and feature option 175)."""
    asked = _option(55, bytes((1, 3, 6, 43, 60, 66, 67, 97)))
    more = _option(77, b"iPXE") + _option(175, _IPXE_FEATURES) if ipxe else b""
    return _packet(
        xid, mac, bytes(4), 0x8000, _option(53, bytes((DISCOVER,))) + _client(mac, b"003010" if ipxe else b"003000") + asked + more
    )


def boot_request(xid: int, mac: bytes, own: str) -> bytes:
    """The REQUEST that UEFI firmware sends to port 4011; `own` is its leased address (ciaddr)."""
    return _packet(xid, mac, IPv4Address(own).packed, 0, _option(53, bytes((REQUEST,))) + _client(mac, b"003000"))


def parse(data: bytes) -> Answer | None:
    """An OFFER or ACK > Answer; None for anything else, never an exception."""
    if len(data) < 241 or data[0] != 2 or data[236:240] != _COOKIE:
        return None
    options: dict[int, bytes] = {}
    at = 240
    while at + 1 < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        size = data[at + 1]
        options.setdefault(data[at], data[at + 2 : at + 2 + size])
        at += 2 + size
    message = options.get(53, b"\x00")[:1]
    next_server = str(IPv4Address(data[20:24]))
    server = str(IPv4Address(options[54])) if len(options.get(54, b"")) == 4 else next_server
    file = data[108:236].split(b"\0", 1)[0] or options.get(67, b"").split(b"\0", 1)[0]
    return Answer(
        xid=int.from_bytes(data[4:8], "big"),
        chaddr=data[28:34],
        message=message[0] if message else 0,
        server=server,
        next_server=next_server if next_server != "0.0.0.0" else server,
        file=file.decode("ascii", "replace"),
        proxy=data[16:20] == bytes(4) and options.get(60, b"").startswith(b"PXEClient"),
    )


def read_request(name: str, blksize: int) -> bytes:
    """An RRQ in octet mode with blksize and tsize (RFC 1350, 2348, 2349)."""
    return b"\x00\x01" + b"\0".join((name.encode(), b"octet", b"blksize", str(blksize).encode(), b"tsize", b"0")) + b"\0"


def granted_blksize(oack: bytes) -> int:
    """The block size that an OACK grants (RFC 2347, 2348), 512 if it grants none; never an exception."""
    fields = oack[2:].split(b"\0")
    granted = dict(zip((name.lower() for name in fields[::2]), fields[1::2], strict=False)).get(b"blksize", b"")
    return int(granted) if granted.isdigit() and len(granted) < 6 else 512
