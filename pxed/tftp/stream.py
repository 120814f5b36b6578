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

import os
from collections.abc import Callable
from typing import Protocol

from fbtftp import constants

from pxed.tftp.image import HEADER, SMALL, Segment, Step
from pxed.tftp.pace import Pace

NEVER = float("inf")
SAMPLE_EVERY = 0.01
"""Seconds, and four round trips, between two round trips that are measured: in a storm they all look alike."""
MANY = 64
"""Datagrams of one client looked at in a row, should it send nothing but nonsense."""
LONGEST = 400
"""Bytes of a client's datagram that are read: an ACK has four, and of an ERROR's text the log shows less."""
_NO_ACK = b"no ACK"
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
    """`seconds` is monotonic. `deadline`: when `expire` wants to be called, or some time before that. `run`: blocks that one call of
    `write` may carry.

    `step` is where it stands while everything is as usual: whoever reads the ACK of `step` may send what it says by himself, put the
    next step in its place and the time into `moved_at` (`pxed.tftp.hub.serve`), and nothing else of this object is touched. What is
    None or not that ACK goes to `readable` or `take`.
    """

    __slots__ = (
        "_acked",
        "_clean",
        "_expect",
        "_extra",
        "_fd",
        "_idle",
        "_owner",
        "_plain",
        "_progress_at",
        "_read",
        "_resent_at",
        "_run",
        "_sample_at",
        "_seconds",
        "_segment",
        "_sent",
        "_sent_at",
        "_size",
        "_strides",
        "_total",
        "_window",
        "_write",
        "deadline",
        "moved_at",
        "pace",
        "retransmits",
        "step",
    )

    def __init__(
        self,
        owner: Owner,
        *,
        fd: int,
        seconds: Callable[[], float],
        segment: Segment,
        total: int,
        blksize: int,
        window: int,
        run: int,
        pace: Pace,
        idle_timeout: float,
        read: Callable[[int, int], bytes] = os.read,
        write: Callable[[int, memoryview], object] = os.write,
    ) -> None:
        self._owner = owner
        self._fd = fd
        self._read = read
        self._write = write
        self._seconds = seconds
        self._segment = segment
        self._total = total
        self._size = blksize + HEADER
        self._window = window
        self._run = run
        self._strides = run >= window and window * self._size >= SMALL
        self.pace = pace
        self._idle = idle_timeout
        self._acked = self._sent = 0
        self._expect = _ack(0)
        self._clean = True  # nothing of the present flight was sent twice
        self._extra = 0  # 1: the present flight was probed; 2: so was the one before, its ACK may come twice
        self._plain = True  # clean and no extra
        self._resent_at = -2
        self._sample_at = 0.0
        self._sent_at = self._progress_at = self.moved_at = seconds()
        self.retransmits = 0
        self.deadline = NEVER
        self.step: Step | None = None

    @property
    def acked(self) -> int:
        """Blocks the client has acknowledged; -1 while it has not even acknowledged the OACK."""
        self._see()
        return self._acked

    def silence(self) -> float:
        """Seconds since the client last acknowledged something new (since the start, if it never did)."""
        self._see()
        return self._seconds() - self._progress_at

    def start(self, *, oack: bool) -> None:
        """Send the OACK, or the first window if there was nothing to negotiate. Called once."""
        if oack:
            self._acked = -1
        self._flight(self._seconds(), clean=True)

    def readable(self, now: float) -> bool:
        """Read one datagram of the client and take it; True if it was an unusual one, behind which others may wait."""
        try:
            data = self._read(self._fd, LONGEST)
        except OSError as error:
            self.unreadable(error)
            return False
        return self.take(data, now)

    def take(self, data: bytes, now: float) -> bool:
        """One datagram of the client; True if it was an unusual one, behind which others may wait.

        After an ACK for all that was sent the next window goes out. Whatever waits behind *that* was sent by the client before it got
        this window, so it can't be an ACK for it.
        """
        if self.step is not None:
            self._leave()
        if data[:4] != self._expect:
            self._unexpected(data, now)
            self._stand()
            return self.deadline != NEVER
        if not self._plain:
            self._settle(now)
        elif now >= self._sample_at:
            elapsed = now - self._sent_at
            self._sample_at = now + SAMPLE_EVERY + 4 * elapsed
            self.pace.sample(elapsed)
        acked = self._acked = self._sent
        self._sent_at = self._progress_at = now
        if acked >= self._segment.limit:
            self._used_up(now)
            return False
        sent = acked + self._window
        self._sent = sent = sent if sent < self._total else self._total
        self._expect = _ack(sent)
        self.deadline = now + self.pace.wait
        self._transmit(acked + 1, sent)
        if self._strides:
            self._stand()
        return False

    def unreadable(self, error: OSError) -> None:
        """Reading from the socket failed. Nothing there is nothing; all else is ICMP saying that nobody listens."""
        if not isinstance(error, BlockingIOError):
            self._leave()
            self._gone()

    def refused(self, error: OSError) -> None:
        """A send failed. Most errors are like a packet lost on the way: the time-out repeats it (D20)."""
        if isinstance(error, ConnectionRefusedError):
            self._leave()
            self._gone()
        elif self._owner.cannot_send(error):
            self._leave()
            self._run = 1
            self._strides = self._window == 1
            self._flight(self._seconds(), clean=False)

    def catch_up(self, now: float) -> None:
        """Take what the client has sent already."""
        for _ in range(MANY):
            if self.deadline == NEVER or not self.readable(now):
                return

    def resume(self, segment: Segment) -> None:
        """Go on with the segment that `Owner.wanted` asked for."""
        self._segment = segment
        self._progress_at = self._seconds()
        self._flight(self._progress_at, clean=True)
        self._stand()

    def expire(self, now: float) -> None:
        """The deadline has passed, or would have, had the steps moved it: then the next ACK is measured, if that is due. If it is the
        reactor that was late and an ACK waits, the ACK counts."""
        if self.step is not None:
            self._see()
            self.deadline = self._sent_at + min(self.pace.wait, self._idle)
            if self.deadline <= now or now >= self._sample_at:
                self.step = None
            if self.deadline > now:
                return
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
        self._leave()
        self.deadline = NEVER
        self._expect = _NO_ACK

    def _see(self) -> None:
        """What was done by `step` and not by us."""
        step = self.step
        if step is not None and step[0] != self._expect:
            self._expect = step[0]
            self._sent += (int.from_bytes(self._expect[2:], "big") - self._sent) & 0xFFFF
            self._acked = (self._sent - 1) // self._window * self._window
            self._sent_at = self._progress_at = self.moved_at

    def _leave(self) -> None:
        """From here on nobody goes on by himself."""
        self._see()
        self.step = None

    def _stand(self) -> None:
        """Where we stand now, for those who go on by themselves; nowhere if the next ACK is to be looked at."""
        if self._plain and self._acked >= 0 and self._expect != _NO_ACK and self._strides:
            self.step = self._segment.step(self._sent, size=self._size, window=self._window, total=self._total)

    def _settle(self, now: float) -> None:
        """A flight in which something was sent twice, or the one behind it, is acknowledged."""
        if self._clean:
            self.pace.sample(now - self._sent_at)
        else:
            self.pace.progressed()
        self._clean = True
        self._extra = 2 if self._extra == 1 else 0
        self._plain = not self._extra

    def _unexpected(self, data: bytes, now: float) -> None:
        if len(data) < 4:
            return  # D4: no TFTP packet is that short
        opcode, block = data[0] << 8 | data[1], data[2] << 8 | data[3]
        if opcode == constants.OPCODE_ERROR:
            self.close()
            self._owner.aborted(block, data[4:].split(b"\x00")[0])
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
        self.pace.progressed()
        if self._acked >= self._segment.limit:
            self._used_up(now)
        elif self._lost(now):
            self._go_back(now)
        else:
            first = self._sent + 1
            self._sent = min(self._acked + self._window, self._total)
            self._expect = _ack(self._sent)
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
                self.refused(error)
            return
        self._sent = min(self._acked + self._window, self._total)
        self._expect = _ack(self._sent)
        self._transmit(self._acked + 1, self._sent)

    def _transmit(self, first: int, last: int) -> None:
        """Blocks `first` to `last` as they are."""
        if first > last:
            return
        base, size = self._segment.base, self._size
        packets = self._segment.view[(first - 1 - base) * size : (last - base) * size]
        run = self._run * size
        try:
            if len(packets) <= run:
                self._write(self._fd, packets)
            else:
                for start in range(0, len(packets), run):
                    self._write(self._fd, packets[start : start + run])
        except OSError as error:
            self.refused(error)

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


def _ack(block: int) -> bytes:
    return b"\x00\x04" + (block & 0xFFFF).to_bytes(2, "big")
