"""One fake node alone: whom it asks and whom it does not, and what it makes of a TFTP server's blocks."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from pxed.cli.storm import packets
from pxed.cli.storm.node import Node
from pxed.cli.storm.packets import Answer


class Wire:
    """What the driver lends; `refused` are the servers that must not be asked."""

    now = 0.0

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.asked: list[str] = []
        self.watched: list[socket.socket] = []
        self.ended: list[Node] = []

    def address_of(self, index: int) -> str:
        return "127.0.0.1"

    def objection(self, server: str) -> str:
        return f"{server} is behind a gateway" if server in self.refused else ""

    def broadcast(self, data: bytes) -> None:
        self.asked.append("everybody")

    def to_pxe(self, data: bytes, server: str) -> None:
        self.asked.append(server)

    def watch(self, sock: socket.socket, node: Node) -> None:
        self.watched.append(sock)

    def unwatch(self, sock: socket.socket) -> None:
        self.watched.remove(sock)

    def done(self, node: Node) -> None:
        self.ended.append(node)


def told(node: Node, **said: object) -> None:
    usual = {"xid": node.xid + node.phase, "chaddr": node.mac, "message": 2, "server": "127.0.0.1", "next_server": "127.0.0.1"}
    node.answered(Answer(**{**usual, "file": "x.efi", "proxy": True, **said}))  # type: ignore[arg-type]


def at_tftp(wire: Wire, **said: object) -> Node:
    node = Node(0, wire, 30.0)
    node.begin()
    told(node)
    told(node, **said)
    return node


FAR = "192.0.2.1"


def test_no_server_is_asked_that_must_not_be() -> None:
    """Neither for the PXE service, nor for the boot program, nor for the profile; each node says which, once."""
    wire = Wire(FAR)
    first = Node(0, wire, 30.0)
    first.begin()
    told(first, server=FAR)
    second = at_tftp(wire, next_server=FAR)
    third = Node(2, wire, 30.0)
    third.phase = 3
    told(third, file=f"http://{FAR}/p/x")
    assert [node.failed for node in wire.ended] == [
        f"not asked in phase {phase}: {FAR} is behind a gateway" for phase in ("pxe", "tftp", "profile")
    ]
    assert wire.ended == [first, second, third]
    assert FAR not in wire.asked
    assert wire.watched == []


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (f"initrd http://{FAR}/initrd.gz\n", f"not asked in phase initrd: {FAR} is behind a gateway"),
        (f"set base http://{FAR}\ninitrd --name i ${{base}}/initrd.gz\n", f"not asked in phase initrd: {FAR} is behind a gateway"),
        ("initrd http://[::1/initrd.gz\n", "HTTP: 'http://[::1/initrd.gz' is no URL"),
        ("exit 1\n", "the profile names no initrd with an http URL (is this node armed?)"),
    ],
)
def test_a_profile_leads_no_node_astray(script: str, why: str) -> None:
    wire = Wire(FAR)
    node = Node(0, wire, 30.0)
    node.phase = 5
    node._follow(script)
    assert (wire.ended, node.failed, wire.watched) == ([node], why, [])


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        yield sock


def serve(node: Node, server: socket.socket, *said: bytes) -> None:
    """The server says this to the node's open transfer."""
    (sock,) = node.wire.watched  # type: ignore[attr-defined]
    for packet in said:
        server.sendto(packet, sock.getsockname())
    node.readable()


def data(block: int, size: int) -> bytes:
    return b"\0\3" + block.to_bytes(2, "big") + bytes(size)


@pytest.mark.parametrize(("oack", "full"), [(b"\0\6tsize\x002836\0blksize\x001418\0", 1418), (b"\0\6tsize\x009\0", 512)])
def test_a_boot_program_ends_with_a_block_shorter_than_was_granted(server: socket.socket, oack: bytes, full: int) -> None:
    """A server on a link of 1450 bytes grants less than was asked for: its first block is not the last one."""
    wire = Wire()
    node = at_tftp(wire)
    serve(node, server, oack, data(1, full), data(2, full))
    assert (node.phase, node.received) == (2, {"tftp": 2 * full})
    serve(node, server, data(3, 10))
    assert (node.phase, node.received, node.failed) == (3, {"tftp": 2 * full + 10}, "")


def test_rubbish_and_a_server_that_goes_away_end_one_node_at_most(server: socket.socket) -> None:
    wire = Wire()
    node = at_tftp(wire)
    serve(node, server, b"", b"\0", b"\0\3\0", data(1, 512))
    assert (node.phase, node.received) == (2, {"tftp": 512})
    server.close()
    (sock,) = wire.watched
    node._acknowledge(sock, 1)  # the kernel hears that nobody is there
    node._acknowledge(sock, 1)
    assert (wire.ended, node.failed, wire.watched) == ([node], "TFTP: Connection refused", [])


@pytest.mark.parametrize("oack", [b"\0\6", b"\0\6blksize\0", b"\0\6blksize\0abc\0", b"\0\6blksize\x00999999999\0", b"\0\6\xff\xff\0\0"])
def test_an_oack_without_a_block_size_means_512(oack: bytes) -> None:
    assert packets.granted_blksize(oack) == 512
