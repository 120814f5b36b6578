"""Cases 72-80: the bytes of every reply."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dhcp import clients
from tests.dhcp.world import FixedPrograms, World

LEASE_OPTIONS = {1, 3, 6, 12, 15, 28, 50, 51, 52, 58, 59, 61}
NAME_127 = "d/" * 61 + "x.efi"
NAME_128 = "d/" * 61 + "xy.efi"


def tags(data: bytes) -> list[tuple[int, bytes]]:
    """The options of a reply walked strictly: every PAD is kept, nothing behind 255 but zeros."""
    found = []
    at = 240
    while True:
        code = data[at]
        if code in (0, 255):
            found.append((code, b""))
            at += 1
            if code == 255:
                assert not data[at:].strip(b"\0")
                return found
            continue
        length = data[at + 1]
        assert at + 2 + length < len(data)
        found.append((code, data[at + 2 : at + 2 + length]))
        at += 2 + length


def _replies() -> list[bytes]:
    """One reply of every kind there is."""
    world = World()
    sent = [
        world.ask(packet) for packet in (clients.rom(0), clients.rom(7), clients.rom(11), clients.rom(41), clients.ipxe(0), clients.ipxe(7))
    ]
    sent.append(world.ask(clients.ipxe(0, features=None)))
    sent.append(world.ask(clients.http_boot()))
    sent.append(world.ask(clients.packet([*clients.pxe_options(7), (82, b"\x01\x02ab")], giaddr="10.1.0.1")))
    for arch in (0, 7):
        sent.append(world.ask(clients.pxe_request(arch, ciaddr="10.0.0.9"), door=4011, source="10.0.0.9"))
    item = clients.pxe_request(0, ciaddr="10.0.0.9", extra=[(43, bytes.fromhex("470400000000ff"))])
    sent.append(world.ask(item, door=4011, source="10.0.0.9"))
    assert [len(each) for each in sent] == [1] * len(sent)
    return [each[0].data for each in sent]


def test_case_072_a_file_of_127_bytes_is_in_the_header_one_of_128_in_option_67() -> None:
    assert (len(NAME_127), len(NAME_128)) == (127, 128)
    short = World(programs=FixedPrograms({7: NAME_127})).answer(clients.rom(7))
    assert (short.file.decode(), 67 in short) == (NAME_127, False)
    longer = World(programs=FixedPrograms({7: NAME_128})).answer(clients.rom(7))
    assert (longer.file, longer.boot_file) == (b"", NAME_128)


def test_case_073_option_67_ends_with_nul_and_stands_before_255() -> None:
    data = World(programs=FixedPrograms({7: NAME_128})).ask(clients.rom(7))[0].data
    options = tags(data)
    codes = [code for code, _ in options]
    assert dict(options)[67] == NAME_128.encode() + b"\0"
    assert codes.index(67) < codes.index(255)


def test_case_074_43_ends_with_255_and_its_lengths_are_exact() -> None:
    seen = 0
    for data in _replies():
        value = dict(tags(data)).get(43)
        if value is not None:
            seen += 1
            at = 0
            while value[at] != 255:
                at += 2 + value[at + 1]
            assert at == len(value) - 1
    assert seen >= 4


def test_case_075_no_reply_overloads() -> None:
    assert all(52 not in dict(tags(data)) for data in _replies())


def test_case_076_options_end_with_255_then_zeros_to_at_least_300_bytes() -> None:
    for data in _replies():
        assert tags(data)[-1] == (255, b"")
        assert len(data) >= 300


_VALUES = st.binary(max_size=40)
_OPTIONS = st.lists(st.tuples(st.integers(1, 254), _VALUES), max_size=12)
_PXE = st.fixed_dictionaries(
    {
        60: st.sampled_from([b"PXEClient:Arch:00007:UNDI:003010", b"HTTPClient:Arch:00016:UNDI:003000", b"PXEClient"]),
        93: st.sampled_from([b"\0\0", b"\0\7", b"\0\x0b", b"\0\x10", b"\0\x29", b"\0\7\0\x09"]),
        57: st.binary(min_size=2, max_size=2),
        77: st.sampled_from([b"iPXE", b"\4iPXE", b"pxed", b"x"]),
        175: st.sampled_from([clients.IPXE_HTTP, clients.IPXE_NO_HTTP, b""]),
        97: st.binary(min_size=16, max_size=18),
    }
)


@settings(max_examples=150, deadline=None)
@given(
    pxe=_PXE,
    more=_OPTIONS,
    asked=st.sampled_from([(67, b"\1"), (4011, b"\3"), (4011, b"\x08"), (67, b"\3"), (4011, b"\1")]),
    xid=st.integers(0, 2**32 - 1),
    flags=st.integers(0, 65535),
    giaddr=st.sampled_from(["0.0.0.0", "10.1.0.1"]),
    hlen=st.integers(1, 16),
)
def test_case_077_no_reply_to_any_input_carries_a_lease(
    pxe: dict[int, bytes], more: list[tuple[int, bytes]], asked: tuple[int, bytes], xid: int, flags: int, giaddr: str, hlen: int
) -> None:
    """And with it what holds for every reply: 78 yiaddr is 0, 79 option 53 is first, 80 no PAD, the request's own numbers echoed."""
    door, message = asked
    packet = clients.packet([(53, message), *pxe.items(), *more], xid=xid, flags=flags, giaddr=giaddr, hlen=hlen)
    world = World(boot=None, settings={"dhcp": {"unknown": "discover"}})
    for sent in world.ask(packet, door=door, source="10.0.0.9" if door == 4011 else "0.0.0.0"):
        options = tags(sent.data)
        codes = [code for code, _ in options]
        assert not LEASE_OPTIONS & set(codes)
        assert codes[0] == 53
        assert 0 not in codes
        assert len(codes) == len(set(codes))
        op, htype, length, hops, echoed, secs, _, ciaddr, yiaddr, _, relay = struct.unpack("!BBBBIHH4s4s4s4s", sent.data[:28])
        assert (op, htype, length, hops, echoed, secs, yiaddr) == (2, 1, hlen, 0, xid, 0, bytes(4))
        assert relay == packet[24:28]
        assert sent.data[28:44] == packet[28:44]
        assert ciaddr == bytes(4)


def test_case_077b_no_reply_of_any_kind_carries_a_lease() -> None:
    """One of each: what comes by chance above is sure to come here."""
    assert [set(dict(tags(data))) & LEASE_OPTIONS for data in _replies()] == [set()] * len(_replies())


def test_case_078_yiaddr_is_zero_in_every_reply() -> None:
    assert all(data[16:20] == bytes(4) for data in _replies())


def test_case_079_option_53_is_first() -> None:
    assert all(tags(data)[0][0] == 53 for data in _replies())


def test_case_080_there_is_no_pad_between_options() -> None:
    assert all(0 not in [code for code, _ in tags(data)] for data in _replies())


def test_a_file_name_that_fits_no_packet_is_refused_loudly() -> None:
    from pxed.dhcp.packet import OFFER, build, parse

    with pytest.raises(ValueError, match="fits no DHCP packet"):
        build(parse(clients.rom(7)), OFFER, bytes(4), vendor_class=b"PXEClient", file=b"x" * 255)
