"""The lines that make the site's own DHCP server send a node here: the way out for firmware that ignores every proxy offer.

`for_node` is pure: real values in, text for an operator to paste out, one piece per kind of server. Each piece gives this one node
options 66 and 67 (next-server and boot file), and gives iPXE its profile instead, or the node would load iPXE for ever.
Checked against ISC dhcpd 4.4, Kea 2.2 and dnsmasq 2.90; Windows Server by its documentation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Network

from pxed.node.identity import normalise_mac


@dataclass(frozen=True, slots=True)
class Piece:
    """What to put into one kind of DHCP server. `file`: where; `text`: the lines, ending in a newline."""

    server: str
    file: str
    text: str


def for_node(mac: str, *, server: str, program: str, profile: str, subnet: str | None = None, http_boot: bool = False) -> list[Piece]:
    """The lines for one node, by server: ISC dhcpd, Kea, dnsmasq, Windows.

    `mac` in any spelling (ValueError); `server`: pxed's address on that network; `program`: boot file name, or the URL of one with
    `http_boot` (option 60 is then answered with ``HTTPClient``); `profile`: URL of the node's boot profile; `subnet`: ``10.0.0.0/24``.
    """
    mac = normalise_mac(mac)
    bare = mac.replace(":", "")
    return [
        Piece("ISC dhcpd", "/etc/dhcp/dhcpd.conf", _isc(mac, bare, server, program, profile, http_boot)),
        Piece("Kea", '/etc/kea/kea-dhcp4.conf, in "Dhcp4"', _kea(bare, server, program, profile, http_boot)),
        Piece("dnsmasq", "/etc/dnsmasq.d/pxed.conf", _dnsmasq(mac, bare, server, program, profile, http_boot)),
        Piece("Windows Server", "PowerShell on the DHCP server", _windows(bare, server, program, profile, subnet, http_boot)),
    ]


def _isc(mac: str, bare: str, server: str, program: str, profile: str, http_boot: bool) -> str:
    vendor = '    option vendor-class-identifier "HTTPClient";\n' if http_boot else ""
    return (
        f"host pxed-{bare} {{\n"
        f"  hardware ethernet {mac};\n"
        f"  next-server {server};\n"
        f'  option tftp-server-name "{server}";\n'
        f'  if exists user-class and option user-class = "iPXE" {{\n'
        f'    filename "{profile}";\n'
        f"  }} else {{\n"
        f'    filename "{program}";\n'
        f"{vendor}"
        f"  }}\n"
        f"}}\n"
    )


def _kea(bare: str, server: str, program: str, profile: str, http_boot: bool) -> str:
    """Classes instead of a reservation, so that nothing has to be said about the node's address. Without the enclosing braces."""
    here = f"pkt4.mac == 0x{bare}"
    ipxe = "option[77].exists and option[77].hex == 'iPXE'"
    rom: dict[str, object] = {
        "name": f"pxed-{bare}",
        "test": f"{here} and not ({ipxe})",
        "next-server": server,
        "boot-file-name": program,
        "option-data": [{"name": "tftp-server-name", "data": server}, {"name": "boot-file-name", "data": program}],
    }
    if http_boot:
        rom["option-data"] = [{"name": "vendor-class-identifier", "data": "HTTPClient"}, {"name": "boot-file-name", "data": program}]
    chained = {"name": f"pxed-{bare}-ipxe", "test": f"{here} and {ipxe}", "next-server": server, "boot-file-name": profile}
    return f'"client-classes": {json.dumps([rom, chained], indent=2)}\n'


def _dnsmasq(mac: str, bare: str, server: str, program: str, profile: str, http_boot: bool) -> str:
    vendor = f"dhcp-option-force=tag:pxed-{bare},tag:!ipxe,option:vendor-class,HTTPClient\n" if http_boot else ""
    return (
        f"dhcp-mac=set:pxed-{bare},{mac}\n"
        f"dhcp-userclass=set:ipxe,iPXE\n"
        f"{vendor}"
        f"dhcp-boot=tag:pxed-{bare},tag:!ipxe,{program},,{server}\n"
        f"dhcp-boot=tag:pxed-{bare},tag:ipxe,{profile},,{server}\n"
    )


def _windows(bare: str, server: str, program: str, profile: str, subnet: str | None, http_boot: bool) -> str:
    scope = str(IPv4Network(subnet, strict=False).network_address) if subnet else "<the scope, like 10.0.0.0>"
    vendor = f"Set-DhcpServerv4OptionValue -ScopeId {scope} -PolicyName $rom -OptionId 60 -Value 'HTTPClient'\n" if http_boot else ""
    define = (
        "Add-DhcpServerv4OptionDefinition -OptionId 60 -Name VendorClass -Type String -ErrorAction SilentlyContinue\n" if http_boot else ""
    )
    return (
        f"{define}"
        f"$rom = 'pxed-{bare}'; $ipxe = 'pxed-{bare}-ipxe'\n"
        f"Add-DhcpServerv4Class -Name iPXE -Type User -Data 'iPXE' -ErrorAction SilentlyContinue\n"
        f"Add-DhcpServerv4Policy -ScopeId {scope} -Name $ipxe -Condition AND -MacAddress EQ,'{bare}' -UserClass EQ,iPXE\n"
        f"Set-DhcpServerv4OptionValue -ScopeId {scope} -PolicyName $ipxe -OptionId 67 -Value '{profile}'\n"
        f"Add-DhcpServerv4Policy -ScopeId {scope} -Name $rom -Condition AND -MacAddress EQ,'{bare}' -UserClass NE,iPXE\n"
        f"Set-DhcpServerv4OptionValue -ScopeId {scope} -PolicyName $rom -OptionId 66 -Value '{server}'\n"
        f"Set-DhcpServerv4OptionValue -ScopeId {scope} -PolicyName $rom -OptionId 67 -Value '{program}'\n"
        f"{vendor}"
    )
