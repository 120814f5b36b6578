"""Doors on real sockets, in a network namespace of their own: the bind ladder, raw copies, interfaces, what is dropped."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import pytest

from pxed.dhcp import sockets
from pxed.dhcp.sockets import Door, RawDoor, open_dhcp, open_pxe, open_sniffer
from pxed.dhcp.wire import Wire
from pxed.errors import HostProblem
from tests.dhcp import clients
from tests.dhcp.netns import CLIENT, SERVER, Cable, inside, needs_root

pytestmark = needs_root


class Readers:
    """Stands for the reactor: the test itself calls `doRead`."""

    def __init__(self) -> None:
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)


class Got(NamedTuple):
    data: bytes
    ifindex: int
    local: bytes
    source: str
    port: int


class Bench:
    """A cable with both ends, and a door to be opened on the server's side."""

    def __init__(self, cable: Cable) -> None:
        self.cable = cable
        self.reactor = Readers()
        self.got: list[Got] = []
        with inside(cable.server):
            self.index = socket.if_nametoindex("eth0")

    def receive(self, *what: Any) -> None:
        self.got.append(Got(*what))

    def open(self, **how: Any) -> Door:
        with inside(self.cable.server):
            return open_dhcp(self.reactor, self.receive, **how)

    def occupy(self, port: int, *, address: str = "0.0.0.0", reuse: bool = False) -> socket.socket:
        with inside(self.cable.server):
            other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            if reuse:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind((address, port))
        other.setblocking(False)
        return other

    def client(self, port: int = 68) -> socket.socket:
        with inside(self.cable.client):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            sock.bind(("0.0.0.0", port))
        sock.settimeout(10.0)
        return sock

    def read(self, door: Door, count: int = 1) -> list[Got]:
        """Call doRead until `count` datagrams came, for 10 s at most."""
        deadline = time.monotonic() + 10.0
        while len(self.got) < count and time.monotonic() < deadline:
            door.doRead()
            time.sleep(0.005)
        return self.got

    def drain(self, door: Door) -> None:
        """Call doRead until nothing has come for 50 ms: one turn may read only some of what waits."""
        while select.select([door], [], [], 0.05)[0]:
            door.doRead()


@pytest.fixture(scope="module")
def cable() -> Iterator[Cable]:
    with Cable() as made:
        made.address(CLIENT)
        yield made


@pytest.fixture
def bench(cable: Cable) -> Iterator[Bench]:
    made = Bench(cable)
    opened: list[Any] = []
    real_open, real_occupy, real_client = made.open, made.occupy, made.client
    made.open = lambda **how: _kept(real_open(**how), opened)  # type: ignore[method-assign]
    made.occupy = lambda port, **how: _kept(real_occupy(port, **how), opened)  # type: ignore[method-assign]
    made.client = lambda port=68: _kept(real_client(port), opened)  # type: ignore[method-assign]
    yield made
    for each in opened:
        each.close()


def _kept(thing: Any, opened: list[Any]) -> Any:
    opened.append(thing)
    return thing


def test_a_broadcast_is_received_with_its_interface_and_destination(bench: Bench) -> None:
    door = bench.open()
    assert not door.raw
    bench.client().sendto(b"hello", ("255.255.255.255", 67))
    (got,) = bench.read(door)
    assert got == Got(b"hello", bench.index, b"\xff\xff\xff\xff", CLIENT, 68)


def test_a_unicast_is_received_with_the_address_it_was_sent_to(bench: Bench) -> None:
    door = bench.open()
    bench.client().sendto(b"hello", (SERVER, 67))
    (got,) = bench.read(door)
    assert got.local == socket.inet_aton(SERVER)


@pytest.mark.parametrize("mode", ["bound", "raw"])
def test_an_answer_leaves_by_that_interface_from_port_67_with_that_source(bench: Bench, mode: str) -> None:
    door = bench.open(mode=mode)
    client = bench.client()
    door.send(b"answer", ("255.255.255.255", 68), bench.index, socket.inet_aton(SERVER))
    assert client.recvfrom(100) == (b"answer", (SERVER, 67))
    door.send(b"unicast", (CLIENT, 68), 0, socket.inet_aton(SERVER))
    assert client.recvfrom(100) == (b"unicast", (SERVER, 67))
    assert door.dropped == {}


def test_the_ladder_binds_when_nobody_is_there_and_goes_raw_when_somebody_is(bench: Bench) -> None:
    assert type(bench.open()) is Door
    assert type(bench.open()) is RawDoor


@pytest.mark.parametrize("other", [{}, {"reuse": True}, {"address": SERVER}, {"address": SERVER, "reuse": True}])
def test_beside_any_server_both_hear_broadcasts_and_it_keeps_its_unicasts(bench: Bench, other: dict[str, Any]) -> None:
    server = bench.occupy(67, **other)
    door = bench.open()
    assert door.raw
    client = bench.client()
    client.sendto(clients.rom(7, xid=1), (SERVER, 67))
    bench.read(door)
    assert server.recv(2000) == clients.rom(7, xid=1), "the renewal of a lease reaches its server"
    assert [got.data for got in bench.got] == [clients.rom(7, xid=1)]
    if "address" not in other:
        client.sendto(clients.rom(7, xid=2), ("255.255.255.255", 67))
        bench.read(door, 2)
        assert server.recv(2000) == clients.rom(7, xid=2)
        assert bench.got[1].data == clients.rom(7, xid=2)


def test_a_server_that_starts_after_us_and_reuses_gets_its_unicasts(bench: Bench) -> None:
    door = bench.open()
    assert not door.raw
    server = bench.occupy(67, reuse=True)
    client = bench.client()
    client.sendto(b"renewal", (SERVER, 67))
    client.sendto(b"broadcast", ("255.255.255.255", 67))
    bench.read(door)
    assert [got.data for got in bench.got] == [b"broadcast"]
    assert [server.recv(100), server.recv(100)] == [b"renewal", b"broadcast"]


def test_raw_hears_requests_to_its_port_and_nothing_else(bench: Bench) -> None:
    door = bench.open(mode="raw")
    client = bench.client()
    client.sendto(clients.rom(7), (SERVER, 68))
    client.sendto(clients.rom(7, op=2), (SERVER, 67))
    client.sendto(clients.rom(7, xid=5), (SERVER, 67))
    bench.drain(door)
    assert [got.data for got in bench.got] == [clients.rom(7, xid=5)]
    assert (bench.got[0].ifindex, bench.got[0].source, bench.got[0].port) == (bench.index, CLIENT, 68)


def test_raw_does_not_hear_its_own_broadcasts(bench: Bench) -> None:
    door = bench.open(mode="raw")
    door.send(clients.rom(7, op=2), ("255.255.255.255", 68), bench.index, socket.inet_aton(SERVER))
    bench.drain(door)
    assert bench.got == []


def test_the_sniffer_hears_other_servers_and_not_ourselves(bench: Bench) -> None:
    with inside(bench.cable.server):
        sniffer = open_sniffer(bench.reactor, bench.receive, [socket.inet_aton(SERVER)])
    door = bench.open()
    theirs = bench.client(67)
    try:
        door.send(clients.rom(7, op=2, xid=1), ("255.255.255.255", 68), bench.index, socket.inet_aton(SERVER))
        theirs.sendto(clients.rom(7, op=2, xid=2), ("255.255.255.255", 68))
        theirs.sendto(clients.rom(7, op=1, xid=3), ("255.255.255.255", 68))
        bench.drain(sniffer)
        assert [got.data for got in bench.got] == [clients.rom(7, op=2, xid=2)]
        sniffer.refilter(sockets.replies_to_clients([socket.inet_aton(CLIENT)]))
        theirs.sendto(clients.rom(7, op=2, xid=4), ("255.255.255.255", 68))
        bench.drain(sniffer)
        assert len(bench.got) == 1
    finally:
        sniffer.close()


def test_port_4011_of_somebody_else_is_a_host_problem_with_its_remedy(bench: Bench) -> None:
    bench.occupy(4011, reuse=True)
    with inside(bench.cable.server), pytest.raises(HostProblem, match="UDP port 4011 is taken") as caught:
        open_pxe(bench.reactor, bench.receive)
    assert "ss -ulnp" in caught.value.remedy


def test_a_forced_bind_does_not_go_raw(bench: Bench) -> None:
    bench.occupy(67)
    with pytest.raises(HostProblem, match="UDP port 67 is taken") as caught:
        bench.open(mode="bound")
    assert 'socket = "auto"' in caught.value.remedy


def test_a_packet_that_raises_does_not_stop_the_next(bench: Bench) -> None:
    seen: list[bytes] = []

    def receive(data: bytes, *rest: Any) -> None:
        if data == b"bad":
            raise RuntimeError("a bug of ours")
        seen.append(data)

    with inside(bench.cable.server):
        door = open_dhcp(bench.reactor, receive)
    client = bench.client()
    try:
        client.sendto(b"bad", (SERVER, 67))
        client.sendto(b"good", (SERVER, 67))
        bench.drain(door)
        assert seen == [b"good"]
    finally:
        door.close()


@pytest.mark.parametrize("mode", ["bound", "raw"])
def test_the_answers_of_a_turn_leave_in_order_when_all_of_it_is_read(bench: Bench, mode: Literal["bound", "raw"]) -> None:
    """A later packet that raises keeps none of them back."""
    client, left = bench.client(), []
    asked, bad = [clients.rom(7, xid=number) for number in range(3)], clients.rom(7, xid=4)

    def receive(data: bytes, index: int, local: bytes, source: str, port: int) -> None:
        left.append(len(select.select([client], [], [], 0.02)[0]))
        if data == bad:
            raise RuntimeError("a bug of ours")
        door.send(b"to " + data, ("255.255.255.255", 68), index, socket.inet_aton(SERVER))

    with inside(bench.cable.server):
        door = open_dhcp(bench.reactor, receive, mode=mode)
    door.seconds = lambda: 0.0
    try:
        for data in (*asked, bad):
            client.sendto(data, ("255.255.255.255", 67))
        bench.drain(door)
        assert [client.recv(2048) for _ in asked] == [b"to " + data for data in asked]
        assert left == [0, 0, 0, 0]
    finally:
        door.close()


def test_a_flood_of_dear_packets_leaves_the_others_their_share(bench: Bench) -> None:
    """Packets that take 0.9 ms each: two of them are a turn of the reactor, the others wait for the next."""
    door, client = bench.open(), bench.client()
    at = iter(number * 0.0009 for number in range(1000))
    door.seconds = lambda: next(at)
    for _ in range(8):
        client.sendto(b"hello", ("255.255.255.255", 67))
    turns: list[int] = []
    while sum(turns) < 8:
        before = len(bench.got)
        door.doRead()
        turns.append(len(bench.got) - before)
    assert turns == [2, 2, 2, 2]


def test_before_the_long_turn_of_somebody_else_a_few_are_answered(bench: Bench) -> None:
    wire = Wire.__new__(Wire)
    wire.doors = {67: bench.open()}
    client = bench.client()
    for _ in range(8):
        client.sendto(b"hello", ("255.255.255.255", 67))
    turns: list[int] = []
    for _ in range(5):
        before = len(bench.got)
        wire.answer_waiting()
        turns.append(len(bench.got) - before)
    assert turns == [2, 2, 2, 2, 0]


def test_what_the_kernel_will_not_send_is_counted_not_raised(bench: Bench) -> None:
    door = bench.open()
    door.send(b"x", ("203.0.113.1", 68), 0, socket.inet_aton(SERVER))
    door.send(b"x", (CLIENT, 68), 0, socket.inet_aton("192.0.2.77"))
    assert sum(door.dropped.values()) == 2
    assert all(name.startswith("send-E") for name in door.dropped)


def test_the_receive_buffer_takes_a_burst_of_a_thousand(bench: Bench) -> None:
    door = bench.open()
    client = bench.client()
    for number in range(1000):
        client.sendto(clients.rom(7, xid=number), (SERVER, 67))
    bench.read(door, 1000)
    assert len(bench.got) == 1000


def test_a_closed_door_leaves_the_reactor_and_frees_the_port(bench: Bench) -> None:
    door = bench.open()
    door.start()
    assert bench.reactor.readers == {door}
    door.close()
    door.close()
    assert bench.reactor.readers == set()
    assert not bench.open().raw
