"""File names of clients > open files below the TFTP root. Blocking: called in a thread.

What may be read is decided in `pxed.repo.rooted`, one rule for TFTP and HTTP: a name cannot leave the root, but a link that
the operator (or `pxed bootloaders`) made to a public file of the host is followed. Here is what TFTP adds: how firmware spells names.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from pxed.errors import NotFound
from pxed.repo.rooted import OutsideRoot, open_regular, resolve
from pxed.tftp.events import REMEMBERED, NotServed, Problem


@lru_cache(REMEMBERED)
def normalise(name: bytes) -> str:
    """``\\boot\\\\x.efi``, ``/boot/x.efi`` > ``boot/x.efi``. NotServed(ACCESS) for ``..``, NotServed(NOT_FOUND) if nothing is left.

    Trailing 0xFF bytes are dropped: PXE ROMs that take option 67 for a NUL-terminated string ask for the end mark as well.
    """
    parts = [part for part in name.rstrip(b"\xff").replace(b"\\", b"/").split(b"/") if part not in (b"", b".")]
    if b".." in parts or b"\x00" in name:
        raise NotServed(Problem.ACCESS, "the name leaves the root")
    if not parts:
        raise NotServed(Problem.NOT_FOUND)
    return os.fsdecode(b"/".join(parts))


def open_below(root: str, name: str) -> tuple[int, os.stat_result]:
    """Open what `normalise` gave, for reading; the caller owns the descriptor. NotServed(NOT_FOUND | ACCESS) otherwise."""
    try:
        return open_regular(resolve(Path(root), name))
    except OutsideRoot as refusal:
        raise NotServed(Problem.ACCESS, "a link leaves the root, see docs/tftp.md") from refusal
    except NotFound as missing:
        raise NotServed(Problem.NOT_FOUND) from missing
