"""A disk that UEFI can boot from: one FAT12 file system (the layout of a 2.88 MB floppy, no partition table) with one file.

Source: Microsoft's "FAT: General Overview of On-Disk Format", FAT12.
"""

from __future__ import annotations

import struct
from pathlib import Path

SECTOR = 512
CLUSTER = 2 * SECTOR
SECTORS = 5760
FAT_SECTORS = 9
ROOT_ENTRIES = 240
_ROOT_SECTORS = ROOT_ENTRIES * 32 // SECTOR
_DIRECTORY, _ARCHIVE = 0x10, 0x20


def write_esp(path: Path, loader: bytes, *, size: int) -> Path:
    """`loader` as ``/EFI/BOOT/BOOTX64.EFI`` on a sparse disk of `size` bytes; returns `path`. ValueError when it does not fit."""
    clusters = -(-len(loader) // CLUSTER)
    if (clusters + 2) * 2 > SECTORS - 1 - 2 * FAT_SECTORS - _ROOT_SECTORS:
        raise ValueError("the loader does not fit")
    chain = {2: 0xFFF, 3: 0xFFF, **{number: number + 1 for number in range(4, 4 + clusters)}, 3 + clusters: 0xFFF}
    efi = _entry(".", _DIRECTORY, 2) + _entry("..", _DIRECTORY, 0) + _entry("BOOT", _DIRECTORY, 3)
    boot = _entry(".", _DIRECTORY, 3) + _entry("..", _DIRECTORY, 2) + _entry("BOOTX64.EFI", _ARCHIVE, 4, len(loader))
    image = b"".join(
        (
            _boot_sector(),
            2 * _table(chain),
            _entry("EFI", _DIRECTORY, 2).ljust(_ROOT_SECTORS * SECTOR, b"\0"),
            efi.ljust(CLUSTER, b"\0"),
            boot.ljust(CLUSTER, b"\0"),
            loader,
        )
    )
    with path.open("wb") as file:
        file.write(image)
        file.truncate(size)
    return path


def _boot_sector() -> bytes:
    block = struct.pack(
        "<3s8sHBHBHHBHHHII", b"\xeb\x3c\x90", b"PXEDLAB ", SECTOR, 2, 1, 2, ROOT_ENTRIES, SECTORS, 0xF0, FAT_SECTORS, 36, 2, 0, 0
    )
    extended = struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 0x70786564, b"PXED LAB   ", b"FAT12   ")
    return (block + extended).ljust(510, b"\0") + b"\x55\xaa"


def _table(chain: dict[int, int]) -> bytes:
    """One FAT: 12 bits an entry, two entries in three bytes."""
    entries = [0xFF0, 0xFFF, *(chain.get(number, 0) for number in range(2, FAT_SECTORS * SECTOR * 2 // 3))]
    packed = b"".join((low | high << 12).to_bytes(3, "little") for low, high in zip(entries[::2], entries[1::2], strict=False))
    return packed.ljust(FAT_SECTORS * SECTOR, b"\0")[: FAT_SECTORS * SECTOR]


def _entry(name: str, attributes: int, cluster: int, size: int = 0) -> bytes:
    stem, _, extension = (name, "", "") if name.startswith(".") else name.partition(".")
    return struct.pack("<8s3sB14xHI", stem.encode().ljust(8), extension.encode().ljust(3), attributes, cluster, size)
