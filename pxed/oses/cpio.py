"""The head of one file in an initrd, so that a boot loader can put any file there: head first, then the file as it is. Pure.

The format is ``newc`` of the kernel's buffer-format.rst: 13 numbers of 8 hexadecimal digits, then the name. The name is filled up with NULs
to one page, because boot loaders align what they put behind one another (iPXE to 4 or to 4096 bytes, GRUB to 4): so nothing ever comes
between head and file. The archive needs no end, since the kernel reads on.
"""

from __future__ import annotations

PAGE = 4096
MOST = 0xFFFFFFFF
"""Bytes of a file whose size has eight hexadecimal digits."""


def head(name: str, size: int) -> bytes:
    """`PAGE` bytes: the file ``/name`` of `size` bytes, to be followed by its contents. ValueError if no initrd can hold it."""
    if not 0 < size <= MOST:
        raise ValueError(f"a file in an initrd has up to {MOST} bytes")
    field = name.encode() + b"\0"
    length = PAGE - 110
    inode, mode, links = 1, 0o100644, 1
    numbers = (inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, length, 0)
    return b"070701" + b"".join(b"%08x" % number for number in numbers) + field.ljust(length, b"\0")
