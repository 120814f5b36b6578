"""One file on its way from an upstream to the disk, with any number of readers behind it.

The upstream's bytes go to a temporary file, written in a thread; readers follow the file as far as it has grown. So the upstream is asked
once however many nodes want the file, and no slow node slows the fetch. Backpressure is between the disk and the upstream only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from pxed.errors import PxedError
from pxed.repo.directory import Opened
from pxed.repo.disk import Disk

IDLE = 60.0
"""Seconds without a byte after which the upstream counts as gone."""
AHEAD = 4 << 20
"""Bytes that may wait for the disk before the upstream is told to pause."""

log = Logger()


class UpstreamFailed(PxedError):
    """The upstream did not answer, answered with an error, or stopped in the middle (HTTP 502). Never names its credentials."""


class Fetch:
    """A growing file. `size` is None while nobody knows; `written` bytes may be read from `path`. Ends `done` or `failed`.

    `spare`: bytes that stay free on its disk.
    """

    def __init__(self, key: str, path: Path, *, size: int | None, modified: float, tag: bytes, disk: Disk, spare: int = 0) -> None:
        self._spare = spare
        self.key, self.path, self.size, self.modified, self.tag = key, path, size, modified, tag
        self.written = 0
        self.done = False
        self.failed: UpstreamFailed | None = None
        self._disk = disk
        self._fd = -1
        self._waiting: list[tuple[int, Deferred[None]]] = []

    async def create(self) -> None:
        """Make the temporary file. OSError."""
        self._fd = await self._disk.do(os.open, self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    async def append(self, data: bytes) -> None:
        """Write behind what is there, then wake readers. OSError (disk full)."""
        await self._disk.do(_write_all, self._fd, data, self._spare)
        self.written += len(data)
        self._wake()

    def end(self, failed: UpstreamFailed | None = None) -> None:
        """No more bytes will come. May be called twice; the first counts."""
        if self.done or self.failed:
            return
        if failed is None:
            self.done, self.size = True, self.written
        else:
            self.failed = failed
        self._wake()

    def close(self) -> None:
        """Give up our own descriptor; readers have theirs."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def reader(self) -> Opened:
        """A descriptor of the reader's own. `size` must be known; follow it with `grown`."""
        assert self.size is not None
        return Opened(os.dup(self._fd), self.key, self.size, self.modified, self.tag)

    async def grown(self, beyond: int) -> int:
        """The bytes there are, as soon as that is more than `beyond` or all. UpstreamFailed if that many will never come."""
        while self.written <= beyond and not self.done:
            if self.failed is not None:
                raise self.failed
            more: Deferred[None] = Deferred()
            self._waiting.append((beyond, more))
            await more
        return self.written

    async def whole(self) -> None:
        """Wait for the last byte. UpstreamFailed."""
        while not self.done:
            await self.grown(self.written)

    def _wake(self) -> None:
        over = self.done or self.failed is not None
        ready = [more for beyond, more in self._waiting if over or beyond < self.written]
        self._waiting = [] if over else [pair for pair in self._waiting if pair[0] >= self.written]
        for more in ready:
            more.callback(None)


class Collector(Protocol):
    """Receives a response's body into a Fetch. `finished` fires (None, or UpstreamFailed, or OSError) when the file is written."""

    def __init__(self, fetch: Fetch, clock: Any) -> None:
        self.finished: Deferred[None] = Deferred()
        self._fetch, self._clock = fetch, clock
        self._pending: list[bytes] = []
        self._waiting = 0
        self._paused = False
        self._writing = False
        self._ended: UpstreamFailed | bool | None = False
        self._idle = clock.callLater(IDLE, self._too_slow)

    def dataReceived(self, data: bytes) -> None:
        self._idle.reset(IDLE) if self._idle.active() else None
        self._pending.append(data)
        self._waiting += len(data)
        if self._waiting > AHEAD and not self._paused:
            self._paused = True
            self._tell_upstream("pauseProducing")
        if not self._writing:
            self._writing = True
            Deferred.fromCoroutine(self._write()).addErrback(self._finish)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if self._idle.active():
            self._idle.cancel()
        whole = reason.check(ResponseDone) or (reason.check(PotentialDataLoss) and self._fetch.size is None)
        self._over(None if whole else UpstreamFailed("the upstream stopped in the middle of the file"))

    def stop(self, why: str) -> None:
        """Give the fetch up."""
        if self._idle.active():
            self._idle.cancel()
        self._tell_upstream("stopProducing")
        self._over(UpstreamFailed(why))

    def _too_slow(self) -> None:
        if self._paused:
            self._idle = self._clock.callLater(IDLE, self._too_slow)
        else:
            self.stop(f"the upstream sent nothing for {IDLE:.0f} s")

    def _over(self, result: UpstreamFailed | None) -> None:
        if self._ended is False:
            self._ended = result
            if not self._writing:
                self._finish(None)

    async def _write(self) -> None:
        while self._pending:
            data = b"".join(self._pending)
            self._pending, self._waiting = [], 0
            await self._fetch.append(data)
            if self._paused:
                self._paused = False
                self._tell_upstream("resumeProducing")
        self._writing = False
        if self._ended is not False:
            self._finish(None)

    def _finish(self, failure: Failure | None) -> None:
        if self.finished.called:
            return
        if failure is not None:
            self._tell_upstream("stopProducing")
            self.finished.errback(failure)
        elif isinstance(self._ended, UpstreamFailed):
            self.finished.errback(Failure(self._ended))
        else:
            self.finished.callback(None)

    def _tell_upstream(self, verb: str) -> None:
        method: Callable[[], None] | None = getattr(self.transport, verb, None)
        if method is not None:
            method()


def _write_all(fd: int, data: bytes, spare: int) -> None:
    if spare:
        disk = os.fstatvfs(fd)
        if disk.f_bavail * disk.f_frsize - len(data) < spare:
            raise OSError(errno.ENOSPC, f"less than {spare >> 20} MiB of its disk would stay free")
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
