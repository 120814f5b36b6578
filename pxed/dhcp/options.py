"""What is inside the options that decide a network boot: numbers by name, and one typed reader per option. Pure.

A reader gets the joined value (RFC 3396) and never raises, with one exception: `architectures`, because a client whose option 93 can't be
read can't be served (`MalformedPacket`). Everything else has a harmless reading: no sub-options, no class, no identifier.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from pxed.dhcp.packet import MalformedPacket

VENDOR_SPECIFIC = 43
REQUESTED_ADDRESS = 50
SERVER_IDENTIFIER = 54
VENDOR_CLASS = 60
CLIENT_IDENTIFIER = 61
TFTP_SERVER_NAME = 66
BOOT_FILE_NAME = 67
USER_CLASS = 77
RELAY_INFORMATION = 82
CLIENT_ARCHITECTURE = 93
CLIENT_GUID = 97
IPXE = 175

PXE_DISCOVERY_CONTROL = 6
PXE_BOOT_MENU = 9
PXE_MENU_PROMPT = 10
PXE_BOOT_ITEM = 71
"""Sub-options of 43 in PXE packets (PXE 2.1 section 2.3)."""

USE_FILE_NAME = 8
"""Bit 3 of discovery control: boot the file this offer names, no prompt, no menu, no discovery."""

FEATURE_HTTP = 0x13
FEATURE_BZIMAGE = 0x18
FEATURE_EFI = 0x24
"""Sub-options of 175 by which iPXE says what it was built with."""


def suboptions(value: bytes) -> dict[int, bytes] | None:
    """Code-length-value list, as in options 43, 82 and 175 > code: value; the last of a repeated code wins. None if a length runs over."""
    found: dict[int, bytes] = {}
    at, size = 0, len(value)
    while at < size:
        code = value[at]
        if code == 255:
            break
        if code == 0:
            at += 1
            continue
        if at + 2 > size or (stop := at + 2 + value[at + 1]) > size:
            return None
        found[code] = value[at + 2 : stop]
        at = stop
    return found


def encode_suboptions(*pairs: tuple[int, bytes]) -> bytes:
    """Value of an option 43: every pair with its length, ended by 255 (EDK2 and ROMs read past the end without it)."""
    return b"".join(bytes((code, len(value))) + value for code, value in pairs) + b"\xff"


@lru_cache(maxsize=512)
def user_classes(value: bytes) -> tuple[bytes, ...]:
    """Option 77 > the classes in it. RFC 3004 says length-prefixed; iPXE sends the raw string: that is then the only class."""
    classes = []
    at, size = 0, len(value)
    while at < size:
        stop = at + 1 + value[at]
        if value[at] == 0 or stop > size:
            return (value,)
        classes.append(value[at + 1 : stop])
        at = stop
    return tuple(classes)


def architectures(value: bytes) -> tuple[int, ...]:
    """Option 93 > client architecture codes in the client's order (RFC 4578 section 2.1). `MalformedPacket` for an empty or odd one."""
    if not value or len(value) % 2:
        raise MalformedPacket("architecture", f"option 93 has {len(value)} bytes, expected pairs")
    return struct.unpack(f"!{len(value) // 2}H", value)


def is_echoable_guid(value: bytes | None) -> bool:
    """Whether option 97 has the only form PXE 2.1 knows, type 0 and 16 bytes; another one is not echoed (nobody says what it means)."""
    return value is not None and len(value) == 17 and value[0] == 0


def client_uuid(value: bytes) -> str | None:
    """Option 97 > the UUID as `dmidecode` shows it (SMBIOS order: first three fields little-endian). None if zero, ones or malformed."""
    if len(value) != 17 or value[0] or value[1:] in (bytes(16), b"\xff" * 16):
        return None
    return f"{value[4:0:-1].hex()}-{value[6:4:-1].hex()}-{value[8:6:-1].hex()}-{value[9:11].hex()}-{value[11:].hex()}"


def vendor_class_architecture(value: bytes) -> int | None:
    """The number in ``PXEClient:Arch:00007:UNDI:003010``, None when it isn't there."""
    parts = value.split(b":", 3)
    if len(parts) >= 3 and parts[1] == b"Arch" and parts[2].isdigit():
        return int(parts[2][:8])
    return None


@dataclass(frozen=True, slots=True)
class IpxeFeatures:
    """What an iPXE says about itself in option 175."""

    features: frozenset[int]
    version: str | None

    @property
    def boots_from_http(self) -> bool:
        """It can fetch a script by HTTP and start a kernel: no need to hand it another iPXE."""
        return FEATURE_HTTP in self.features and not self.features.isdisjoint((FEATURE_BZIMAGE, FEATURE_EFI))


NO_FEATURES = IpxeFeatures(frozenset(), None)


@lru_cache(maxsize=512)
def ipxe_features(value: bytes) -> IpxeFeatures:
    """Option 175 > features (0x10..0x7f with a non-zero value) and version (0xeb). A truncated one names no features."""
    found = suboptions(value)
    if found is None:
        return NO_FEATURES
    features = frozenset(code for code, content in found.items() if 0x10 <= code < 0x80 and any(content))
    version = found.get(0xEB)
    return IpxeFeatures(features, ".".join(map(str, version)) if version else None)


def printable(value: bytes, limit: int = 96) -> str:
    """Client-supplied text made safe for a log line: non-printable bytes as \\xNN, cut at `limit` characters."""
    return "".join(chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02x}" for byte in value.rstrip(b"\0")[:limit])[:limit]
