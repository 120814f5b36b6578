"""Vetting: whatever the bytes, `parse` gives a request, an ERROR or silence, and fbtftp only sees what it can take."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxed.tftp.events import NotServed, Problem, printable
from pxed.tftp.request import MAX_OPTIONS, RESERVED, Ignored, Request, parse
from tests.tftp.appliance import rrq


def test_a_request_with_options_in_the_client_s_order() -> None:
    request = parse(rrq("ipxe.efi", ("TSIZE", 0), ("blksize", 1468), ("windowsize", 4)))
    assert request == Request(b"ipxe.efi", False, (("tsize", "0"), ("blksize", "1468"), ("windowsize", "4")))


@pytest.mark.parametrize(("mode", "netascii"), [("octet", False), ("OCTET", False), ("NetASCII", True)])
def test_modes_in_any_case(mode: str, netascii: bool) -> None:
    assert parse(rrq("x", mode=mode)).netascii is netascii


@pytest.mark.parametrize("mode", ["mail", "binary", "octet ", "\xff"])
def test_other_modes_are_refused(mode: str) -> None:
    with pytest.raises(NotServed) as caught:
        parse(rrq("x", mode=mode))
    assert caught.value.problem is Problem.MODE


def test_writing_is_refused_with_error_4() -> None:
    with pytest.raises(NotServed) as caught:
        parse(b"\0\2x\0octet\0")
    assert (caught.value.problem, caught.value.problem.code) == (Problem.WRITE, 4)


@pytest.mark.parametrize("opcode", [0, 3, 4, 5, 6, 7, 255, 0x0100])
def test_nothing_but_requests_is_ever_answered(opcode: int) -> None:
    with pytest.raises(Ignored):
        parse(opcode.to_bytes(2, "big") + b"x\0octet\0")


def test_trailing_padding_is_forgiven() -> None:
    assert parse(rrq("x", ("blksize", 1024)) + b"\0" * 9).options == (("blksize", "1024"),)


def test_the_first_of_two_equal_options_counts() -> None:
    assert parse(rrq("x", ("blksize", 1024), ("BLKSIZE", 8))).options == (("blksize", "1024"),)


def test_too_many_options_and_more_than_512_bytes_are_refused() -> None:
    for datagram in (rrq("x", *[(f"o{i}", 1) for i in range(MAX_OPTIONS + 1)]), rrq("x" * 510)):
        with pytest.raises(NotServed) as caught:
            parse(datagram)
        assert caught.value.problem is Problem.MALFORMED
    assert len(parse(rrq("x", *[(f"o{i}", 1) for i in range(MAX_OPTIONS)])).options) == MAX_OPTIONS


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=600), st.binary(max_size=520).map(lambda tail: b"\0\1" + tail + b"\0")))
def test_any_bytes_give_a_request_an_error_or_silence(datagram: bytes) -> None:
    try:
        request = parse(datagram)
    except (Ignored, NotServed):
        return
    tokens = request.datagram[2:-1].split(b"\0")
    assert len(tokens) % 2 == 0
    assert all(tokens)
    assert not {token.decode("latin-1").lower() for token in tokens[2::2]} & RESERVED
    assert parse(request.datagram) == request


@given(st.binary(max_size=300))
@settings(max_examples=50, deadline=None)
def test_printable_text_is_printable_ascii(raw: bytes) -> None:
    assert all(32 <= ord(char) < 127 for char in printable(raw))
