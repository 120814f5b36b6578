"""A file as ready-made DATA packets, so that sending a block is one slice and a whole window is one slice too.

A `Segment` holds a run of packets, header included, one after the other: block k (1, 2, ...) of a file lies at
``(k - 1 - base) * (blksize + 4)``. Small files are one segment; of a larger one, segments overlap by `OVERLAP` blocks so that a
window never needs two of them. Pure: bytes in, packets out (RFC 1350 section 5, DATA: ``00 03 block(2) data``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

HEADER = 4
OVERLAP = 64
"""Blocks; no larger window is ever granted (and no more packets fit into one UDP_SEGMENT call)."""
SEGMENT_BYTES = 256 * 1024
SMALL = 1024
"""Bytes of a send for which no steps are made: they would take as much memory."""
CHAIN = 128
"""Steps made at a time; behind them the stream itself looks at an ACK."""

Step: TypeAlias = "tuple[bytes, memoryview | None, Step | None]"
"""The ACK that is awaited, what is sent when it comes, and the step behind that. No packets: something else is to be done then."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Blocks ``base + 1`` onward. `limit`: once block `limit` is acknowledged, the next segment is needed (or the file is done)."""

    view: memoryview
    base: int
    limit: int
    _chains: dict[tuple[int, int], list[Step]] = field(default_factory=dict, repr=False, compare=False)

    def step(self, sent: int, *, size: int, window: int, total: int) -> Step | None:
        """Where a transfer stands that waits for the ACK of block `sent` and goes on by `window` packets of `size` bytes, in a file of
        `total` blocks. Made once for all who stand there: what a client's next packets are is then looked up, in memory that the client
        before it has warmed. None off the windows' usual places.
        """
        if sent % window:
            return None
        index = sent // window
        chain = self._chains.get((window, index // CHAIN))
        if chain is None:
            chain = self._chains[window, index // CHAIN] = self._chain(index // CHAIN * CHAIN, size, window, total)
        return chain[index % CHAIN]

    def _chain(self, first: int, size: int, window: int, total: int) -> list[Step]:
        chain: list[Step] = []
        step: Step | None = None
        for index in reversed(range(first, min(first + CHAIN, self.limit // window + 2))):
            sent = min(index * window, total)
            packets = None
            if step is not None and self.base <= sent < self.limit:
                packets = self.view[(sent - self.base) * size : (min(sent + window, total) - self.base) * size]
            step = (b"\x00\x04" + (sent & 0xFFFF).to_bytes(2, "big"), packets, step)
            chain.append(step)
        chain.reverse()
        return chain


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
