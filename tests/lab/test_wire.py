"""The lab's own ear reads packets of another implementation (scapy), and nothing else."""

from __future__ import annotations

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.layers.tftp import TFTP, TFTP_RRQ

from tests.lab.wire import decode

MAC = "52:54:00:77:00:01"


def _dhcp(kind: str, *options: object, source: str = "0.0.0.0", yiaddr: str = "0.0.0.0") -> bytes:
    bootp = BOOTP(op=1, chaddr=bytes.fromhex(MAC.replace(":", "")), yiaddr=yiaddr, file=b"snponly.efi")
    packet = Ether() / IP(src=source, dst="255.255.255.255") / UDP(sport=68, dport=67) / bootp
    return bytes(packet / DHCP(options=[("message-type", kind), *options, "end"]))


def test_an_offer_says_who_made_it_and_what_it_names() -> None:
    """Type, client, server and file of an OFFER are read, from option and header. Fails when offers can't be told from silence."""
    said = decode(_dhcp("offer", ("server_id", "10.77.0.1"), ("vendor_class_id", b"PXEClient"), source="10.77.0.1"), 0.0)
    assert said is not None
    assert (said.what, said.mac, said.source) == ("OFFER", MAC, "10.77.0.1")
    assert said.text == "class=PXEClient server=10.77.0.1 file=snponly.efi"
    assert str(said) == f"00:00:00.000       10.77.0.1 > 255.255.255.255 OFFER    {MAC} {said.text}"


@pytest.mark.parametrize("kind", ["discover", "request", "ack", "nak", "inform"])
def test_every_kind_has_its_name(kind: str) -> None:
    """The names are those of RFC 2131."""
    said = decode(_dhcp(kind), 0.0)
    assert said is not None
    assert said.what == kind.upper()


def test_a_tftp_request_names_its_file() -> None:
    """RFC 1350: RRQ and the file's name."""
    frame = bytes(Ether() / IP(dst="10.77.0.1") / UDP(sport=1024, dport=69) / TFTP() / TFTP_RRQ(filename=b"snponly.efi", mode=b"octet"))
    said = decode(frame, 0.0)
    assert said is not None
    assert (said.what, said.text) == ("RRQ", "snponly.efi")


def test_torn_and_foreign_frames_are_no_words() -> None:
    """Every prefix of a packet, and other protocols, decode to None or to something; nothing raises."""
    whole = _dhcp("discover", ("vendor_class_id", b"PXEClient"))
    assert all(decode(whole[:n], 0.0) is None for n in range(282))
    assert decode(bytes(Ether() / IP() / TCP()), 0.0) is None
