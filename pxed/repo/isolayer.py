"""A layer of a repository that is an .iso: its files are stretches of it, and it can be had whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from pxed.errors import NotFound, StorageUnavailable
from pxed.repo.directory import READ_AHEAD, Opened, etag_of
from pxed.repo.disk import Disk
from pxed.repo.iso import Extents, Index, UnreadableImage, from_json, read_index, to_json
from pxed.repo.rooted import open_regular

log = Logger()


class Indexes:
    """The indexes of images, one JSON file each below `root`; all of it may be thrown away at any time. Blocking."""

    def __init__(self, root: Path, read: Callable[[Path], Index] = read_index) -> None:
        self.root, self._read = root, read

    def of(self, image: Path) -> Index:
        """The index of the image as it is now, read from the image if need be. UnreadableImage."""
        kept = self._place(image)
        try:
            info = image.stat()
        except OSError as e:
            raise UnreadableImage(f"{image} can't be read: {e.strerror}") from None
        index = _kept(kept)
        if index is None or not index.fits(info):
            index = self._read(image)
            self._keep(kept, index)
        return index

    def forget(self, image: Path) -> None:
        """The image is gone. OSError."""
        self._place(image).unlink(missing_ok=True)

    def _place(self, image: Path) -> Path:
        return self.root / f"{hashlib.sha256(os.fsencode(image)).hexdigest()[:32]}.json"

    def _keep(self, place: Path, index: Index) -> None:
        temporary = place.with_suffix(".tmp")
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_bytes(to_json(index))
            temporary.rename(place)
        except OSError as e:
            log.warn("The index of an image could not be kept, it will be made again: {error}", error=e)


def _kept(place: Path) -> Index | None:
    try:
        return from_json(place.read_bytes())
    except OSError:
        return None


class IsoLayer:
    """The image `path`. An image that is exchanged meanwhile is noticed at the next request and read again."""

    def __init__(self, path: Path, indexes: Indexes, disk: Disk) -> None:
        self.path = path
        self._indexes, self._disk = indexes, disk
        self._index: Index | None = None
        self._reading = DeferredLock()

    async def open(self, path: str, *, head: bool = False) -> Opened:  # noqa: ARG002  (a Layer)
        """NotFound; StorageUnavailable if the image is gone or damaged."""
        index = await self.index()
        file = await self._disk.do(self._open, index, path)
        if file is None:
            self._index = None
            file = await self._disk.do(self._open, await self.index(), path)
        if file is None:
            raise StorageUnavailable(f"{self.path} is being written to")
        return file

    async def whole(self) -> Opened:
        """The image itself. StorageUnavailable."""
        opened = await self._disk.do(self._open_image)
        return self._opened(*opened, self.path.name)

    async def index(self) -> Index:
        """What is in the image, read once however many ask. StorageUnavailable."""
        await self._reading.acquire()
        try:
            if self._index is None:
                self._index = await self._disk.do(self._indexes.of, self.path)
            return self._index
        except UnreadableImage as e:
            raise StorageUnavailable(str(e)) from e
        finally:
            self._reading.release()

    # in threads

    def _open(self, index: Index, name: str) -> Opened | None:
        """None if the image is no longer that of the index."""
        path, extents = index.find(name)
        fd, info = self._open_image()
        if not index.fits(info):
            os.close(fd)
            return None
        return self._opened(fd, info, path, extents)

    def _open_image(self) -> tuple[int, os.stat_result]:
        try:
            return open_regular(self.path)
        except NotFound as e:
            raise StorageUnavailable(f"the image {self.path} is gone") from e

    def _opened(self, fd: int, info: os.stat_result, name: str, extents: Extents | None = None) -> Opened:
        if extents is None:
            return Opened(fd, name, info.st_size, info.st_mtime, etag_of(info), disk=self._disk)
        size = sum(length for _, length in extents)
        if extents:
            os.posix_fadvise(fd, extents[0][0], min(extents[0][1], READ_AHEAD), os.POSIX_FADV_WILLNEED)
        tag = b'"%x-%x-%x"' % (info.st_mtime_ns, extents[0][0] if extents else 0, size)
        return Opened(fd, name, size, info.st_mtime, tag, extents, self._disk)
