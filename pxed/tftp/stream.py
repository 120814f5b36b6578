"""The sending half of one transfer: which block goes out when. Go-back-N over ready-made packets; knows neither socket nor file.

RFC 1350 lock-step is a window of 1; RFC 7440 windows go back to the first block that is missing. Blocks are counted from 1 without
end here and taken modulo 65536 on the wire; the OACK counts as block 0. The rules, and what each is there for:

* A duplicate ACK never makes lock-step send again (Sorcerer's Apprentice, RFC 1123 section 4.2.3.1).
* An ACK for part of a window sooner than 0.75 round trips after the last transmission: the rest is in flight, send only what was
  never sent. Later: the rest is lost, go back. EDK2 acknowledges every unexpected block; without this rule two interleaved streams
  run side by side, and ignoring such ACKs instead stalls every window until the time-out.
* A duplicate ACK in a window: go back, once per window.
* A probe (see `pace`) is the last block under way, alone: a client that has it repeats its ACK, one that misses others says so. In a
  flight that was sent again already it is all of it: a client that reports each gap once has nothing more to say.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from typing import Protocol

from fbtftp import constants

from pxed.tftp.image import HEADER, Segment
from pxed.tftp.pace import Pace

NEVER = float("inf")
SAMPLE_EVERY = 0.01
"""Seconds, and four round trips, between two round trips that are measured: in a storm they all look alike."""
MANY = 64
"""Datagrams of one client looked at in a row, should it send nothing but nonsense."""
_words = array("I", bytes(1024))
"""Where every incoming datagram lands: one reactor, one datagram at a time. The first word is opcode and block, in the host's byte order:
comparing it with `_ACKS` is half as dear as unpacking it."""
_buffer = memoryview(_words).cast("B")
"""Its bytes."""
_ACKS = array("I", range(constants.OPCODE_ACK << 16, (constants.OPCODE_ACK << 16) + 0x10000))
if sys.byteorder == "little":
    _ACKS.byteswap()
_NO_ACK = 0
"""What no ACK looks like."""


class Owner(Protocol):
    """What a stream asks of its transfer. The last three end it: the stream calls nothing after them."""

    def send_oack(self) -> None:
        """Send the OACK, perhaps not for the first time. OSError as of a socket."""

    def wanted(self) -> None:
        """The blocks at hand are used up: `Stream.resume` with the next segment."""

    def cannot_send(self, error: OSError) -> bool:
        """A send was refused. True: the kernel cuts no windows here, send block by block from now on."""

    def ended(self, reason: str) -> None:
        """Over: everything acknowledged if `reason` is empty, else why not."""

    def aborted(self, code: int, text: bytes) -> None:
        """The client sent ERROR, which is never answered (RFC 1350 section 7)."""

    def illegal(self) -> None:
        """The client sent something that has no place in a read, to be answered with ERROR 4."""


class Stream:
    """`seconds` is monotonic. `deadline`: when `expire` wants to be called. `run`: blocks that one call of `send` may carry."""

    __slots__ = (
        "_acked",
        "_base",
        "_blocks",
        "_clean",
        "_expect",
        "_extra",
        "_idle",
        "_limit",
        "_owner",
        "_plain",
        "_progress_at",
        "_recv_into",
        "_resent_at",
        "_sample_at",
        "_seconds",
        "_send",
        "_send_one",
        "_sent",
        "_sent_at",
        "_span",
        "_step",
        "_total",
        "_view",
        "_window",
        "deadline",
        "pace",
        "retransmits",
    )

    def __init__(
        self,
        owner: Owner,
        *,
        send: Callable[[memoryview], object],
        recv_into: Callable[[array[int]], int],
        seconds: Callable[[], float],
        segment: Segment,
        total: int,
        blksize: int,
        window: int,
        run: int,
        pace: Pace,
        idle_timeout: float,
    ) -> None:
        self._owner = owner
        self._recv_into = recv_into
        self._seconds = seconds
        self._total = total
        self._step = blksize + HEADER
        self._window = window
        self._take(segment)
        self._span = self._step * window
        self._send_one = send
        self._send = send if run >= window else self._runs(run)
        self.pace = pace
        self._idle = idle_timeout
        self._acked = self._sent = 0
        self._expect = _ACKS[0]
        self._clean = True  # nothing of the present flight was sent twice
        self._extra = 0  # 1: the present flight was probed; 2: so was the one before, its ACK may come twice
        self._plain = True  # clean and no extra: the hot path asks one question instead of two
        self._resent_at = -2
        self._sample_at = 0.0
        self._sent_at = self._progress_at = seconds()
        self.retransmits = 0
        self.deadline = NEVER

    @property
    def acked(self) -> int:
        """Blocks the client has acknowledged; -1 while it has not even acknowledged the OACK."""
        return self._acked

    def silence(self) -> float:
        """Seconds since the client last acknowledged something new (since the start, if it never did)."""
        return self._seconds() - self._progress_at

    def start(self, *, oack: bool) -> None:
        """Send the OACK, or the first window if there was nothing to negotiate. Called once."""
        if oack:
            self._acked = -1
        self._flight(self._seconds(), clean=True)

    def readable(self, now: float) -> bool:
        """One datagram of the client; True if it was an unusual one, behind which others may wait.

        Straight through is the hot path: an ACK for all that was sent, the next window goes out. Whatever waits behind *that* was sent
        by the client before it got this window, so it can't be an ACK for it.
        """
        recv_into = self._recv_into  # as a local: CPython 3.11 looks a slot up twice as fast as a method
        try:
            size = recv_into(_words)
        except BlockingIOError:
            return False
        except OSError:
            self._gone()
            return False
        if _words[0] != self._expect or size < 4:
            self._unexpected(size, now)
            return self.deadline != NEVER
        if not self._plain:
            self._settle(now)
        elif now >= self._sample_at:
            elapsed = now - self._sent_at
            self._sample_at = now + SAMPLE_EVERY + 4 * elapsed
            self.pace.sample(elapsed)
        acked = self._acked = self._sent
        self._sent_at = self._progress_at = now
        if acked >= self._limit:
            self._used_up(now)
            return False
        sent = acked + self._window
        if sent > self._total:
            sent = self._total
        self._sent = sent
        self._expect = _ACKS[sent & 0xFFFF]
        self.deadline = now + self.pace.wait
        blocks = self._blocks
        if blocks is not None:
            view = blocks[acked - self._base]
        else:
            offset = (acked - self._base) * self._step
            view = self._view[offset : offset + self._span]
        send = self._send
        try:
            send(view)
        except OSError as error:
            self._refused(error)
        return False

    def catch_up(self, now: float) -> None:
        """Take what the client has sent already."""
        for _ in range(MANY):
            if self.deadline == NEVER or not self.readable(now):
                return

    def resume(self, segment: Segment) -> None:
        """Go on with the segment that `Owner.wanted` asked for."""
        self._take(segment)
        self._progress_at = self._seconds()
        self._flight(self._progress_at, clean=True)

    def expire(self, now: float) -> None:
        """The deadline has passed. If it is the reactor that was late and an ACK waits, the ACK counts."""
        deadline = self.deadline
        self.catch_up(now)
        if self.deadline != deadline:
            return
        if now - self._progress_at >= self._idle:
            self._over(f"no answer for {now - self._progress_at:.0f} s")
        elif self._acked >= 0 and self._extra != 1 and self.pace.probes:
            first = self._sent if self._clean else self._acked + 1
            self._extra, self._clean, self._plain = 1, False, False
            self.retransmits += 1
            self.deadline = now + self.pace.rto
            self._transmit(first, self._sent)
        else:
            self.pace.timed_out()
            self._go_back(now)

    def close(self) -> None:
        """Never calls anybody again. May be called twice."""
        self.deadline = NEVER
        self._expect = _NO_ACK

    def _take(self, segment: Segment) -> None:
        self._view, self._base, self._limit = segment.view, segment.base, segment.limit
        self._blocks = segment.blocks(self._step) if self._window == 1 else None

    def _settle(self, now: float) -> None:
        """A flight in which something was sent twice, or the one behind it, is acknowledged."""
        if self._clean:
            self.pace.sample(now - self._sent_at)
        self._clean = True
        self._extra = 2 if self._extra == 1 else 0
        self._plain = not self._extra

    def _unexpected(self, size: int, now: float) -> None:
        if size < 4:
            return  # D4: no TFTP packet is that short
        opcode, block = _buffer[0] << 8 | _buffer[1], _buffer[2] << 8 | _buffer[3]
        if opcode == constants.OPCODE_ERROR:
            self.close()
            self._owner.aborted(block, bytes(_buffer[4:size]).split(b"\x00")[0])
        elif opcode != constants.OPCODE_ACK:
            self.close()
            self._owner.illegal()
        elif self._expect != _NO_ACK:  # not while waiting for a segment
            ahead = (block - self._acked) & 0xFFFF
            if ahead == 0:
                self._duplicate(now)
            elif ahead < self._sent - self._acked:
                self._partial(now, ahead)
            # else: an ACK of long ago, or of a block never sent

    def _duplicate(self, now: float) -> None:
        if self._extra == 2:
            self._extra = 0
            self._plain = self._clean
            self.pace.probed_early()
        elif self._window > 1 and self._resent_at != self._acked and self._lost(now):
            self._extra = 0
            self._go_back(now)

    def _partial(self, now: float, ahead: int) -> None:
        self._extra = 0
        self._acked += ahead
        self._progress_at = now
        if self._acked >= self._limit:
            self._used_up(now)
        elif self._lost(now):
            self._go_back(now)
        else:
            first = self._sent + 1
            self._sent = min(self._acked + self._window, self._total)
            self._expect = _ACKS[self._sent & 0xFFFF]
            self._clean = self._plain = False
            self.deadline = now + self.pace.wait
            self._transmit(first, self._sent)

    def _lost(self, now: float) -> bool:
        """Whether what was sent last should have been acknowledged by now."""
        return now - self._sent_at >= 0.75 * self.pace.srtt

    def _go_back(self, now: float) -> None:
        self.retransmits += 1
        self._resent_at = self._acked
        self._flight(now, clean=False)

    def _flight(self, now: float, *, clean: bool) -> None:
        """Send the window behind the last acknowledged block, or the OACK while that is not acknowledged."""
        self._clean = clean
        self._plain = clean and not self._extra
        self._sent_at = now
        self.deadline = min(now + self.pace.wait, self._progress_at + self._idle)
        if self._acked < 0:
            try:
                self._owner.send_oack()
            except OSError as error:
                self._refused(error)
            return
        self._sent = min(self._acked + self._window, self._total)
        self._expect = _ACKS[self._sent & 0xFFFF]
        self._transmit(self._acked + 1, self._sent)

    def _transmit(self, first: int, last: int) -> None:
        """Blocks `first` to `last` as they are."""
        if first > last:
            return
        offset = (first - 1 - self._base) * self._step
        try:
            self._send(self._view[offset : offset + (last - first + 1) * self._step])
        except OSError as error:
            self._refused(error)

    def _runs(self, run: int) -> Callable[[memoryview], object]:
        size = run * self._step

        def send_runs(window: memoryview) -> None:
            for start in range(0, len(window), size):
                self._send_one(window[start : start + size])

        return send_runs

    def _refused(self, error: OSError) -> None:
        """A send failed. Most errors are like a packet lost on the way: the time-out repeats it (D20)."""
        if isinstance(error, ConnectionRefusedError):
            self._gone()
        elif self._owner.cannot_send(error):
            self._send = self._runs(1)
            self._flight(self._seconds(), clean=False)

    def _used_up(self, now: float) -> None:
        if self._acked >= self._total:
            self._over("")
            return
        self._expect = _NO_ACK
        self.deadline = now + self._idle
        self._owner.wanted()

    def _gone(self) -> None:
        """ICMP says that nobody listens. If only the last ACK was missing, the client has everything and has closed its socket."""
        self._over("" if self._acked == self._total - 1 else "the client is gone (port unreachable)")

    def _over(self, reason: str) -> None:
        self.close()
        self._owner.ended(reason)
