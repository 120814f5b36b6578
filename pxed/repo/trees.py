"""What `recognise` may look at: a directory, an image by its index, and a server's tree as far as it has been fetched.

The first two block. The third never fetches: it raises `Missing`, whoever drives `recognise` fetches that and asks again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pxed.errors import NotFound
from pxed.repo.iso import Index
from pxed.repo.recognise import SMALL
from pxed.repo.rooted import open_regular, resolve, spelled


class DirectoryTree:
    """The files below `root`. Links that leave it are not followed."""

    volume_id = ""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str, start: int = 0, most: int = SMALL) -> bytes | None:
        try:
            fd, _ = open_regular(resolve(self._root, spelled(self._root, path)))
        except NotFound:
            return None
        try:
            return os.pread(fd, most, start)
        finally:
            os.close(fd)

    def has(self, path: str) -> bool:
        return self.read(path, 0, 0) is not None

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self._root / spelled(self._root, folder))) if folder else sorted(os.listdir(self._root))
        except (OSError, NotFound):
            return []


class ImageTree:
    """An open image (`fd`) and its index."""

    def __init__(self, fd: int, index: Index) -> None:
        self._fd, self._index = fd, index

    @property
    def volume_id(self) -> str:
        return self._index.volume_id

    def read(self, path: str, start: int = 0, most: int = SMALL) -> bytes | None:
        try:
            _, extents = self._index.find(path)
        except NotFound:
            return None
        data = b""
        for offset, length in extents:
            if start < length and len(data) < most:
                data += os.pread(self._fd, min(length - start, most - len(data)), offset + start)
            start = max(0, start - length)
        return data

    def has(self, path: str) -> bool:
        try:
            self._index.find(path)
        except NotFound:
            return False
        return True

    def names(self, folder: str) -> list[str]:
        return self._index.names(folder)


@dataclass(frozen=True, slots=True)
class Question:
    """Something to be fetched: the bytes `start` to ``start + most`` of a file, whether there is one (`most` 0), or a folder's listing."""

    path: str
    start: int = 0
    most: int = 0
    listing: bool = False


class Missing(Exception):
    """`question` has no answer yet."""

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self.question = question


@dataclass
class RemoteTree:
    """What was fetched so far: the bytes, or None where the server has nothing."""

    answers: dict[Question, bytes | None] = field(default_factory=dict)
    listings: dict[str, list[str]] = field(default_factory=dict)
    volume_id: str = ""

    def read(self, path: str, start: int = 0, most: int = SMALL) -> bytes | None:
        return self._answer(Question(path, start, most))

    def has(self, path: str) -> bool:
        if any(asked.path == path and found is not None for asked, found in self.answers.items()):
            return True
        return self._answer(Question(path)) is not None

    def names(self, folder: str) -> list[str]:
        if folder not in self.listings:
            raise Missing(Question(folder, listing=True))
        return self.listings[folder]

    def _answer(self, question: Question) -> bytes | None:
        if question not in self.answers:
            raise Missing(question)
        return self.answers[question]
