"""A disk that boots in a second: its boot sector says one line on the first serial port and halts."""

from __future__ import annotations

from pathlib import Path

SIZE = 1 << 20


def write_disk(path: Path, text: str) -> Path:
    """A raw disk whose master boot record writes `text` (ASCII, up to 200 characters) to COM1, polling the UART (LSR bit 5) each time."""
    code = bytes.fromhex(
        "fa 31c0 8ed8"  # cli; xor ax,ax; mov ds,ax
        "be 1f7c"  # mov si,0x7c1f: the text, behind this code
        "ac"  # next: lodsb
        "84c0 7411"  # test al,al; jz halt
        "88c4"  # mov ah,al
        "bafd03"  # mov dx,0x3fd
        "ec a820 74fb"  # busy: in al,dx; test al,0x20; jz busy
        "b2f8"  # mov dl,0xf8
        "88e0 ee"  # mov al,ah; out dx,al
        "ebea"  # jmp next
        "f4"  # halt: hlt
    )
    sector = (code + text.encode("ascii") + b"\r\n\0").ljust(510, b"\0") + b"\x55\xaa"
    if len(sector) != 512:
        raise ValueError("too much text for a boot sector")
    with path.open("wb") as file:
        file.write(sector)
        file.truncate(SIZE)
    return path
