"""Syslog by TCP, over real connections: real senders, hostile ones, and the limits."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread

from pxed.config import SyslogSettings
from pxed.errors import HostProblem
from pxed.syslog import stream
from pxed.syslog.receiver import BURST, Receiver
from pxed.syslog.stream import SHARE, SWEEP, TURN, Connection, Intake
from tests.syslog.test_receiver import ADDRESS, MAC, World, until

HERE = "127.0.0.1"


class Running:
    """A receiver on loopback, and sockets to it that are closed in the end."""

    def __init__(self, world: World, **limits: Any) -> None:
        self.world = world
        self.service = Receiver(world.syslog, reactor=_reactor, settings=SyslogSettings(**limits), port=0, address=HERE)
        self.opened: list[socket.socket] = []

    @property
    def intake(self) -> Intake:
        assert self.service.intake is not None
        return self.service.intake

    def connect(self, source: str = HERE) -> socket.socket:
        sock = socket.create_connection((HERE, self.service.tcp_port), timeout=8.0, source_address=(source, 0))
        self.opened.append(sock)
        return sock

    async def told(self, *texts: str) -> None:
        await until(lambda: self.world.texts == list(texts))

    async def counts(self, opened: int) -> None:
        await until(lambda: self.intake.open == opened)


@asynccontextmanager
async def running(**limits: Any) -> AsyncIterator[Running]:
    world = World()
    world.inventory.note_address(MAC, HERE)
    made = Running(world, **limits)
    made.service.startService()
    try:
        yield made
    finally:
        for each in made.opened:
            each.close()
        await made.service.stopService()


def is_closed(sock: socket.socket) -> bool:
    """Whether the other side has hung up; does not wait."""
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


async def test_lines_and_counted_octets_arrive_however_they_are_cut() -> None:
    async with running() as here:
        sock = here.connect()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (b"<13>Nov 22 10:15:01 anaconda", b"[5]: a\n<1", b"3>Nov 22 10:15:01 b: c\n", b"8 <13", b">d: e", b"<13>f: g"):
            sock.sendall(piece)
        await here.told("anaconda: a", "b: c", "d: e")
        sock.close()
        await here.told("anaconda: a", "b: c", "d: e", "f: g")
        await here.counts(0)
        assert [event.node for event in here.world.events] == [here.world.node.id] * 4


async def test_secrets_are_masked_and_lines_cut_as_by_udp() -> None:
    async with running() as here:
        sock = here.connect()
        sock.sendall(
            b"<13>log: url=http://10.0.0.1/i/SECRET/ks.cfg password=SECRET $6$SECRET\n<13>x: " + b"y" * 100_000 + b"\n<13>z: end\n"
        )
        await until(lambda: len(here.world.texts) == 3)
        assert "SECRET" not in repr(here.world.events) + repr(here.world.heard)
        assert len(here.world.texts[1]) < 1000
        assert here.world.texts[2] == "z: end"


async def test_hostile_bytes_neither_raise_nor_reach_a_terminal() -> None:
    async with running() as here:
        sock = here.connect()
        sock.sendall(bytes(range(256)) * 40 + b"\n\0\n<13>\x1b[2Jx\xff: \xed\xa0\x80\n999999 <999>" + b"\0" * 2000)
        sock.close()
        here.connect().sendall(b"<13>x: good\n")
        await until(lambda: "x: good" in here.world.texts)
        assert all(text.isprintable() for text in here.world.texts)


async def test_a_flood_by_tcp_is_limited_and_owned_up_to_as_one_by_udp() -> None:
    async with running() as here:
        sock = here.connect()
        await deferToThread(sock.sendall, b"".join(b"<13>x: %d\n" % number for number in range(5000)))
        await until(lambda: len(here.world.heard) == 5000)
        assert len(here.world.events) == BURST
        here.world.clock.advance(1.0)
        sock.sendall(b"<13>x: next\n")
        await until(lambda: here.world.texts[-1] == "x: next")
        assert here.world.texts[-2] == f"({5000 - BURST} lines of its log were left out: too many at once)"


async def test_lines_of_strangers_are_counted_and_forgotten() -> None:
    async with running() as here:
        here.connect("127.0.0.9").sendall(b"<13>x: y\n")
        await until(lambda: here.world.syslog.strangers == 1)
        assert here.world.events == []


async def test_a_client_that_opens_one_more_loses_the_one_that_was_quiet_for_longest() -> None:
    async with running(per_client=3) as here:
        socks = [here.connect() for _ in range(3)]
        await here.counts(3)
        socks[0].sendall(b"<13>x: still here\n")
        await here.told("x: still here")
        here.connect().sendall(b"<13>x: new\n")
        await here.told("x: still here", "x: new")
        await until(lambda: is_closed(socks[1]))
        assert not is_closed(socks[0])
        assert (here.intake.open, here.intake.replaced) == (3, 1)


async def test_when_all_places_are_taken_a_node_takes_a_strangers_and_a_stranger_gets_none() -> None:
    async with running(max_connections=2) as here:
        stranger, _ = here.connect("127.0.0.8"), here.connect("127.0.0.9")
        await here.counts(2)
        refused = here.connect("127.0.0.10")
        await until(lambda: is_closed(refused))
        here.connect().sendall(b"<13>x: a node\n")
        await here.told("x: a node")
        await until(lambda: is_closed(stranger))
        assert here.service.status() == {"received": 1, "strangers": 0, "connections": 2, "refused": 1, "replaced": 1}


async def test_with_nodes_in_all_places_even_a_node_is_refused() -> None:
    async with running(max_connections=1) as here:
        first = here.connect()
        await here.counts(1)
        here.world.inventory.seen("52:54:00:00:00:01")
        here.world.inventory.note_address("52:54:00:00:00:01", "127.0.0.2")
        second = here.connect("127.0.0.2")
        await until(lambda: is_closed(second))
        assert not is_closed(first)


async def test_who_is_quiet_for_too_long_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SWEEP", 0.05)
    async with running(idle_timeout=0.3) as here:
        quiet = here.connect()
        await until(lambda: is_closed(quiet))
        await here.counts(0)


async def test_the_service_starts_again_and_hangs_up_when_it_stops() -> None:
    async with running() as here:
        first = here.connect()
        await here.counts(1)
        await here.service.stopService()
        await until(lambda: is_closed(first))
        here.service.startService()
        here.connect().sendall(b"<13>x: again\n")
        await here.told("x: again")


async def test_without_tcp_nothing_listens() -> None:
    async with running(tcp=False) as here:
        assert here.service.intake is None
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HERE, here.service.port), timeout=2.0)
        assert here.service.status() == {"received": 0, "strangers": 0}


def test_a_tcp_port_that_is_taken_is_a_host_problem_with_a_remedy() -> None:
    with socket.socket() as holder:
        holder.bind((HERE, 0))
        holder.listen()
        port = holder.getsockname()[1]
        service = Receiver(World().syslog, reactor=_reactor, settings=SyslogSettings(), port=port, address=HERE)
        with pytest.raises(HostProblem, match=rf"TCP port {port} \(syslog\)") as caught:
            service.privilegedStartService()
        assert "tcp = false under [syslog]" in caught.value.remedy
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((HERE, port))  # UDP was let go


class Wire(StringTransport):
    """A transport that has a socket to set options of."""

    bufferSize = 1 << 16

    def getHandle(self) -> Any:
        return self

    def setTcpKeepAlive(self, on: int) -> None: ...
    def setsockopt(self, *what: int) -> None: ...


def _connections(intake: Intake, count: int) -> Iterator[Connection]:
    for _ in range(count):
        made = intake.buildProtocol(_From(ADDRESS))
        assert made is not None
        made.makeConnection(Wire())
        yield made


class _From:
    def __init__(self, host: str) -> None:
        self.host = host


class Turns(Clock):
    def turn(self) -> None:
        """What a real reactor calls in one turn: not what is scheduled meanwhile."""
        for call in [each for each in self.calls if each.getTime() <= self.seconds()]:
            self.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)


def test_one_turn_hands_on_a_bounded_number_in_turn_and_who_has_more_is_not_read() -> None:
    clock, got = Turns(), list[bytes]()
    intake = Intake(lambda message, _: got.append(message), knows=bool, reactor=clock, settings=SyslogSettings(), seconds=clock.seconds)
    made = list(_connections(intake, 3))
    for number, each in enumerate(made):
        each.dataReceived(b"%d\n" % number * 90)
    assert got == []
    clock.turn()
    assert len(got) == TURN
    assert got[: 3 * SHARE] == [b"0"] * SHARE + [b"1"] * SHARE + [b"2"] * SHARE
    assert [_state(each) for each in made] == ["paused"] * 3
    for _ in range(10):
        clock.turn()
    assert sorted(got) == [b"0"] * 90 + [b"1"] * 90 + [b"2"] * 90
    assert [_state(each) for each in made] == ["producing"] * 3
    intake.stop()
    assert not clock.getDelayedCalls()


def test_a_turn_ends_with_its_two_milliseconds() -> None:
    """Messages that take 0.3 ms each: the one connection's share ends it."""
    clock, got, now = Turns(), list[bytes](), [0.0]

    def take(message: bytes, _address: str) -> None:
        got.append(message)
        now[0] += 0.0003

    intake = Intake(take, knows=bool, reactor=clock, settings=SyslogSettings(), seconds=lambda: now[0])
    (made,) = _connections(intake, 1)
    made.dataReceived(b"x\n" * 50)
    clock.turn()
    assert len(got) == SHARE
    clock.turn()
    assert len(got) == 2 * SHARE
    intake.stop()


def _state(connection: Connection) -> str:
    transport = connection.transport
    assert isinstance(transport, Wire)
    return transport.producerState


def test_the_idle_time_out_counts_from_the_last_words() -> None:
    clock = Clock()
    settings = SyslogSettings(idle_timeout=60.0)
    intake = Intake(lambda _message, _address: None, knows=bool, reactor=clock, settings=settings, seconds=clock.seconds)
    quiet, speaks = _connections(intake, 2)
    for _ in range(6):
        clock.pump([SWEEP])
        speaks.dataReceived(b"x\n")
    assert intake.open == 1
    assert isinstance(quiet.transport, Wire)
    assert quiet.transport.disconnecting
    clock.advance(55)
    assert intake.open == 1
    clock.pump([SWEEP])
    assert intake.open == 0
    assert not clock.getDelayedCalls()


def _needs(program: str, package: str) -> str:
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed (apt install {package})")
    return found


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="lines, RFC 5424"),
        pytest.param(["--rfc3164"], id="lines, RFC 3164"),
        pytest.param(["--octet-count"], id="counted, RFC 5424"),
        pytest.param(["--octet-count", "--rfc3164"], id="counted, RFC 3164"),
    ],
)
async def test_logger_is_understood(options: list[str]) -> None:
    """util-linux' logger, one connection a call and three lines in one."""
    logger = _needs("logger", "bsdutils")
    async with running() as here:
        argv = [logger, "--tcp", "--server", HERE, "--port", str(here.service.tcp_port), "--tag", "anaconda", *options]
        text = "packaging: Installing bash.x86_64 (1/300)\n12 drummers\nlast\n"
        await deferToThread(subprocess.run, argv, input=text, text=True, check=True, timeout=8.0)
        await here.told(*(f"anaconda: {line}" for line in text.splitlines()))


RSYSLOG = """global(workDirectory="{folder}")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/log" CreatePath="off")
*.* @@{target}{more}
"""


@pytest.mark.limit(60)
@pytest.mark.parametrize("more", ["", ";RSYSLOG_SyslogProtocol23Format"], ids=["traditional", "RFC 5424"])
async def test_rsyslog_as_anaconda_configures_it_reaches_the_nodes_timeline(tmp_path: Path, more: str) -> None:
    """`*.* @@HOST:PORT` is the line that anaconda appends to its rsyslog.conf for `inst.syslog=HOST:PORT`."""
    rsyslogd = _needs("rsyslogd", "rsyslog")
    logger = _needs("logger", "bsdutils")
    async with running() as here:
        conf, log = tmp_path / "rsyslog.conf", tmp_path / "log"
        conf.write_text(RSYSLOG.format(folder=tmp_path, target=f"{HERE}:{here.service.tcp_port}", more=more))
        daemon = subprocess.Popen(
            [rsyslogd, "-n", "-f", str(conf), "-i", str(tmp_path / "pid")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            await until(log.exists, within=30.0)
            for line in ("packaging: Installing bash.x86_64 (1/300)", "password=SECRET"):
                argv = [logger, "--socket", str(log), "--tag", "anaconda", line]
                await deferToThread(subprocess.run, argv, check=True, timeout=8.0)
            await until(_heard(here, "anaconda: packaging: Installing bash.x86_64 (1/300)", "anaconda: password=***"), within=30.0)
            assert ("anaconda", "packaging: Installing bash.x86_64 (1/300)") in here.world.heard
        finally:
            daemon.terminate()
            await deferToThread(daemon.wait, 20.0)


def _heard(here: Running, *texts: str) -> Callable[[], bool]:
    """rsyslog says itself that it started, too."""
    return lambda: set(texts) <= set(here.world.texts)
