"""A stream becomes the same messages however the network cuts it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxed.syslog.framing import LARGEST, Frames


def messages(*pieces: bytes, ends: bool = True) -> list[bytes]:
    """What comes of a connection that sends `pieces`, one after the other."""
    frames, found = Frames(), []
    for piece in pieces:
        frames.feed(piece)
        while (message := frames.next()) is not None:
            found.append(message)
    if ends:
        frames.end()
        while (message := frames.next()) is not None:
            found.append(message)
    return found


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0", b"\n\n", b"\0\r\n"])
def test_lines_end_with_a_line_feed_or_nul(end: bytes) -> None:
    assert [message.rstrip(b"\r") for message in messages(b"<13>a" + end + b"<14>b" + end, ends=False)] == [b"<13>a", b"<14>b"]


def test_octets_are_counted_whatever_they_are() -> None:
    assert messages(b"8 <13>a\nb\0" + b"5 <14>x", ends=False) == [b"<13>a\nb\0", b"<14>x"]


def test_each_frame_says_itself_how_it_ends() -> None:
    assert messages(b"5 <13>a<14>b\n5 <15>c\n<16>d\n") == [b"<13>a", b"<14>b", b"<15>c", b"<16>d"]


@pytest.mark.parametrize("line", [b"2026 was a year", b"12", b"12 ", b"0 <13>x", b"007 <13>x", b"1234567 <13>x", b"-5 <13>x", b"5<13>x"])
def test_a_line_that_begins_with_a_number_is_a_line(line: bytes) -> None:
    assert messages(line + b"\n<13>next\n") == [line, b"<13>next"]


def test_what_has_no_end_when_the_connection_ends_is_a_message_all_the_same() -> None:
    assert messages(b"<13>a\n<14>b") == [b"<13>a", b"<14>b"]
    assert messages(b"500 <13>half") == [b"<13>half"]
    assert messages(b"<14>b", ends=False) == []
    assert messages(b"12") == [b"12"]


def test_a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() -> None:
    for length in (LARGEST - 1, LARGEST, LARGEST + 1, 3 * LARGEST):
        line = b"<13>" + b"x" * (length - 4)
        assert messages(line + b"\n<14>y\n", ends=False) == [line[:LARGEST], b"<14>y"]
        assert messages(line) == [line[:LARGEST]]


def test_octets_that_are_too_many_are_cut_and_the_next_message_is_whole() -> None:
    for length in (LARGEST - 1, LARGEST, LARGEST + 1, 3 * LARGEST, 999_999):
        body = b"<13>" + b"x\n" * (length // 2 - 2) + b"x" * (length % 2)
        assert messages(b"%d " % length + body + b"5 <14>y", ends=False) == [body[:LARGEST], b"<14>y"]


def test_what_is_held_is_bounded() -> None:
    for stream in (b"<13>" + b"x" * 100_000, b"999999 <13>" + b"x" * 100_000, b"\n" * 100_000, b"9" * 100_000):
        frames = Frames()
        for at in range(0, len(stream), 1000):
            frames.feed(stream[at : at + 1000])
            while frames.next() is not None:
                pass
            assert len(frames._buffer) <= LARGEST + 8


FRAMES = st.lists(
    st.tuples(st.booleans(), st.binary(max_size=40).map(lambda text: b"<13>" + text.replace(b"\n", b"").replace(b"\0", b""))), max_size=12
)


@given(FRAMES, st.lists(st.integers(1, 30), max_size=40))
def test_where_the_stream_is_cut_makes_no_difference(frames: list[tuple[bool, bytes]], cuts: list[int]) -> None:
    """Both framings mixed in one stream, in pieces of any length."""
    stream = b"".join(b"%d %s" % (len(text), text) if counted else text + b"\n" for counted, text in frames)
    pieces = []
    for cut in cuts:
        pieces.append(stream[:cut])
        stream = stream[cut:]
    assert messages(*pieces, stream) == [text for _, text in frames]


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_bytes_are_messages_or_nothing(pieces: list[bytes]) -> None:
    assert sum(len(message) for message in messages(*pieces)) <= sum(len(piece) for piece in pieces)
