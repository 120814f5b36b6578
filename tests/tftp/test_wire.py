"""What needs more than plain loopback: links of other sizes, broadcasts, senders that no answer can reach."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dhcp.netns import Cable, inside, needs_root
from tests.lab.process import run
from tests.tftp.appliance import Appliance, ack, content, error_of, oack, rrq

pytestmark = needs_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "boot.efi").write_bytes(content(20_000))
    return tmp_path


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """A namespace of which only the loopback is used; it has 10.7.0.1/24 as well."""
    with Cable() as cable:
        run("ip", "-n", cable.server, "address", "add", "10.7.0.1/24", "brd", "+", "dev", "lo")
        yield cable.server


@pytest.mark.parametrize(
    ("address", "mtu", "most"), [("127.0.0.1", 1500, 1468), ("127.0.0.1", 1400, 1368), ("::1", 1500, 1448), ("::1", 1280, 1228)]
)
@pytest.mark.parametrize("window", [1, 8])
def test_a_block_is_lowered_to_what_one_packet_of_the_link_carries(
    root: Path, host: str, address: str, mtu: int, most: int, window: int
) -> None:
    """MTU less the IP header (20 or 40), UDP's 8 and TFTP's 4 bytes: no fragments, which firmware and switches lose first."""
    run("ip", "-n", host, "link", "set", "lo", "mtu", str(mtu))
    with inside(host), Appliance(root, addresses=(address,)) as appliance:
        client = appliance.client(address)
        client.ask(rrq("boot.efi", ("blksize", 65464), ("windowsize", window)))
        assert oack(client.hear())["blksize"] == str(most)
        client.tell(ack(0))
        packet = client.hear()
        assert packet is not None
        assert len(packet) == most + 4
        assert appliance.client(address).fetch("boot.efi", ("blksize", 8192), ("windowsize", window)) == content(20_000)
        assert appliance.client(address).fetch("boot.efi", ("blksize", most)) == content(20_000)


def test_a_request_to_everybody_is_not_answered(root: Path, host: str) -> None:
    """RFC 1123 section 4.2.3.5. Fails when a broadcast is taken for a request to us: every TFTP server would answer it."""
    with inside(host), Appliance(root, addresses=("0.0.0.0",)) as appliance:
        client = appliance.client("10.7.0.1", to="10.7.0.1")
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        unicast, client.server = client.server, ("10.7.0.255", client.server[1])
        for packet in (rrq("boot.efi"), b"\0\2boot.efi\0octet\0"):
            client.ask(packet)
            assert client.hear() is None
        assert appliance.service.counters() == {"broadcast": 2}
        client.server = unicast
        assert client.fetch("boot.efi") == content(20_000)


@pytest.mark.parametrize(
    ("request_", "counted"),
    [
        (rrq("boot.efi"), {"process_count"}),
        (rrq("boot.efi", ("tsize", 0)), {"process_count"}),
        (rrq("nothing"), {"process_count"}),
        (b"\0\2boot.efi\0octet\0", {"write", "error not sent"}),
        (b"\0\1boot.efi\0", {"malformed", "error not sent"}),
    ],
)
def test_d20_a_sender_that_no_answer_can_reach_harms_nobody(root: Path, host: str, request_: bytes, counted: set[str]) -> None:
    """A source port of 0 can be written into a packet, and not be sent to: the kernel refuses each answer, ERRORs as well as blocks."""
    with inside(host), Appliance(root) as appliance:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
            header = struct.pack("!HHHH", 0, appliance.service.ports[0], 8 + len(request_), 0)
            raw.sendto(header + request_, ("127.0.0.1", 0))
        appliance.settle()
        assert set(appliance.service.counters()) == counted
        assert appliance.client().fetch("boot.efi", ("blksize", 1024)) == content(20_000)
        appliance.advance(35)
        assert appliance.service.active == 0


def test_d20_an_error_that_can_not_be_sent_ends_the_transfer_all_the_same(root: Path, host: str) -> None:
    with inside(host), Appliance(root) as appliance:
        client, other = appliance.client(), appliance.client("127.0.0.2")
        client.ask(rrq("boot.efi"))
        client.hear()
        next(iter(appliance.service._clients))._get_listener().shutdown(socket.SHUT_WR)
        client.tell(b"\0\3\0\1x")
        assert client.hear() is None
        assert appliance.service.active == 0
        assert appliance.outcomes() == ["request", "failed"]
        other.ask(rrq("nothing"))
        assert error_of(other.hear()) == (1, "File not found")
