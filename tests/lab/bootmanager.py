"""A stand-in for Windows' boot manager: it says one line on QEMU's debug port and halts.

The same program runs in 32-bit protected mode (`bootmgr.exe`, which wimboot starts on BIOS) and in long mode (`bootmgfw.efi`).
Source: Microsoft's "PE Format", sections "Optional Header" and "Section Table".
"""

from __future__ import annotations

import struct
from typing import Literal

ALIGNMENT, FILE_ALIGNMENT = 0x1000, 0x200
"""Of the section in memory, and of headers and section in the file; the section fills one of each."""
CODE = bytes.fromhex(
    "e800000000 5e"  # call next; next: pop esi (rsi)
    "4883c616"  # add rsi,22: the text, behind this code (in 32-bit mode: dec eax; add esi,22)
    "fc 66bae900"  # cld; mov dx,0xe9
    "ac 84c0 7403"  # again: lodsb; test al,al; jz halt
    "ee ebf8"  # out dx,al; jmp again
    "fa f4 ebfd"  # halt: cli; hlt; jmp to hlt
)


def image(text: str, *, bits: Literal[32, 64]) -> bytes:
    """The program as PE32 for BIOS (loaded at 4 MB, where Windows' own is), or as an EFI application for x86-64. `text`: ASCII."""
    section = (CODE + text.encode("ascii") + b"\n\0").ljust(FILE_ALIGNMENT, b"\0")
    if len(section) > FILE_ALIGNMENT:
        raise ValueError("too much text for one section")
    optional = _optional_header(bits)
    machine, characteristics = (0x014C, 0x0102) if bits == 32 else (0x8664, 0x0022)
    coff = struct.pack("<4sHHIIIHH", b"PE", machine, 1, 0, 0, 0, len(optional), characteristics)
    table = struct.pack("<8sIIIIIIHHI", b".text", len(section), ALIGNMENT, len(section), FILE_ALIGNMENT, 0, 0, 0, 0, 0xE0000020)
    start = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    return (start + coff + optional + table).ljust(FILE_ALIGNMENT, b"\0") + section


def _optional_header(bits: Literal[32, 64]) -> bytes:
    """With the sixteen data directories, all empty."""
    wide = bits == 64
    magic, subsystem = (0x20B, 10) if wide else (0x10B, 16)  # EFI application, Windows boot application
    head = struct.pack("<HBBIIIII", magic, 2, 40, FILE_ALIGNMENT, 0, 0, ALIGNMENT, ALIGNMENT)
    base = struct.pack("<Q", 0) if wide else struct.pack("<II", 0, 0x400000)
    sizes = struct.pack("<IIHHHHHHIIIIHH", ALIGNMENT, FILE_ALIGNMENT, 0, 0, 0, 0, 0, 0, 0, 2 * ALIGNMENT, FILE_ALIGNMENT, 0, subsystem, 0)
    return head + base + sizes + bytes(32 if wide else 16) + struct.pack("<II", 0, 16) + bytes(16 * 8)
