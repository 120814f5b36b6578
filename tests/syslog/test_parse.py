"""Syslog datagrams as installers really send them, and as nobody should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxed.node.mask import mask
from pxed.syslog.parse import LONGEST, Line, parse


@pytest.mark.parametrize(
    ("datagram", "line"),
    [
        # debian-installer (busybox syslogd -R): no host
        (
            b"<30>Nov 22 10:15:01 main-menu[312]: INFO: Menu item 'partman-base' selected",
            (3, 6, "", "main-menu", "INFO: Menu item 'partman-base' selected"),
        ),
        (b"<29>Nov  2 01:02:03 anna: retrieving x\n", (3, 5, "", "anna", "retrieving x")),
        (
            b"<14>Nov 22 10:15:01 in-target: Setting up linux-image-amd64 (6.1) ...",
            (1, 6, "", "in-target", "Setting up linux-image-amd64 (6.1) ..."),
        ),
        (b"<6>Nov 22 10:15:01 kernel: [    0.000000] Linux version 6.1", (0, 6, "", "kernel", "[    0.000000] Linux version 6.1")),
        # rsyslog and anaconda, with host
        (b"<13>Nov 22 10:15:01 web1 anaconda[1400]: packaging: started", (1, 5, "web1", "anaconda", "packaging: started")),
        (b"<13>2026-11-22T10:15:01.123456+01:00 web1 systemd[1]: Started x.", (1, 5, "web1", "systemd", "Started x.")),
        # RFC 5424, with structured data and a byte order mark; from RFC 5424 6.5
        (
            b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed",
            (4, 2, "mymachine.example.com", "su", "'su root' failed"),
        ),
        (
            b'<165>1 2003-10-11T22:14:15.003Z host evntslog - ID47 [exampleSDID@32473 iut="3" a="\\"]x"][b@1 c="d"] An event',
            (20, 5, "host", "evntslog", "An event"),
        ),
        (b"<165>1 2003-10-11T22:14:15.003Z - - - - -", (20, 5, "", "", "")),
        # ESXi and others: no date at all
        (b"<14>esx: starting", (1, 6, "", "esx", "starting")),
        (b"no priority at all", (1, 5, "", "", "no priority at all")),
        (b"<999>x: y", (1, 5, "", "", "<999>x: y")),
        (b"", (1, 5, "", "", "")),
        (b"<0>", (0, 0, "", "", "")),
        (b"<13>Nov 22 10:15:01 just words here", (1, 5, "", "", "just words here")),
        (b"<13>1 broken [unclosed", (1, 5, "", "", "1 broken [unclosed")),
    ],
)
def test_lines_of_real_senders_are_taken_apart(datagram: bytes, line: tuple[int, int, str, str, str]) -> None:
    assert parse(datagram) == Line(*line)


def test_control_characters_and_bytes_that_are_no_utf8_are_shown_not_obeyed() -> None:
    assert parse(b"<13>x: \x1b[31mred\x07 caf\xe9 \xc3\xa9\ttab\0\0").text == "\\x1b[31mred\\x07 caf\\xe9 é tab"


def test_a_long_line_is_cut() -> None:
    assert len(parse(b"<13>x: " + b"y" * 8000).text) == LONGEST
    assert len(parse(b"<13>x: " + b"\x01" * 8000).text) == LONGEST


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: b"<13>1 " + text.encode()))
def test_nothing_that_arrives_raises_and_what_comes_out_is_printable(datagram: bytes) -> None:
    line = parse(datagram)
    assert 0 <= line.facility <= 23
    assert 0 <= line.severity <= 7
    assert all(part.isprintable() for part in (line.host, line.program, line.text))
    (line.host + line.program + line.text).encode("utf-8")


def test_the_blank_that_rsyslog_brings_along_in_rfc_5424_is_no_part_of_the_message() -> None:
    line = parse(b"<13>1 2026-11-25T23:30:00+00:00 localhost anaconda - - -  packaging: Installing bash")
    assert (line.program, line.text) == ("anaconda", "packaging: Installing bash")


def test_no_word_is_cut_in_two_since_half_a_url_hides_its_password_from_the_mask() -> None:
    text = parse(b"<13>x: " + b"y " * 440 + b"http://user:hunter2-" + b"z" * 100 + b"@mirror/").text
    assert text == "y " * 439 + "y"
    assert "hunter2" not in mask(text)
    assert parse(b"<13>x: " + b"y" * LONGEST + b" z").text == "y" * LONGEST
