"""A repository: a tree of installer files made of layers, tried in order. A file of an earlier layer hides the later ones'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from twisted.logger import Logger

from pxed.errors import NotFound
from pxed.repo.aptsource import debian_mirror
from pxed.repo.cache import Cache
from pxed.repo.directory import DirectoryLayer, Opened
from pxed.repo.disk import Disk
from pxed.repo.fetch import Fetch, UpstreamFailed
from pxed.repo.mirror import Described, Mirror
from pxed.repo.upstream import Upstream, make_client

if TYPE_CHECKING:
    from pxed.config import RepositorySettings, Settings

log = Logger()

Source = Opened | Fetch | Described
"""An open file; a file on its way; or (only for HEAD) what is known of a file."""


class Layer(Protocol):
    """Where files may come from."""

    async def open(self, path: str, *, head: bool = False) -> Source:
        """NotFound, UpstreamFailed, StorageUnavailable."""
        ...


class Repository:
    """`name` is its place in URLs."""

    def __init__(self, name: str, layers: Sequence[Layer]) -> None:
        self.name = name
        self.layers = tuple(layers)

    async def open(self, path: str, *, head: bool = False) -> Source:
        """The first layer's file. NotFound if no layer has it; UpstreamFailed if one that might have it can't say and no other has it."""
        problem: UpstreamFailed | None = None
        for layer in self.layers:
            try:
                return await layer.open(path, head=head)
            except NotFound:
                continue
            except UpstreamFailed as e:
                problem = problem or e
        raise problem or NotFound(f"repository {self.name} has no {path[:200]!r}")

    def stop(self) -> None:
        """Give up what is being fetched. May be called twice."""
        for layer in self.layers:
            if isinstance(layer, Mirror):
                layer.stop()


def make_repositories(settings: Settings, *, reactor: Any, now: Callable[[], float]) -> dict[str, Repository]:
    """Every repository of the settings, by name. Blocking but brief: reads apt's sources where a layer is ``apt``."""
    disk = Disk(reactor)
    client = make_client(reactor, settings.http_proxy)
    return {
        each.name: Repository(each.name, _layers(each, settings.cache_dir / each.name, disk, client, reactor, now))
        for each in settings.repository
    }


def _layers(settings: RepositorySettings, cache_dir: Path, disk: Disk, client: Any, reactor: Any, now: Callable[[], float]) -> list[Layer]:
    layers: list[Layer] = []
    for text in settings.layers:
        if text.startswith("/"):
            layers.append(DirectoryLayer(Path(text), disk))
            continue
        url = debian_mirror() if text == "apt" else text
        if url is None:
            log.warn("Repository {name}: this host's apt has no Debian mirror, so that layer is empty", name=settings.name)
            continue
        upstream = Upstream(url)
        parts = urlsplit(str(upstream))
        place = cache_dir / "".join(c if c.isalnum() or c in "._-" else "_" for c in parts.netloc + parts.path)
        cache = Cache(place, max_bytes=settings.cache_bytes, disk=disk, now=now)
        layers.append(Mirror(upstream, cache, client=client, disk=disk, clock=reactor, now=now))
    return layers
