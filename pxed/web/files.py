"""Files below a root directory, over HTTP: GET, HEAD, ranges, conditions. Used for boot programs and for repositories.

Opening and reading ahead happen in a thread; `pxed.repo.rooted` decides what a name may stand for; `sendfile` moves the bytes.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.internet import error

from pxed.errors import NotFound
from pxed.repo.directory import Opened, open_below
from pxed.repo.disk import Disk
from pxed.repo.recent import Recent
from pxed.web import ranges, sendfile
from pxed.web.request import Plain


def path_below(request: Any) -> str:
    """The decoded path behind the resource's own, ``/`` between segments; bytes that aren't UTF-8 survive as surrogates.

    Encoded slashes separate too: `rooted` judges the result, so nothing can be smuggled past it.
    """
    return os.fsdecode(b"/".join(request.postpath))


async def send_file(request: Any, file: Opened, *, disk: Disk, clock: Any) -> int:
    """Answer `request` with `file` and finish; returns the bytes of body sent. Closes the file. ConnectionLost if the client went."""
    try:
        if request.gone:
            raise error.ConnectionLost()
        answer = begin(request, file.name, size=file.size, modified=file.modified, etag=file.etag)
        if answer.length and request.method != b"HEAD":
            *parts, (offset, length) = file.stretches(answer.start, answer.length)
            for part in parts:
                await sendfile.send(request, os.dup(file.fd), *part, disk=disk, clock=clock)
            fd, file.fd = file.fd, -1
            await sendfile.send(request, fd, offset, length, disk=disk, clock=clock)
            request.finish()
            return answer.length
    finally:
        file.close()
    if not request.finished:
        request.write(b"")
        request.finish()
    return 0


def begin(request: Any, name: str, *, size: int, modified: float, etag: bytes) -> ranges.Answer:
    """Choose the answer for a file and set its headers; 304 and 416 are answered in full."""
    answer = ranges.choose(request.getHeader, size=size, etag=etag, modified=modified, method=request.method)
    fields = request.responseHeaders
    fields.put(b"Accept-Ranges", b"bytes")
    fields.put(b"ETag", etag)
    fields.put(b"Last-Modified", ranges.http_date(modified))
    if answer.code == 304:
        request.reply(304)
    elif answer.code == 416:
        fields.put(b"Content-Range", b"bytes */%d" % size)
        request.reply(416, "no such range\n")
    else:
        request.setResponseCode(answer.code)
        fields.put(b"Content-Type", ranges.media_type(name).encode("ascii"))
        fields.put(b"Content-Length", b"%d" % answer.length)
    if answer.code == 206:
        last = answer.start + answer.length - 1
        fields.put(b"Content-Range", b"bytes %d-%d/%d" % (answer.start, last, size))
    return answer


class FileTree(Plain):
    """The files below `root`. `on_sent(request, name, size, bytes_sent)` after each answered GET; `on_missing(request, name)` on 404.

    `answered(request, name)` is asked first: True when it has answered a name that is no file. `recent`: what was opened a moment ago.
    """

    def __init__(
        self,
        root: Path,
        *,
        disk: Disk,
        clock: Any,
        on_sent: Callable[[Any, str, int, int], None] | None = None,
        on_missing: Callable[[Any, str], None] | None = None,
        answered: Callable[[Any, str], Awaitable[bool]] | None = None,
        recent: Recent | None = None,
    ) -> None:
        super().__init__()
        self._answered = answered
        self._recent = recent
        self._root, self._disk, self._clock = root, disk, clock
        self._on_sent, self._on_missing = on_sent, on_missing

    async def get(self, request: Any) -> None:
        name = path_below(request)
        if self._answered is not None and await self._answered(request, name):
            return
        try:
            file = await self._open(name)
        except NotFound:
            if self._on_missing is not None:
                self._on_missing(request, name)
            request.reply(404, "no such file\n")
            return
        size = file.size
        sent = await send_file(request, file, disk=self._disk, clock=self._clock)
        if self._on_sent is not None and request.method == b"GET":
            self._on_sent(request, name, size, sent)

    async def _open(self, name: str) -> Opened:
        def opening() -> Awaitable[Opened]:
            return self._disk.do(open_below, self._root, name)

        return await (opening() if self._recent is None else self._recent.open(name, opening))
