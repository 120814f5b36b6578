"""Where content comes from: files below the TFTP root, prepared in a thread, sent from memory.

The reactor never waits for a disk. A name that was looked up less than `FRESH` seconds ago is answered from memory without touching
the disk at all; requests for the same thing at the same time share one read. Replace files by rename: what is read while
somebody writes is refused, not sent half old, half new.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from fbtftp import ResponseData
from twisted.internet.defer import Deferred

from pxed.tftp.events import NotServed, Problem
from pxed.tftp.image import OVERLAP, Segment, blocks_in, netascii, packets, stride, whole
from pxed.tftp.images import Identity, Images, Key
from pxed.tftp.root import open_below

T = TypeVar("T")
WHOLE = 8 << 20
"""Bytes; larger files are read segment by segment while they are sent."""
FRESH = 1.0
"""Seconds for which a looked-up name is believed."""
NAMES = 1024


class InThread(Protocol):
    """Runs a blocking function elsewhere, e.g. `deferToThreadPool` of the injected reactor."""

    def __call__(self, function: Callable[..., T], /, *args: Any) -> Deferred[T]: ...


@dataclass(frozen=True, slots=True)
class _Looked:
    """What a thread found. `segment` is None if it is in memory already (small) or has to be streamed (large)."""

    identity: Identity
    segment: Segment | None


class Content(ResponseData):  # type: ignore[misc]  # fbtftp has no types
    """What one transfer sends: `total` DATA packets, `segment` at hand first. fbtftp asks for `size` (tsize) and `close` only."""

    def __init__(self, size: int, blksize: int, segment: Segment) -> None:
        self._size = size
        self.total = blocks_in(size, blksize)
        self.segment = segment

    def size(self) -> int:
        """Bytes the client will have; in netascii those on the wire (RFC 2349)."""
        return self._size

    def read(self, n: int) -> bytes:
        """fbtftp's block-by-block reading is replaced by segments."""
        raise NotImplementedError

    async def advance(self) -> Segment:
        """The segment behind the present one, which is given back. NotServed(READ) if the file can no longer be read as it was."""
        raise NotImplementedError

    def close(self) -> None:
        """Gives the memory back. May be called twice."""


class _Cached(Content):
    """A whole file out of the table."""

    def __init__(self, images: Images, key: Key, segment: Segment) -> None:
        super().__init__((segment.limit - 1) * key.blksize + _last(segment, key.blksize), key.blksize, segment)
        self._images = images
        self._key: Key | None = key

    def close(self) -> None:
        key, self._key = self._key, None
        if key is not None:
            self._images.release(key)


class _Streamed(Content):
    """A large file: one open descriptor, one segment in use, the next one being read."""

    def __init__(self, files: Files, fd: _Descriptor, identity: Identity, key: Key, segment: Segment) -> None:
        super().__init__(identity.size, key.blksize, segment)
        self._files = files
        self._fd = fd
        self._key: Key | None = key

    async def advance(self) -> Segment:
        if self._key is None:
            raise NotServed(Problem.READ, "already closed")
        key = self._key._replace(base=self.segment.limit)
        segment = await self._files.take(key, self._fd)
        if self._key is None:
            self._files.images.release(key)
            raise NotServed(Problem.READ, "already closed")
        self._files.images.release(self._key)
        self._key, self.segment = key, segment
        if segment.limit < self.total:
            self._files.read_ahead(key._replace(base=segment.limit), self._fd)
        return segment

    def close(self) -> None:
        key, self._key = self._key, None
        if key is not None:
            self._files.images.release(key)
            self._fd.release()


class _Descriptor:
    """A file descriptor that stays open until its transfer and every thread that reads from it are done."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._users = 1

    def hold(self) -> None:
        self._users += 1

    def release(self) -> None:
        self._users -= 1
        if not self._users:
            os.close(self.fd)


class Files:
    """Content by normalised name. `in_thread` runs the blocking parts, `seconds` is monotonic."""

    def __init__(self, root: str, *, in_thread: InThread, seconds: Callable[[], float], cache_bytes: int) -> None:
        self.images = Images(cache_bytes)
        self._root = root
        self._in_thread = in_thread
        self._seconds = seconds
        self._whole = min(WHOLE, cache_bytes // 4)
        self._names: OrderedDict[str, tuple[float, Identity]] = OrderedDict()
        self._waiting: dict[object, list[Deferred[Any]]] = {}

    def at_hand(self, name: str, *, as_netascii: bool, blksize: int) -> Content | None:
        """The content if neither disk nor thread is needed, else None: then `open`."""
        until, identity = self._names.get(name, (0.0, None))
        if identity is None or self._seconds() >= until:
            return None
        key = Key(identity, as_netascii, blksize, 0)
        segment = self.images.take(key) if identity.size <= self._whole else None
        return None if segment is None else _Cached(self.images, key, segment)

    async def open(self, name: str, *, as_netascii: bool, blksize: int) -> Content:
        """Looks the file up and prepares it. NotServed says why not; the caller closes the content."""
        while True:
            found: _Looked = await self._once((name, as_netascii, blksize), lambda: self._look(name, as_netascii, blksize))
            if found.identity.size > self._whole:
                break
            key = Key(found.identity, as_netascii, blksize, 0)
            segment = self.images.take(key)
            if segment is not None:
                return _Cached(self.images, key, segment)
            if found.segment is not None:
                raise NotServed(Problem.BUSY, "no memory for another file")
            # it was in memory when the thread looked and had to make room since: look again
        if as_netascii:
            raise NotServed(Problem.NETASCII)
        return await self._stream(name, blksize)

    async def _look(self, name: str, as_netascii: bool, blksize: int) -> _Looked:
        known = frozenset(key.identity for key in self.images if (key.netascii, key.blksize, key.base) == (as_netascii, blksize, 0))
        found = await self._in_thread(_look, self._root, name, as_netascii, blksize, self._whole, known)
        self._names[name] = (self._seconds() + FRESH, found.identity)
        self._names.move_to_end(name)
        if len(self._names) > NAMES:
            self._names.popitem(last=False)
        if found.segment is not None and self.images.has_room(len(found.segment.view)):
            self.images.put(Key(found.identity, as_netascii, blksize, 0), found.segment)
        return found

    async def _stream(self, name: str, blksize: int) -> Content:
        if not self.images.has_room():
            raise NotServed(Problem.BUSY, "no memory for another file")
        fd, status = await self._in_thread(open_below, self._root, name)
        descriptor, identity = _Descriptor(fd), _identity(status)
        key = Key(identity, False, blksize, 0)
        try:
            segment = await self.take(key, descriptor)
        except BaseException:
            descriptor.release()
            raise
        self.read_ahead(key._replace(base=segment.limit), descriptor)
        return _Streamed(self, descriptor, identity, key, segment)

    async def take(self, key: Key, descriptor: _Descriptor) -> Segment:
        """A segment of a large file, in use until released; read now unless it is at hand. NotServed(READ)."""
        segment = self.images.take(key)
        while segment is None:
            await self._once(key, lambda: self._read(key, descriptor))
            segment = self.images.take(key)
        return segment

    def read_ahead(self, key: Key, descriptor: _Descriptor) -> None:
        """Start reading a segment that will be wanted soon, if there is memory to spare; a failure shows when it is wanted."""
        if key not in self.images and self.images.has_room(stride(key.blksize) * key.blksize):
            self._once(key, lambda: self._read(key, descriptor)).addErrback(lambda failure: failure.trap(NotServed) and None)

    async def _read(self, key: Key, descriptor: _Descriptor) -> None:
        descriptor.hold()
        try:
            segment = await self._in_thread(_segment, descriptor.fd, key)
        finally:
            descriptor.release()
        self.images.put(key, segment)

    def _once(self, key: object, start: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> Deferred[T]:
        """The result of `start`, which runs once for all who ask before it is there."""
        waiter: Deferred[T] = Deferred()
        waiting = self._waiting.setdefault(key, [])
        waiting.append(waiter)
        if len(waiting) == 1:
            Deferred.fromCoroutine(start()).addBoth(self._deliver, key)
        return waiter

    def _deliver(self, result: Any, key: object) -> None:
        for waiter in self._waiting.pop(key):
            waiter.callback(result)  # a Failure becomes an errback
        self.images.shrink()


def prepared(data: bytes, *, as_netascii: bool, blksize: int) -> Content:
    """Content that is not a file: rendered for this request."""
    wire = netascii(data) if as_netascii else data
    return Content(len(wire), blksize, whole(wire, blksize))


def _last(segment: Segment, blksize: int) -> int:
    """Data bytes in the last packet of a whole file."""
    return len(segment.view) - (segment.limit - 1) * (blksize + 4) - 4


def _identity(status: os.stat_result) -> Identity:
    return Identity(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def _look(root: str, name: str, as_netascii: bool, blksize: int, largest: int, known: frozenset[Identity]) -> _Looked:
    """In a thread: open, and read and prepare what is small and not yet known."""
    fd, status = open_below(root, name)
    try:
        identity = _identity(status)
        if identity in known or identity.size > largest:
            return _Looked(identity, None)
        data = _read_exactly(fd, identity, 0, identity.size)
    finally:
        os.close(fd)
    return _Looked(identity, whole(netascii(data) if as_netascii else data, blksize))


def _segment(fd: int, key: Key) -> Segment:
    """In a thread: blocks ``key.base + 1`` onward of a large file, the overlap included."""
    total = blocks_in(key.identity.size, key.blksize)
    step = stride(key.blksize)
    count = min(step + OVERLAP, total - key.base)
    offset = key.base * key.blksize
    data = _read_exactly(fd, key.identity, offset, min(count * key.blksize, key.identity.size - offset))
    return Segment(packets(data, key.blksize, key.base, count), key.base, min(key.base + step, total))


def _read_exactly(fd: int, identity: Identity, offset: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        try:
            part = os.pread(fd, size, offset)
        except OSError as error:
            raise NotServed(Problem.READ, f"errno {error.errno}") from error
        if not part:
            break
        parts.append(part)
        offset += len(part)
        size -= len(part)
    if size or _identity(os.fstat(fd)) != identity:
        raise NotServed(Problem.READ, "the file changed while it was read; replace files by rename")
    return b"".join(parts)
