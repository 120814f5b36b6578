"""A stream without a socket: what it sends and hears are lists, its clock is the test's."""

from __future__ import annotations

from pxed.tftp.hub import serve
from pxed.tftp.image import HEADER, whole
from pxed.tftp.pace import Pace
from pxed.tftp.stream import Stream

FD = 5


class Wire:
    """A stream with its owner, its clock and both ends of its socket as lists."""

    def __init__(
        self, payload: bytes, *, blksize: int = 512, window: int = 1, run: int | None = None, timeout: float | None = None
    ) -> None:
        self.now = 100.0
        self.sent: list[bytes] = []
        self.inbox: list[bytes | OSError] = []
        self.refuse: list[OSError] = []
        self.log: list[object] = []
        self.cuts = False
        self.blksize, self.window = blksize, window
        segment = whole(payload, blksize)
        self.stream = Stream(
            self,
            fd=FD,
            read=self._read,
            write=self._write,
            seconds=lambda: self.now,
            segment=segment,
            total=segment.limit,
            blksize=blksize,
            window=window,
            run=window if run is None else run,
            pace=Pace(timeout),
            idle_timeout=30.0,
        )

    def _write(self, fd: int, view: memoryview) -> None:
        assert fd == FD
        if self.refuse:
            raise self.refuse.pop(0)
        step = self.blksize + HEADER
        self.sent += [bytes(view[i : i + step]) for i in range(0, len(view), step)]

    def _read(self, fd: int, _longest: int) -> bytes:
        assert fd == FD
        if not self.inbox:
            raise BlockingIOError
        packet = self.inbox.pop(0)
        if isinstance(packet, OSError):
            raise packet
        return packet

    def blocks(self) -> list[int]:
        sent, self.sent = self.sent, []
        return [int.from_bytes(packet[2:4], "big") for packet in sent]

    def hears(self, *arrived: bytes | OSError) -> None:
        """As the hub serves it: by its steps, or by itself where there are none."""
        self.inbox += arrived
        serve([(FD, 1)], {FD: self.stream}, self.now, failed=self._failed, read=self._read, write=self._write)

    def waits(self, seconds: float) -> None:
        self.now += seconds
        if self.stream.deadline <= self.now:
            self.stream.expire(self.now)

    @staticmethod
    def _failed(_fd: int) -> None:
        raise  # noqa: PLE0704  # called where an exception is handled

    # Owner

    def send_oack(self) -> None:
        if self.refuse:
            raise self.refuse.pop(0)
        self.sent.append(b"\0\6\0\0")

    def wanted(self) -> None:
        self.log.append("wanted")

    def cannot_send(self, error: OSError) -> bool:
        self.log.append(error.errno)
        return self.cuts

    def ended(self, reason: str) -> None:
        self.log.append(("ended", reason))

    def aborted(self, code: int, text: bytes) -> None:
        self.log.append(("aborted", code, text))

    def illegal(self) -> None:
        self.log.append("illegal")
