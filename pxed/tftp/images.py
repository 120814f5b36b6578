"""Prepared segments in bounded memory: a least-recently-used table in which what a transfer is sending from is never evicted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pxed.tftp.image import Segment


class Identity(NamedTuple):
    """Which content of which file: replaced by rename or rewritten, a file is another one."""

    device: int
    inode: int
    mtime_ns: int
    size: int


class Key(NamedTuple):
    """A segment: the content, how it is cut, and from which block on (`base`; 0 for whole files too)."""

    identity: Identity
    netascii: bool
    blksize: int
    base: int


@dataclass(slots=True)
class _Entry:
    segment: Segment
    users: int = 0


class Images:
    """`limit` bytes at most are kept for later; segments in use are counted, so that `has_room` can refuse new transfers instead."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()

    def __iter__(self) -> Iterator[Key]:
        return iter(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def has_room(self, size: int = 0) -> bool:
        """Whether `size` more bytes fit, if need be in place of segments nobody uses."""
        in_use = sum(len(entry.segment.view) for entry in self._entries.values() if entry.users)
        return in_use + size <= self.limit

    def take(self, key: Key) -> Segment | None:
        """The segment, now in use until `release`; None if it must be read first."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        entry.users += 1
        return entry.segment

    def put(self, key: Key, segment: Segment) -> None:
        """Keep a segment that was read. If another reader was faster, its copy stays."""
        if key not in self._entries:
            self._entries[key] = _Entry(segment)
            self.used += len(segment.view)

    def release(self, key: Key) -> None:
        """One user less; makes room if there is more than the limit."""
        self._entries[key].users -= 1
        self.shrink()

    def shrink(self) -> None:
        """Forget the least recently used segments that nobody sends from, until the limit is kept."""
        for key in [key for key, entry in self._entries.items() if not entry.users]:
            if self.used <= self.limit:
                return
            self.used -= len(self._entries.pop(key).segment.view)
