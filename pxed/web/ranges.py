"""Which bytes of a file a request is answered with: conditions, ranges, media types. Pure: no I/O, no Twisted.

RFC 9110 sections 8.8 (validators), 13 (conditions, in the order of 13.2.2), 14 (ranges).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

_RANGE = re.compile(rb"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.IGNORECASE)

MEDIA_TYPES = {
    "cfg": "text/plain; charset=utf-8",
    "efi": "application/efi",
    "html": "text/html; charset=utf-8",
    "ipxe": "text/plain; charset=utf-8",
    "iso": "application/vnd.efi-iso",
    "json": "application/json",
    "sh": "text/plain; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "xml": "application/xml",
}
"""UEFI firmware looks at the media type of what it boots (UEFI 2.10, 24.7.4.3); nobody else that we serve does."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, and the bytes ``start`` to ``start + length``; `length` is 0 for 304 and 416."""

    code: int
    start: int = 0
    length: int = 0


def media_type(name: str) -> str:
    """The Content-Type of a file by the end of its name."""
    return MEDIA_TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")


def http_date(at: float) -> bytes:
    """UTC seconds > IMF-fixdate."""
    return _http_date(int(at))


@lru_cache
def _http_date(at: int) -> bytes:
    return formatdate(at, usegmt=True).encode("ascii")


def choose(header: Callable[[bytes], bytes | None], *, size: int, etag: bytes, modified: float, method: bytes = b"GET") -> Answer:
    """What to answer a GET or HEAD of a file of `size` bytes. `header` reads a request header by name.

    Several ranges at once are answered with the whole file, as RFC 9110 14.2 allows: installers never ask so.
    """
    if _unchanged(header, etag, modified):
        return Answer(304)
    value = header(b"range")
    if value is None or method != b"GET" or not _range_still_applies(header, etag, modified):
        return Answer(200, 0, size)
    match = _RANGE.fullmatch(value)
    if match is None or match[0].strip().endswith(b"=-"):
        return Answer(200, 0, size)
    return _part(match[1], match[2], size)


def _part(first: bytes, last: bytes, size: int) -> Answer:
    if not first:
        length = min(int(last), size)
        return Answer(206, size - length, length) if length else Answer(416)
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < start:
        return Answer(200, 0, size)
    return Answer(206, start, end - start + 1) if start < size else Answer(416)


def _unchanged(header: Callable[[bytes], bytes | None], etag: bytes, modified: float) -> bool:
    tags = header(b"if-none-match")
    if tags is not None:
        return any(tag.strip().removeprefix(b"W/") in {etag, b"*"} for tag in tags.split(b","))
    since = _date(header(b"if-modified-since"))
    return since is not None and int(modified) <= since


def _range_still_applies(header: Callable[[bytes], bytes | None], etag: bytes, modified: float) -> bool:
    condition = header(b"if-range")
    if condition is None:
        return True
    return condition.strip() == etag or (not condition.startswith((b'"', b"W/")) and _date(condition) == int(modified))


def _date(value: bytes | None) -> int | None:
    if value is None:
        return None
    try:
        return int(parsedate_to_datetime(value.decode("ascii")).timestamp())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
