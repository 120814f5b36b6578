"""The service: ports, limits over time, stopping, the hub's manners, faults of our own."""

from __future__ import annotations

import errno
import itertools
import socket
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from pxed.errors import HostProblem
from pxed.tftp import Limits, TftpService
from pxed.tftp.hub import BATCH, MANY, Hub
from pxed.tftp.image import Step
from pxed.tftp.pace import PROBE_FLOOR
from pxed.tftp.server import DATAGRAMS
from pxed.tftp.stream import NEVER
from tests.conftest import Logged
from tests.tftp.appliance import Appliance, Client, ack, content, data, error, error_of, oack, rrq


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "boot.efi").write_bytes(content(5000))
    return tmp_path


def test_a_taken_port_is_one_sentence_and_what_to_do(root: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        service = TftpService(reactor=MemoryReactorClock(), root=root, on_event=print, port=port, addresses=("127.0.0.1",))
        with pytest.raises(HostProblem, match=r"TFTP can't listen on UDP 127\.0\.0\.1 port"):
            service.privilegedStartService()
        assert service.ports == []


def test_stopping_tells_every_client(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("boot.efi"))
        client.hear()
        appliance.service.stopService()
        assert error_of(client.hear()) == (0, "Server is stopping")


def test_the_same_request_after_a_silence_means_that_the_client_started_again(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("boot.efi", ("tsize", 0)))
        client.hear()
        client.tell(ack(0))
        client.tell(ack(1))
        client.hear_all()
        client.ask(rrq("boot.efi", ("tsize", 0)))
        assert client.hear() is None
        appliance.advance(2.1)
        client.hear_all()
        client.ask(rrq("boot.efi", ("tsize", 0)))
        assert oack(client.hear()) == {"tsize": "5000"}
        assert appliance.service.active == 1


def test_a_request_behind_the_last_ack_is_no_duplicate(root: Path) -> None:
    """Port 69 may be read before the transfer's socket: the last ACK is taken first."""
    (root / "one").write_bytes(b"x")
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("one"))
        assert client.hear() == data(1, b"x")
        client.socket.sendto(ack(1), client.tid)
        client.socket.sendto(rrq("one"), client.server)
        next(reader for reader in appliance.clock.readers if not isinstance(reader, Hub)).doRead()
        assert client.hear() == data(1, b"x")
        assert appliance.outcomes() == ["request", "sent", "request"]


def test_another_file_from_the_same_port_replaces_the_transfer(root: Path) -> None:
    (root / "other").write_bytes(b"other")
    with Appliance(root) as appliance:
        client = appliance.client()
        client.ask(rrq("boot.efi"))
        client.hear()
        client.tell(ack(1))
        client.hear()
        assert client.fetch("other") == b"other"
        assert [(event.outcome, event.reason) for event in appliance.events[1:2]] == [
            ("failed", "the client asked again from the same port")
        ]


def test_places_are_given_back(root: Path) -> None:
    with Appliance(root, settings=Limits(per_client=1)) as appliance:
        for _ in range(5):
            client = appliance.client()
            client.ask(rrq("boot.efi"))
            assert client.hear() == data(1, content(5000)[:512])
            client.tell(error(0))
        client = appliance.client()
        client.ask(rrq("nothing"))
        assert error_of(client.hear())[0] == 1
        assert client.fetch("boot.efi") == content(5000)


def test_one_turn_looks_at_a_bounded_number_of_datagrams(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        for _ in range(3 * DATAGRAMS):
            client.socket.sendto(b"", client.server)
        next(reader for reader in appliance.clock.readers if not isinstance(reader, Hub)).doRead()
        assert appliance.service.counters()["short"] == DATAGRAMS


def test_one_turn_takes_a_millisecond_whatever_the_datagrams_cost(root: Path) -> None:
    """Datagrams of 0.4 ms each: three of them are a turn of the reactor, the others wait for the next."""
    at = itertools.count(0.0, 0.0004)
    with Appliance(root, seconds=lambda: next(at)) as appliance:
        client = appliance.client()
        for _ in range(9):
            client.socket.sendto(b"", client.server)
        reader = next(reader for reader in appliance.clock.readers if not isinstance(reader, Hub))
        for turn in (1, 2, 3):
            reader.doRead()
            assert appliance.service.counters()["short"] == 3 * turn


class Slow:
    """An entry of the hub whose every datagram costs `seconds` of the clock."""

    deadline = NEVER
    moved_at = 0.0
    step: Step | None = None

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds, self.read = clock, seconds, 0
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def readable(self, _now: float) -> bool:
        self.ours.recv(16)
        self.read += 1
        self.clock.advance(self.seconds)
        return False

    def catch_up(self, _now: float) -> None:
        raise AssertionError("nothing unusual was read")

    def take(self, _data: bytes, _now: float) -> bool:
        raise AssertionError("it has no step")

    def unreadable(self, _error: OSError) -> None:
        raise AssertionError("it has no step")

    def refused(self, _error: OSError) -> None:
        raise AssertionError("it has no step")

    def expire(self, _now: float) -> None:
        raise AssertionError("no deadline was set")


@pytest.mark.parametrize(("seconds", "served"), [(0.0001, BATCH), (0.000005, 2 * BATCH), (0.0, 3 * BATCH)])
def test_a_turn_of_the_hub_ends_with_its_millisecond_and_the_next_goes_on(seconds: float, served: int) -> None:
    clock = MemoryReactorClock()
    hub = Hub(reactor=clock, seconds=clock.seconds, broken=lambda fd: None)
    entries = [Slow(clock, seconds) for _ in range(3 * BATCH)]
    for entry in entries:
        hub.add(entry.ours.fileno(), entry)
        entry.theirs.send(b"x")
    hub.doRead()
    assert sum(entry.read for entry in entries) == served
    for _ in range(2):
        hub.doRead()
    assert [entry.read for entry in entries] == [1] * len(entries)
    for entry in entries:
        hub.remove(entry.ours.fileno())
        entry.ours.close()
        entry.theirs.close()
    hub.close()


@pytest.mark.parametrize(("packets", "before"), [(MANY - 1, []), (MANY, [0]), (BATCH + MANY, [0, BATCH])])
def test_who_must_not_wait_is_answered_before_many_packets(packets: int, before: list[int]) -> None:
    clock = MemoryReactorClock()
    entries = [Slow(clock, 0.0) for _ in range(packets)]
    served: list[int] = []
    hub = Hub(
        reactor=clock,
        seconds=clock.seconds,
        broken=lambda fd: None,
        first=lambda: served.append(sum(entry.read for entry in entries)),
    )
    for entry in entries:
        hub.add(entry.ours.fileno(), entry)
        entry.theirs.send(b"x")
    hub.doRead()
    assert served == before
    for entry in entries:
        hub.remove(entry.ours.fileno())
        entry.ours.close()
        entry.theirs.close()
    hub.close()


def test_the_packets_are_answered_though_what_goes_before_them_fails(logged: Logged) -> None:
    """The reactor would never call the hub again."""
    clock = MemoryReactorClock()
    hub = Hub(reactor=clock, seconds=clock.seconds, broken=lambda fd: None, first=lambda: 1 / 0)
    entries = [Slow(clock, 0.0) for _ in range(MANY)]
    for entry in entries:
        hub.add(entry.ours.fileno(), entry)
        entry.theirs.send(b"x")
    hub.doRead()
    assert sum(entry.read for entry in entries) == MANY
    assert len(logged.events) == 1
    logged.events.clear()
    for entry in entries:
        hub.remove(entry.ours.fileno())
        entry.ours.close()
        entry.theirs.close()
    hub.close()


def test_a_deadline_that_steps_did_not_move_is_let_be_while_they_go_on() -> None:
    class Stepping(Slow):
        deadline = 1.0
        expired = 0

        def expire(self, _now: float) -> None:
            self.expired += 1

    clock = MemoryReactorClock()
    hub = Hub(reactor=clock, seconds=clock.seconds, broken=lambda fd: None)
    entry = Stepping(clock, 0.0)
    hub.add(entry.ours.fileno(), entry)
    clock.advance(2.0)
    entry.moved_at, entry.expired = 1.99, 0
    hub.scan()
    assert entry.expired == 0
    clock.rightNow += PROBE_FLOOR
    hub.scan()
    assert entry.expired == 1
    hub.remove(entry.ours.fileno())
    entry.ours.close()
    entry.theirs.close()
    hub.close()


def cut(appliance: Appliance, client: Client) -> int:
    """What the kernel cuts this client's windows into (bytes; 0: nothing), once one is under way."""
    client.ask(rrq("boot.efi", ("blksize", 1024), ("windowsize", 4)))
    client.hear()
    client.tell(ack(0))
    assert [client.hear() for _ in range(4)] == [data(block + 1, content(5000)[1024 * block :][:1024]) for block in range(4)]
    return cut_to(transfer_of(appliance, client))


def transfer_of(appliance: Appliance, client: Client) -> Any:
    return appliance.service._clients.get(client.socket.getsockname())


def cut_to(transfer: Any) -> int:
    """UDP_SEGMENT of its socket."""
    return int(transfer._listener.getsockopt(socket.IPPROTO_UDP, 103))


def test_a_kernel_that_cuts_no_windows_is_tried_once_for_each_address(root: Path) -> None:
    """EIO of an interface without checksum offload: this transfer goes on block by block, later ones on that address begin so."""
    with Appliance(root, addresses=("0.0.0.0",)) as appliance:
        client = appliance.client()
        assert cut(appliance, client) == 1028
        transfer = transfer_of(appliance, client)
        transfer._stream.refused(OSError(errno.EIO, "no checksum offload"))
        assert [packet[:4] for packet in client.hear_all()] == [data(block, b"") for block in (1, 2, 3, 4)]
        assert cut_to(transfer) == 0
        assert cut(appliance, appliance.client()) == 0
        assert cut(appliance, appliance.client(to="127.0.0.77")) == 1028, "another address may be another interface's"


def test_our_own_fault_in_one_transfer_ends_that_one_only(root: Path) -> None:
    with Appliance(root) as appliance:
        client, other = appliance.client(), appliance.client("127.0.0.2")
        for each in (client, other):
            each.ask(rrq("boot.efi"))
            each.hear()
        transfer = next(iter(appliance.service._clients))
        transfer._stream._segment = None
        client.tell(ack(1))
        assert error_of(client.hear()) == (0, "Internal error")
        assert "A TFTP transfer failed inside pxed" in appliance.failures.pop()
        other.tell(ack(1))
        assert other.hear() == data(2, content(5000)[512:1024])
        assert appliance.events[-1].outcome == "failed"


def test_a_listener_for_events_that_fails_harms_no_transfer(root: Path) -> None:
    with Appliance(root) as appliance:

        def fails(_event: object) -> None:
            raise RuntimeError("listener")

        appliance.service._on_event = fails
        assert appliance.client().fetch("boot.efi") == content(5000)
        assert len(appliance.failures) == 2
        appliance.failures.clear()


def test_without_transfers_no_timer_runs(root: Path) -> None:
    with Appliance(root) as appliance:
        assert not appliance.clock.getDelayedCalls()
        client = appliance.client()
        client.ask(rrq("boot.efi"))
        assert appliance.clock.getDelayedCalls()
        client.tell(ack(0))
        client.hear()
        client.tell(error(0))
        assert not appliance.clock.getDelayedCalls()
