"""The lines for the site's own DHCP server do what they promise: real servers take them and send the node here."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxed.node.siteserver import for_node
from tests.dhcp.decode import Answer
from tests.dhcp.leasing import LeaseClient, LeaseServer, missing
from tests.dhcp.netns import OTHER, SERVER, Segment, needs_root

pytestmark = [needs_root, pytest.mark.slow]

NAMES = {"dnsmasq": "dnsmasq", "dhcpd": "ISC dhcpd", "kea": "Kea"}
PROGRAM_URL = f"http://{OTHER}/b/snponly.efi"
PROFILE = f"http://{OTHER}/p/525400123456"


@pytest.mark.parametrize("server", sorted(NAMES))
@pytest.mark.parametrize("http_boot", [False, True])
def test_a_real_server_takes_the_lines_and_sends_the_node_here(tmp_path: Path, server: str, http_boot: bool) -> None:
    if package := missing(server):
        pytest.skip(f"{server} is not installed (apt install {package})")
    with Segment() as segment:
        client = LeaseClient(segment.client)
        program = PROGRAM_URL if http_boot else "snponly.efi"
        pieces = for_node(client.mac, server=OTHER, program=program, profile=PROFILE, subnet="10.93.0.0/24", http_boot=http_boot)
        (text,) = [piece.text for piece in pieces if piece.server == NAMES[server]]
        LeaseServer(server, segment.server, tmp_path, extra=text)
        (rom,) = client.discover(wanted=1)
        (ipxe,) = client.discover(wanted=1, user=b"iPXE")
        client.mac = "52:54:00:00:00:99"
        (stranger,) = client.discover(wanted=1)
    assert rom.yiaddr != "0.0.0.0"
    assert rom[54] == SERVER
    assert _file(rom) == program
    if http_boot:
        assert rom[60] == b"HTTPClient"
    else:
        assert OTHER in (rom.siaddr, rom.sname.decode())
    assert _file(ipxe) == PROFILE
    assert OTHER not in (stranger.siaddr, _file(stranger))


def _file(answer: Answer) -> str:
    return answer.boot_file or answer.file.decode()
