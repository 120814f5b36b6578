"""What one file is, judged by its bytes: the machine it runs on and its kind of boot program. No Twisted; blocking reads, all bounded.

A name proves nothing: an ``ipxe.efi`` may be built for arm64 and a ``snponly.efi`` may be a saved 404 page. Nothing here raises on garbage.

Sources: Microsoft's PE/COFF specification ("COFF File Header", "Optional Header", machine and subsystem numbers), UEFI 2.10, 2.1.1.
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

Machine = Literal["x86-bios", "x86_64", "i386", "aarch64", "arm", "riscv64", "riscv32", "loongarch64", "loongarch32", "rpi"]
Kind = Literal["ipxe", "shim", "grub", "wimboot", "other"]

PE_MACHINES: dict[int, Machine] = {
    0x8664: "x86_64",
    0x014C: "i386",
    0xAA64: "aarch64",
    0x01C0: "arm",
    0x01C2: "arm",
    0x01C4: "arm",
    0x5064: "riscv64",
    0x5032: "riscv32",
    0x6264: "loongarch64",
    0x6232: "loongarch32",
}
"""COFF machine > our name for it."""

EFI_APPLICATION = 10
"""PE subsystem of a boot program; 11 and 12 are EFI drivers, which firmware does not start as one."""

BIOS_SUFFIXES = (".kpxe", ".kkpxe", ".kkkpxe", ".pxe", ".0")
RPI_NAMES = frozenset({"bootcode.bin", "start.elf", "start4.elf"})
"""What a Raspberry Pi's boot ROM asks for: the board's own firmware, which an operator may put into the boot program root."""

_MAX_LFANEW = 1 << 20
_MAX_CONTENT = 8 << 20
_SECURITY_DIRECTORY = 4


@dataclass(frozen=True, slots=True)
class PeHeader:
    """Of a PE/COFF image: the raw machine and subsystem numbers, and whether it carries an Authenticode signature."""

    machine: int
    subsystem: int
    signed: bool


@dataclass(frozen=True, slots=True)
class BootImage:
    """What a file turned out to be. `size` in bytes; `signed` says that a signature is there, not that any firmware trusts it.

    `http`: it can fetch by HTTP; looked for in GRUB alone, where Debian's older builds lack it and cannot be given it.
    """

    machine: Machine
    kind: Kind
    size: int
    signed: bool
    http: bool = True


def read_pe_header(file: BinaryIO, size: int) -> PeHeader | None:
    """The header of an open file of `size` bytes; None if it is no PE image or is cut short. Reads at most 64 + 280 bytes."""
    file.seek(0)
    dos = file.read(64)
    if len(dos) < 64 or dos[:2] != b"MZ":
        return None
    (lfanew,) = struct.unpack_from("<I", dos, 60)
    if lfanew > min(_MAX_LFANEW, size):
        return None
    file.seek(lfanew)
    head = file.read(280)
    if len(head) < 24 + 70 or head[:4] != b"PE\0\0":
        return None
    (machine,) = struct.unpack_from("<H", head, 4)
    (optional_size,) = struct.unpack_from("<H", head, 20)
    optional = head[24 : 24 + optional_size]
    if len(optional) < 70:
        return None
    (magic,) = struct.unpack_from("<H", optional, 0)
    if magic not in (0x10B, 0x20B):
        return None
    (subsystem,) = struct.unpack_from("<H", optional, 68)
    return PeHeader(machine, subsystem, _has_signature(optional, magic, size))


def _has_signature(optional: bytes, magic: int, size: int) -> bool:
    """Whether data directory 4 (the certificate table: file offset u32, length u32) names bytes that are in the file."""
    directories = 112 if magic == 0x20B else 96
    entry = directories + 8 * _SECURITY_DIRECTORY
    if len(optional) < entry + 8:
        return False
    (count,) = struct.unpack_from("<I", optional, directories - 4)
    offset, length = struct.unpack_from("<II", optional, entry)
    return bool(count > _SECURITY_DIRECTORY and offset and length and offset + length <= size)


def identify(path: Path) -> BootImage | None:
    """What `path` is; None if it is no boot program (no file, unreadable, an EFI driver, text, unknown machine). Blocking."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            return None
        with os.fdopen(fd, "rb", closefd=False) as file:
            return _identify(file, path.name.lower(), info.st_size)
    except OSError:
        return None
    finally:
        os.close(fd)


def _identify(file: BinaryIO, name: str, size: int) -> BootImage | None:
    header = read_pe_header(file, size)
    if header is not None:
        machine = PE_MACHINES.get(header.machine)
        if machine is None or header.subsystem != EFI_APPLICATION:
            return None
        kind = _kind(file, name)
        return BootImage(machine, kind, size, header.signed, kind != "grub" or _grub_has_http(file))
    file.seek(0)
    start = file.read(512)
    if start[:2] == b"MZ" or _is_text(start):
        return None
    if name in RPI_NAMES:
        return BootImage("rpi", "other", size, False)
    if name.endswith(BIOS_SUFFIXES):
        return BootImage("x86-bios", _kind_by_name(name), size, False)
    return None


def _is_text(start: bytes) -> bool:
    """Whether this is an empty file, a script or a web page where machine code was expected."""
    return b"\0" not in start and all(byte in b"\t\r\n\f" or byte >= 0x20 for byte in start)


def _kind(file: BinaryIO, name: str) -> Kind:
    """By what the image says of itself (shim's version block, GRUB's SBAT line, iPXE's error URLs), else by name."""
    file.seek(0)
    content = file.read(_MAX_CONTENT)
    if b"UEFI SHIM" in content:
        return "shim"
    if b"Free Software Foundation,grub" in content:
        return "grub"
    if b"ipxe.org/wimboot" in content:
        return "wimboot"
    if b"ipxe.org" in content:
        return "ipxe"
    return _kind_by_name(name)


def _grub_has_http(file: BinaryIO) -> bool:
    """Whether GRUB's module `http` is built in (its request's header); a locked-down GRUB loads no modules."""
    file.seek(0)
    return b"User-Agent: " in file.read(_MAX_CONTENT)


def _kind_by_name(name: str) -> Kind:
    if "shim" in name:
        return "shim"
    if "grub" in name or name == "core.0":
        return "grub"
    if name.startswith("wimboot"):
        return "wimboot"
    if "ipxe" in name or name.startswith(("undionly", "snponly", "snp.", "snp-")):
        return "ipxe"
    return "other"
