"""What an operator decides and sees, from his configuration and commands to the packets: all of pxed, as a process on real wires."""

from __future__ import annotations

import http.client
import socket
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dhcp import whole
from tests.dhcp.leasing import LeaseClient, Pxed
from tests.dhcp.netns import CLIENT, OTHER, SERVER, Segment, inside, needs_root
from tests.lab.appliance import Appliance, Refused
from tests.lab.process import eventually, run
from tests.repo.images import X64, ipxe
from tests.repo.test_chains import grub, shim
from tests.tftp.appliance import ack, data, oack, rrq

pytestmark = [needs_root, pytest.mark.slow]

USUAL, OF_THE_RACK, CHOSEN = "52:54:00:66:00:01", "52:54:00:77:00:01", "52:54:00:66:00:02"
SHIM = "secureboot/x86_64/shimx64.efi"
CONFIG = """
[dhcp]
boot_chain = "shim-grub"

[[dhcp.quirks]]
name = "one rack"
mac = "52-54-00-77"
vendor_class = "PXEClient:Arch:00007"
boot_program = "x/special.efi"
shape = "pxe10"
blksize_max = 1024
"""


@pytest.fixture
def segment() -> Iterator[Segment]:
    with Segment() as made:
        run("ip", "-n", made.client, "address", "add", f"{CLIENT}/24", "brd", "+", "dev", "eth0")
        yield made


@pytest.fixture
def pxed(segment: Segment, tmp_path: Path) -> Iterator[Appliance]:
    for name, content in (
        (SHIM, shim()),
        ("secureboot/x86_64/grubx64.efi", grub()),
        ("x/special.efi", ipxe(X64)),
        ("x/own.efi", ipxe(X64)),
    ):
        path = tmp_path / "state" / "tftproot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    made = whole.started(segment.server, tmp_path, {USUAL: {}, OF_THE_RACK: {}, CHOSEN: {}}, config=CONFIG)
    yield made
    made.stop()


def offered(client: LeaseClient, mac: str, *, seconds: float = 30.0) -> tuple[str, bool] | None:
    """(boot file, whether there is an option 43) of pxed's OFFER; None for silence."""
    client.mac = mac
    answers = client.discover(wanted=1, seconds=seconds)
    return (answers[0].boot_file, 43 in answers[0]) if answers else None


def silent(client: LeaseClient, mac: str) -> bool:
    return offered(client, mac, seconds=1.0) is None


def fetch(segment: Segment, name: str, **options: int) -> tuple[dict[str, str], bytes]:
    """By TFTP, as the client's address: the options that were granted, and a file of one block."""
    with inside(segment.client):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.settimeout(30.0)
        sock.sendto(rrq(name, *options.items()), (SERVER, 69))
        packet, peer = sock.recvfrom(4096)
        granted = oack(packet) if options else {}
        if options:
            sock.sendto(ack(0), peer)
            packet, peer = sock.recvfrom(4096)
        assert packet[:4] == data(1, b"")
        sock.sendto(ack(1), peer)
        return granted, packet[4:]


def doctor(pxed: Appliance) -> str:
    """What `pxed doctor` says, whatever its exit status."""
    try:
        return pxed.cli("doctor", "--no-probe", "-i", "eth0")
    except Refused as refused:
        return str(refused)


def test_a_table_in_the_configuration_and_a_command_for_one_node_decide_what_goes_over_the_wire(segment: Segment, pxed: Appliance) -> None:
    """Boot program, shape and block size by a quirk; the chain for all; one node's own, at once and taken back. No code, no restart."""
    client = LeaseClient(segment.client)
    assert offered(client, USUAL) == (SHIM, False)
    assert offered(client, OF_THE_RACK) == ("x/special.efi", True)
    pxed.cli("node", "program", CHOSEN, "own.efi")
    assert offered(client, CHOSEN) == ("x/own.efi", False)
    pxed.cli("node", "program", CHOSEN, "auto")
    assert offered(client, CHOSEN) == (SHIM, False)
    for mac, program, blksize in ((OF_THE_RACK, "x/special.efi", "1024"), (USUAL, SHIM, "1400")):
        client.mac = mac
        told = client.boot_server(SERVER, CLIENT)
        assert told is not None
        assert told.boot_file == program
        assert fetch(segment, program, blksize=1400)[0] == {"blksize": blksize}
    other = client.discover(wanted=1, arch=6, seconds=1.0)
    assert other == [], "IA32 firmware is given nothing of x86_64's"


def test_a_node_in_circles_is_shown_and_released_by_command(segment: Segment, pxed: Appliance) -> None:
    client = LeaseClient(segment.client)
    assert offered(client, USUAL) == (SHIM, False)
    for _ in range(3):
        with inside(segment.client):
            asking = http.client.HTTPConnection(SERVER, 80, timeout=60)
            asking.request("GET", f"/p/{USUAL.replace(':', '')}")
        assert asking.getresponse().read().startswith(b"#!ipxe")
        asking.close()
    assert silent(client, USUAL)
    assert "(quarantined)" in pxed.cli("node", "list")
    assert f"pxed node release {USUAL}" in pxed.cli("node", "show", USUAL)
    assert f"{USUAL} gets no offers (quarantined)" in doctor(pxed)
    assert pxed.cli("node", "release", USUAL) == f"{USUAL} may boot from the network.\n"
    assert offered(client, USUAL) == (SHIM, False)
    assert "gets no offers" not in doctor(pxed)
    for _ in range(6):
        assert fetch(segment, SHIM)[1] == shim()[:512]
    eventually("the back-off", lambda: "(back-off)" in pxed.cli("node", "list"), within=30.0)
    assert silent(client, USUAL)
    assert f"{USUAL} gets no offers (back-off): it went for its boot program more than 5 times in 2 minutes" in doctor(pxed)
    pxed.cli("node", "release", USUAL)
    assert offered(client, USUAL) == (SHIM, False)


def test_a_machine_that_follows_nothing_is_told_of_with_lines_for_each_server_and_a_foreign_proxy_by_name(
    segment: Segment, pxed: Appliance, tmp_path: Path
) -> None:
    client = LeaseClient(segment.client)
    shapes = [offered(client, USUAL) for _ in range(13)]
    assert shapes == [(SHIM, False)] * 4 + [(SHIM, True)] * 4 + [("", False)] * 4 + [(SHIM, False)]
    said = doctor(pxed)
    assert f"{USUAL} follows no proxy offer (tried: binl, pxe10, bare)" in said
    lines = textwrap.dedent(pxed.cli("node", "dhcp", USUAL))
    for line in (
        f"  next-server {SERVER};",
        f'    filename "{SHIM}";',
        f'    "boot-file-name": "{SHIM}",',
        f"dhcp-boot=tag:pxed-525400660001,tag:!ipxe,{SHIM},,{SERVER}",
        f"Set-DhcpServerv4OptionValue -ScopeId 10.93.0.0 -PolicyName $rom -OptionId 66 -Value '{SERVER}'",
        f"Set-DhcpServerv4OptionValue -ScopeId 10.93.0.0 -PolicyName $rom -OptionId 67 -Value '{SHIM}'",
    ):
        assert line in lines.splitlines()
        assert line in said, "the doctor prints them himself"
    assert any("follows no proxy offer" in event["text"] and len(event["data"]["lines"]) == 4 for event in pxed.events(USUAL))
    Pxed(segment.other, tmp_path, USUAL)
    client.mac = USUAL
    assert sorted(offer[54] for offer in client.discover()) == [SERVER, OTHER]
    eventually("the other proxy", lambda: f"another proxy-DHCP server, {OTHER} on eth0 (snponly.efi), " in doctor(pxed), within=30.0)
    assert OTHER in pxed.cli("health")
    assert any(event["kind"] == "dhcp.rival" and OTHER in event["text"] for event in pxed.events(USUAL))
