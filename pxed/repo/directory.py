"""A layer of a repository that is a directory on this host; and what an open file is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pxed.errors import NotFound
from pxed.repo.disk import Disk
from pxed.repo.rooted import open_regular, resolve, spelled

READ_AHEAD = 8 << 20
"""Bytes that the disk is asked for when a file is opened."""


@dataclass(slots=True)
class Opened:
    """An open regular file with its validators; `modified` in UTC seconds. Whoever has it closes `fd` (-1: given away).

    `extents`, where given, are the (offset, length) of the file's parts within `fd`, in order: a file inside an image.
    `disk` is who must read it, None: whoever does.
    """

    fd: int
    name: str
    size: int
    modified: float
    etag: bytes
    extents: tuple[tuple[int, int], ...] | None = None
    disk: Disk | None = None

    def stretches(self, start: int, length: int) -> Iterator[tuple[int, int]]:
        """Bytes `start` to ``start + length`` of the file > (offset, length) within `fd`."""
        for offset, size in ((0, self.size),) if self.extents is None else self.extents:
            if start < size and length:
                here = min(length, size - start)
                yield offset + start, here
                start, length = 0, length - here
            else:
                start -= min(start, size)

    def close(self) -> None:
        """May be called twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def etag_of(info: os.stat_result) -> bytes:
    """A strong entity tag: any write moves the modification time (nanoseconds)."""
    return b'"%x-%x"' % (info.st_mtime_ns, info.st_size)


def open_below(root: Path, name: str) -> Opened:
    """Resolve, open, and have the disk begin to read. Blocking. NotFound as `pxed.repo.rooted.resolve`."""
    fd, info = open_regular(resolve(root, name))
    if info.st_size:
        os.posix_fadvise(fd, 0, min(info.st_size, READ_AHEAD), os.POSIX_FADV_WILLNEED)
    return Opened(fd, name, info.st_size, info.st_mtime, etag_of(info))


class DirectoryLayer:
    """The files below `root`, read when they are asked for: what an operator copies there is served at once (`pxed.repo.recent`: what he
    replaces, within a second).

    `any_case`: a name that is not there is looked for without regard to case, as the installers of ESXi and Windows need.
    """

    def __init__(self, root: Path, disk: Disk, *, any_case: bool = False) -> None:
        self.root, self.any_case = root, any_case
        self._disk = disk

    async def open(self, path: str, *, head: bool = False) -> Opened:  # noqa: ARG002  (a Layer)
        """NotFound."""
        opened = await self._disk.do(self._open, path)
        opened.disk = self._disk
        return opened

    def _open(self, path: str) -> Opened:
        try:
            return open_below(self.root, path)
        except NotFound:
            if not self.any_case:
                raise
        return open_below(self.root, spelled(self.root, path))
