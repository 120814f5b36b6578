"""Which repositories were added: one JSON file each in ``STATE_DIR/repositories``. Blocking.

A file is put in place whole (written, synced, renamed), so a crash leaves the old one or the new one.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from pxed.repo.recognise import Medium, from_json, to_json

FORMAT = 1

log = Logger()


@dataclass(frozen=True, slots=True)
class Record:
    """`source`: an absolute path or a URL (perhaps with credentials: never shown as it is). `owned`: the image that we downloaded for it.

    `note` says why there is no medium. `added_at`: UTC seconds.
    """

    name: str
    source: str
    medium: Medium | None
    note: str
    owned: str | None
    added_at: float


class Records:
    """The directory `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.unreadable = 0
        """How many `all` found that it could not read."""

    def all(self) -> list[Record]:
        """Every readable record; one that isn't is logged and left where it is."""
        found = []
        self.unreadable = 0
        for path in sorted(self.root.glob("*.json")) if self.root.is_dir() else []:
            try:
                found.append(_record(json.loads(path.read_bytes()), path.stem))
            except (OSError, ValueError, KeyError, TypeError) as e:
                self.unreadable += 1
                log.error("The record of a repository, {path}, can't be read and is left alone: {error}", path=path, error=repr(e))
        return found

    def put(self, record: Record) -> None:
        """OSError."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        value = {
            "format": FORMAT,
            "name": record.name,
            "source": record.source,
            "medium": to_json(record.medium) if record.medium else None,
            "note": record.note,
            "owned": record.owned,
            "added_at": record.added_at,
        }
        temporary = self.root / f"{record.name}.tmp"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as f:
            f.write(json.dumps(value))
            f.flush()
            os.fsync(f.fileno())
        temporary.rename(self.root / f"{record.name}.json")
        self._sync()

    def remove(self, name: str) -> None:
        """OSError."""
        (self.root / f"{name}.json").unlink(missing_ok=True)
        self._sync()

    def _sync(self) -> None:
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _record(value: Any, stem: str) -> Record:
    if value["format"] != FORMAT or value["name"] != stem:
        raise ValueError("it is of another version of pxed, or was renamed")
    medium = from_json(value["medium"]) if value["medium"] is not None else None
    return Record(value["name"], value["source"], medium, value["note"], value["owned"], value["added_at"])
