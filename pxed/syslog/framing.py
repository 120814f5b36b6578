"""A stream of syslog > its messages (RFC 6587). Pure; never raises, whatever arrives.

Each frame says itself how it ends: what begins with a length, a blank and ``<`` has that many octets (section 3.4.1); anything else ends
with a line feed or NUL (section 3.4.2), which is what rsyslog sends unless told otherwise. A line that merely begins with a number is a
line. What is longer than `LARGEST` is cut, and its rest skipped.
"""

from __future__ import annotations

import re

LARGEST = 8192
"""Bytes kept of a message; RFC 5425 asks for 2048, RFC 6587 names no limit."""

_COUNTED = re.compile(rb"([1-9]\d{0,5}) (?=<)")
_PERHAPS_COUNTED = re.compile(rb"[1-9]\d{0,5} ?")
_BETWEEN = re.compile(rb"[\r\n\0]+")


class Frames:
    """The messages of one connection. Holds at most `LARGEST` bytes more than it was fed since `next` last gave None."""

    __slots__ = ("_buffer", "_ended", "_in_long_line", "_skip")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 0
        self._in_long_line = False
        self._ended = False

    def feed(self, data: bytes) -> None:
        """More of the stream, cut anywhere."""
        self._buffer += data

    def end(self) -> None:
        """Nothing more comes: what has no end yet is a message all the same."""
        self._ended = True

    def next(self) -> bytes | None:
        """The next message, without what framed it; None when there is none yet."""
        if not self._at_a_frame():
            return None
        buffer = self._buffer
        counted = _COUNTED.match(buffer)
        if counted is not None:
            return self._octets(counted.end(), int(counted[1]))
        if not self._ended and _PERHAPS_COUNTED.fullmatch(buffer):
            return None
        return self._line()

    def _at_a_frame(self) -> bool:
        """Skip what belongs to no message; whether there is something behind it."""
        buffer = self._buffer
        if self._skip:
            skipped = min(self._skip, len(buffer))
            del buffer[:skipped]
            self._skip -= skipped
        if self._in_long_line:
            end = _end_of_line(buffer)
            del buffer[: len(buffer) if end < 0 else end + 1]
            self._in_long_line = end < 0
        between = _BETWEEN.match(buffer)
        if between is not None:
            del buffer[: between.end()]
        return bool(buffer)

    def _octets(self, start: int, length: int) -> bytes | None:
        buffer = self._buffer
        there = len(buffer) - start
        if there < min(length, LARGEST) and not self._ended:
            return None
        self._skip = max(0, length - there)
        return self._take(start, start + min(length, LARGEST), start + length)

    def _line(self) -> bytes | None:
        end = _end_of_line(self._buffer, LARGEST)
        if end >= 0:
            return self._take(0, end, end + 1)
        if len(self._buffer) <= LARGEST:
            return self._take(0, LARGEST, LARGEST) if self._ended else None
        self._in_long_line = True
        return self._take(0, LARGEST, LARGEST)

    def _take(self, start: int, end: int, past: int) -> bytes:
        """The bytes from `start` to `end`; drops all before `past`."""
        message = bytes(self._buffer[start:end])
        del self._buffer[:past]
        return message


def _end_of_line(buffer: bytearray, most: int | None = None) -> int:
    """Where the first line feed or NUL is, not behind `most`; -1 for nowhere."""
    stop = len(buffer) if most is None else most + 1
    feed = buffer.find(b"\n", 0, stop)
    nul = buffer.find(b"\0", 0, stop if feed < 0 else feed)
    return feed if nul < 0 else nul
