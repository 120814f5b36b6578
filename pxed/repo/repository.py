"""A repository: a tree of installer files made of layers, tried in order. A file of an earlier layer hides the later ones'."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from twisted.logger import Logger

from pxed.errors import NotFound, PxedError, StorageUnavailable
from pxed.repo.aptsource import debian_mirror
from pxed.repo.cache import Cache
from pxed.repo.directory import DirectoryLayer, Opened
from pxed.repo.disk import Disk
from pxed.repo.fetch import Fetch, UpstreamFailed
from pxed.repo.isolayer import Indexes, IsoLayer
from pxed.repo.isoreading import Reading
from pxed.repo.mirror import Described, Mirror
from pxed.repo.recent import Recent
from pxed.repo.upstream import Upstream, make_client

if TYPE_CHECKING:
    from pxed.config import Settings

LOOK = 3.0
"""Seconds in which a path of this host must have been looked at."""

log = Logger()

Source = Opened | Fetch | Described
"""An open file; a file on its way; or (only for HEAD) what is known of a file."""


class Layer(Protocol):
    """Where files may come from."""

    async def open(self, path: str, *, head: bool = False) -> Source:
        """NotFound, UpstreamFailed, StorageUnavailable."""
        ...


class Repository:
    """`name` is its place in URLs. `recent`: what was opened a moment ago is not looked for again."""

    def __init__(self, name: str, layers: Sequence[Layer], *, recent: Recent | None = None) -> None:
        self.name = name
        self.layers = tuple(layers)
        self._recent = recent

    async def open(self, path: str, *, head: bool = False) -> Source:
        """The first layer's file. NotFound if no layer has it; UpstreamFailed if one that might have it can't say and no other has it."""
        if self._recent is None:
            return await self._found(path, head)
        return await self._recent.open(path, lambda: self._found(path, head))

    async def _found(self, path: str, head: bool) -> Source:
        problem: PxedError | None = None
        for layer in self.layers:
            try:
                return await layer.open(path, head=head)
            except NotFound:
                continue
            except (UpstreamFailed, StorageUnavailable) as e:
                problem = problem or e
        raise problem or NotFound(f"repository {self.name} has no {path[:200]!r}")

    async def image(self) -> Opened:
        """The .iso that the repository is made of, whole. NotFound if it has none; StorageUnavailable."""
        for layer in self.layers:
            if isinstance(layer, IsoLayer):
                return await layer.whole()
        raise NotFound(f"repository {self.name} is no .iso")

    def any_case(self, found: bool) -> None:
        """Whether a name that a directory does not have as written is looked for without regard to case."""
        for layer in self.layers:
            if isinstance(layer, DirectoryLayer):
                layer.any_case = found

    def stop(self) -> None:
        """Give up what is being fetched and what is open. May be called twice."""
        for layer in self.layers:
            if isinstance(layer, Mirror):
                layer.stop()
        if self._recent is not None:
            self._recent.close()


class Builder:
    """Makes repositories of what the operator named. Images keep their indexes below `index_dir`, mirrors their files below `cache_dir`.

    `media` reads directories and images, which may be on a file server, `disk` what is our own."""

    def __init__(self, settings: Settings, *, reactor: Any, now: Callable[[], float], media: Disk | None = None) -> None:
        self.disk = Disk(reactor)
        self.media = media or self.disk
        self.client = make_client(reactor, settings.http_proxy)
        self.reading = Reading()
        self.indexes = Indexes(settings.state_dir / "indexes", self.reading)
        self._cache_dir, self._reactor, self._now = settings.cache_dir, reactor, now

    def build(self, name: str, sources: Sequence[str], cache_bytes: int, *, any_case: bool = False) -> Repository:
        """A layer per source: directory, .iso, http(s) URL or ``apt``. Blocking but brief: looks at files, reads apt's sources."""
        layers = (self._layer(name, text, cache_bytes, any_case) for text in sources)
        return Repository(name, [layer for layer in layers if layer is not None], recent=Recent(self._reactor))

    def _layer(self, name: str, text: str, cache_bytes: int, any_case: bool) -> Layer | None:
        if text.startswith("/"):
            path = Path(text)
            return IsoLayer(path, self.indexes, self.media) if is_image_file(path) else DirectoryLayer(path, self.media, any_case=any_case)
        url = debian_mirror() if text == "apt" else text
        if url is None:
            log.warn("Repository {name}: this host's apt has no Debian mirror, so that layer is empty", name=name)
            return None
        upstream = Upstream(url)
        parts = urlsplit(str(upstream))
        place = self._cache_dir / name / "".join(c if c.isalnum() or c in "._-" else "_" for c in parts.netloc + parts.path)
        cache = Cache(place, max_bytes=cache_bytes, disk=self.disk, now=self._now)
        return Mirror(upstream, cache, client=self.client, disk=self.disk, clock=self._reactor, now=self._now)


def is_image_file(path: Path, look: Callable[[Path], os.stat_result] = os.stat, patience: float = LOOK) -> bool:
    """Whether `path` is a file; of what can't be looked at now, whether it is called like an image.

    A file server that is gone lets everybody wait for ever who looks; pxed starts without it.
    """
    seen: list[bool] = []

    def see() -> None:
        with suppress(OSError):
            seen.append(stat.S_ISREG(look(path).st_mode))

    looking = Thread(target=see, daemon=True)
    looking.start()
    looking.join(patience)
    if looking.is_alive():
        log.warn("{path} can't be looked at: its file system has not answered for {patience:.0f} s", path=path, patience=patience)
    return seen[0] if seen else path.suffix.lower() == ".iso"
