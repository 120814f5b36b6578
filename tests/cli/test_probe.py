"""The DHCP probe: its packets against an independent codec, its parser against anything."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from pxed.cli.probe import Offer, build_discover, build_frame, parse_frame

MAC = bytes.fromhex("02aabbccddee")
XID = 0x01020304


def offer_frame(*options: object, sport: int = 67, dport: int = 68, **bootp: Any) -> bytes:
    """An OFFER to the probe as scapy writes it."""
    given: dict[str, Any] = {"op": 2, "xid": XID, "chaddr": MAC + bytes(10), "yiaddr": "10.0.0.50", "siaddr": "0.0.0.0", **bootp}
    packet = BOOTP(**given) / DHCP(options=[("message-type", "offer"), ("server_id", "10.0.0.1"), *options, "end"])
    return bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / IP(src="10.0.0.9", dst="255.255.255.255") / UDP(sport=sport, dport=dport) / packet)


PLAIN = offer_frame()
FULL = offer_frame(("vendor_class_id", b"PXEClient"), ("boot-file-name", b"x" * 100))


def parsed(frame: bytes) -> Offer | None:
    return parse_frame(frame, "eth1", MAC, {XID: 7})


def test_the_discover_is_what_scapy_reads_as_one() -> None:
    frame = Ether(build_frame(MAC, build_discover(MAC, XID, 7)))
    assert (frame.dst, frame.src, frame[IP].src, frame[IP].dst) == ("ff:ff:ff:ff:ff:ff", "02:aa:bb:cc:dd:ee", "0.0.0.0", "255.255.255.255")
    assert (frame[UDP].sport, frame[UDP].dport) == (68, 67)
    bootp = frame[BOOTP]
    assert (bootp.op, bootp.xid, int(bootp.flags), bootp.chaddr[:6]) == (1, XID, 0x8000, MAC)
    options = {option[0]: option[1] for option in frame[DHCP].options if isinstance(option, tuple)}
    assert options["message-type"] == 1
    assert options["vendor_class_id"] == b"PXEClient:Arch:00007:UNDI:003016"
    assert options["pxe_client_architecture"] in (b"\x00\x07", 7, [7])
    assert len(build_discover(MAC, XID, 0)) >= 300


def test_the_ip_checksum_is_right() -> None:
    raw = build_frame(MAC, build_discover(MAC, XID, 7))
    again = Ether(raw)
    del again[IP].chksum
    assert bytes(again)[24:26] == raw[24:26]


def test_a_lease_offer() -> None:
    offer = parsed(offer_frame(("lease_time", 3600)))
    assert offer == Offer("eth1", IPv4Address("10.0.0.1"), IPv4Address("10.0.0.50"), "", "", None, 7)


def test_a_proxys_offer_leases_nothing_and_names_its_file() -> None:
    offer = parsed(offer_frame(("vendor_class_id", b"PXEClient"), yiaddr="0.0.0.0", siaddr="10.0.0.7", file=b"pxelinux.0"))
    assert offer is not None
    assert (offer.lease, offer.is_pxe, offer.file, offer.next_server) == (None, True, "pxelinux.0", IPv4Address("10.0.0.7"))


def test_option_67_wins_over_the_header_and_a_missing_54_over_the_source() -> None:
    assert parsed(offer_frame(("boot-file-name", b"x.efi\0"), file=b"y.efi")).file == "x.efi"  # type: ignore[union-attr]
    bare = BOOTP(op=2, xid=XID, chaddr=MAC + bytes(10), yiaddr="10.0.0.50") / DHCP(options=[("message-type", "offer"), "end"])
    frame = bytes(Ether() / IP(src="10.0.0.9", dst="255.255.255.255") / UDP(sport=67, dport=68) / bare)
    assert parsed(frame).server == IPv4Address("10.0.0.9")  # type: ignore[union-attr]


def test_what_is_not_for_the_probe_is_none_of_its_business() -> None:
    assert parsed(offer_frame(xid=1)) is None
    assert parsed(offer_frame(chaddr=bytes(16))) is None
    assert parsed(offer_frame(op=1)) is None
    assert parsed(offer_frame(dport=67)) is None
    ack = BOOTP(op=2, xid=XID, chaddr=MAC + bytes(10)) / DHCP(options=[("message-type", "ack"), "end"])
    assert parsed(bytes(Ether() / IP() / UDP(sport=67, dport=68) / ack)) is None
    assert parsed(bytes(Ether() / IP() / UDP(sport=67, dport=68))) is None


@given(st.binary(max_size=700))
def test_garbage_never_raises(data: bytes) -> None:
    parsed(data)
    parsed(PLAIN[: 14 + 20 + 8 + 240] + data)


@given(st.integers(0, 700), st.integers(0, 599), st.integers(0, 255))
def test_truncation_and_damage_never_raise(cut: int, at: int, value: int) -> None:
    frame = bytearray(FULL)
    frame[at % len(frame)] = value
    parsed(bytes(frame[:cut]))


def test_a_header_length_beyond_the_packet_is_survived() -> None:
    frame = bytearray(offer_frame())
    frame[14] = 0x4F
    parsed(bytes(frame))
    struct.pack_into("!H", frame, 16, 0xFFFF)
    parsed(bytes(frame))
