"""DHCP packets as values: `parse` bytes into a `Packet`, `build` the bytes of a reply. No I/O, no Twisted, nothing but `struct`.

The file's own rules:

* `parse` raises `MalformedPacket` and nothing else, whatever the bytes are.
* Repeated options are joined (RFC 3396) in the order options field > `file` > `sname` (RFC 2131 section 4.1); an option list that
  ends without 255 but is complete is accepted, as real ROMs send it.
* `build` puts option 53 first and 255 last, writes no PAD between options (a Raspberry Pi stumbles over them), never overloads
  (iPXE reads `file` without looking at option 52) and pads with zeros to the BOOTP minimum of 300 bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
"""Values of option 53 (RFC 2132 section 9.6). A BOOTP packet, which has no option 53, has `message` 0."""

BOOTREQUEST, BOOTREPLY = 1, 2
BROADCAST_FLAG = 0x8000

MINIMUM_REPLY = 300
"""Bytes: shortest BOOTP packet (RFC 951); some relays and ROMs drop what is shorter."""

SMALLEST_MAXIMUM = 576
"""Bytes of IP datagram that every client must take (RFC 2132 section 9.10); smaller values in option 57 are absurd."""

LARGEST_REPLY = 1472
"""Bytes of UDP payload in one Ethernet frame; EDK2's buffer is no larger."""

_IP_AND_UDP = 28
_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_REPLY_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s")
_HEADER_SIZE = _HEADER.size
_COOKIE = b"\x63\x82\x53\x63"
_NO_ADDRESS = bytes(4)
_END = b"\xff"


class MalformedPacket(ValueError):
    """The bytes are no DHCP packet. `reason` is a short slug to count by; the text says what was wrong."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(slots=True)
class Packet:
    """One parsed packet. Addresses are 4 raw bytes; `chaddr` is all 16 bytes, `hardware` the first `hlen` of them.

    `options` maps code > joined value, without 0, 52 and 255. `file` and `sname` are empty when option 52 made options of them.
    """

    op: int
    htype: int
    hlen: int
    hops: int
    xid: int
    secs: int
    flags: int
    ciaddr: bytes
    yiaddr: bytes
    siaddr: bytes
    giaddr: bytes
    chaddr: bytes
    sname: bytes
    file: bytes
    message: int
    options: dict[int, bytes]

    @property
    def hardware(self) -> bytes:
        return self.chaddr[: self.hlen]


def parse(data: bytes) -> Packet:
    """The UDP payload of a DHCP or BOOTP packet > `Packet`. Raises `MalformedPacket` (and only that)."""
    size = len(data)
    if size <= _HEADER_SIZE:
        raise MalformedPacket("short", f"{size} bytes, a DHCP packet has more than {_HEADER_SIZE}")
    op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, cookie = _HEADER.unpack_from(data)
    if cookie != _COOKIE:
        raise MalformedPacket("cookie", "the magic cookie is not 99.130.83.99")
    if not 0 < hlen <= 16:
        raise MalformedPacket("hlen", f"hardware address length {hlen}, expected 1..16")
    options: dict[int, bytes] = {}
    _read_options(data, _HEADER_SIZE, size, options)
    overload = options.pop(52, None)
    if overload is not None:
        file, sname = _read_overload(overload, file, sname, options)
    kind = options.get(53)
    if kind is None:
        message = 0
    elif len(kind) == 1 and 1 <= kind[0] <= 8:
        message = kind[0]
    else:
        raise MalformedPacket("message-type", f"option 53 is {kind[:8].hex()}, expected one byte 01..08")
    return Packet(op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, message, options)


def _read_options(data: bytes, at: int, stop: int, into: dict[int, bytes]) -> None:
    """Add the options in ``data[at:stop]`` to `into`, joining repeated ones; ends at 255 or at `stop`."""
    while at < stop:
        code = data[at]
        if code == 255:
            return
        if code == 0:
            at += 1
            continue
        start = at + 2
        if start > stop:
            raise MalformedPacket("option", f"option {code} has no length")
        at = start + data[at + 1]
        if at > stop:
            raise MalformedPacket("option", f"option {code} runs past the end")
        value = data[start:at]
        into[code] = into[code] + value if code in into else value


def _read_overload(overload: bytes, file: bytes, sname: bytes, options: dict[int, bytes]) -> tuple[bytes, bytes]:
    """Read options out of `file` and `sname` as option 52 says. Returns what is left of both fields. A nested 52 means nothing."""
    if len(overload) != 1 or not 1 <= overload[0] <= 3:
        raise MalformedPacket("overload", f"option 52 is {overload[:8].hex()}, expected one byte 01..03")
    if overload[0] & 1:
        _read_options(file, 0, len(file), options)
        file = b""
    if overload[0] & 2:
        _read_options(sname, 0, len(sname), options)
        sname = b""
    options.pop(52, None)
    return file, sname


def payload_limit(request: Packet) -> int:
    """Largest reply in bytes of UDP payload that this client takes, from its option 57; 548 when it names none or an absurd one."""
    value = request.options.get(57, b"")
    largest = int.from_bytes(value, "big") if len(value) == 2 else 0
    return min(max(largest, SMALLEST_MAXIMUM) - _IP_AND_UDP, LARGEST_REPLY)


def build(
    request: Packet,
    message: int,
    server: bytes,
    *,
    vendor_class: bytes,
    file: bytes = b"",
    sname: bytes = b"",
    optional: tuple[tuple[int, bytes], ...] = (),
    guid: bytes | None = None,
    relay: bytes | None = None,
    ciaddr: bytes = _NO_ADDRESS,
    broadcast: bool = True,
) -> bytes:
    """The bytes of an OFFER or ACK to `request`: yiaddr 0, siaddr and option 54 = `server` (4 bytes); `broadcast` sets that flag.

    `file` longer than 127 bytes goes into option 67 with its NUL (at most 254 bytes before it: ValueError). What does not fit the client's
    limit is left out: first `guid` (option 97), then `optional` from its end, then `relay` (option 82, RFC 3046 section 2.2).
    """
    flags = request.flags | BROADCAST_FLAG if broadcast else request.flags
    header = _REPLY_HEADER.pack(
        BOOTREPLY, request.htype, request.hlen, 0, request.xid, 0, flags, ciaddr, _NO_ADDRESS, server, request.giaddr, request.chaddr
    )
    echo = b"a" + bytes((len(guid),)) + guid if guid is not None else b""
    last = _relay_option(relay) if relay is not None else b""
    reply = header + _common(message, server, vendor_class, file, sname, optional) + echo + last + _END
    if len(reply) > SMALLEST_MAXIMUM - _IP_AND_UDP and len(reply) > (limit := payload_limit(request)):
        reply = _fitting(header, (message, server, vendor_class, file, sname), optional, last, limit)
    return reply.ljust(MINIMUM_REPLY, b"\0")


@lru_cache(maxsize=1024)
def _common(message: int, server: bytes, vendor_class: bytes, file: bytes, sname: bytes, optional: tuple[tuple[int, bytes], ...]) -> bytes:
    """From `sname` on, all that two clients of one kind are told alike: `sname`, `file`, cookie, options up to those of the client."""
    options = [b"\x35\x01", bytes((message,)), b"\x36\x04", server, b"\x3c", bytes((len(vendor_class),)), vendor_class]
    if len(file) > 127:
        if len(file) > 254:
            raise ValueError(f"a boot file name of {len(file)} bytes fits no DHCP packet")
        options += (b"\x43", bytes((len(file) + 1,)), file, b"\0")
        file = b""
    for code, value in optional:
        options += (bytes((code, len(value))), value)
    return sname[:63].ljust(64, b"\0") + file.ljust(128, b"\0") + _COOKIE + b"".join(options)


def _relay_option(relay: bytes) -> bytes:
    """Option 82, split as RFC 3396 says when it was joined out of several."""
    pieces = (relay[at : at + 255] for at in range(0, max(1, len(relay)), 255))
    return b"".join(bytes((82, len(piece))) + piece for piece in pieces)


def _fitting(
    header: bytes, told: tuple[int, bytes, bytes, bytes, bytes], optional: tuple[tuple[int, bytes], ...], last: bytes, limit: int
) -> bytes:
    """The most important part of a reply that keeps within `limit` bytes."""
    for relay in (last, b""):
        for kept in range(len(optional), -1, -1):
            reply = header + _common(*told, optional[:kept]) + relay + _END
            if len(reply) <= limit:
                return reply
    return reply
