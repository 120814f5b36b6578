"""A bounded store of fetched files on disk: least recently used goes first. Everything in it may be thrown away at any time.

On disk, below `root`: ``<sha256 of key>.json`` (key, data file, size, validators, times) names ``<sha256>-<serial>.data``. Renaming the
JSON into place is the commit; a data file that no JSON names is left from a crash and goes when the cache is loaded. The index is in
memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from pxed.errors import NotFound
from pxed.repo.directory import READ_AHEAD, Opened
from pxed.repo.disk import Disk
from pxed.repo.rooted import open_regular

SPARE = 1 << 30
"""Bytes of its disk that the cache leaves free, a tenth of a smaller disk: the database may be on the same."""

log = Logger()


@dataclass(slots=True)
class Entry:
    """One file. `etag` and `last_modified` are the upstream's, as it wrote them ("" = none); `checked` is when it last vouched for them;
    `tag` is the entity tag that we give out (the upstream's may be weak)."""

    key: str
    data: str
    size: int
    etag: str
    last_modified: str
    modified: float
    tag: str
    checked: float


class Cache:
    """`max_bytes` of data files below `root`. `now`: UTC seconds; `usage`: (total, used, free) bytes of a disk. One process owns a
    directory."""

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int,
        disk: Disk,
        now: Callable[[], float],
        usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage,
    ) -> None:
        self._root, self._max, self._disk, self._now, self._usage = root, max_bytes, disk, now, usage
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._total = 0
        self._serial = 0
        self._loading = DeferredLock()
        self._loaded = False

    @property
    def total(self) -> int:
        """Bytes of committed data files."""
        return self._total

    async def load(self) -> None:
        """Read the index from disk; once, however often it is called. OSError if the directory can't be used."""
        await self._loading.acquire()
        try:
            if not self._loaded:
                entries, self._serial = await self._disk.do(_scan, self._root)
                self._entries = OrderedDict((entry.key, entry) for entry in entries)
                self._total = sum(entry.size for entry in entries)
                self._loaded = True
        finally:
            self._loading.release()

    def get(self, key: str) -> Entry | None:
        """The entry of `key`, now the most recently used."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    async def open(self, entry: Entry) -> Opened:
        """The entry's file, open. NotFound (and the entry is forgotten) if it is no longer there or has another size."""
        try:
            return await self._disk.do(self._open, entry)
        except NotFound:
            self._forget(entry)
            raise

    async def make_room(self) -> None:
        """Throw out what was not used for longest until `SPARE` of the disk is free, or nothing is left. OSError."""
        total, _, free = await self._disk.do(self._usage, self._root)
        lacking = min(SPARE, total // 10) - free
        if lacking > 0 and self._entries:
            log.warn("The disk of {root} is nearly full: the cache gives some of it back", root=self._root)
            await self._disk.do(_unlink, *self._evict(self._total - lacking))

    def begin(self) -> Path:
        """A path for a file being fetched, in the cache's directory; for `commit`, or for the caller to remove. After `make_room`."""
        self._serial += 1
        return self._root / f"fetch-{self._serial}.tmp"

    async def commit(
        self, temporary: Path, *, key: str, size: int, etag: str, last_modified: str, modified: float, tag: str
    ) -> Entry | None:
        """Make the finished file `temporary` the entry of `key`; None (and it is removed) if it can never fit."""
        if size > self._max:
            await self._disk.do(_unlink, temporary)
            return None
        self._serial += 1
        data = f"{_hash(key)}-{self._serial}.data"
        entry = Entry(key, data, size, etag, last_modified, modified, tag, self._now())
        await self._disk.do(self._place, temporary, entry)
        old = self._entries.pop(key, None)
        self._entries[key] = entry
        self._total += size - (old.size if old else 0)
        gone = [self._root / old.data] if old else []
        await self._disk.do(_unlink, *gone, *self._evict(self._max, but=1))
        return entry

    async def vouched(self, entry: Entry) -> None:
        """The upstream says that `entry` is still right. On a full disk that is forgotten with this process."""
        entry.checked = self._now()
        try:
            await self._disk.do(_write_json, self._root, entry)
        except OSError as e:
            log.warn("It could not be noted that {key} is up to date: {why}", key=entry.key, why=e.strerror)

    def _evict(self, most: int, *, but: int = 0) -> list[Path]:
        """Forget entries until no more than `most` bytes or `but` one are left; their files, to be removed."""
        gone: list[Path] = []
        while self._total > most and len(self._entries) > but:
            key, entry = self._entries.popitem(last=False)
            self._total -= entry.size
            gone += [self._root / f"{_hash(key)}.json", self._root / entry.data]
        return gone

    def _forget(self, entry: Entry) -> None:
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]
            self._total -= entry.size

    # in threads

    def _open(self, entry: Entry) -> Opened:
        path = self._root / entry.data
        fd, info = open_regular(path)
        if info.st_size != entry.size:
            os.close(fd)
            raise NotFound(f"the cached {entry.key!r} was changed behind our back")
        with contextlib.suppress(OSError):  # a disk that may only be read, for example
            os.utime(fd)
        if entry.size:
            os.posix_fadvise(fd, 0, min(entry.size, READ_AHEAD), os.POSIX_FADV_WILLNEED)
        return Opened(fd, entry.key, entry.size, entry.modified, entry.tag.encode("ascii"))

    def _place(self, temporary: Path, entry: Entry) -> None:
        with temporary.open("rb") as f:
            os.fdatasync(f.fileno())
        temporary.rename(self._root / entry.data)
        try:
            _write_json(self._root, entry)
        except OSError:
            _unlink(self._root / entry.data)  # no index would know of it
            raise


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _write_json(root: Path, entry: Entry) -> None:
    path = root / f"{_hash(entry.key)}.json"
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(asdict(entry)), encoding="ascii")
    temporary.rename(path)


def _unlink(*paths: Path) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _scan(root: Path) -> tuple[list[Entry], int]:
    """(entries, least recently used first; the highest serial); rubbish is removed."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = {item.name: item.stat().st_mtime for item in os.scandir(root)}
    found: list[tuple[float, Entry]] = []
    for name in [name for name in names if name.endswith(".json")]:
        entry = _read_json(root / name)
        if entry is not None and entry.data in names and (root / entry.data).stat().st_size == entry.size:
            found.append((names[entry.data], entry))
        else:
            _unlink(root / name)
    kept = {entry.data for _, entry in found}
    _unlink(*(root / name for name in names if name.endswith((".data", ".tmp")) and name not in kept))
    serials = [int(tail) for name in kept if (tail := name.rpartition("-")[2].removesuffix(".data")).isdigit()]
    return [entry for _, entry in sorted(found, key=lambda pair: pair[0])], max(serials, default=0)


def _read_json(path: Path) -> Entry | None:
    try:
        value: Any = json.loads(path.read_bytes())
        entry = Entry(**value)
    except (OSError, ValueError, TypeError):
        return None
    right = f"{_hash(entry.key)}.json" == path.name and "/" not in entry.data
    return entry if right else None
