"""The stream alone: scripted sends, and loss, duplication, reordering and delay both ways in virtual time."""

from __future__ import annotations

import errno
import heapq
import random

import pytest

from pxed.tftp.image import packets
from pxed.tftp.pace import PROBE_FLOOR, RTO_CEILING, RTO_FLOOR, Pace
from pxed.tftp.stream import NEVER
from tests.tftp.appliance import ack, content, error
from tests.tftp.in_memory import Wire


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENETUNREACH, errno.ENOBUFS, errno.EAGAIN, errno.EMSGSIZE])
def test_d20_an_error_that_passes_is_a_packet_lost(number: int) -> None:
    """Whichever packet it was: the OACK, the first block, one in the middle."""
    wire = Wire(content(2000))
    wire.refuse.append(OSError(number, "no"))
    wire.stream.start(oack=True)
    assert wire.sent == []
    wire.waits(1.0)
    assert wire.sent == [b"\0\6\0\0"]
    wire.sent.clear()
    for block in (0, 1):
        wire.refuse.append(OSError(number, "no"))
        wire.hears(ack(block))
        assert wire.blocks() == []
        wire.waits(RTO_CEILING)
        assert wire.blocks() == [block + 1]
    assert wire.log == [number] * 3


def test_a_refused_cut_falls_back_to_block_by_block_at_once() -> None:
    wire = Wire(content(5000), window=4)
    wire.cuts = True
    wire.refuse.append(OSError(errno.EIO, "no checksum offload"))
    wire.stream.start(oack=False)
    assert wire.blocks() == [1, 2, 3, 4]
    wire.hears(ack(4))
    assert wire.blocks() == [5, 6, 7, 8]


def test_port_unreachable_ends_it_and_forgives_a_missing_last_ack() -> None:
    wire = Wire(content(1000))
    wire.stream.start(oack=False)
    wire.hears(ack(1))
    wire.hears(ConnectionRefusedError())
    assert wire.log == [("ended", "")]
    other = Wire(content(5000))
    other.stream.start(oack=False)
    other.hears(ConnectionRefusedError())
    assert other.log == [("ended", "the client is gone (port unreachable)")]
    assert other.stream.deadline == NEVER


def test_block_numbers_roll_over_to_zero() -> None:
    view = packets(b"x" * 80, 8, 65530, 10)
    assert [int.from_bytes(view[i * 12 + 2 : i * 12 + 4], "big") for i in range(10)] == [65531, 65532, 65533, 65534, 65535, 0, 1, 2, 3, 4]
    wire = Wire(bytes(8 * 65_600), blksize=8, window=64)
    wire.stream.start(oack=False)
    while not wire.log:
        blocks = wire.blocks()
        wire.hears(ack(blocks[-1]))
    assert wire.log == [("ended", "")]
    assert wire.stream.acked == 65_601


def test_a_late_reactor_takes_the_waiting_ack_before_it_calls_a_time_out() -> None:
    wire = Wire(content(2000))
    wire.stream.start(oack=False)
    wire.blocks()
    wire.inbox.append(ack(1))
    wire.waits(5.0)
    assert wire.blocks() == [2]
    assert wire.stream.retransmits == 0


def test_an_ack_behind_rubbish_is_found_in_the_same_turn() -> None:
    """The socket is watched edge-triggered: nothing would wake us for the second datagram."""
    wire = Wire(content(2000))
    wire.stream.start(oack=False)
    wire.blocks()
    wire.hears(b"", b"\0\4", ack(77), ack(1))
    assert wire.blocks() == [2]


def test_an_abort_is_told_with_its_text() -> None:
    wire = Wire(content(2000))
    wire.stream.start(oack=True)
    wire.hears(error(8, "no"), ack(0))
    assert wire.log == [("aborted", 8, b"no")]


def test_probes_that_come_too_early_come_later() -> None:
    """A client that takes 30 ms over every block, but answers the first in 1 ms: after a few wasted probes there are no more."""
    wire = Wire(content(60_000))
    wire.stream.start(oack=False)
    wire.now += 0.001
    wire.hears(ack(1))
    probes = 0
    for block in range(2, 90):
        wire.blocks()
        wire.waits(0.021)
        again = len(wire.blocks())
        wire.now += 0.009
        wire.hears(ack(block), *[ack(block)] * again)
        probes += again
    assert 1 <= probes <= 3


def test_time_outs_double_from_a_quarter_second() -> None:
    pace = Pace()
    assert (pace.rto, pace.wait, pace.probes) == (1.0, 1.0, False)
    pace.sample(0.001)
    assert (pace.rto, pace.wait, pace.probes) == (RTO_FLOOR, PROBE_FLOOR, True)
    pace.timed_out()
    assert (pace.rto, pace.probes) == (0.5, False)
    pace.sample(0.001)
    assert (pace.rto, pace.wait) == (RTO_FLOOR, PROBE_FLOOR)
    for _ in range(60):
        pace.sample(0.5)
    assert pace.rto == pytest.approx(2.0, rel=0.01)


def test_a_client_s_own_timeout_never_changes() -> None:
    pace = Pace(7)
    for step in (lambda: pace.sample(0.001), pace.timed_out, lambda: pace.sample(20.0)):
        step()
        assert (pace.rto, pace.wait, pace.probes) == (7, 7, False)


class Receiver:
    """A client as RFC 1350 and RFC 7440 have it, over a bad line. `edk2`: acknowledges every unexpected block."""

    def __init__(self, wire: Wire, *, edk2: bool) -> None:
        self.wire, self.edk2 = wire, edk2
        self.got: list[bytes] = []
        self.count = 0
        self.gap_told = False
        self.done = False

    def take(self, packet: bytes) -> bytes | None:
        if packet[:2] == b"\0\6":
            return ack(0) if not self.got else None
        number = int.from_bytes(packet[2:4], "big")
        expected = len(self.got) + 1 & 0xFFFF
        if number != expected:
            ahead = number - expected & 0xFFFF
            if ahead < 0x8000 and self.gap_told and not self.edk2:
                return None
            self.gap_told, self.count = self.gap_told or ahead < 0x8000, 0
            return ack(len(self.got))
        self.got.append(packet[4:])
        self.gap_told = False
        self.count += 1
        self.done = len(packet) - 4 < self.wire.blksize
        if self.done or self.count == self.wire.window:
            self.count = 0
            return ack(len(self.got))
        return None


def transfer(wire: Wire, receiver: Receiver, line: random.Random, *, loss: float, twice: float, jitter: float) -> float:
    """Run one transfer in virtual time; seconds it took. AssertionError if it does not end within 300."""
    queue: list[tuple[float, int, str, bytes]] = []
    start, serial, last = wire.now, 0, ack(0)
    client_at = start + 1.0

    def put(where: str, packet: bytes) -> None:
        nonlocal serial
        for _ in range(1 + (line.random() < twice)):
            if line.random() >= loss:
                serial += 1
                heapq.heappush(queue, (wire.now + 0.0005 + line.random() * jitter, serial, where, packet))

    wire.stream.start(oack=True)
    while not wire.log:
        for packet in wire.sent:
            put("client", packet)
        wire.sent = []
        due = min([wire.stream.deadline, client_at, *(queue[0][:1] if queue else ())])
        wire.now = max(wire.now, due)
        assert wire.now - start < 300, "no end"
        if queue and queue[0][0] <= wire.now:
            _, _, where, packet = heapq.heappop(queue)
            if where == "server":
                wire.hears(packet)
            elif not receiver.done or packet[:2] == b"\0\3":
                answer = receiver.take(packet)
                if answer is not None:
                    last, client_at = answer, wire.now + 1.0
                    put("server", answer)
        elif wire.stream.deadline <= wire.now:
            wire.stream.expire(wire.now)
        else:
            client_at = wire.now + 1.0
            put("server", last)
    return wire.now - start


@pytest.mark.slow
@pytest.mark.parametrize("edk2", [False, True])
@pytest.mark.parametrize("window", [1, 4, 16])
@pytest.mark.parametrize(
    ("loss", "twice", "jitter"),
    [(0.0, 0.0, 0.0), (0.01, 0.0, 0.0), (0.1, 0.0, 0.0), (0.0, 0.2, 0.0), (0.0, 0.0, 0.004), (0.05, 0.05, 0.004)],
)
def test_every_byte_arrives_over_a_bad_line(edk2: bool, window: int, loss: float, twice: float, jitter: float) -> None:
    for seed in range(3):
        wire = Wire(content(100_000), window=window)
        receiver = Receiver(wire, edk2=edk2)
        assert transfer(wire, receiver, random.Random(seed), loss=loss, twice=twice, jitter=jitter) < 20
        assert wire.log == [("ended", "")]
        assert b"".join(receiver.got) == content(100_000)


@pytest.mark.parametrize(("window", "most"), [(1, 3.0), (4, 1.2), (16, 0.6)])
def test_one_percent_of_loss_costs_little_time(window: int, most: float) -> None:
    """1 MiB at 1428 and 1 ms round trip, three seeds together; the peers take about 15 s in lock-step, 3 s with a window of 4."""
    taken = []
    for seed in range(3):
        wire = Wire(content(1 << 20), blksize=1428, window=window)
        taken.append(transfer(wire, Receiver(wire, edk2=False), random.Random(seed), loss=0.01, twice=0.0, jitter=0.0))
    assert sorted(taken)[1] < most, taken


@pytest.mark.parametrize("window", [4, 8, 16])
@pytest.mark.parametrize(("loss", "jitter"), [(0.0, 0.004), (0.05, 0.004), (0.1, 0.0)])
def test_a_line_that_gives_no_round_trip_to_measure_stalls_no_window(window: int, loss: float, jitter: float) -> None:
    """98 KiB, a dozen seeds: where hardly a window arrives whole and in turn, one time-out was four seconds for all that was lost
    behind it, and the slowest of these transfers took 84 s, 106 s and 35 s."""
    for seed in range(12):
        wire = Wire(content(100_000), window=window)
        assert transfer(wire, Receiver(wire, edk2=False), random.Random(seed), loss=loss, twice=loss, jitter=jitter) < 15, seed


def test_after_a_time_out_progress_lets_probes_come_again() -> None:
    """The time-out itself stays doubled, as long as no round trip is measured (Karn)."""
    pace = Pace()
    pace.sample(0.03)
    assert (pace.rto, pace.wait) == (0.25, 0.06)
    pace.timed_out()
    assert (pace.rto, pace.probes) == (0.5, False)
    pace.progressed()
    assert (pace.rto, pace.wait, pace.probes) == (0.5, 0.06, True)
    never = Pace()
    never.timed_out()
    never.progressed()
    assert (never.rto, never.wait) == (2.0, 0.25)
    fixed = Pace(7)
    fixed.progressed()
    assert (fixed.wait, fixed.probes) == (7, False)
