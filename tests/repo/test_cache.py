"""The cache on disk: bounded, whole after a crash, and never the reason for a wrong byte."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pxed.errors import NotFound
from pxed.repo.cache import Cache, Entry, _hash
from pxed.repo.disk import Disk
from tests.web.world import MemoryReactor, run


def make(root: Path, *, max_bytes: int = 100, at: float = 1000.0, **more: Any) -> Cache:
    cache = Cache(root, max_bytes=max_bytes, disk=Disk(MemoryReactor()), now=lambda: at, **more)
    run(settled(cache.load()))
    return cache


async def settled(coroutine: object) -> object:
    return await coroutine  # type: ignore[misc]


def put(cache: Cache, key: str, body: bytes) -> Entry | None:
    path = cache.begin()
    path.write_bytes(body)
    entry: Entry | None = run(cache.commit(path, key=key, size=len(body), etag='"e"', last_modified="", modified=1.0, tag='"t"'))
    return entry


def read(cache: Cache, key: str) -> bytes:
    entry = cache.get(key)
    assert entry is not None
    file = run(cache.open(entry))
    try:
        return os.pread(file.fd, 1000, 0)
    finally:
        file.close()


def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    put(make(tmp_path), "a/b", b"one")
    again = make(tmp_path)
    assert read(again, "a/b") == b"one"
    entry = again.get("a/b")
    assert entry is not None
    assert (entry.etag, entry.tag, entry.checked) == ('"e"', '"t"', 1000.0)
    assert again.total == 3


def test_a_file_may_be_a_directory_of_another_and_names_may_be_long_or_odd(tmp_path: Path) -> None:
    cache = make(tmp_path)
    keys = ["a", "a/b", "x" * 1900, "ü/\udcff", ".json"]
    for key in keys:
        put(cache, key, key.encode("utf-8", "surrogateescape")[:5])
    for key in keys:
        assert read(cache, key) == key.encode("utf-8", "surrogateescape")[:5]
    assert make(tmp_path).total == cache.total


def test_the_least_recently_used_goes_first_and_the_limit_holds(tmp_path: Path) -> None:
    cache = make(tmp_path, max_bytes=10)
    put(cache, "a", b"1234")
    put(cache, "b", b"1234")
    read(cache, "a")
    put(cache, "c", b"1234")
    assert [key for key in "abc" if cache.get(key)] == ["a", "c"]
    assert cache.total == 8
    assert sum(path.stat().st_size for path in tmp_path.glob("*.data")) == 8
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_the_order_of_use_survives_a_restart(tmp_path: Path) -> None:
    cache = make(tmp_path, max_bytes=10)
    put(cache, "a", b"1234")
    put(cache, "b", b"1234")
    for at, key in ((100, "b"), (200, "a")):
        entry = cache.get(key)
        assert entry is not None
        os.utime(tmp_path / entry.data, (at, at))
    again = make(tmp_path, max_bytes=10)
    put(again, "c", b"1234")
    assert again.get("b") is None


def test_a_replaced_file_counts_once_and_its_readers_keep_the_old_one(tmp_path: Path) -> None:
    cache = make(tmp_path)
    old = put(cache, "a", b"old")
    assert old is not None
    file = run(cache.open(old))
    put(cache, "a", b"newer")
    assert read(cache, "a") == b"newer"
    assert os.pread(file.fd, 10, 0) == b"old"
    file.close()
    assert cache.total == 5
    assert len(list(tmp_path.glob("*.data"))) == 1


def test_what_can_never_fit_is_not_kept(tmp_path: Path) -> None:
    cache = make(tmp_path, max_bytes=3)
    put(cache, "a", b"123")
    assert put(cache, "b", b"1234") is None
    assert cache.get("b") is None
    assert read(cache, "a") == b"123"


def test_on_a_disk_that_is_nearly_full_the_cache_gives_back_what_was_not_used_for_longest(tmp_path: Path) -> None:
    """Its bound may be more than the disk has, and the database is on the same disk."""

    def usage(root: Path) -> tuple[int, int, int]:
        used = 80 + sum(path.stat().st_size for path in root.glob("*.data"))
        return 100, used, 100 - used

    cache = make(tmp_path, usage=usage)
    for key in "abc":
        put(cache, key, b"1234")
    read(cache, "a")
    run(cache.make_room())  # 8 are free, 10 should be
    assert [key for key in "abc" if cache.get(key)] == ["a", "c"]
    assert (cache.total, len(list(tmp_path.iterdir()))) == (8, 4)
    run(cache.make_room())
    assert cache.total == 8
    (tmp_path / "somebody's.data").write_bytes(b"x" * 12)
    run(cache.make_room())
    assert cache.total == 0


def test_a_file_whose_entry_can_not_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    cache = make(tmp_path)
    (tmp_path / f"{_hash('a')}.json.tmp").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        put(cache, "a", b"one")
    assert list(tmp_path.glob("*.data")) == []
    assert (cache.get("a"), cache.total) == (None, 0)


def test_on_a_disk_that_takes_nothing_more_what_is_there_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make(tmp_path)
    entry = put(cache, "a", b"one")
    assert entry is not None
    (tmp_path / f"{_hash('a')}.json.tmp").mkdir()
    run(cache.vouched(entry))

    def fails(_fd: int) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", fails)
    before = len(os.listdir("/proc/self/fd"))
    assert read(cache, "a") == b"one"
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_remains_of_a_crash_are_swept_away(tmp_path: Path) -> None:
    cache = make(tmp_path)
    put(cache, "good", b"good")
    put(cache, "cut", b"longer")
    entry = cache.get("cut")
    assert entry is not None
    os.truncate(tmp_path / entry.data, 2)
    (tmp_path / "fetch-77.tmp").write_bytes(b"half")
    (tmp_path / "orphan-5.data").write_bytes(b"nobody's")
    (tmp_path / ("0" * 64 + ".json")).write_text("{")
    (tmp_path / ("1" * 64 + ".json")).write_text(json.dumps({"key": "x"}))
    (tmp_path / ("2" * 64 + ".json")).write_text(
        json.dumps({"key": "x", "data": "../x", "size": 1, "etag": "", "last_modified": "", "modified": 0, "tag": "", "checked": 0})
    )
    again = make(tmp_path)
    assert read(again, "good") == b"good"
    assert again.get("cut") is None
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_somebody_removed_or_cut_is_forgotten(tmp_path: Path) -> None:
    cache = make(tmp_path)
    entry = put(cache, "a", b"one")
    assert entry is not None
    (tmp_path / entry.data).unlink()
    with pytest.raises(NotFound):
        run(cache.open(entry))
    assert cache.get("a") is None
    assert cache.total == 0


def test_what_the_upstream_vouched_for_is_remembered(tmp_path: Path) -> None:
    entry = put(make(tmp_path), "a", b"one")
    assert entry is not None
    later = make(tmp_path, at=2000.0)
    mine = later.get("a")
    assert mine is not None
    run(later.vouched(mine))
    again = make(tmp_path).get("a")
    assert again is not None
    assert again.checked == 2000.0
