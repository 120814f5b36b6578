"""RFC 1350, 2347, 2348, 2349 and 7440, rule by rule, in raw packets."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from pxed.tftp import Limits
from tests.tftp.appliance import Appliance, Client, ack, content, data, error, error_of, oack, rrq

UDP_SEGMENT = 103


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, size in {"empty": 0, "one": 1, "short": 511, "exact": 512, "two": 1024, "long": 5000, "image": 300_000}.items():
        (tmp_path / name).write_bytes(content(size))
    return tmp_path


# RFC 1350


@pytest.mark.parametrize("name", ["empty", "one", "short", "exact", "two", "long"])
@pytest.mark.parametrize("options", [[], [("tsize", 0)], [("blksize", 1024)], [("windowsize", 3)], [("blksize", 8), ("windowsize", 16)]])
def test_every_size_arrives_whole_and_ends_with_a_short_block(root: Path, name: str, options: list[tuple[str, object]]) -> None:
    with Appliance(root) as appliance:
        expected = (root / name).read_bytes()
        assert appliance.client().fetch(name, *options) == expected
        assert appliance.outcomes() == ["request", "sent"]
        assert appliance.events[-1].bytes == len(expected)


def test_each_transfer_has_its_own_tid(root: Path) -> None:
    with Appliance(root) as appliance:
        clients = [appliance.client(), appliance.client()]
        for client in clients:
            client.ask(rrq("long"))
            client.hear()
        assert len({clients[0].tid, clients[1].tid, clients[0].server}) == 3


def test_a_block_is_sent_again_until_it_is_acknowledged(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("long"))
        assert client.hear() == data(1, content(5000)[:512])
        appliance.advance(0.9)
        assert client.hear() is None
        appliance.advance(0.2)
        assert client.hear() == data(1, content(5000)[:512])
        client.tell(ack(1))
        assert client.hear() == data(2, content(5000)[512:1024])


def test_a_duplicate_ack_in_lock_step_sends_nothing(root: Path) -> None:
    """Sorcerer's Apprentice, RFC 1123 section 4.2.3.1."""
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("long"))
        client.hear()
        client.tell(ack(1))
        client.hear()
        for _ in range(10):
            client.tell(ack(1))
            client.tell(ack(0))
        assert client.hear() is None


def test_an_ack_of_a_block_never_sent_is_ignored(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("long"))
        client.hear()
        for block in (2, 3, 9, 65535):
            client.tell(ack(block))
        assert client.hear() is None
        client.tell(ack(1))
        assert client.hear() == data(2, content(5000)[512:1024])


@pytest.mark.parametrize("packet", [rrq("x"), data(1, b"x"), b"\0\6x\0", b"\0\2x\0octet\0", b"\0\0\0\1", b"\xff\xff\0\1"])
def test_what_has_no_place_in_a_read_ends_it_with_error_4(root: Path, packet: bytes) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("long"))
        client.hear()
        client.tell(packet)
        assert error_of(client.hear()) == (4, "Illegal operation")
        assert appliance.service.active == 0


def test_a_silent_client_is_given_up(root: Path) -> None:
    with Appliance(root, settings=Limits(idle_timeout=10)) as appliance:
        client = appliance.client()
        client.ask(rrq("long"))
        appliance.advance(10.2)
        assert appliance.service.active == 0
        assert appliance.events[-1].outcome == "failed"
        assert 3 <= len(client.hear_all()) <= 5


def test_netascii_translates_line_ends(root: Path) -> None:
    """RFC 1350 section 4; tsize is what the client will have (RFC 2349)."""
    (root / "text").write_bytes(b"a\nb\r\nc\rd" * 200)
    wire = b"a\r\nb\r\0\r\nc\r\0d" * 200
    with Appliance(root) as appliance:
        client = appliance.client()
        assert client.fetch("text", mode="netascii") == wire
        client.ask(rrq("text", ("tsize", 0), mode="netascii"))
        assert oack(client.hear()) == {"tsize": str(len(wire))}


# RFC 2347


def test_options_not_understood_are_left_out_and_none_left_means_no_oack(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("long", ("multicast", ""), ("x", "y")))
        assert client.hear() == data(1, content(5000)[:512])


def test_the_oack_is_sent_again_and_data_only_follows_ack_0(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("long", ("blksize", 1024)))
        assert oack(client.hear()) == {"blksize": "1024"}
        appliance.advance(1.1)
        assert oack(client.hear()) == {"blksize": "1024"}
        client.tell(ack(1))
        assert client.hear() is None
        client.tell(ack(0))
        assert client.hear() == data(1, content(5000)[:1024])


def test_ovmf_asks_for_the_size_and_hangs_up_which_is_no_failure(root: Path) -> None:
    """As seen on the wire: tsize, blksize 1468, windowsize 4, then ERROR 8 on purpose, then a second request without tsize."""
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("image", ("tsize", 0), ("blksize", 1468), ("windowsize", 4)))
        assert oack(client.hear()) == {"tsize": "300000", "blksize": "1468", "windowsize": "4"}
        client.tell(error(8, "User aborted the transfer"))
        assert client.hear() is None
        assert appliance.outcomes() == ["request"]
        assert client.fetch("image", ("blksize", 1468), ("windowsize", 4)) == content(300_000)
        assert appliance.outcomes() == ["request", "request", "sent"]


def test_the_size_probe_stays_calm_when_the_next_request_overtakes_the_error(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("image", ("tsize", 0)))
        client.hear()
        client.ask(rrq("image", ("blksize", 1468)))
        assert oack(client.hear()) == {"blksize": "1468"}
        assert appliance.outcomes() == ["request", "request"]
        assert appliance.service.active == 1


# RFC 2348


def test_one_clients_block_size_may_be_capped_for_firmware_that_cannot_bear_more(root: Path) -> None:
    caps = {"127.0.0.2": 1024, "127.0.0.3": 65464}
    with Appliance(root, blksize_cap=caps.get, settings=Limits(blksize_max=4096)) as appliance:
        for ip, granted in (("127.0.0.2", "1024"), ("127.0.0.3", "4096"), ("127.0.0.4", "4096")):
            client = appliance.client(ip)
            client.ask(rrq("long", ("blksize", 8192)))
            assert oack(client.hear()) == {"blksize": granted}
            client.tell(error(0))


@pytest.mark.parametrize("blksize", [8, 512, 1428, 1468, 8192, 65464])
def test_a_block_size_is_granted_as_asked_where_the_interface_carries_it(root: Path, blksize: int) -> None:
    with Appliance(root) as appliance:
        name, size = ("image", 300_000) if blksize > 8 else ("long", 5000)
        assert appliance.client().fetch(name, ("blksize", blksize)) == content(size)


def test_a_block_size_above_the_operator_s_limit_is_lowered(root: Path) -> None:
    with Appliance(root, settings=Limits(blksize_max=1468)) as appliance:
        client = appliance.client()
        client.ask(rrq("long", ("blksize", 65464)))
        assert oack(client.hear()) == {"blksize": "1468"}


# RFC 2349


def test_a_granted_timeout_is_kept_without_doubling_or_probing(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("long", ("timeout", 3)))
        assert oack(client.hear()) == {"timeout": "3"}
        client.tell(ack(0))
        assert client.hear() == data(1, content(5000)[:512])
        for _ in range(3):
            appliance.advance(2.9)
            assert client.hear() is None
            appliance.advance(0.15)
            assert client.hear() == data(1, content(5000)[:512])


def test_tsize_is_the_size(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("empty", ("tsize", 0)))
        assert oack(client.hear()) == {"tsize": "0"}


# RFC 7440


def test_a_window_goes_out_at_once_and_the_next_after_one_ack(root: Path) -> None:
    with Appliance(root) as appliance:
        client = open_window(appliance, 4)
        assert numbers(client) == [1, 2, 3, 4]
        client.tell(ack(4))
        assert numbers(client) == [5, 6, 7, 8]


def test_windowsize_is_lowered_to_64_and_values_out_of_range_left_out(root: Path) -> None:
    with Appliance(root) as appliance:
        for asked, granted in (("65535", {"windowsize": "64"}), ("64", {"windowsize": "64"}), ("1", {"windowsize": "1"})):
            client = appliance.client()
            client.ask(rrq("image", ("windowsize", asked)))
            assert oack(client.hear()) == granted
        client = appliance.client()
        client.ask(rrq("image", ("windowsize", "0"), ("tsize", 0)))
        assert oack(client.hear()) == {"tsize": "300000"}


def test_an_ack_inside_the_window_goes_back_to_the_first_missing_block(root: Path) -> None:
    with Appliance(root) as appliance:
        client = open_window(appliance, 4, rtt=0.01)
        assert numbers(client) == [1, 2, 3, 4]
        appliance.clock.advance(0.01)
        client.tell(ack(2))
        assert numbers(client) == [3, 4, 5, 6]


def test_an_ack_inside_the_window_that_comes_early_moves_the_window_on(root: Path) -> None:
    """Sooner than three quarters of a round trip the rest is still under way: only what was never sent goes out."""
    with Appliance(root) as appliance:
        client = open_window(appliance, 4, rtt=0.01)
        assert numbers(client) == [1, 2, 3, 4]
        appliance.clock.advance(0.007)
        client.tell(ack(2))
        assert numbers(client) == [5, 6]
        client.tell(ack(6))
        assert numbers(client) == [7, 8, 9, 10]


def test_a_late_duplicate_ack_resends_the_window_once(root: Path) -> None:
    with Appliance(root) as appliance:
        client = open_window(appliance, 4, rtt=0.01)
        numbers(client)
        appliance.clock.advance(0.01)
        client.tell(ack(0))
        assert numbers(client) == [1, 2, 3, 4]
        for _ in range(4):
            appliance.clock.advance(0.0045)  # the last of them later than 0.75 round trips, all before the probe
            client.tell(ack(0))
        assert numbers(client) == []


def test_acks_for_every_unexpected_block_make_no_second_stream(root: Path) -> None:
    """EDK2: block 3 of 8 is lost, 4 to 8 are each answered with ACK 2; the window goes out again once, not five times."""
    with Appliance(root) as appliance:
        client = open_window(appliance, 8, rtt=0.01)
        assert numbers(client) == list(range(1, 9))
        appliance.clock.advance(0.01)
        for _ in range(5):
            client.tell(ack(2))
        assert numbers(client) == list(range(3, 11))


def test_a_lost_window_end_is_probed_for_before_the_time_out(root: Path) -> None:
    with Appliance(root) as appliance:
        client = open_window(appliance, 4, rtt=0.01)
        assert numbers(client) == [1, 2, 3, 4]
        appliance.advance(0.075)
        assert numbers(client) == [4]
        appliance.advance(0.35)
        assert numbers(client) == [1, 2, 3, 4]


@pytest.mark.parametrize("blksize", [512, 1468, 16000])
@pytest.mark.parametrize("window", [2, 16, 64])
def test_windows_of_every_width_arrive_whole(root: Path, blksize: int, window: int) -> None:
    """16 000 * 64 is more than one UDP_SEGMENT call carries."""
    with Appliance(root) as appliance:
        assert appliance.client().fetch("image", ("blksize", blksize), ("windowsize", window)) == content(300_000)


@pytest.mark.parametrize(
    ("options", "cut"), [({"windowsize": 4}, 1472), ({"windowsize": 1}, 0), ({}, 0), ({"windowsize": 4, "blksize": 128}, 0)]
)
def test_the_kernel_cuts_windows_into_packets_and_nothing_else(root: Path, options: dict[str, int], cut: int) -> None:
    """UDP_SEGMENT of the transfer's socket: the packet's size; 0 is off. Blocks smaller than an OACK or an ERROR never use it."""
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("image", *{"blksize": 1468, **options}.items()))
        transfer = next(iter(appliance.service._clients))
        assert transfer._listener.getsockopt(socket.IPPROTO_UDP, UDP_SEGMENT) == cut


# the rest of the room, from outside


def test_ipv6(root: Path) -> None:
    with Appliance(root, addresses=("127.0.0.1", "::1")) as appliance:
        client = appliance.client("::1")
        assert client.fetch("image", ("blksize", 1408), ("windowsize", 8)) == content(300_000)
        client.ask(b"\0\2x\0octet\0")
        assert error_of(client.hear()) == (4, "Writing is not served")
        assert appliance.events[0].peer_ip == "::1"


def test_both_wildcards_share_one_port(root: Path) -> None:
    with Appliance(root, addresses=("0.0.0.0", "::")) as appliance:
        assert appliance.client().fetch("long") == content(5000)
        assert appliance.client("::1").fetch("long") == content(5000)


@pytest.mark.parametrize("rendered", [b"#!ipxe\nexit 1\n", b""])
def test_a_rendered_file_comes_before_the_root(root: Path, rendered: bytes) -> None:
    asked: list[tuple[str, str]] = []

    def virtual(name: str, peer_ip: str) -> bytes | None:
        asked.append((name, peer_ip))
        return rendered if name == "autoexec.ipxe" else None

    with Appliance(root, virtual=virtual) as appliance:
        client = appliance.client()
        assert client.fetch("\\autoexec.ipxe", ("tsize", 0)) == rendered
        assert client.fetch("long") == content(5000)
        assert asked == [("autoexec.ipxe", "127.0.0.1"), ("long", "127.0.0.1")]


def test_a_rendered_file_may_come_later(root: Path) -> None:
    later: Deferred[bytes] = Deferred()
    with Appliance(root, virtual=lambda _name, _ip: later) as appliance:
        client = appliance.client()
        client.ask(rrq("x"))
        assert client.hear() is None
        later.callback(b"here")
        assert client.hear() == data(1, b"here")


def test_a_renderer_that_fails_is_error_0_for_that_client_only(root: Path) -> None:
    def virtual(name: str, _ip: str) -> bytes | None:
        if name == "bad":
            raise ValueError("template")
        return None

    with Appliance(root, virtual=virtual) as appliance:
        client = appliance.client()
        client.ask(rrq("bad"))
        assert error_of(client.hear()) == (0, "Internal error")
        assert "ValueError: template" in appliance.failures.pop()
        assert client.fetch("long") == content(5000)


def open_window(appliance: Appliance, window: int, rtt: float = 0.0) -> Client:
    """A client whose first window of `window` blocks is under way."""
    client = appliance.client()
    client.ask(rrq("image", ("windowsize", window)))
    assert oack(client.hear()) == {"windowsize": str(window)}
    appliance.clock.advance(rtt)
    client.tell(ack(0))
    return client


def numbers(client: Client) -> list[int]:
    """The blocks that came, checked against the file."""
    packets = client.hear_all()
    for packet in packets:
        block = int.from_bytes(packet[2:4], "big")
        assert packet == data(block, content(300_000)[(block - 1) * 512 : block * 512])
    return [int.from_bytes(packet[2:4], "big") for packet in packets]
