"""Lines land on the timeline of the node that sent them, a flood does not, and no secret does."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.task import Clock, deferLater

from pxed.config import SyslogSettings
from pxed.errors import HostProblem
from pxed.node.inventory import Inventory
from pxed.node.model import Boot, Event, Node
from pxed.node.timeline import Timeline
from pxed.syslog.receiver import BURST, NODES, RATE, SAY_AFTER, Reader, Receiver, Syslog
from pxed.syslog.stream import TURN
from tests.conftest import Logged
from tests.web.world import run

MAC, ADDRESS = "52:54:00:12:34:56", "10.0.0.7"


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.timeline = Timeline(now=self.clock.seconds)
        self.inventory = Inventory(now=self.clock.seconds, timeline=self.timeline)
        self.node = self.inventory.seen(MAC)
        self.inventory.note_address(MAC, ADDRESS)
        self.heard: list[tuple[str, str]] = []
        self.syslog = Syslog(inventory=self.inventory, timeline=self.timeline, clock=self.clock, on_line=self.on_line)

    def on_line(self, node: Node, program: str, text: str) -> None:
        assert node is self.node
        self.heard.append((program, text))

    def say(self, text: str, *, priority: int = 13, address: str = ADDRESS) -> None:
        self.syslog.message(f"<{priority}>Nov 22 10:15:01 {text}".encode(), address)

    @property
    def events(self) -> list[Event]:
        return [event for event in self.timeline._memory if event.kind == "syslog"]

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.events]


async def until(condition: Callable[[], bool], within: float = 25.0) -> None:
    """Wait on the real reactor until `condition` holds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        await deferLater(_reactor, 0.01)


@pytest.fixture
def world() -> World:
    return World()


def test_a_line_is_an_event_of_its_node_and_install(world: World) -> None:
    run(world.inventory.assign(world.node.id, Boot("installer", "i1")))
    world.say("anna[5]: retrieving x", priority=28)
    (event,) = world.events
    assert (event.text, event.node, event.install, event.data) == ("anna: retrieving x", world.node.id, "i1", {"severity": 4})


def test_lines_of_strangers_are_counted_and_forgotten(world: World) -> None:
    world.say("x: y", address="10.0.0.99")
    assert (world.events, world.heard, world.syslog.strangers) == ([], [], 1)


def test_secrets_are_masked_before_anybody_sees_them(world: World) -> None:
    world.say("log: url=http://10.0.0.1/i/SECRET/preseed.cfg password=SECRET $6$SECRET")
    assert "SECRET" not in repr(world.events) + repr(world.heard)


@pytest.mark.parametrize(("priority", "told"), [(6, False), (3, True), (0, True), (15, False), (14, True), (8 + 7, False), (30, True)])
def test_kernel_chatter_and_debug_lines_are_left_out_but_heard_for_progress(world: World, priority: int, told: bool) -> None:
    world.say("x: y", priority=priority)
    assert bool(world.events) is told
    assert world.heard == [("x", "y")]


def test_a_flood_is_limited_and_owned_up_to_with_the_next_line(world: World) -> None:
    for number in range(BURST + 50):
        world.say(f"x: {number}")
    assert len(world.events) == BURST
    assert len(world.heard) == BURST + 50
    world.clock.advance(1 / RATE + 0.01)
    world.say("x: next")
    assert world.texts[-2:] == ["(50 lines of its log were left out: too many at once)", "x: next"]


def test_a_flood_with_nothing_behind_it_is_owned_up_to_by_itself(world: World) -> None:
    for number in range(BURST + 50):
        world.say(f"x: {number}")
    world.clock.advance(SAY_AFTER + 0.1)
    assert world.texts[-1].startswith("(50 lines")
    world.clock.advance(100)
    assert len(world.events) == BURST + 1
    assert not world.clock.getDelayedCalls()


def test_a_steady_installer_passes_and_one_nodes_flood_costs_another_nothing(world: World) -> None:
    other = world.inventory.seen("52:54:00:00:00:01")
    world.inventory.note_address(other.mac, "10.0.0.8")
    world.syslog._on_line = None
    for number in range(1000):
        world.say(f"flood: {number}")
    for number in range(100):
        world.clock.advance(1 / RATE)
        world.say(f"steady: {number}", address="10.0.0.8")
    assert sum(text.startswith("steady") for text in world.texts) == 100


def test_stopping_owns_up_and_leaves_no_timer(world: World) -> None:
    for number in range(BURST + 5):
        world.say(f"x: {number}")
    world.syslog.stop()
    world.syslog.stop()
    assert world.texts[-1].startswith("(5 lines")
    assert not world.clock.getDelayedCalls()


def test_the_budgets_of_many_nodes_are_bounded(world: World) -> None:
    world.syslog._on_line = None
    for number in range(NODES + 10):
        mac = f"52:54:01:{number >> 16:02x}:{(number >> 8) & 255:02x}:{number & 255:02x}"
        world.inventory.seen(mac)
        world.inventory.note_address(mac, f"10.1.{number >> 8}.{number & 255}")
        world.say("x: y", address=f"10.1.{number >> 8}.{number & 255}")
    assert len(world.syslog._budgets) == NODES


def test_a_listener_that_fails_is_logged_and_the_line_still_told(world: World, logged: Logged) -> None:
    def fails(node: Node, program: str, text: str) -> None:
        raise ValueError

    world.syslog._on_line = fails
    world.say("x: y")
    assert world.texts == ["x: y"]
    assert logged.take(ValueError)


async def test_datagrams_arrive_over_a_real_socket_and_the_service_can_be_restarted(world: World) -> None:
    service = Receiver(world.syslog, reactor=_reactor, settings=SyslogSettings(), port=0, address="127.0.0.1")
    world.inventory.note_address(MAC, "127.0.0.1")
    for told in (6, 12):
        service.privilegedStartService()
        service.startService()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(5):
                sender.sendto(b"<13>x: hello", ("127.0.0.1", service.port))
            sender.sendto(b"", ("127.0.0.1", service.port))
            sender.sendto(b"<13>x: last", ("127.0.0.1", service.port))
            await until(partial(_has_told, world, told))
        await service.stopService()
    assert world.texts == [*["x: hello"] * 5, "x: last"] * 2


def _has_told(world: World, count: int) -> bool:
    return len(world.texts) == count


def test_a_port_that_is_taken_is_a_host_problem_with_a_remedy(world: World) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        service = Receiver(world.syslog, reactor=_reactor, settings=SyslogSettings(), port=port, address="127.0.0.1")
        with pytest.raises(HostProblem, match="syslog"):
            service.privilegedStartService()


class Readers:
    def addReader(self, reader: object) -> None: ...
    def removeReader(self, reader: object) -> None: ...


def test_one_turn_reads_a_bounded_number_of_datagrams_even_empty_ones() -> None:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.setblocking(False)
    got: list[bytes] = []
    reader = Reader(receiver, lambda data, peer: got.append(data), Readers())
    reader.seconds = lambda: 0.0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(TURN + 20):
            sender.sendto(b"", receiver.getsockname())
    reader.doRead()
    assert len(got) == TURN
    reader.doRead()
    assert len(got) == TURN + 20
    reader.close()


def test_dear_datagrams_leave_the_others_their_share() -> None:
    """Datagrams that take 0.9 ms each: three of them are a turn."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        got: list[bytes] = []
        reader = Reader(receiver, lambda data, peer: got.append(data), Readers())
        times = iter(number * 0.0009 for number in range(1000))
        reader.seconds = lambda: next(times)
        for _ in range(9):
            sender.sendto(b"x", receiver.getsockname())
        for turn in (3, 6, 9):
            reader.doRead()
            assert len(got) == turn
