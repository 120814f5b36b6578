"""Cases 81-103: bytes that are no packet, or hardly one. Never an exception, never an answer, always a count, and the next is answered."""

from __future__ import annotations

import random
import socket
import struct
import time
import timeit
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxed.dhcp import sockets
from pxed.dhcp.packet import MalformedPacket, parse
from tests.dhcp import clients
from tests.dhcp.decode import OFFER
from tests.dhcp.world import World

HEADER = clients.rom(7)[:240]
NETWORK_BOOT = clients.options_field(clients.pxe_options(7), end=b"")


def _dropped(data: bytes) -> str:
    """What it is counted as; and the responder lives on."""
    world = World()
    counted = world.silent(data)
    assert world.answer(clients.rom(7)).message == OFFER
    return counted


def test_case_081_nothing_at_all() -> None:
    assert _dropped(b"") == "malformed-short"


@pytest.mark.parametrize("size", [1, 27, 43, 44, 235, 236, 239])
def test_case_082_less_than_a_header(size: int) -> None:
    assert _dropped(clients.rom(7)[:size]) == "malformed-short"


def test_case_083_a_header_without_options() -> None:
    assert _dropped(HEADER) == "malformed-short"


def test_case_084_a_wrong_cookie() -> None:
    assert _dropped(clients.rom(7).replace(b"\x63\x82\x53\x63", b"\x63\x82\x53\x64")) == "malformed-cookie"


def test_case_085_an_option_without_a_length() -> None:
    assert _dropped(HEADER + NETWORK_BOOT + b"\x43") == "malformed-option"


def test_case_086_an_option_longer_than_the_packet() -> None:
    assert _dropped(HEADER + NETWORK_BOOT + b"\x43\x20abc") == "malformed-option"


def test_case_087_options_that_are_complete_but_not_ended_are_accepted() -> None:
    assert World().answer(HEADER + NETWORK_BOOT).boot_file == "snponly.efi"


def test_case_088_ten_thousand_pads() -> None:
    assert World().answer(HEADER + bytes(10_000) + NETWORK_BOOT + b"\xff").boot_file == "snponly.efi"
    assert _dropped(HEADER + bytes(10_000)) == "bootp"


def test_case_089_fifteen_hundred_empty_options() -> None:
    assert _dropped(HEADER + bytes((224, 0)) * 1500) == "bootp"
    assert World().answer(HEADER + bytes((224, 0)) * 1500 + NETWORK_BOOT).boot_file == "snponly.efi"


def _overloaded(overload: bytes, *, file: bytes = b"", sname: bytes = b"", without: tuple[int, ...] = ()) -> bytes:
    options = [(k, v) for k, v in clients.pxe_options(7) if k not in without]
    return clients.packet([*options, (52, overload)], file=file, sname=sname)


def test_case_090_options_in_file_are_read() -> None:
    packet = parse(_overloaded(b"\x01", file=clients.options_field([(93, b"\0\x0b")]), without=(93,)))
    assert (packet.options[93], packet.file) == (b"\0\x0b", b"")


def test_case_091_file_is_read_before_sname() -> None:
    file, sname = clients.options_field([(224, b"second")]), clients.options_field([(224, b"third")])
    data = clients.packet([*clients.pxe_options(7), (52, b"\x03"), (224, b"first")], file=file, sname=sname)
    packet = parse(data)
    assert packet.options[224] == b"firstsecondthird"
    assert (packet.file, packet.sname) == (b"", b"")
    only_sname = parse(_overloaded(b"\x02", file=file, sname=sname))
    assert (only_sname.options[224], only_sname.file.rstrip(b"\0")) == (b"third", file)


@pytest.mark.parametrize("overload", [b"\x00", b"\x04", b"\xff", b"\x01\x01", b""])
def test_case_092_an_overload_of_no_known_kind_is_dropped(overload: bytes) -> None:
    assert _dropped(_overloaded(overload)) == "malformed-overload"


def test_case_093_an_overload_inside_file_means_nothing() -> None:
    packet = parse(_overloaded(b"\x01", file=clients.options_field([(52, b"\x02")]), sname=clients.options_field([(224, b"no")])))
    assert 224 not in packet.options
    assert 52 not in packet.options


def test_case_094_a_message_type_in_the_overloaded_file_counts() -> None:
    data = _overloaded(b"\x01", file=clients.options_field([(53, b"\x01")]), without=(53,))
    assert World().answer(data).message == OFFER


def test_case_095_option_93_in_two_pieces_is_joined() -> None:
    options = [(k, v) for k, v in clients.pxe_options(7) if k != 93]
    assert World().answer(clients.packet([(93, b"\0"), *options, (93, b"\x0b")])).boot_file == "arm64/snponly.efi"


def test_case_096_a_user_class_of_more_than_255_bytes_is_joined() -> None:
    classes = b"\xc8" + b"x" * 200 + b"\x64" + b"y" * 100 + b"\x04iPXE"
    options = [*clients.pxe_options(7), (77, classes[:255]), (77, classes[255:]), (175, clients.IPXE_HTTP)]
    assert World().answer(clients.packet(options)).boot_file.startswith("http://")


@pytest.mark.parametrize("value", ["4704000000", "4705000000", "47", "06ff08", "064704"])
def test_case_097_a_43_that_overruns_itself_is_no_43(value: str) -> None:
    packet = clients.pxe_request(0, ciaddr="10.0.0.9", extra=[(43, bytes.fromhex(value))])
    answer = World().answer(packet, door=4011, source="10.0.0.9")
    assert answer.boot_file == "undionly.kpxe"
    assert 43 not in answer


def test_case_098_sname_and_file_without_nul_are_accepted() -> None:
    assert World().answer(clients.rom(7, sname=b"s" * 64, file=b"f" * 128)).message == OFFER


def test_case_099_a_parameter_request_list_with_a_zero_is_accepted() -> None:
    assert World().answer(clients.http_boot()).message == OFFER


def test_case_100_a_parameter_request_list_of_255_entries_is_accepted() -> None:
    options = [(k, bytes(range(1, 256)) if k == 55 else v) for k, v in clients.pxe_options(7)]
    assert World().answer(clients.packet(options)).message == OFFER


class _NoReactor:
    def addReader(self, reader: object) -> None: ...

    def removeReader(self, reader: object) -> None: ...


@pytest.fixture
def door() -> Iterator[tuple[sockets.Door, list[bytes], socket.socket]]:
    """A real socket on loopback, what it received, and a client's socket connected to it."""
    got: list[bytes] = []
    opened = sockets.open_dhcp(_NoReactor(), lambda data, *_: got.append(data), port=0, mode="bound")
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("127.0.0.1", opened.port))
    yield opened, got, client
    opened.close()
    client.close()


def test_case_101_a_jumbo_datagram_is_dropped_and_counted(door: tuple[sockets.Door, list[bytes], socket.socket]) -> None:
    opened, got, client = door
    client.send(bytes(65507))
    client.send(clients.rom(7))
    for _ in range(1000):  # a turn has a budget of time: one datagram may be all of it
        opened.doRead()
        if got:
            break
        time.sleep(0.01)
    assert got == [clients.rom(7)]
    assert opened.dropped == {"truncated": 1}


def test_case_102_a_flood_of_empty_datagrams_gets_32_a_turn(door: tuple[sockets.Door, list[bytes], socket.socket]) -> None:
    """So the reactor always comes back to HTTP; `test_cases_coexistence` measures that on a real one."""
    opened, got, client = door
    opened.seconds = lambda: 0.0
    for _ in range(100):
        client.send(b"")
    opened.doRead()
    assert len(got) == 32
    opened.doRead()
    opened.doRead()
    opened.doRead()
    opened.doRead()
    assert got == [b""] * 100


CAPTURED = [
    clients.rom(0),
    clients.rom(7),
    clients.rom(41),
    clients.ipxe(0),
    clients.ipxe(7, features=clients.IPXE_NO_HTTP),
    clients.http_boot(),
    clients.pxe_request(7, ciaddr="10.0.0.9"),
    clients.packet(
        [*clients.pxe_options(7), (82, b"\1\4ge01"), (52, b"\3")], giaddr="10.1.0.1", file=b"\x43\3a\0b\xff", sname=b"\x42\1x\xff"
    ),
]


def mutated(dice: random.Random, packets: list[bytes] | None = None) -> bytes:
    """One captured packet with some bytes changed, cut out, put in or cut off; half of the changes hit the options."""
    data = bytearray(dice.choice(packets or CAPTURED))
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(240, len(data) + 1) if len(data) > 240 and dice.random() < 0.5 else dice.randrange(len(data) + 1)
        kind = dice.randrange(5)
        if kind == 0:
            data[at : at + 1] = bytes((dice.randrange(256),))
        elif kind == 1:
            del data[at : at + dice.randrange(1, 8)]
        elif kind == 2:
            data[at:at] = dice.randbytes(dice.randrange(1, 8))
        elif kind == 3:
            data[at : at + 2] = bytes((dice.choice((43, 52, 53, 60, 77, 82, 93, 97, 175, 255, 0)), dice.choice((0, 1, 2, 4, 255))))
        elif dice.random() < 0.2:
            del data[at:]
    return bytes(data)


def _fuzz(rounds: int, seed: int) -> World:
    dice = random.Random(seed)
    world = World(settings={"dhcp": {"unknown": "discover"}})
    for _ in range(rounds):
        world.ask(mutated(dice), door=dice.choice((67, 4011)), source=dice.choice(("0.0.0.0", "10.0.0.9", "192.0.2.1")))
    world.monotonic += 1000.0
    return world


def test_case_103_mutated_packets_raise_nothing_and_the_next_good_one_is_answered() -> None:
    world = _fuzz(10_000, seed=103)
    assert world.ask(clients.rom(7, mac="52:54:00:99:99:99"))
    assert sum(world.responder.counters.values()) == 10_001
    kinds = set(world.responder.counters)
    assert {"offer", "ack", "malformed-option", "malformed-hlen", "malformed-overload", "not-pxe", "architecture"} <= kinds


@pytest.mark.slow
def test_case_103b_a_hundred_thousand_through_the_responder_and_a_million_through_the_parser() -> None:
    world = _fuzz(100_000, seed=1)
    assert world.ask(clients.rom(7, mac="52:54:00:99:99:99"))
    dice = random.Random(2)
    reasons = set()
    for _ in range(1_000_000):
        try:
            parse(mutated(dice))
        except MalformedPacket as bad:
            reasons.add(bad.reason)
    assert reasons == {"short", "cookie", "hlen", "option", "overload", "message-type"}


def test_case_103c_the_fixed_header_is_read_as_scapy_reads_it() -> None:
    from scapy.layers.dhcp import BOOTP

    dice = random.Random(3)
    compared = 0
    while compared < 300:
        data = mutated(dice)
        try:
            packet = parse(data)
        except MalformedPacket:
            continue
        compared += 1
        theirs = BOOTP(data)
        names = ("op", "htype", "hlen", "hops", "xid", "secs")
        assert [getattr(packet, name) for name in names] == [getattr(theirs, name) for name in names]
        assert packet.flags == int(theirs.flags)
        for name in ("ciaddr", "yiaddr", "siaddr", "giaddr"):
            assert socket.inet_ntoa(getattr(packet, name)) == getattr(theirs, name)
        assert packet.chaddr == bytes(theirs.chaddr).ljust(16, b"\0")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_parse_of_any_options_gives_a_packet_or_malformed_packet(tail: bytes) -> None:
    try:
        packet = parse(HEADER + tail)
    except MalformedPacket:
        return
    assert not {0, 52, 255} & set(packet.options)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 254).filter(lambda code: code not in (52, 53)), st.binary(max_size=30)), max_size=20))
def test_parse_joins_what_was_split_and_keeps_what_was_not(options: list[tuple[int, bytes]]) -> None:
    joined: dict[int, bytes] = {}
    for code, value in options:
        joined[code] = joined.get(code, b"") + value
    assert parse(clients.packet(options or b"\xff")).options == joined


def test_parse_is_linear_in_the_packet() -> None:
    """A datagram of 2048 bytes that is all one-byte options costs well under a millisecond."""
    data = HEADER + struct.pack("BBB", 224, 1, 7) * 600
    assert min(timeit.repeat(lambda: parse(data), number=1, repeat=50)) < 0.002
