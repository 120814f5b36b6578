"""The fake node's packets are real ones: scapy reads them, and what it reads of answers survives any bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP

from pxed.cli.storm import packets

MAC = b"\x02\x70\x78\x00\x00\x07"


def options(data: bytes) -> dict[object, object]:
    return {o[0]: o[1] for o in BOOTP(data)[DHCP].options if isinstance(o, tuple)}


@pytest.mark.parametrize("ipxe", [False, True])
def test_a_discover_is_what_scapy_calls_one(ipxe: bool) -> None:
    data = packets.discover(0x1234, MAC, ipxe=ipxe)
    head, said = BOOTP(data), options(data)
    assert (head.op, head.xid, bytes(head.chaddr[:6]), int(head.flags)) == (1, 0x1234, MAC, 0x8000)
    assert said["message-type"] == 1
    assert str(said["vendor_class_id"]).startswith("b'PXEClient:Arch:00007")
    assert (said.get("user_class") is not None or 77 in said) == ipxe


def test_the_request_to_4011_carries_the_leased_address() -> None:
    assert BOOTP(packets.boot_request(5, MAC, "10.0.0.9")).ciaddr == "10.0.0.9"


def answer(**fields: Any) -> bytes:
    given_options: list[Any] = [("message-type", "offer"), ("server_id", "10.0.0.1"), ("vendor_class_id", b"PXEClient"), "end"]
    return bytes(BOOTP(op=2, xid=9, chaddr=MAC, siaddr="10.0.0.2", file=b"snponly.efi", **fields) / DHCP(options=given_options))


def test_an_offer_of_a_proxy_is_told_from_a_lease() -> None:
    proxy = packets.parse(answer())
    assert proxy is not None
    assert (proxy.proxy, proxy.server, proxy.next_server, proxy.file, proxy.message) == (True, "10.0.0.1", "10.0.0.2", "snponly.efi", 2)
    lease = packets.parse(answer(yiaddr="10.0.0.50"))
    assert lease is not None
    assert not lease.proxy


@given(st.binary(max_size=600))
def test_any_bytes_are_an_answer_or_nothing(data: bytes) -> None:
    packets.parse(data)
    packets.parse(answer()[:240] + data)
