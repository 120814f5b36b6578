"""The parser of event streams (WHATWG HTML, "Parsing an event stream")."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pxed.cli.events import EventParser, ServerEvent

STREAM = (
    b"retry: 2000\n\n: keep-alive\n\n"
    b"id: 7\nevent: dhcp.offer\ndata: {\"id\": 7}\n\n"
    b"id: 8\r\nevent:tftp.sent\r\ndata: one\r\ndata: two\r\n\r\n"
    b"data: no id of its own\r\r"
    b"event: nothing\n\nid\ndata\n\nid: 9\ndata: \xc3\xa4\n\n"
)  # fmt: skip
EVENTS = [
    ServerEvent("7", "dhcp.offer", '{"id": 7}'),
    ServerEvent("8", "tftp.sent", "one\ntwo"),
    ServerEvent("8", "message", "no id of its own"),
    ServerEvent("", "message", ""),
    ServerEvent("9", "message", "ä"),
]


def test_all_line_endings_comments_and_field_shapes() -> None:
    assert EventParser().feed(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    parser = EventParser()
    edges = [0, *sorted(cuts), len(STREAM)]
    found = [event for a, b in itertools.pairwise(edges) for event in parser.feed(STREAM[a:b])]
    assert found == EVENTS


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_garbage_never_raises(chunks: list[bytes]) -> None:
    parser = EventParser()
    for chunk in chunks:
        for event in parser.feed(chunk):
            event.value()


def test_an_event_is_complete_only_with_its_blank_line() -> None:
    parser = EventParser()
    assert parser.feed(b"data: {}\n") == []
    assert parser.feed(b"\n") == [ServerEvent("", "message", "{}")]


def test_an_endless_line_does_not_fill_the_memory() -> None:
    parser = EventParser()
    for _ in range(6):
        parser.feed(b"x" * (1 << 20))
    assert len(parser._rest) <= 4 << 20


def test_data_that_is_no_object_has_no_value() -> None:
    assert ServerEvent("", "message", '{"id": 7}').value() == {"id": 7}
    assert [ServerEvent("", "message", data).value() for data in ("[1]", "{", "")] == [None, None, None]
