"""Synthetic boot programs: PE images with just a header, and BIOS images, as small as they may be."""

from __future__ import annotations

import struct

X64, IA32, ARM64, ARM32, RISCV64, LOONG64 = 0x8664, 0x14C, 0xAA64, 0x1C2, 0x5064, 0x6264
EFI_APPLICATION, EFI_DRIVER = 10, 11


def pe(machine: int, *, subsystem: int = EFI_APPLICATION, signed: bool = False, text: bytes = b"", lfanew: int = 0x80) -> bytes:
    """A PE32+ (PE32 for 32-bit machines) image: DOS header, COFF header, optional header with 16 data directories, then `text`."""
    wide = machine not in (IA32, ARM32)
    optional_size = (112 if wide else 96) + 16 * 8
    body = lfanew + 24 + optional_size
    optional = bytearray(optional_size)
    struct.pack_into("<H", optional, 0, 0x20B if wide else 0x10B)
    struct.pack_into("<H", optional, 68, subsystem)
    struct.pack_into("<I", optional, (112 if wide else 96) - 4, 16)
    if signed:
        struct.pack_into("<II", optional, (112 if wide else 96) + 8 * 4, body + len(text), 16)
    dos = b"MZ" + bytes(58) + struct.pack("<I", lfanew) + bytes(lfanew - 64)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", machine, 0, 0, 0, 0, optional_size, 0)
    return dos + coff + bytes(optional) + text + (bytes(16) if signed else b"")


def ipxe(machine: int, *, signed: bool = False) -> bytes:
    return pe(machine, signed=signed, text=b"See https://ipxe.org/err/%06x for further information\0")


def bios() -> bytes:
    """Begins as iPXE's BIOS images do, with a far jump."""
    return b"\xea\x05\x00\xc0\x07" + bytes(600)
