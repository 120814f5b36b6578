"""A stream that the hub serves by its steps: what it sends and what it knows is the same as without them."""

from __future__ import annotations

import errno

import pytest

from pxed.tftp.image import CHAIN, HEADER, SMALL, Segment
from tests.tftp.appliance import ack, content, error
from tests.tftp.in_memory import Wire


@pytest.mark.parametrize(("blksize", "window"), [(SMALL - HEADER - 1, 1), (SMALL - HEADER, 1), (1428, 1), (252, 4), (251, 4), (1428, 3)])
def test_the_packets_are_the_same_with_steps_and_without(blksize: int, window: int) -> None:
    """Small sends have none; an exact multiple ends with an empty block; a chain of steps ends and another one begins."""
    count = CHAIN * window + 2 * window + 1
    payload = content(count * blksize)
    wire = Wire(payload, blksize=blksize, window=window)
    wire.stream.start(oack=False)
    by_steps = 0
    while not wire.log:
        by_steps += wire.stream.step is not None
        wire.hears(wire.sent[-1][:1] + b"\4" + wire.sent[-1][2:4])
    assert wire.log == [("ended", "")]
    assert b"".join(packet[HEADER:] for packet in wire.sent) == payload
    assert [len(packet) for packet in wire.sent] == count * [blksize + HEADER] + [HEADER]
    if (blksize + HEADER) * window < SMALL:
        assert not by_steps
    else:
        assert by_steps > CHAIN


def test_who_is_served_by_steps_is_known_to_have_come_as_far() -> None:
    """`acked` and `silence` look at the step; a time-out that the steps have put off is none, the next one sends what is under way."""
    wire = Wire(content(50_000), blksize=1428)
    wire.stream.start(oack=True)
    for block in range(5):
        wire.hears(ack(block))
        wire.now += 0.001
    assert wire.stream.step is not None
    assert wire.stream.acked == 4
    assert wire.stream.silence() == pytest.approx(0.001)
    wire.blocks()
    wire.waits(0.018)
    assert wire.stream.deadline == pytest.approx(wire.now + 0.001)
    assert wire.stream.step is None, "the next round trip is to be measured"
    assert wire.blocks() == []
    wire.waits(0.002)
    assert wire.blocks() == [5]
    assert wire.stream.retransmits == 1


def test_a_round_trip_that_need_not_be_measured_leaves_the_steps_alone() -> None:
    """The slower the client, the rarer: here one of 19 ms was measured, and the next is due 86 ms later."""
    wire = Wire(content(50_000), blksize=1428)
    wire.stream.start(oack=False)
    wire.now += 0.019
    wire.hears(ack(1))
    for block in (2, 3, 4):
        wire.now += 0.015
        wire.hears(ack(block))
    assert wire.stream.deadline < wire.now
    wire.waits(0.0)
    assert wire.stream.deadline > wire.now
    assert wire.stream.step is not None
    assert wire.blocks() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("last", [ack(9), ack(7), error(1, "x"), b"", b"\0\4", b"\0\3\0\7", b"\0\4\0\x08padded"])
def test_what_is_not_the_ack_of_the_step_is_looked_at(last: bytes) -> None:
    wire = Wire(content(50_000), blksize=1428)
    wire.stream.start(oack=False)
    for block in range(1, 8):
        wire.hears(ack(block))
    assert wire.stream.step is not None
    assert wire.blocks() == [1, 2, 3, 4, 5, 6, 7, 8]
    wire.hears(last)
    assert wire.blocks() == ([9] if last.startswith(ack(8)) else [])
    assert wire.log == ([("aborted", 1, b"x")] if last == error(1, "x") else ["illegal"] if last[1:2] == b"\3" else [])
    wire.hears(ack(8))
    assert wire.blocks() == ([] if wire.log or last.startswith(ack(8)) else [9])


def test_a_send_of_a_step_that_is_refused_is_a_packet_lost_or_the_end() -> None:
    for refusal, log in (
        (OSError(errno.ENOBUFS, "no"), [errno.ENOBUFS]),
        (ConnectionRefusedError(), [("ended", "the client is gone (port unreachable)")]),
    ):
        wire = Wire(content(50_000), blksize=1428)
        wire.stream.start(oack=False)
        wire.hears(ack(1))
        assert wire.stream.step is not None
        wire.refuse.append(refusal)
        wire.hears(ack(2))
        assert wire.log == log
        assert wire.blocks() == [1, 2]
        wire.waits(0.3)
        assert wire.blocks() == ([3] if log == [errno.ENOBUFS] else [])


def test_a_segment_that_is_used_up_leaves_no_step() -> None:
    """What comes while the next segment is waited for, an ACK twice or nothing at all, is no ACK of it."""
    wire = Wire(content(8 * 1428), blksize=1428)
    full = wire.stream._segment
    wire.stream._segment = Segment(full.view[: 5 * 1432], 0, 3)
    wire.stream.start(oack=False)
    for block in (1, 2, 3, 3):
        wire.hears(ack(block))
    wire.hears(b"")
    assert wire.log == ["wanted"]
    assert wire.stream.step is None
    assert wire.blocks() == [1, 2, 3]
    wire.stream.resume(Segment(full.view[3 * 1432 :], 3, 9))
    for block in range(4, 10):
        wire.hears(ack(block))
    assert wire.blocks() == [4, 5, 6, 7, 8, 9]
    assert wire.log == ["wanted", ("ended", "")]
