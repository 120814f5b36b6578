"""Heads of requests and of answers, as bytes. Pure: no I/O.

`ordinary` knows the heads that boot loaders and installers send: GET or HEAD over HTTP/1.1, well formed, whole, without a body. It is there
because Twisted's parser takes each line through a dozen functions; whatever has one byte that is not as here is left to that one, which is
also the only one that refuses anything. RFC 9112 sections 3 and 5.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from twisted.web.http_headers import Headers

LONGEST = 4096
"""Bytes of an ordinary head: more than anybody's, less than any limit of `channel`."""

_HEAD = re.compile(rb"(GET|HEAD) (/[!-~]*) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+:[\t -~]*\r\n){0,50})\r\n")
_FIELD = re.compile(rb"([^:]+):([^\r]*)\r\n")
_NOT_ORDINARY = frozenset({b"Content-Length", b"Transfer-Encoding", b"Expect", b"Cookie"})
"""A body follows, or somebody waits for leave to send one; or Twisted looks into it."""


class Fields(Headers):
    """Header fields that take what is known to be well formed as it is."""

    def put(self, name: bytes, value: bytes) -> None:
        """As `setRawHeaders` with one value: `name` in its usual spelling (``Content-Type``), `value` without line breaks."""
        self._rawHeaders[name] = [value]

    def values(self, name: bytes) -> list[bytes] | None:
        """All values of `name` (in its usual spelling), None for none."""
        return self._rawHeaders.get(name)

    def first(self, name: bytes) -> bytes | None:
        """The first of them, None for none."""
        values = self._rawHeaders.get(name)
        return values[0] if values else None


class Head(NamedTuple):
    """The head of an ordinary request."""

    method: bytes
    target: bytes
    fields: Fields


def ordinary(data: bytes) -> Head | None:
    """The head that `data` is, all of it; None if it is anything else."""
    match = _HEAD.fullmatch(data) if len(data) <= LONGEST else None
    if match is None:
        return None
    fields = Fields()
    kept = fields._rawHeaders
    for name, value in _FIELD.findall(match[3]):
        kept.setdefault(usual(name), []).append(value.strip(b" \t"))
    return Head(match[1], match[2], fields) if _NOT_ORDINARY.isdisjoint(kept) else None


@lru_cache(256)
def usual(name: bytes) -> bytes:
    """The spelling of a header's name that Twisted uses."""
    return next(Headers({name: [b""]}).getAllRawHeaders())[0]


def answer(version: bytes, code: bytes, reason: bytes, fields: Headers) -> bytes:
    """The head of an answer."""
    lines = [b"%b %b %b" % (version, code, reason)]
    lines += [b"%b: %b" % (name, value) for name, values in fields.getAllRawHeaders() for value in values]
    return b"\r\n".join([*lines, b"", b""])
