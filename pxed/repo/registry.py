"""All repositories of the appliance: those of the configuration, and those that were added while it runs. One name space; the former win.

Adding is an `Import`: looking, downloading and reading happen beside everything else, and the repository is there when all of it has gone
well. Until then, and if it fails, one of the same name stays as it was.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from pxed.errors import ConfigError, Conflict, InvalidRequest, NotFound, PxedError, StorageUnavailable
from pxed.repo.disk import Disk
from pxed.repo.importing import Import
from pxed.repo.iso import UnreadableImage
from pxed.repo.recognise import Medium, Unrecognised, recognise, to_json
from pxed.repo.records import Record, Records
from pxed.repo.remote import Remote, is_image
from pxed.repo.repository import Builder, Repository
from pxed.repo.trees import DirectoryTree, ImageTree
from pxed.repo.upstream import Upstream

if TYPE_CHECKING:
    from pxed.config import Settings

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
CACHE_BYTES = 20 << 30
"""Of a mirror that was added."""
REMEMBERED = 50
"""Imports that have ended and can still be asked about."""
ANY_CASE = frozenset({"esxi", "windows"})
"""Families whose installers ask for names in another case than a directory may have them."""

log = Logger()


@dataclass(slots=True)
class Entry:
    """One repository with what is known of it. `sources` are as an operator may see them; `medium` None: see `note`."""

    repository: Repository
    sources: tuple[str, ...]
    configured: bool
    medium: Medium | None = None
    note: str = ""
    record: Record | None = None

    @property
    def name(self) -> str:
        return self.repository.name


def make_registry(settings: Settings, *, reactor: Any, now: Callable[[], float], media: Disk | None = None) -> Registry:
    """With the repositories of the settings; `media` as `Builder`'s. As brief as `Builder.build`. ConfigError for one that would show
    pxed's own files."""
    for each in settings.repository:
        for layer in each.layers:
            if exposes(layer, settings.state_dir):
                raise ConfigError(f"the layer {layer} {EXPOSED}", key=f"repository {each.name}")
    builder = Builder(settings, reactor=reactor, now=now, media=media)
    configured = [
        Entry(builder.build(each.name, each.layers, each.cache_bytes), tuple(map(shown, each.layers)), configured=True)
        for each in settings.repository
    ]
    return Registry(configured, builder=builder, state_dir=settings.state_dir, reactor=reactor, now=now)


class Registry(Mapping[str, Repository]):
    """Beside the `configured` ones, those that are recorded below `state_dir` once `load` has been called. `now`: UTC seconds."""

    def __init__(self, configured: Iterable[Entry], *, builder: Builder, state_dir: Path, reactor: Any, now: Callable[[], float]) -> None:
        self._builder = builder
        self._disk, self._now = builder.disk, now
        self._remote = Remote(client=self._builder.client, disk=self._disk, clock=reactor)
        self._records = Records(state_dir / "repositories")
        self._images = state_dir / "images"
        self._state_dir = state_dir
        self._storing = DeferredLock()
        self._imports: dict[str, Import] = {}
        self._serial = 0
        self._stopped = False
        self._entries = {entry.name: entry for entry in configured}

    def __getitem__(self, name: str) -> Repository:
        return self._entries[name].repository

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> list[Entry]:
        """By name."""
        return [self._entries[name] for name in sorted(self._entries)]

    def entry(self, name: str) -> Entry:
        """NotFound names those that exist."""
        if name not in self._entries:
            known = ", ".join(sorted(self._entries)) or "none"
            raise NotFound(f"There is no repository {name[:80]!r}; there is {known}")
        return self._entries[name]

    def media(self, name: str) -> Mapping[str, Any]:
        """What was recognised about its medium, as `pxed.repo.recognise.to_json`; empty if nothing was or there is no such repository."""
        entry = self._entries.get(name)
        return to_json(entry.medium) if entry is not None and entry.medium is not None else {}

    async def load(self) -> None:
        """Take up those that were added before; then look at the media of the configured ones, which goes on behind this call."""
        records = await self._disk.do(self._records.all)
        for record in records:
            if record.name in self._entries:
                log.warn(
                    "The configuration has a repository {name}, so the one that was added under this name is not used", name=record.name
                )
                continue
            self._entries[record.name] = await self._disk.do(self._built, record)
        if not self._records.unreadable:  # one of those may be all that tells of an image
            await self._disk.do(_sweep, self._images, {record.owned for record in records})
        looked = Deferred.fromCoroutine(self._look_at_configured())
        looked.addErrback(lambda failure: log.failure("Looking at configured repositories failed", failure))

    async def recognise(self, source: str) -> Medium:
        """What `source` (an absolute path or a URL) installs; nothing is kept of it but an image's index.

        InvalidRequest; Unrecognised; UnreadableImage; UpstreamFailed.
        """
        source = _checked(source)
        if source.startswith("/"):
            return await self._builder.media.do(self._recognise_here, Path(source))
        if is_image(source):
            raise InvalidRequest("An image is recognised when it is here: add it", field="source", expected="a path, or the URL of a tree")
        return await self._remote.recognise(source)

    def begin(self, source: str, name: str | None = None, *, replace: bool = False) -> Import:
        """Start to add `source`; without `name` it gets the one of its medium. InvalidRequest; Conflict if `name` is taken."""
        source = _checked(source)
        if name is not None:
            if NAME.fullmatch(name) is None:
                raise InvalidRequest(
                    f"{name[:80]!r} can't name a repository", field="name", expected="lower-case letters, digits, dots and hyphens"
                )
            self._check_free(name, replace)
        self._serial += 1
        job = Import(str(self._serial), shown(source), name)
        self._imports[job.id] = job
        for old in [each.id for each in self._imports.values() if each.state != "running"][:-REMEMBERED]:
            del self._imports[old]
        job.running = Deferred.fromCoroutine(self._import(job, source, name, replace))
        job.running.addErrback(self._import_failed, job)
        return job

    def imports(self) -> list[Import]:
        """Those that run and the last that have ended, oldest first."""
        return list(self._imports.values())

    def find_import(self, number: str) -> Import:
        """NotFound."""
        if number not in self._imports:
            raise NotFound(f"There is no import {number[:20]!r}")
        return self._imports[number]

    async def remove(self, name: str) -> None:
        """Forget an added repository; an image that we downloaded for it goes with it. NotFound; Conflict; StorageUnavailable."""
        await self._storing.acquire()
        try:
            entry = self.entry(name)
            if entry.configured or entry.record is None:
                raise Conflict(f"The repository {name} is in the configuration: take it out there, then restart pxed")
            try:
                await self._disk.do(self._records.remove, name)
            except OSError as e:
                raise StorageUnavailable(f"{self._records.root} can't be written: {e.strerror}") from e
            del self._entries[name]
            await self._drop(entry)
        finally:
            self._storing.release()

    def stop(self) -> None:
        """Give up what is being fetched and every import. May be called twice."""
        self._stopped = True
        for job in self._imports.values():
            job.stop("pxed is stopping")
        self._builder.reading.stop()
        for entry in self._entries.values():
            entry.repository.stop()

    # ---- importing --------------------------------------------------------------------------------------------------------------
    async def _import(self, job: Import, source: str, name: str | None, replace: bool) -> None:
        owned = None
        try:
            place = source
            if source.startswith("/") and await self._builder.media.do(exposes, source, self._state_dir):
                raise InvalidRequest(f"{source} {EXPOSED}", field="source", expected="a directory of installer files alone")
            if not source.startswith("/") and is_image(source):
                owned = await self._download(job, source)
                place = str(owned)
            job.stage = "reading" if place.startswith("/") else "recognising"
            medium, note = await self._medium(place, named=name is not None)
            chosen = name or (medium.repository if medium is not None else "")
            record = Record(chosen, place, medium, note, str(owned) if owned else None, self._now())
            job.stage = "storing"
            await self._store(record, replace)
        except BaseException:
            if owned is not None:
                await self._disk.do(self._remove_image, owned)
            raise
        job.end(chosen)
        log.info("Repository {name} is {source}: {what}", name=chosen, source=job.source, what=medium.title if medium else note)

    async def _download(self, job: Import, source: str) -> Path:
        job.stage = "downloading"
        file = re.sub(r"[^A-Za-z0-9._-]", "_", urlsplit(source).path.rpartition("/")[2])[-100:]
        place = self._images / f"{int(self._now() * 1000):x}-{job.id}-{file}"
        try:
            await self._remote.download(source, place, job.follows)
        except BaseException:
            await self._disk.do(lambda: place.unlink(missing_ok=True))
            raise
        return place

    async def _medium(self, place: str, *, named: bool) -> tuple[Medium | None, str]:
        """What it is, or why nobody knows. Unrecognised is an error only where there is no name either."""
        try:
            return await self.recognise(place), ""
        except Unrecognised as e:
            if not named:
                raise Unrecognised(f"{e}. It can be added under a name that you give") from None
            return None, str(e)

    async def _store(self, record: Record, replace: bool) -> None:
        await self._storing.acquire()
        try:
            self._check_free(record.name, replace)
            entry = await self._disk.do(self._built, record)
            try:
                await self._disk.do(self._records.put, record)
            except OSError as e:
                raise StorageUnavailable(f"{self._records.root} can't be written: {e.strerror}") from e
            old = self._entries.get(record.name)
            self._entries[record.name] = entry
            if old is not None:
                await self._drop(old, but=record.owned)
        finally:
            self._storing.release()

    async def _drop(self, entry: Entry, *, but: str | None = None) -> None:
        entry.repository.stop()
        owned = entry.record.owned if entry.record is not None else None
        if owned is not None and owned != but:
            await self._disk.do(self._remove_image, Path(owned))

    def _check_free(self, name: str, replace: bool) -> None:
        known = self._entries.get(name)
        if known is not None and known.configured:
            raise Conflict(f"The repository {name} is in the configuration, which wins; choose another name")
        if known is not None and not replace:
            raise Conflict(f"There is a repository {name} already ({known.sources[0]}); choose another name, or replace it")

    def _import_failed(self, failure: Failure, job: Import) -> None:
        problem = failure.value
        if not isinstance(problem, PxedError) and not self._stopped:
            log.failure("The import of {source} failed", failure, source=job.source)
        job.fail(str(problem) if isinstance(problem, PxedError) else "internal error")

    async def _look_at_configured(self) -> None:
        """Local ones: nobody's server is asked because pxed starts."""
        for entry in [each for each in self._entries.values() if each.configured and each.sources[:1] and each.sources[0].startswith("/")]:
            try:
                entry.medium = await self.recognise(entry.sources[0])
                entry.repository.any_case(entry.medium.family in ANY_CASE)
            except PxedError as e:
                entry.note = str(e)

    # ---- in threads -------------------------------------------------------------------------------------------------------------
    def _remove_image(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._builder.indexes.forget(path)

    def _recognise_here(self, path: Path) -> Medium:
        try:
            kind = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            raise InvalidRequest(
                f"There is nothing at {path} on the appliance's host", field="source", expected="an .iso or a directory"
            ) from None
        except OSError as e:
            raise InvalidRequest(f"{path} can't be read: {e.strerror}", field="source", expected="what the appliance can read") from None
        if stat.S_ISDIR(kind):
            return recognise(DirectoryTree(path))
        index = self._builder.indexes.of(path)
        try:
            with path.open("rb") as f:
                medium = recognise(ImageTree(f.fileno(), index))
        except OSError as e:
            raise UnreadableImage(f"{path} can't be read: {e.strerror}") from None
        return replace(medium, facts={**medium.facts, "image_bytes": index.size})

    def _built(self, record: Record) -> Entry:
        any_case = record.medium is not None and record.medium.family in ANY_CASE
        repository = self._builder.build(record.name, [record.source], CACHE_BYTES, any_case=any_case)
        return Entry(repository, (shown(record.source),), False, record.medium, record.note, record)


EXPOSED = "holds the appliance's own files, and everybody on the network could read them"


def exposes(source: str, state_dir: Path) -> bool:
    """Whether the repository `source` would show what `state_dir` keeps to itself: the operator's token, the database, the records of
    repositories (which may hold passwords). May wait for a disk."""
    if not source.startswith("/"):
        return False
    place, own = os.path.realpath(source), os.path.realpath(state_dir)
    records = os.path.join(own, "repositories")
    return os.path.isdir(place) and (os.path.commonpath([place, own]) == place or os.path.commonpath([place, records]) == records)


def shown(source: str) -> str:
    """A source without credentials."""
    return source if source.startswith("/") or source == "apt" else str(Upstream(source))


def _checked(source: str) -> str:
    """InvalidRequest."""
    source = source.strip()
    try:
        parts = urlsplit(source)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, half an IPv6 address
        raise InvalidRequest("This is no URL", field="source", expected="a URL like http://mirror.example.com/tree") from None
    if is_url and (parts.query or parts.fragment):
        raise InvalidRequest(
            "A repository's URL is that of a folder or an .iso: nothing behind '?' or '#' is asked for",
            field="source",
            expected="a URL without '?' and '#'",
        )
    if not source.isprintable() or not (is_url or source.startswith("/")):
        raise InvalidRequest(
            "A repository is made of an .iso, a directory or a server's tree",
            field="source",
            expected="an absolute path on the appliance's host, or an http(s) URL",
        )
    return source.rstrip("/") if is_url else str(Path(source))


def _sweep(images: Path, kept: set[str | None]) -> None:
    """What a crash left in the middle of a download."""
    for path in images.iterdir() if images.is_dir() else []:
        if str(path) not in kept:
            path.unlink(missing_ok=True)
