"""The images inside a WIM file (install.wim, .esd, the first .swm), from its header and its XML. Pure: bytes in, values out.

Source: Microsoft's "Windows Imaging File Format (WIM)": a header of 208 bytes names the XML resource, which is never compressed and is
UTF-16 with a byte order mark.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree

HEADER = 208
"""Bytes."""
MOST_XML = 8 << 20

ARCHITECTURES = {0: "i386", 5: "arm", 9: "x86_64", 12: "aarch64"}
"""Of <ARCH>: PROCESSOR_ARCHITECTURE_* of winnt.h."""


@dataclass(frozen=True, slots=True)
class Edition:
    """One image: `index` is what DISM and Setup call it; `edition` is the EDITIONID, `kind` the INSTALLATIONTYPE (Client, Server ...)."""

    index: int
    name: str
    edition: str = ""
    kind: str = ""
    arch: str = ""
    build: int = 0
    language: str = ""


def editions(read: Callable[[int, int], bytes | None]) -> list[Edition]:
    """``read(start, length)`` gives bytes of the file. ValueError if it is no WIM or its XML is damaged."""
    start, length = xml_place(read(0, HEADER) or b"")
    data = read(start, length) or b""
    if len(data) != length:
        raise ValueError("its XML is cut off")
    return parse(data)


def xml_place(header: bytes) -> tuple[int, int]:
    """(offset, length) of the XML. ValueError."""
    if len(header) < HEADER or header[:8] != b"MSWIM\0\0\0":
        raise ValueError("it is no WIM file")
    packed, offset, _original = struct.unpack_from("<QQQ", header, 72)
    length = packed & ((1 << 56) - 1)  # the highest byte holds flags
    if not 0 < length <= MOST_XML:
        raise ValueError(f"its XML can't have {length} bytes")
    return offset, length


def parse(data: bytes) -> list[Edition]:
    """ValueError."""
    text = data.decode("utf-16", "replace")
    if "<!DOCTYPE" in text:
        raise ValueError("its XML defines entities")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  (no document type, so no entities)
        return [_edition(image) for image in root.iter("IMAGE")]
    except ElementTree.ParseError as e:
        raise ValueError(f"its XML is damaged: {e}") from None


def _edition(image: ElementTree.Element) -> Edition:
    def text(path: str) -> str:
        return (image.findtext(path) or "").strip()

    def number(path: str, otherwise: int) -> int:
        given = text(path)
        return int(given) if given.isascii() and given.isdigit() else otherwise

    index = image.get("INDEX", "")
    return Edition(
        int(index) if index.isdigit() else 0,
        text("NAME") or text("DISPLAYNAME"),
        text("WINDOWS/EDITIONID"),
        text("WINDOWS/INSTALLATIONTYPE"),
        ARCHITECTURES.get(number("WINDOWS/ARCH", -1), ""),
        number("WINDOWS/VERSION/BUILD", 0),
        text("WINDOWS/LANGUAGES/DEFAULT"),
    )
