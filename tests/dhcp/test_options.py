"""The readers of single options: harmless on garbage, exact on what firmware sends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxed.dhcp import options as opt
from pxed.dhcp.packet import MalformedPacket


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_no_reader_raises_on_anything(value: bytes) -> None:
    opt.suboptions(value)
    opt.user_classes(value)
    opt.client_uuid(value)
    opt.ipxe_features(value)
    opt.vendor_class_architecture(value)
    assert opt.printable(value).isprintable() or not value.rstrip(b"\0")


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.integers(1, 254), st.binary(max_size=20), max_size=8))
def test_suboptions_read_what_encode_suboptions_wrote(pairs: dict[int, bytes]) -> None:
    assert opt.suboptions(opt.encode_suboptions(*pairs.items())) == pairs


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5))
def test_rfc_3004_user_classes_are_taken_apart(classes: list[bytes]) -> None:
    assert opt.user_classes(b"".join(bytes([len(each)]) + each for each in classes)) == tuple(classes)


def test_a_raw_user_class_is_one_class() -> None:
    assert opt.user_classes(b"iPXE") == (b"iPXE",)


def test_architectures_keep_the_clients_order_and_refuse_odd_lengths() -> None:
    assert opt.architectures(b"\0\x09\0\x07") == (9, 7)
    with pytest.raises(MalformedPacket):
        opt.architectures(b"\0")


def test_the_uuid_reads_as_dmidecode_prints_it_and_zeros_are_none() -> None:
    raw = bytes.fromhex("00 33221100 5544 7766 8899aabbccddeeff")
    assert opt.client_uuid(raw) == "00112233-4455-6677-8899-aabbccddeeff"
    assert opt.client_uuid(bytes(17)) is None
    assert opt.client_uuid(b"\0" + b"\xff" * 16) is None


def test_debians_ipxe_says_that_it_boots_from_http() -> None:
    assert opt.ipxe_features(bytes.fromhex("130101180101eb03010015")) == opt.IpxeFeatures(frozenset({0x13, 0x18}), "1.0.21")
    assert opt.ipxe_features(bytes.fromhex("130101180101")).boots_from_http
    assert not opt.ipxe_features(bytes.fromhex("130101")).boots_from_http, "it could fetch a script and start no kernel"
    assert not opt.ipxe_features(bytes.fromhex("130100180101")).boots_from_http, "a feature of value 0 is not there"
    assert opt.ipxe_features(b"\x13\x05\x01") == opt.NO_FEATURES


def test_the_architecture_in_a_vendor_class() -> None:
    assert opt.vendor_class_architecture(b"PXEClient:Arch:00007:UNDI:003010") == 7
    assert opt.vendor_class_architecture(b"PXEClient") is None


def test_printable_lets_no_control_character_into_a_log() -> None:
    assert opt.printable(b"PXE\x1b[31m\nClient\0\0") == "PXE\\x1b[31m\\x0aClient"
    assert len(opt.printable(b"\x01" * 500)) <= 96
