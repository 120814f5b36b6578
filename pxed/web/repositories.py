"""``/repo/<name>/<path>``: installer files and packages, from directories and images, from the cache, or while they are still arriving.

``/repo/<name>.iso`` is the image that a repository is made of, whole: Ubuntu's installer wants that, at a URL with this ending.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from twisted.internet import error

from pxed.errors import NotFound, StorageUnavailable
from pxed.repo.directory import Opened
from pxed.repo.fetch import Fetch, UpstreamFailed
from pxed.repo.repository import Repository
from pxed.web import sendfile
from pxed.web.files import begin, path_below, send_file
from pxed.web.request import Plain
from pxed.web.rooms import Rooms
from pxed.web.traffic import Traffic


class Repositories(Plain):
    """All repositories; `traffic` hears of every answered GET."""

    def __init__(self, rooms: Rooms, repositories: Mapping[str, Repository], traffic: Traffic) -> None:
        super().__init__()
        self._rooms, self._repositories, self._traffic = rooms, repositories, traffic

    async def get(self, request: Any) -> None:
        name, _, path = path_below(request).partition("/")
        opening = self._opening(name, path, head=request.method == b"HEAD")
        if opening is None:
            known = ", ".join(sorted(self._repositories)) or "none"
            request.reply(404, f"no such repository; there is: {known}\n")
            return
        try:
            source = await opening
        except NotFound:
            self._traffic.missing(request.peer, f"{name}/{path}")
            request.reply(404, "no such file\n")
            return
        except (UpstreamFailed, StorageUnavailable) as e:
            self._traffic.failed(request.peer, f"{name}/{path}", str(e))
            raise
        sent = await self._send(request, source)
        if request.method == b"GET":
            self._traffic.sent(request.peer, f"{name}/{path}", sent)

    def _opening(self, name: str, path: str, *, head: bool) -> Awaitable[Any] | None:
        """What will open the file, or the whole image; None if there is no such repository."""
        repository = self._repositories.get(name)
        if repository is not None:
            return repository.open(path, head=head)
        imaged = None if path else self._repositories.get(name.removesuffix(".iso"))
        return imaged.image() if imaged is not None else None

    async def _send(self, request: Any, source: Any) -> int:
        if isinstance(source, Opened):
            return await send_file(request, source, disk=source.disk or self._rooms.disk, clock=self._rooms.clock)
        if isinstance(source, Fetch):
            return await self._send_growing(request, source)
        if source.size is not None:
            answer = begin(request, source.name, size=source.size, modified=source.modified, etag=source.etag)
            if answer.code in {304, 416}:
                return 0
        request.write(b"")
        request.finish()
        return 0

    async def _send_growing(self, request: Any, fetch: Fetch) -> int:
        """A file that is still arriving. The client's headers go out at once, its bytes as they come."""
        if request.gone:
            raise error.ConnectionLost()
        file = fetch.reader()
        answer = begin(request, file.name, size=file.size, modified=file.modified, etag=file.etag)
        if not answer.length or request.method == b"HEAD":
            file.close()
            if not request.finished:
                request.write(b"")
                request.finish()
            return 0
        fd, file.fd = file.fd, -1
        body = sendfile.Body(request, fd, answer.start, answer.length, disk=self._rooms.disk, clock=self._rooms.clock)
        try:
            await body.follow(fetch.grown)
        except UpstreamFailed as e:
            body.abort(str(e))
            raise error.ConnectionLost() from None
        finally:
            body.close()
        request.finish()
        return answer.length
