"""Packets as clients send them, written byte by byte here so that no test builds its input with the code under test.

The option values are those seen on the wire of SeaBIOS with iPXE's ROM, OVMF (PXE and HTTP Boot) and iPXE's snponly.efi.
"""

from __future__ import annotations

import struct

MAC = "52:54:00:12:34:56"
GUID = b"\x00" + bytes(range(1, 17))
IPXE_HTTP = bytes.fromhex("130101 1801 01 2401 01 eb03010015".replace(" ", ""))
IPXE_NO_HTTP = bytes.fromhex("150101180101")
PRL = bytes((1, 2, 3, 4, 5, 6, 11, 12, 13, 15, 16, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97, 128, 135))

Options = list[tuple[int, bytes]]


def hardware(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def options_field(options: Options, *, end: bytes = b"\xff") -> bytes:
    return b"".join(bytes((code, len(value))) + value for code, value in options) + end


def packet(
    options: Options | bytes,
    *,
    mac: str = MAC,
    xid: int = 0x1234ABCD,
    op: int = 1,
    htype: int = 1,
    hlen: int | None = None,
    flags: int = 0x8000,
    ciaddr: str = "0.0.0.0",
    yiaddr: str = "0.0.0.0",
    giaddr: str = "0.0.0.0",
    sname: bytes = b"",
    file: bytes = b"",
    cookie: bytes = b"\x63\x82\x53\x63",
) -> bytes:
    """A whole packet: fixed header (RFC 2131 figure 1), cookie, options (as pairs or as raw bytes)."""
    address = hardware(mac)
    body = options if isinstance(options, bytes) else options_field(options)
    return (
        struct.pack("!BBBBIHH", op, htype, len(address) if hlen is None else hlen, 0, xid, 0, flags)
        + b"".join(bytes(map(int, text.split("."))) for text in (ciaddr, yiaddr, "0.0.0.0", giaddr))
        + address.ljust(16, b"\0")
        + sname.ljust(64, b"\0")
        + file.ljust(128, b"\0")
        + cookie
        + body
    )


def pxe_options(
    arch: int | None, *, message: int = 1, vendor: bytes | None = None, undi: bytes = b"\x01\x03\x00", guid: bytes | None = GUID
) -> Options:
    """The options every PXE client sends; `arch` None leaves 93 and 94 out."""
    named = vendor if vendor is not None else b"PXEClient:Arch:%05d:UNDI:003000" % (arch or 0)
    options: Options = [(53, bytes((message,))), (57, struct.pack("!H", 1472)), (55, PRL)]
    if guid is not None:
        options.append((97, guid))
    if arch is not None:
        options += [(94, undi), (93, struct.pack("!H", arch))]
    if named:
        options.append((60, named))
    return options


def rom(arch: int | None, **header: object) -> bytes:
    """DISCOVER of a firmware's own PXE driver: BIOS ROM (0), UEFI (7, 11, ...)."""
    return packet(pxe_options(arch), **header)  # type: ignore[arg-type]


def http_boot(arch: int = 16, **header: object) -> bytes:
    """DISCOVER of UEFI HTTP Boot; the zero in option 55 is EDK2's uninitialised byte."""
    options = pxe_options(arch, vendor=b"HTTPClient:Arch:%05d:UNDI:003000" % arch)
    return packet([(code, b"\0" + value if code == 55 else value) for code, value in options], **header)  # type: ignore[arg-type]


def ipxe(arch: int | None, *, user: bytes = b"iPXE", features: bytes | None = IPXE_HTTP, message: int = 1, **header: object) -> bytes:
    """DISCOVER of an iPXE, in ROM or chainloaded: raw user class, option 175, broadcast flag clear."""
    options = [*pxe_options(arch, message=message, undi=b"\x01\x03\x0a"), (77, user)]
    if features is not None:
        options.append((175, features))
    return packet(options, **{"flags": 0, **header})  # type: ignore[arg-type]


def pxe_request(arch: int, *, ciaddr: str, message: int = 3, extra: Options | None = None, **header: object) -> bytes:
    """REQUEST to port 4011, as EDK2 sends it: ciaddr set, flags 0, no option 54."""
    options = [*pxe_options(arch, message=message), *(extra or [])]
    return packet(options, **{"ciaddr": ciaddr, "flags": 0, "xid": 0x77665544, **header})  # type: ignore[arg-type]
