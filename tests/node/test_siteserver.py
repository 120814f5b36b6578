"""The lines for the site's own DHCP server carry real values and nothing that could be mistaken. Real servers try them in tests/dhcp."""

from __future__ import annotations

import json

import pytest

from pxed.node.siteserver import for_node


def _pieces(**more: object) -> dict[str, str]:
    asked = {"server": "10.0.0.1", "program": "snponly.efi", "profile": "http://10.0.0.1/p/525400123456", "subnet": "10.0.0.1/24", **more}
    return {piece.server: piece.text for piece in for_node("52-54-00-12-34-56", **asked)}  # type: ignore[arg-type]


def test_every_server_is_told_program_profile_and_address() -> None:
    pieces = _pieces()
    assert list(pieces) == ["ISC dhcpd", "Kea", "dnsmasq", "Windows Server"]
    for text in pieces.values():
        assert text.endswith("\n")
        assert all(value in text for value in ("10.0.0.1", "snponly.efi", "http://10.0.0.1/p/525400123456", "iPXE"))


def test_keas_piece_is_json_between_braces() -> None:
    classes = json.loads("{" + _pieces()["Kea"] + "}")["client-classes"]
    assert [each["boot-file-name"] for each in classes] == ["snponly.efi", "http://10.0.0.1/p/525400123456"]


def test_windows_is_told_its_scope_by_network_address_and_the_mac_without_separators() -> None:
    text = _pieces()["Windows Server"]
    assert "-ScopeId 10.0.0.0 " in text
    assert "-MacAddress EQ,'525400123456'" in text
    assert "<the scope" in _pieces(subnet=None)["Windows Server"]


def test_http_boot_makes_every_server_answer_with_60_httpclient() -> None:
    assert all("HTTPClient" in text for text in _pieces(http_boot=True).values())
    assert all("HTTPClient" not in text for text in _pieces().values())


def test_what_is_no_mac_address_is_refused() -> None:
    with pytest.raises(ValueError, match="not a MAC address"):
        for_node("eth0", server="10.0.0.1", program="x", profile="y")
