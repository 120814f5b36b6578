"""A file as ready-made DATA packets, so that sending a block is one slice and a whole window is one slice too.

A `Segment` holds a run of packets, header included, one after the other: block k (1, 2, ...) of a file lies at
``(k - 1 - base) * (blksize + 4)``. Small files are one segment; of a larger one, segments overlap by `OVERLAP` blocks so that a
window never needs two of them. Pure: bytes in, packets out (RFC 1350 section 5, DATA: ``00 03 block(2) data``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

HEADER = 4
OVERLAP = 64
"""Blocks; no larger window is ever granted (and no more packets fit into one UDP_SEGMENT call)."""
SEGMENT_BYTES = 256 * 1024
SMALL = 1024
"""Bytes of a packet."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Blocks ``base + 1`` onward. `limit`: once block `limit` is acknowledged, the next segment is needed (or the file is done)."""

    view: memoryview
    base: int
    limit: int
    _blocks: list[memoryview] = field(default_factory=list, repr=False, compare=False)

    def blocks(self, step: int) -> list[memoryview] | None:
        """The packets (of `step` bytes) one by one, made once for all who send one at a time: to look one up is a tenth of a microsecond
        less than to cut it out. None for small ones, whose views would take as much memory as they do."""
        if step < SMALL:
            return None
        if not self._blocks:
            self._blocks.extend(self.view[start : start + step] for start in range(0, len(self.view), step))
        return self._blocks


def blocks_in(size: int, blksize: int) -> int:
    """DATA packets of a file; an exact multiple ends with an empty one, an empty file is one empty packet (RFC 1350 section 6)."""
    return size // blksize + 1


def packets(data: bytes, blksize: int, base: int, count: int) -> memoryview:
    """`count` DATA packets behind block `base`, out of `data`, whose first byte is the first of block ``base + 1``.

    Block numbers roll over from 65535 to 0. One join: growing a bytearray takes three times as long.
    """
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    for index in range(count):
        parts.append(b"\x00\x03" + ((base + 1 + index) & 0xFFFF).to_bytes(2, "big"))
        parts.append(view[index * blksize : (index + 1) * blksize])
    return memoryview(b"".join(parts))


def whole(data: bytes, blksize: int) -> Segment:
    """The segment that is all of `data`."""
    total = blocks_in(len(data), blksize)
    return Segment(packets(data, blksize, 0, total), 0, total)


def stride(blksize: int) -> int:
    """Blocks from one segment of a large file to the next."""
    return max(OVERLAP, SEGMENT_BYTES // (blksize + HEADER))


def netascii(data: bytes) -> bytes:
    """`data` in netascii (RFC 1350 section 4, RFC 764): CR > CR NUL, LF > CR LF. As fbtftp's NetasciiReader, without its loop per byte."""
    return data.replace(b"\r", b"\r\x00").replace(b"\n", b"\r\n")
