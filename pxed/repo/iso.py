"""What is in an ISO 9660 or UDF image and where: each file as stretches of the image, so that it is served straight out of it.

Made once (`read_index`: seconds for tens of thousands of files; see `isoreading`), kept as JSON, looked up from then on. Which names count:
Rock Ridge, else UDF (Windows media hold only a README.TXT outside it), else Joliet, else the plain ISO 9660 names without their ``;1``.

Traps: a file beyond 4 GiB is several directory records of one name (ISO 9660) or several allocation descriptors of 1 GiB (UDF); a deep
folder may be moved away (Rock Ridge's CL); symbolic links point at folders, and at folders that hold themselves (Debian's ``debian -> .``).
Sources: ECMA-119, IEEE P1282 (SUSP, RRIP), Joliet, ECMA-167.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pycdlib import PyCdlib

from pxed.errors import InvalidRequest, NotFound
from pxed.repo.rooted import parts_of

FORMAT = 2
"""Of the JSON; another number is made again."""
HOPS = 40
"""Symbolic links on the way to one file (Linux allows as many)."""

Extents = tuple[tuple[int, int], ...]
"""(offset, length) in bytes of the image, in the file's order; neighbours are merged, so nearly every file has one."""


class UnreadableImage(InvalidRequest):
    """No image of a kind that we read, or a damaged one. The sentence says what helps."""


@dataclass(frozen=True)
class Index:
    """`size` and `modified_ns` are the image's when it was read: another value, another index. `links`: path > target below the root."""

    size: int
    modified_ns: int
    volume_id: str
    namespace: str
    """``rock-ridge``, ``udf``, ``joliet`` or ``iso9660``."""
    files: Mapping[str, Extents]
    links: Mapping[str, str]

    def find(self, name: str) -> tuple[str, Extents]:
        """(path on the medium, where it is). As written first; then without regard to case, as ESXi and Windows ask. NotFound."""
        parts = parts_of(name)
        path = _follow(parts, self.links)
        if path in self.files:
            return path, self.files[path]
        path = _follow([part.lower() for part in parts], self._folded_links)
        if path in self._folded:
            path = self._folded[path]
            return path, self.files[path]
        raise NotFound(f"the image has no {name[:200]!r}")

    def names(self, folder: str) -> list[str]:
        """What is in `folder` (``""``: the root), links to files and folders among it; nothing if there is no such folder."""
        inside = f"{folder.strip('/').lower()}/" if folder.strip("/") else ""
        found = (path[len(inside) :].partition("/")[0] for path in (*self.files, *self.links) if path.lower().startswith(inside))
        return sorted(set(found))

    def fits(self, info: os.stat_result) -> bool:
        """Whether the image is still the one that was read."""
        return (self.size, self.modified_ns) == (info.st_size, info.st_mtime_ns)

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {path.lower(): path for path in self.files}

    @cached_property
    def _folded_links(self) -> dict[str, str]:
        return {path.lower(): target.lower() for path, target in self.links.items()}


def read_index(image: Path) -> Index:
    """Walk the image. Blocking. UnreadableImage."""
    disc = PyCdlib()
    try:
        info = image.stat()
        disc.open(str(image))
    except OSError as e:
        raise UnreadableImage(f"{image} can't be read: {e.strerror or e}") from None
    except Exception as e:  # pycdlib meets a damaged image with whatever comes: struct.error, IndexError ...
        raise UnreadableImage(
            f"{image} is no ISO 9660 or UDF image that pxed can read ({e}); if other programs can, extract it (bsdtar -xf, 7z x) "
            "into a directory and give that"
        ) from None
    try:
        namespace, found = _walk(disc)
        files, links = _sorted_out(found)
        volume_id = _text(disc.pvd.volume_identifier, "ascii").strip(" \0")
    except UnreadableImage:
        raise
    except Exception as e:
        raise UnreadableImage(f"{image} is damaged: {e}") from None
    finally:
        disc.close()
    _check_whole(image, info.st_size, files)
    return Index(info.st_size, info.st_mtime_ns, volume_id, namespace, files, links)


def to_json(index: Index) -> bytes:
    """For the disk: a line of JSON for the image and one for each file and link, so that no single call of the parser takes long."""
    head = {
        "format": FORMAT,
        "size": index.size,
        "modified_ns": index.modified_ns,
        "volume_id": index.volume_id,
        "namespace": index.namespace,
        "files": len(index.files),
        "links": len(index.links),
    }
    return b"".join(
        json.dumps(each, separators=(",", ":")).encode("ascii") + b"\n" for each in (head, *index.files.items(), *index.links.items())
    )


def from_json(data: bytes) -> Index | None:
    """None if it is damaged or of another format."""
    try:
        first, *lines = data.splitlines()
        head: Any = json.loads(first)
        if head.pop("format") != FORMAT:
            return None
        files, links = head.pop("files"), head.pop("links")
        if len(lines) != files + links:
            return None
        found = {path: tuple((start, length) for start, length in extents) for path, extents in map(json.loads, lines[:files])}
        return Index(**head, files=found, links=dict(map(json.loads, lines[files:])))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


_Found = tuple[str, Extents | str]
"""A path, and where it is or what it links to."""


def _walk(disc: Any) -> tuple[str, Iterator[_Found]]:
    if disc.has_rock_ridge():
        return "rock-ridge", _records(disc.pvd.root_directory_record(), _rock_ridge_name)
    if disc.has_udf():
        return "udf", _udf_entries(disc)
    if disc.has_joliet():
        return "joliet", _records(disc.joliet_vd.root_directory_record(), lambda record: _plain(record, "utf-16-be"))
    return "iso9660", _records(disc.pvd.root_directory_record(), lambda record: _plain(record, "ascii"))


def _records(root: Any, name_of: Any) -> Iterator[_Found]:
    """Every file and link below an ISO 9660 directory record."""
    waiting = [("", root)]
    while waiting:
        folder, record = waiting.pop()
        continued: set[int] = set()
        for child in record.children:
            if child.is_dot() or child.is_dotdot() or id(child) in continued:
                continue
            path = folder + name_of(child)
            ridge = child.rock_ridge
            if ridge is not None and ridge.child_link_record_exists():
                waiting.append((path + "/", ridge.cl_to_moved_dr))
            elif child.is_dir():
                if not (record is root and path.lower().strip(".") == "rr_moved"):
                    waiting.append((path + "/", child))
            elif ridge is not None and ridge.is_symlink():
                yield path, _text(ridge.symlink_path())
            else:
                pieces = []
                while child is not None:
                    continued.add(id(child))
                    pieces.append((child.extent_location() * 2048, child.get_data_length()))
                    child = child.data_continuation
                yield path, tuple(pieces)


def _udf_entries(disc: Any) -> Iterator[_Found]:
    start = disc.udf_main_descs.partitions[0].part_start_location
    waiting = [("", disc.udf_root)]
    while waiting:
        folder, entry = waiting.pop()
        for identifier in entry.fi_descs.values():
            child = identifier.file_entry
            if identifier.is_parent() or child is None:
                continue
            path = folder + _text(identifier.fi, identifier.encoding)
            if child.is_dir():
                waiting.append((path + "/", child))
            elif child.is_file():
                # The two highest bits of a length say whether it is recorded (ECMA-167, 4/14.14.1.1).
                yield path, tuple(((start + d.log_block_num) * 2048 + d.offset, d.extent_length & 0x3FFFFFFF) for d in child.alloc_descs)


def _rock_ridge_name(record: Any) -> str:
    name = record.rock_ridge.name() if record.rock_ridge is not None else b""
    return _text(name) if name else _plain(record, "ascii")


def _plain(record: Any, encoding: str) -> str:
    name = _text(record.file_identifier(), encoding)
    stem, semicolon, version = name.rpartition(";")
    return (stem if semicolon and version.isdigit() else name).removesuffix(".")


def _text(name: bytes, encoding: str = "utf-8") -> str:
    """Names that are not in their encoding survive as they do in `os.fsdecode`."""
    return name.decode(encoding, "surrogateescape" if encoding in ("utf-8", "ascii") else "replace")


def _sorted_out(found: Iterator[_Found]) -> tuple[dict[str, Extents], dict[str, str]]:
    files: dict[str, Extents] = {}
    links: dict[str, str] = {}
    for path, what in found:
        if isinstance(what, str):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), what))
            if not target.startswith(("/", "..")):
                links[path] = target
        else:
            files[path] = _merged(what)
    return files, links


def _merged(pieces: Extents) -> Extents:
    whole: list[tuple[int, int]] = []
    for start, length in pieces:
        if whole and sum(whole[-1]) == start:
            whole[-1] = (whole[-1][0], whole[-1][1] + length)
        elif length:  # below 0 where the image is cut off
            whole.append((start, length))
    return tuple(whole)


def _follow(parts: list[str], links: Mapping[str, str]) -> str:
    done: list[str] = []
    todo = parts[::-1]
    hops = 0
    while todo:
        done.append(todo.pop())
        target = links.get("/".join(done)) if links else None
        if target is not None:
            hops += 1
            if hops > HOPS:
                raise NotFound(f"too many symbolic links in {'/'.join(parts)[:200]!r}")
            done = []
            todo += [] if target == "." else target.split("/")[::-1]
    return "/".join(done)


def _check_whole(image: Path, size: int, files: Mapping[str, Extents]) -> None:
    """A download that broke off has all its names and not all its bytes. (pycdlib shortens such files to what there is.)"""
    with image.open("rb") as f:
        f.seek(16 * 2048 + 80)  # the primary volume descriptor's volume space size, in blocks (ECMA-119, 8.4.8)
        said = int.from_bytes(f.read(4), "little") * 2048
    for path, extents in files.items():
        for start, length in extents:
            if length <= 0 or start + length > size or start + length == size < said:
                raise UnreadableImage(
                    f"{image} is cut off: it has {size} of {max(said, size)} bytes, and {path!r} is incomplete; fetch it again"
                )
