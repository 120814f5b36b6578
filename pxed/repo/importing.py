"""One import: how far it is, how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from twisted.internet.defer import Deferred

from pxed.repo.fetch import Collector, Fetch


@dataclass(slots=True)
class Import:
    """`source` as an operator may see it; `repository`: the name it got, once it is `done`; `error`: a sentence, once it has `failed`."""

    id: str
    source: str
    name: str | None
    state: Literal["running", "done", "failed"] = "running"
    stage: Literal["looking", "downloading", "reading", "recognising", "storing"] = "looking"
    repository: str | None = None
    error: str = ""
    running: Deferred[Any] | None = field(default=None, repr=False)
    _fetch: Fetch | None = field(default=None, repr=False)
    _collector: Collector | None = field(default=None, repr=False)

    def follows(self, fetch: Fetch, collector: Collector) -> None:
        """A download of this import has begun."""
        self._fetch, self._collector = fetch, collector

    @property
    def received(self) -> int:
        """Bytes downloaded."""
        return self._fetch.written if self._fetch is not None else 0

    @property
    def size(self) -> int | None:
        """Bytes to be downloaded, if anybody knows."""
        return self._fetch.size if self._fetch is not None else None

    def stop(self, why: str) -> None:
        """Give a download up. (An image that is being read: `isoreading.Reading.stop`; what else there is takes moments.)"""
        if self.state == "running" and self._collector is not None:
            self._collector.stop(why)

    def end(self, repository: str) -> None:
        self.state, self.repository = "done", repository

    def fail(self, error: str) -> None:
        self.state, self.error = "failed", error
