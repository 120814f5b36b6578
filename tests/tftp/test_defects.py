"""fbtftp's defects D1 to D21, each with the input that showed it: closed in the subclasses.

Marks: what a client sends here made the stock library die, hang, leak or obey.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import socket
import threading
from pathlib import Path
from typing import cast

import pytest
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher

from pxed.tftp import Limits
from tests.dhcp.netns import Cable, inside, needs_root
from tests.lab.process import run
from tests.tftp.appliance import Appliance, Client, ack, content, data, error, error_of, oack, rrq


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "boot.efi").write_bytes(content(5000))
    (tmp_path / "secret").write_text("not for you")
    return tmp_path / "root"


def served(client: Client) -> bool:
    """Whether the next good request is answered as if nothing had been."""
    return client.fetch("boot.efi", ("blksize", 1428)) == content(5000)


@pytest.mark.parametrize("datagram", [b"", b"\0", b"\1"])
def test_d01_a_datagram_of_no_or_one_byte_is_dropped(root: Path, datagram: bytes) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(datagram)
        assert client.hear() is None
        assert appliance.service.counters() == {"short": 1}
        assert served(client)


def test_d02_waking_up_for_nothing_is_no_error(root: Path) -> None:
    with Appliance(root) as appliance:
        for reader in appliance.clock.readers:
            reader.doRead()
        assert served(appliance.client())


def test_d03_a_stranger_cannot_end_a_transfer(root: Path) -> None:
    """RFC 1350 section 4 would have ERROR 5 sent to the stranger; the connected socket has the kernel answer with ICMP instead."""
    with Appliance(root) as appliance:
        client, stranger = appliance.client(), appliance.client("127.0.0.9")
        client.ask(rrq("boot.efi"))
        assert client.hear() == data(1, content(5000)[:512])
        stranger.tid = client.tid
        for packet in (ack(1), error(0, "stop"), b"x" * 50):
            stranger.tell(packet)
        assert client.hear() is None
        stranger.socket.connect(client.tid)
        stranger.socket.send(ack(1))
        with pytest.raises(ConnectionRefusedError):  # what the stranger gets
            stranger.hear()
        client.tell(ack(1))
        assert client.hear() == data(2, content(5000)[512:1024])


@pytest.mark.parametrize("datagram", [b"", b"\0", b"\0\4", b"\0\4\0"])
def test_d04_a_short_datagram_inside_a_transfer_is_ignored(root: Path, datagram: bytes) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("boot.efi"))
        client.hear()
        client.tell(datagram)
        assert client.hear() is None
        client.tell(ack(1))
        assert client.hear() == data(2, content(5000)[512:1024])


@pytest.mark.parametrize(
    "options",
    [[("blksize", "abc")], [("retries", "abc")], [("default_timeout", "abc")], [("blksize", "1e3"), ("timeout", "x")], [("tsize", "?")]],
)
def test_d05_values_that_are_no_numbers_are_left_out(root: Path, options: list[tuple[str, str]]) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        assert client.fetch("boot.efi", *options) == content(5000)


@pytest.mark.parametrize("value", ["0", "-1", "7", "65465", "99999", "+512", " 512", "\xb2\xb2\xb2", "9" * 40])
def test_d06_a_blksize_outside_8_to_65464_is_left_out(root: Path, value: str) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("boot.efi", ("blksize", value), ("tsize", 0)))
        assert oack(client.hear()) == {"tsize": "5000"}


@pytest.mark.parametrize("value", ["0", "256", "99999", "-3", "1.5"])
def test_d07_a_timeout_outside_1_to_255_is_left_out(root: Path, value: str) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("boot.efi", ("timeout", value), ("blksize", 1024)))
        assert oack(client.hear()) == {"blksize": "1024"}


def test_d08_options_named_like_the_library_s_own_keys_change_nothing(root: Path) -> None:
    """``mode=netascii`` as an *option* would turn the transfer's mode, ``retries`` and ``default_timeout`` its patience."""
    (root / "text").write_bytes(b"a\nb\n")
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("text", ("mode", "netascii"), ("retries", "0"), ("default_timeout", "0"), ("MODE", "mail")))
        assert client.hear() == data(1, b"a\nb\n")
        appliance.advance(1.1)
        assert client.hear() == data(1, b"a\nb\n")


def test_d09_a_duplicate_request_starts_no_second_transfer(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        for _ in range(3):
            client.ask(rrq("boot.efi", ("tsize", 0)))
        assert [oack(packet) for packet in client.hear_all()] == [{"tsize": "5000"}]
        assert appliance.service.active == 1
        assert appliance.outcomes() == ["request"]


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "/../secret",
        "..\\secret",
        "a/../../secret",
        "\\..\\..\\etc\\passwd",
        "/etc/passwd",
        "link",
        "away/passwd",
        "./../secret",
    ],
)
def test_d10_no_name_leads_out_of_the_root(root: Path, name: str) -> None:
    (root / "a").mkdir()
    os.chmod(root.parent / "secret", 0o600)
    (root / "link").symlink_to(root.parent / "secret")
    (root / "away").symlink_to("/etc")
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq(name))
        assert error_of(client.hear()) in {(1, "File not found"), (2, "Access violation")}


def test_d11_error_texts_are_fixed_and_disclose_no_path(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("nothing/here"))
        assert error_of(client.hear()) == (1, "File not found")
        client.ask(rrq("../nothing"))
        assert error_of(client.hear()) == (2, "Access violation"), "what our log says of it is not for clients"


def test_d12_after_a_timeout_a_duplicate_ack_makes_nothing_go_out_again(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("boot.efi"))
        client.hear()
        client.tell(ack(1))
        client.hear()
        appliance.advance(5)
        assert set(client.hear_all()) == {data(2, content(5000)[512:1024])}
        for _ in range(5):
            client.tell(ack(1))
        assert client.hear() is None


def test_d13_the_client_s_error_is_not_answered(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("boot.efi"))
        client.hear()
        client.tell(error(3, "Disk full"))
        assert client.hear() is None
        assert appliance.service.active == 0
        assert appliance.events[-1].reason == "the client ended it: ERROR 3 Disk full"


def test_d14_long_requests_are_refused_whole_and_empty_values_shift_nothing(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("boot.efi", ("blksize", 1024), ("x", "y" * 500)))
        assert error_of(client.hear()) == (4, "Malformed request")
        client.ask(rrq("boot.efi", ("blksize", ""), ("tsize", "0")))
        assert oack(client.hear()) == {"tsize": "5000"}


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.77", "127.9.8.7"])
def test_d15_replies_come_from_the_address_that_was_asked(root: Path, asked: str) -> None:
    with Appliance(root, addresses=("0.0.0.0",)) as appliance:
        client = appliance.client(to=asked)
        client.ask(rrq("boot.efi"))
        client.hear()
        assert client.tid[0] == asked
        client.ask(b"\0\2boot.efi\0octet\0")
        assert error_of(client.hear())[0] == 4
        assert client.tid[0] == asked


@needs_root
@pytest.mark.parametrize("asked", ["fd00::1", "fd00::2", "::1"])
def test_d15_replies_by_ipv6_come_from_the_address_that_was_asked(root: Path, asked: str) -> None:
    with Cable() as cable:
        for address in ("fd00::1/64", "fd00::2/64"):
            run("ip", "-n", cable.server, "address", "add", address, "dev", "lo", "nodad")
        with inside(cable.server), Appliance(root, addresses=("::",)) as appliance:
            client = appliance.client("::1", to=asked)
            assert client.fetch("boot.efi", ("blksize", 1024)) == content(5000)
            assert client.tid[0] == asked
            client.ask(b"\0\2boot.efi\0octet\0")
            assert error_of(client.hear())[0] == 4
            assert client.tid[0] == asked


def test_d16_names_of_any_bytes_get_a_plain_error(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        for name in (b"\xe2\x82\xac", bytes(range(1, 256)), b"\xff\xfe"):
            client.ask(rrq(name))
            assert error_of(client.hear()) == (1, "File not found")


def test_d17_there_is_a_limit_per_client_and_one_in_all(root: Path) -> None:
    with Appliance(root, settings=Limits(per_client=2, max_transfers=3)) as appliance:
        same = [appliance.client() for _ in range(3)]
        for client in same:
            client.ask(rrq("boot.efi"))
        assert [client.hear() for client in same[:2]] == [data(1, content(5000)[:512])] * 2
        assert error_of(same[2].hear()) == (0, "Busy, try again")
        others = [appliance.client("127.0.0.2"), appliance.client("127.0.0.3")]
        for client in others:
            client.ask(rrq("boot.efi"))
        assert others[0].hear() == data(1, content(5000)[:512])
        assert error_of(others[1].hear()) == (0, "Busy, try again")
        refused = [(event.peer_ip, event.file, event.reason) for event in appliance.events if event.outcome == "failed"]
        assert refused == [(peer, "boot.efi", "too many transfers at once") for peer in ("127.0.0.1", "127.0.0.3")]
        assert appliance.service.counters()["busy"] == 2
        same[0].tell(error(0))
        others[1].ask(rrq("boot.efi"))
        assert others[1].hear() == data(1, content(5000)[:512])


def test_d18_no_process_and_no_thread_is_started(root: Path) -> None:
    threads = threading.active_count()
    with Appliance(root) as appliance:
        clients = [appliance.client(f"127.0.0.{n}") for n in range(1, 20)]
        for client in clients:
            client.ask(rrq("boot.efi"))
        assert appliance.service.active == 19
        assert threading.active_count() == threads
        assert multiprocessing.active_children() == []
        assert not Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()


def test_d19_what_a_client_names_reaches_no_log_unescaped(root: Path) -> None:
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, logger = Handler(), logging.getLogger()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    globalLogPublisher.addObserver(cast(ILogObserver, observe))
    try:
        with Appliance(root) as appliance:
            client = appliance.client()
            client.ask(rrq(b"x\n2026-01-01 root logged in\x1b[31m", ("blk\nsize", "1\r\n2"), ("blksize", "8\n")))
            client.hear()
            client.ask(rrq("boot.efi"))
            client.hear()
            client.tell(error(0, "a\nb\x1b[0m"))
            assert appliance.events[0].file == "x\\x0a2026-01-01 root logged in\\x1b[31m"
    finally:
        globalLogPublisher.removeObserver(cast(ILogObserver, observe))
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert any("root logged in" in line for line in lines)
    assert not [line for line in lines if "\n" in line or "\r" in line or "\x1b" in line]


def test_d20_sends_that_fail_end_nothing_but_their_own_transfer(root: Path) -> None:
    """EPIPE for every packet: the transfer is given up in time, with a report. (Errors that pass: test_stream.)"""
    with Appliance(root) as appliance:
        client, other = appliance.client(), appliance.client("127.0.0.2")
        client.ask(rrq("boot.efi", ("tsize", 0)))
        client.hear()
        transfer = next(iter(appliance.service._clients))
        transfer._get_listener().shutdown(socket.SHUT_WR)
        client.tell(ack(0))
        assert served(other)
        appliance.advance(35)
        assert client.hear() is None
        assert appliance.events[-1].outcome == "failed"
        assert appliance.events[-1].reason.startswith("no answer for 30 s")


@pytest.mark.parametrize(
    "datagram",
    [
        b"\0\1",
        b"\0\1boot.efi",
        b"\0\1boot.efi\0",
        b"\0\1boot.efi\0octet",
        b"\0\1\0octet\0",
        b"\0\1boot.efi\0\0",
        b"\0\1boot.efi\0octet\0blksize\0",
        b"\0\1boot.efi\0octet\0blksize\x001024",
    ],
)
def test_d21_a_malformed_request_gets_error_4(root: Path, datagram: bytes) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(datagram)
        assert error_of(client.hear()) == (4, "Malformed request")
        assert served(client)
