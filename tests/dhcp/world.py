"""A responder with everything around it that a test needs, but the wire: packets go in by a call, what it sends is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from twisted.internet.task import Clock

from pxed.config import load
from pxed.dhcp.interfaces import Interface, Interfaces, Subnet
from pxed.dhcp.responder import Responder
from pxed.node.inventory import Inventory
from pxed.node.model import Boot, Event, Node
from pxed.node.timeline import Timeline
from tests.dhcp import clients
from tests.dhcp.decode import Answer, decoded

SERVER = "10.0.0.1"
INSTALLER = Boot("installer", "install1")


def address(text: str) -> bytes:
    return bytes(map(int, text.split(".")))


@dataclass(frozen=True)
class FixedProgram:
    path: str


class FixedPrograms:
    """Boot programs by architecture; `prefer` wins when it is one of `others`."""

    def __init__(self, by_arch: Mapping[int, str] | None = None, others: tuple[str, ...] = ("ipxe.efi", "ipxe.pxe")) -> None:
        usual = {0: "undionly.kpxe", 11: "arm64/snponly.efi", 19: "arm64/snponly.efi", 27: "riscv64/snponly.efi"}
        usual |= dict.fromkeys((7, 9, 16, 17), "snponly.efi")
        self.by_arch = dict(usual if by_arch is None else by_arch)
        self.others = others

    def pick(self, arch: int, *, prefer: str | None = None) -> FixedProgram | None:
        if prefer in self.others:
            return FixedProgram(str(prefer))
        path = self.by_arch.get(arch)
        return FixedProgram(path) if path else None


class Sent(NamedTuple):
    """One datagram that left. `ifindex`: interface it was forced out of, 0 for the routing table's choice."""

    data: bytes
    destination: tuple[str, int]
    ifindex: int
    server: str
    door: int

    @property
    def answer(self) -> Answer:
        return decoded(self.data)


class RecordingDoor:
    """Stands for a socket: keeps what is sent."""

    raw = False

    def __init__(self, port: int, sent: list[Sent]) -> None:
        self.port = port
        self.sent = sent
        self.dropped: dict[str, int] = {}

    def send(self, data: bytes, destination: tuple[str, int], index: int, server: bytes) -> bool:
        self.sent.append(Sent(data, destination, index, ".".join(map(str, server)), self.port))
        return True


def link(name: str = "eth0", index: int = 2, *subnets: str, loopback: bool = False) -> Interface:
    """An interface; `subnets` as ``10.0.0.1/24``."""
    pairs = (text.split("/") for text in subnets or (f"{SERVER}/24",))
    return Interface(index, name, loopback, tuple(Subnet(address(ip), int(prefix)) for ip, prefix in pairs))


class World:
    """`settings` as in pxed.toml. One node, `clients.MAC`, assigned `boot` (None: nobody has ever seen it)."""

    def __init__(
        self,
        boot: Boot | None = INSTALLER,
        *,
        programs: FixedPrograms | None = None,
        links: tuple[Interface, ...] | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.clock = Clock()
        self.wall = 1_700_000_000.0
        self.monotonic = 1000.0
        self.timeline = Timeline(now=lambda: self.wall)
        self.inventory = Inventory(now=lambda: self.wall, timeline=self.timeline)
        self.events: list[Event] = []
        self.timeline.subscribe(self.events.append)
        self.programs = programs or FixedPrograms()
        self.links = {each.index: each for each in links or (link(),)}
        loaded = load(None, settings or {})
        interfaces = Interfaces(loaded.interfaces, read=lambda: list(self.links.values()))
        interfaces.refresh()
        self.sent: list[Sent] = []
        self.responder = Responder(
            reactor=self.clock,
            inventory=self.inventory,
            timeline=self.timeline,
            programs=lambda: self.programs,
            settings=loaded,
            now=lambda: self.wall,
            interfaces=interfaces,
            seconds=lambda: self.monotonic,
        )
        for port in (67, 4011):
            self.responder.wire.doors[port] = RecordingDoor(port, self.sent)  # type: ignore[assignment]
        if boot is not None:
            self.arm(boot=boot)

    def arm(self, mac: str = clients.MAC, boot: Boot = INSTALLER) -> Node:
        """The node of `mac`, adopted by an operator and assigned `boot`."""
        node = self.inventory.seen(mac)
        node.known = True
        node.boot = boot
        return node

    @property
    def node(self) -> Node:
        node = self.inventory.by_mac(clients.MAC)
        assert node is not None
        return node

    def ask(
        self, data: bytes, *, door: int = 67, source: str = "0.0.0.0", source_port: int = 68, index: int = 2, local: str | None = None
    ) -> list[Sent]:
        """One datagram comes in; what went out because of it. `local`: where it was sent to."""
        before = len(self.sent)
        local = local or ("255.255.255.255" if door == 67 else SERVER)
        self.responder.received(door, data, index, address(local), source, source_port)
        return self.sent[before:]

    def answer(self, data: bytes, **how: Any) -> Answer:
        """The one answer to a datagram, decoded by scapy."""
        sent = self.ask(data, **how)
        assert len(sent) == 1, f"{len(sent)} answers; counters {dict(self.responder.counters)}"
        return sent[0].answer

    def silent(self, data: bytes, **how: Any) -> str:
        """No answer to a datagram; returns what it was counted as."""
        before = self.responder.counters
        assert self.ask(data, **how) == []
        counted = self.responder.counters - before
        assert sum(counted.values()) == 1, f"counted as {dict(counted)}"
        return next(iter(counted))

    def told(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds
        self.clock.advance(seconds)
