"""A stand-in for every installer's kernel: compiled when it is needed, it tells how it was started and restarts the machine.

One file, as real kernels are: a bzImage to BIOS, an EFI application to UEFI (tests/lab/kernel/). It speaks on QEMU's debug port, which
`debug_port` connects to a file, and says items ``<name> <length> <bytes>``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.process import run

SOURCES = Path(__file__).parent / "kernel"
CFLAGS = ("-Os", "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-fcf-protection=none", "-fno-asynchronous-unwind-tables")
PAGE = 4096
CUT = 4096
"""How much of a file the stand-in tells on UEFI."""
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-mgeneral-regs-only")


@dataclass(frozen=True)
class Boot:
    """One start. `ramdisk` is BIOS's: all initrds as they lay in memory; `files` UEFI's: what iPXE showed beside the kernel, name > content
    (None: it could not be opened)."""

    firmware: str
    line: str
    ramdisk: bytes = b""
    files: Mapping[str, bytes | None] = field(default_factory=dict)

    def holds(self, initrds: Sequence[tuple[str, bytes]]) -> bool:
        """Whether the kernel can find just these initrds (name, content), in this order on BIOS, by their names on UEFI."""
        if self.firmware == "bios":
            return self.ramdisk == laid_out([content for _, content in initrds])
        return all(self.files.get(name) == content[:CUT] for name, content in initrds)

    @property
    def wrapped(self) -> dict[str, bytes]:
        """BIOS: the initrds to which iPXE gave a name inside the kernel's file system, by that name, in order (a cpio header before each,
        cpio(5), new ASCII format)."""
        found: dict[str, bytes] = {}
        at = 0
        while (at := self.ramdisk.find(b"070701", at)) >= 0:
            size, length = (int(self.ramdisk[at + field : at + field + 8], 16) for field in (54, 94))
            start = at + (110 + length + 3 & ~3)
            found[self.ramdisk[at + 110 : at + 109 + length].decode("ascii", "replace")] = self.ramdisk[start : start + size]
            at = start + size
        return found


def laid_out(initrds: Sequence[bytes]) -> bytes:
    """How iPXE lays initrds out in memory on BIOS: each begins on a page of its own."""
    return b"".join(each.ljust(-(-len(each) // PAGE) * PAGE, b"\0") for each in initrds[:-1]) + b"".join(initrds[-1:])


def build(folder: Path) -> Path:
    """Compile and link it in `folder`; returns the file. LabProblem with the compiler's words."""
    for source in SOURCES.iterdir():
        shutil.copy(source, folder)

    def tool(*argv: str) -> None:
        run(*argv, cwd=folder)

    for name, bits, pie, machine, address in (
        ("bios", "-m32", "-fno-pie", "elf_i386", "0x100000"),
        ("efi", "-m64", "-fpie", "elf_x86_64", "0"),
    ):
        redzone = ("-mno-red-zone",) if name == "efi" else ()
        tool("gcc", bits, pie, *redzone, *CFLAGS, *WARNINGS, "-c", f"{name}.c", "-o", f"{name}.o")
        tool("ld", "-m", machine, "-T", "flat.ld", f"--defsym=ADDRESS={address}", "--oformat", "binary", "-o", f"{name}.bin", f"{name}.o")
    tool("gcc", "-m32", "-c", "head.S", "-o", "head.o")
    tool("ld", "-m", "elf_i386", "-Ttext=0", "-e", "0", "--oformat", "binary", "-o", "kernel", "head.o")
    return folder / "kernel"


def debug_port(log: Path) -> Sequence[str]:
    """QEMU's options for the port that the stand-in speaks on."""
    return ("-chardev", f"file,id=debugport,path={log}", "-device", "isa-debugcon,iobase=0xe9,chardev=debugport")


def boots(said: bytes) -> list[Boot]:
    """Every start that `said` tells of to its end. What was cut off by a reset is left out."""
    found: list[Boot] = []
    firmware, line, ramdisk = "", "", b""
    files: dict[str, bytes | None] = {}
    last = ""
    for name, content in _items(said):
        if name in ("bios", "efi"):
            firmware, line, ramdisk, files = name, "", b"", {}
        elif name == "line":
            line = content.decode("ascii", "replace")
        elif name == "ramdisk":
            ramdisk = content
        elif name == "file":
            last = content.decode("ascii", "replace")
        elif name in ("content", "unreadable"):
            files[last] = content if name == "content" else None
        elif name == "end" and firmware:
            found.append(Boot(firmware, line, ramdisk, files))
            firmware = ""
    return found


_ITEM = re.compile(rb"(bios|efi|line|ramdisk|file|content|unreadable|end) ([0-9]+) ")


def _items(said: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    while item := _ITEM.search(said, at):
        at = item.end() + int(item[2])
        if at >= len(said):
            return
        yield item[1].decode(), said[item.end() : at]
