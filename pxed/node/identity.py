"""Names for machines: MAC addresses, client architectures, firmware kinds.

Sources: RFC 2131 (chaddr), RFC 4578 section 2.1 with erratum 2016 and IANA "Processor Architecture Types" (option 93).
"""

from __future__ import annotations

import re
from typing import Literal

Firmware = Literal["bios", "uefi", "uefi-http"]

_SHAPES = re.compile(r"(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}|[0-9a-f]{12}")

ARCHITECTURES: dict[int, str] = {
    0: "x86 BIOS",
    6: "IA32 UEFI",
    7: "x86_64 UEFI",
    9: "x86_64 UEFI (EBC code)",
    10: "ARM32 UEFI",
    11: "ARM64 UEFI",
    15: "IA32 UEFI HTTP",
    16: "x86_64 UEFI HTTP",
    18: "ARM32 UEFI HTTP",
    19: "ARM64 UEFI HTTP",
    20: "x86 BIOS HTTP",
    25: "RISC-V 32 UEFI",
    26: "RISC-V 32 UEFI HTTP",
    27: "RISC-V 64 UEFI",
    28: "RISC-V 64 UEFI HTTP",
    37: "LoongArch32 UEFI",
    38: "LoongArch32 UEFI HTTP",
    39: "LoongArch64 UEFI",
    40: "LoongArch64 UEFI HTTP",
    41: "Raspberry Pi boot ROM",
}
"""Client architecture code (option 93) > name, for those a boot program may exist for."""

_HTTP_ARCHITECTURES = frozenset({15, 16, 17, 18, 19, 20, 23, 24, 26, 28, 30, 38, 40})


def normalise_mac(text: str) -> str:
    """``AA-BB-CC-DD-EE-FF``, ``aabb.ccdd.eeff`` or ``aabbccddeeff`` > ``aa:bb:cc:dd:ee:ff``. ValueError if it is no MAC address."""
    low = text.strip().lower()
    if not _SHAPES.fullmatch(low):
        raise ValueError(f"{text[:40]!r} is not a MAC address (expected six pairs of hexadecimal digits, like 52:54:00:12:34:56)")
    digits = re.sub(r"[:.-]", "", low)
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def is_one_card(mac: str) -> bool:
    """Whether a normalised `mac` can be one network card's: not all zeros, no group's (IEEE 802: the lowest bit of the first byte)."""
    return mac != "00:00:00:00:00:00" and int(mac[:2], 16) & 1 == 0


def hex_hyphen(mac: str) -> str:
    """``aa:bb:..`` > ``aa-bb-..``, the form of BOOTIF (behind ``01-``)."""
    return mac.replace(":", "-")


def architecture_name(code: int | None) -> str:
    """Option 93 code > human name; unknown codes keep their number."""
    if code is None:
        return "unknown"
    return ARCHITECTURES.get(code, f"architecture {code}")


def firmware_of(code: int | None) -> Firmware | None:
    """Option 93 code > firmware kind, None when the client did not say."""
    if code is None:
        return None
    if code in _HTTP_ARCHITECTURES:
        return "uefi-http"
    return "bios" if code == 0 else "uefi"


def spelled_mac(text: str) -> str:
    """A hardware address as the inventory keys it: as `normalise_mac`; addresses of other lengths stay as they are, in small letters."""
    try:
        return normalise_mac(text)
    except ValueError:
        return text.lower()
