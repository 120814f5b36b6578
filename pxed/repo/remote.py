"""Somebody's server: recognising the tree it holds, and fetching an image from it."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from pxed.errors import PxedError, StorageUnavailable
from pxed.repo.disk import Disk
from pxed.repo.fetch import Collector, Fetch, UpstreamFailed
from pxed.repo.recognise import SMALL, Medium, recognise
from pxed.repo.trees import Missing, Question, RemoteTree
from pxed.repo.upstream import Upstream, let_go

ANSWER = 30.0
"""Seconds until a server must have answered a small question."""
MOST_QUESTIONS = 200
SPARE = 1 << 30
"""Bytes that a download leaves free on our disk."""


class Remote:
    """`client`: a treq HTTPClient (or its stub); `clock`: IReactorTime."""

    def __init__(self, *, client: Any, disk: Disk, clock: Any) -> None:
        self._client, self._disk, self._clock = client, disk, clock

    async def recognise(self, url: str) -> Medium:
        """What the tree at `url` installs. Unrecognised; UpstreamFailed."""
        upstream, tree = Upstream(url), RemoteTree()
        for _ in range(MOST_QUESTIONS):
            try:
                return recognise(tree)
            except Missing as missing:
                await self._answer(upstream, tree, missing.question)
        raise UpstreamFailed(f"{upstream} was asked {MOST_QUESTIONS} times and still isn't recognised")

    async def download(self, url: str, place: Path, begun: Callable[[Fetch, Collector], None]) -> None:
        """Fetch `url` to `place`. `begun` gets what tells the progress and what stops it. UpstreamFailed; StorageUnavailable."""
        upstream = Upstream(url)
        response = await self._ask("GET", upstream, upstream.url("").rstrip("/"), {})
        size = response.length if isinstance(response.length, int) else None
        if response.code != 200:
            let_go(response)
            raise UpstreamFailed(f"{upstream} answered {response.code}")
        fetch = Fetch(str(upstream), place, size=size, modified=0.0, tag=b"", disk=self._disk, spare=SPARE)
        try:
            try:
                await self._disk.do(_room_for, place, size)
                await fetch.create()
            except BaseException:
                let_go(response)
                raise
            collector = Collector(fetch, self._clock)
            begun(fetch, collector)
            response.deliverBody(collector)
            await collector.finished
        except OSError as e:
            raise StorageUnavailable(f"{place.parent} can't be written: {e.strerror}") from e
        finally:
            fetch.close()
        if size is not None and fetch.written != size:
            raise UpstreamFailed(f"{upstream} sent {fetch.written} of {size} bytes")

    async def _answer(self, upstream: Upstream, tree: RemoteTree, question: Question) -> None:
        if question.listing:
            url = upstream.url(question.path).rstrip("/") + "/"
            response = await self._ask("GET", upstream, url, {})
            listed = response.code == 200 and "html" in str(response.headers.getRawHeaders("Content-Type", [""])[0])
            tree.listings[question.path] = _listing(await self._body(response, SMALL if listed else 0))
            return
        whole = (question.start, question.most) == (0, SMALL)
        last = question.start + question.most - 1
        headers = {} if whole or not question.most else {"Range": f"bytes={question.start}-{last}"}
        response = await self._ask("GET" if question.most else "HEAD", upstream, upstream.url(question.path), headers)
        there = response.code == 206 or (response.code == 200 and not question.start)
        body = await self._body(response, question.most if there else 0)
        if response.code in (401, 407) or response.code >= 500:
            raise UpstreamFailed(f"{upstream} answered {response.code} for {question.path!r}")
        tree.answers[question] = body if there else None

    async def _ask(self, method: str, upstream: Upstream, url: str, headers: dict[str, str]) -> Any:
        """The response, its body not yet read. UpstreamFailed."""
        try:
            return await self._client.request(
                method, url, headers={**upstream.headers, **headers}, unbuffered=True, timeout=ANSWER, reactor=self._clock
            )
        except Exception as e:  # whatever way the network found: DNS, TLS, reset, time-out, garbage
            reason = str(e) if isinstance(e, ConnectError) else type(e).__name__
            raise UpstreamFailed(f"{upstream} can't be reached ({reason})") from None

    async def _body(self, response: Any, most: int) -> bytes:
        """Its first `most` bytes; the rest is let go of. UpstreamFailed."""
        if not most:
            let_go(response)
            return b""
        body = _Capped(most)
        response.deliverBody(body)
        body.done.addTimeout(ANSWER, self._clock)
        try:
            return await body.done
        except PxedError:
            raise
        except Exception as e:
            raise UpstreamFailed(f"an answer broke off ({type(e).__name__})") from None


class _Capped(Protocol):
    """Collects the first `most` bytes of a body and hangs up on the rest."""

    def __init__(self, most: int) -> None:
        self._most, self._data = most, bytearray()
        self.done: Deferred[bytes] = Deferred(lambda _: self._hang_up())

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._most and not self.done.called:
            self.done.callback(bytes(self._data[: self._most]))
            self._hang_up()

    def _hang_up(self) -> None:
        stop = getattr(self.transport, "stopProducing", None)
        if stop is not None:
            stop()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(bytes(self._data))
        else:
            self.done.errback(reason)


def is_image(url: str) -> bool:
    """Whether a URL names an .iso rather than a tree."""
    return urlsplit(url).path.lower().endswith(".iso")


def _listing(page: bytes) -> list[str]:
    """The names that a server's own index page links to."""
    links = re.findall(r"""(?i)<a\s[^>]*?href=["']?([^"'\s>?#]+)""", page.decode("utf-8", "replace"))
    names = (unquote(html.unescape(link)).removeprefix("./").rstrip("/") for link in links)
    return sorted({name for name in names if name and "/" not in name and name != ".."})


def _room_for(place: Path, size: int | None) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(place.parent).free
    if size is not None and free - size < SPARE:
        raise StorageUnavailable(f"{place.parent} has {free >> 20} MiB free, and the image has {size >> 20} MiB")
