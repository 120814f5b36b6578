"""A layer of a repository that is somebody else's server, kept on our disk as it is used.

* One fetch per file at a time: whoever asks meanwhile reads the same growing file (`fetch`).
* What a pool holds never changes and is served from the cache without asking; indexes are asked about again after `fresh` seconds, by
  ETag and Last-Modified (RFC 9111 4.3).
* Upstream gone: what we have is served stale (RFC 9111 4.2.4), with a line in the log. Upstream says 404: 404, remembered for a while.
* A fetch goes on when its node has left: the node comes back, and the next one wants the file too.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.error import ConnectError
from twisted.logger import Logger

from pxed.errors import NotFound, StorageUnavailable
from pxed.repo.cache import Cache, Entry
from pxed.repo.directory import Opened
from pxed.repo.disk import Disk
from pxed.repo.fetch import Collector, Fetch, UpstreamFailed
from pxed.repo.upstream import PARALLEL, Upstream, let_go

FRESH = 60.0
"""Seconds for which an index is served without asking the upstream."""
ABSENT = 30.0
"""Seconds for which a 404 is believed."""
HEADERS = 30.0
"""Seconds until the upstream must have begun to answer."""

_FIXED = re.compile(r"(^|/)(pool|by-hash)/|\.(deb|udeb|rpm|drpm|apk|iso)$|/repodata/[0-9a-f]{32,128}-[^/]+$")

log = Logger()


@dataclass(frozen=True, slots=True)
class Described:
    """What a HEAD of the upstream said about a file that we don't have."""

    name: str
    size: int | None
    modified: float
    etag: bytes


def never_changes(path: str) -> bool:
    """Whether the file of this name is the same for ever: packages, and names that hold a hash."""
    return _FIXED.search(path) is not None


class Mirror:
    """`client`: a treq HTTPClient (or its stub). `now`: UTC seconds; `clock`: IReactorTime."""

    def __init__(
        self, upstream: Upstream, cache: Cache, *, client: Any, disk: Disk, clock: Any, now: Callable[[], float], fresh: float = FRESH
    ) -> None:
        self._upstream, self._cache, self._client, self._disk, self._clock, self._now = upstream, cache, client, disk, clock, now
        self._fresh = fresh
        self._places = DeferredSemaphore(PARALLEL)
        self._fetches: dict[str, Fetch] = {}
        self._collectors: dict[str, Collector] = {}
        self._asking: dict[str, list[Deferred[None]]] = {}
        self._absent: OrderedDict[str, float] = OrderedDict()

    async def open(self, path: str, *, head: bool = False) -> Opened | Fetch | Described:
        """The file from the cache, or on its way into it. NotFound; UpstreamFailed (and nothing cached); StorageUnavailable."""
        key = _key(path)
        try:
            await self._cache.load()
        except OSError as e:
            raise StorageUnavailable(f"the cache of {self._upstream} can't be used: {e.strerror}") from e
        while key in self._asking:
            await self._answered(key)
        if key in self._fetches:
            return await self._follow(self._fetches[key])
        entry = self._cache.get(key)
        if entry is not None and (never_changes(key) or self._now() - entry.checked < self._fresh):
            try:
                return await self._cache.open(entry)
            except NotFound:
                entry = None
        if self._absent.get(key, 0.0) > self._now():
            raise NotFound(f"{self._upstream} has no {key!r}")
        if head and entry is None:
            return await self._describe(key)
        return await self._ask(key, entry)

    def stop(self) -> None:
        """Give up every fetch. May be called twice."""
        for collector in list(self._collectors.values()):
            collector.stop("pxed is stopping")

    async def _answered(self, key: str) -> None:
        mine: Deferred[None] = Deferred()
        self._asking[key].append(mine)
        await mine

    async def _follow(self, fetch: Fetch) -> Fetch:
        if fetch.size is None:
            await fetch.whole()
        return fetch

    async def _ask(self, key: str, entry: Entry | None) -> Opened | Fetch:
        """Ask the upstream, others that want `key` wait for its answer (not for the bytes)."""
        self._asking[key] = []
        try:
            got = await self._request(key, entry)
        except UpstreamFailed as e:
            if entry is None:
                raise
            log.warn("Serving {key} as it was: {why}", key=key, why=str(e))
            got = None
        finally:
            for other in self._asking.pop(key):
                other.callback(None)
        if got is not None:
            return await self._follow(got)
        assert entry is not None
        return await self._cache.open(entry)

    async def _request(self, key: str, entry: Entry | None) -> Fetch | None:
        """A fetch that has begun; None if `entry` is still right. NotFound, UpstreamFailed."""
        headers = dict(self._upstream.headers)
        if entry is not None and entry.etag:
            headers["If-None-Match"] = entry.etag
        if entry is not None and entry.last_modified:
            headers["If-Modified-Since"] = entry.last_modified
        await self._places.acquire()
        try:
            response = await self._send("GET", key, headers)
            fetch = await self._take(key, entry, response)
        except BaseException:
            self._places.release()
            raise
        if fetch is None:
            self._places.release()
        return fetch

    async def _take(self, key: str, entry: Entry | None, response: Any) -> Fetch | None:
        if response.code == 304 and entry is not None:
            let_go(response)
            await self._cache.vouched(entry)
            return None
        self._check(key, response)
        etag, date = _header(response, "ETag"), _header(response, "Last-Modified")
        size = _length(response)
        path = self._cache.begin()
        modified = _seconds(date, self._now())
        tag = _tag(etag or date or f"{path.stem} {self._now()}", size)
        fetch = Fetch(key, path, size=size, modified=modified, tag=tag.encode("ascii"), disk=self._disk)
        try:
            await self._cache.make_room()
            await fetch.create()
        except OSError as e:
            let_go(response)
            raise StorageUnavailable(f"the cache of {self._upstream} can't be written: {e.strerror}") from e
        collector = Collector(fetch, self._clock)
        self._fetches[key], self._collectors[key] = fetch, collector
        Deferred.fromCoroutine(self._finish(fetch, collector, etag, date)).addErrback(
            lambda failure: log.failure("The end of a fetch failed", failure)
        )
        response.deliverBody(collector)
        return fetch

    async def _finish(self, fetch: Fetch, collector: Collector, etag: str, date: str) -> None:
        try:
            await collector.finished
            if fetch.size is not None and fetch.written != fetch.size:
                raise UpstreamFailed(f"the upstream sent {fetch.written} of {fetch.size} bytes")
            fetch.end()
            await self._cache.commit(
                fetch.path,
                key=fetch.key,
                size=fetch.written,
                etag=etag,
                last_modified=date,
                modified=fetch.modified,
                tag=fetch.tag.decode("ascii"),
            )
        except (UpstreamFailed, OSError) as e:
            why = e if isinstance(e, UpstreamFailed) else UpstreamFailed(f"our disk failed: {e.strerror}")
            log.warn("Fetching {key} from {upstream} failed: {why}", key=fetch.key, upstream=self._upstream, why=str(why))
            fetch.end(why)
            await self._disk.do(lambda: fetch.path.unlink(missing_ok=True))
        finally:
            self._places.release()
            fetch.close()
            del self._fetches[fetch.key], self._collectors[fetch.key]

    async def _describe(self, key: str) -> Described:
        response = await self._send("HEAD", key, dict(self._upstream.headers))
        self._check(key, response)
        etag, date, size = _header(response, "ETag"), _header(response, "Last-Modified"), _length(response)
        tag = _tag(etag or date or f"described {self._now()}", size)
        return Described(key, size, _seconds(date, self._now()), tag.encode("ascii"))

    def _check(self, key: str, response: Any) -> None:
        if response.code == 200:
            return
        let_go(response)
        if response.code in {404, 410}:
            self._absent[key] = self._now() + ABSENT
            while len(self._absent) > 2000:
                self._absent.popitem(last=False)
            raise NotFound(f"{self._upstream} has no {key!r}")
        raise UpstreamFailed(f"{self._upstream} answered {response.code} for {key!r}")

    async def _send(self, method: str, key: str, headers: dict[str, str]) -> Any:
        """The response, its body not yet read. UpstreamFailed."""
        asked: Deferred[Any] = self._client.request(
            method, self._upstream.url(key), headers=headers, unbuffered=True, timeout=HEADERS, reactor=self._clock
        )
        try:
            return await asked
        except Exception as e:  # whatever way the network found: DNS, TLS, reset, time-out, garbage
            reason = str(e) if isinstance(e, ConnectError) else type(e).__name__
            raise UpstreamFailed(f"{self._upstream} can't be reached ({reason})") from None


def _key(path: str) -> str:
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if not parts or ".." in parts or path.endswith("/") or any(ord(c) < 32 for c in path) or len(path) > 2000:
        raise NotFound(f"no file {path[:80]!r}")
    return "/".join(parts)


def _header(response: Any, name: str) -> str:
    values = response.headers.getRawHeaders(name)
    return str(values[0])[:200] if values else ""


def _tag(validator: str, size: int | None) -> str:
    """A strong entity tag of our own: the same as long as the upstream's validator is."""
    return f'"{hashlib.sha256(f"{validator} {size}".encode()).hexdigest()[:24]}"'


def _length(response: Any) -> int | None:
    """Bytes of the body, None if the upstream doesn't say. Of a HEAD's answer Twisted keeps the header but no length."""
    said = _header(response, "Content-Length")
    if said:
        return int(said) if said.isdigit() and len(said) < 19 else None
    return response.length if isinstance(response.length, int) else None


def _seconds(date: str, otherwise: float) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return otherwise
