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


@pytest.mark.parametrize("http", [False, True])
def test_windows_is_told_line_by_line(http: bool) -> None:
    """The one server that cannot be tried here. A class and an option must be defined before a policy or a value names them."""
    program = "http://10.0.0.1/b/snponly.efi" if http else "snponly.efi"
    define = "Add-DhcpServerv4OptionDefinition -OptionId 60 -Name VendorClass -Type String -ErrorAction SilentlyContinue\n"
    vendor = "Set-DhcpServerv4OptionValue -ScopeId 10.0.0.0 -PolicyName $rom -OptionId 60 -Value 'HTTPClient'\n"
    assert _pieces(program=program, http_boot=http)["Windows Server"] == (
        f"{define if http else ''}"
        "$rom = 'pxed-525400123456'; $ipxe = 'pxed-525400123456-ipxe'\n"
        "Add-DhcpServerv4Class -Name iPXE -Type User -Data 'iPXE' -ErrorAction SilentlyContinue\n"
        "Add-DhcpServerv4Policy -ScopeId 10.0.0.0 -Name $ipxe -Condition AND -MacAddress EQ,'525400123456' -UserClass EQ,iPXE\n"
        "Set-DhcpServerv4OptionValue -ScopeId 10.0.0.0 -PolicyName $ipxe -OptionId 67 -Value 'http://10.0.0.1/p/525400123456'\n"
        "Add-DhcpServerv4Policy -ScopeId 10.0.0.0 -Name $rom -Condition AND -MacAddress EQ,'525400123456' -UserClass NE,iPXE\n"
        "Set-DhcpServerv4OptionValue -ScopeId 10.0.0.0 -PolicyName $rom -OptionId 66 -Value '10.0.0.1'\n"
        f"Set-DhcpServerv4OptionValue -ScopeId 10.0.0.0 -PolicyName $rom -OptionId 67 -Value '{program}'\n"
        f"{vendor if http else ''}"
    )


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
