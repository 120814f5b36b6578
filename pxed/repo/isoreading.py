"""Reading an image's index takes seconds of an interpreter, which the threads of the appliance share: so a process of its own does it.

    python -m pxed.repo.isoreading IMAGE > INDEX

Status 0: the index (`iso.to_json`) is on standard output; `REFUSED`: the sentence of an `UnreadableImage` is. Whatever else: it was killed,
or is a fault of ours. Nothing is written anywhere else, so it may be killed at any time.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from subprocess import Popen

from pxed import process
from pxed.repo.iso import Index, UnreadableImage, from_json, read_index, to_json

REFUSED = 3
NICE = 10
"""Whoever boots comes first."""


class Reading:
    """`read_index` in a process per image. Blocking; safe from several threads."""

    def __init__(self) -> None:
        self._running: set[Popen[bytes]] = set()
        self._stopped = False

    def __call__(self, image: Path) -> Index:
        """UnreadableImage."""
        try:
            reader = process.start("pxed.repo.isoreading", os.fspath(image))
        except OSError as e:
            raise UnreadableImage(f"{image} can't be read: no process can be started for it ({e.strerror})") from None
        self._running.add(reader)
        if self._stopped:
            reader.kill()
        try:
            said, _ = reader.communicate()
        finally:
            self._running.discard(reader)
        if reader.returncode == REFUSED:
            raise UnreadableImage(said.decode("utf-8", "surrogateescape"))
        index = from_json(said) if reader.returncode == 0 else None
        if index is None:
            why = "pxed is stopping" if self._stopped else f"its reader ended with status {reader.returncode}"
            raise UnreadableImage(f"{image} could not be read: {why}")
        return index

    def stop(self) -> None:
        """End what is being read, and what may yet begin. May be called twice."""
        self._stopped = True
        for reader in list(self._running):
            reader.kill()


def main(image: str) -> int:
    os.nice(NICE)
    try:
        said, status = to_json(read_index(Path(image))), 0
    except UnreadableImage as refused:
        said, status = str(refused).encode("utf-8", "surrogateescape"), REFUSED
    sys.stdout.buffer.write(said)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
