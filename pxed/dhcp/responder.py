"""The service that joins the wire to the inventory: every packet of ports 67 and 4011 comes through here.

What to answer says `offer.decide`; this module finds out who asks, how the client is to be treated (`treatment`) and hands the outcome to
`report`. Nothing here waits: inventory and timeline answer from memory.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from socket import inet_aton, inet_ntoa
from typing import Any
from urllib.parse import quote

from twisted.application import service
from twisted.logger import Logger

from pxed.config import Settings
from pxed.dhcp import options as opt
from pxed.dhcp.client import Client, Silence, classify
from pxed.dhcp.interfaces import Interface, Interfaces
from pxed.dhcp.memory import Answered, Asked, Memory
from pxed.dhcp.neighbours import Neighbours
from pxed.dhcp.offer import PXE_PORT, SERVER_PORT, USUAL, Arrival, Picked, Policy, Programs, Reply, Treatment, decide
from pxed.dhcp.packet import ACK, BOOTREQUEST, DISCOVER, OFFER, REQUEST, MalformedPacket, Packet, parse
from pxed.dhcp.report import Report
from pxed.dhcp.treatment import Treatments
from pxed.dhcp.wire import Wire
from pxed.node.guard import Guard
from pxed.node.inventory import Inventory
from pxed.node.model import Boot, Node
from pxed.node.siteserver import Piece, for_node
from pxed.node.timeline import Timeline

_LEASE_HEARD_WITHIN = 300.0
_SEEN_ALREADY = 1.0
"""Seconds in which a node that repeats itself need not be noted again."""
_NO_ADDRESS = bytes(4)
_BROADCAST = "255.255.255.255"

_A_REPLY = Silence("not-a-request", "a reply of some server")
_printable = lru_cache(maxsize=512)(opt.printable)
_client_uuid = lru_cache(maxsize=4096)(opt.client_uuid)


class Responder(service.Service):
    """Proxy-DHCP on 67 and the PXE boot server on 4011. `reactor` as IReactorTime and IReactorFDSet; `now` gives UTC seconds, `seconds`
    is monotonic (a reactor's own `seconds` is not).

    `programs` is asked per packet, so that a boot program put there while we run is offered from then on. `guard` may be shared with the
    web room; without one the responder makes its own.
    """

    log = Logger(namespace="pxed.dhcp")
    name = "dhcp"

    def __init__(
        self,
        *,
        reactor: Any,
        inventory: Inventory,
        timeline: Timeline,
        programs: Callable[[], Programs],
        settings: Settings,
        now: Callable[[], float],
        guard: Guard | None = None,
        interfaces: Interfaces | None = None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reactor = reactor
        self._inventory = inventory
        self._programs = programs
        self._settings = settings
        self._policy_for: Programs | None = None
        self._policy_now: Policy
        self._unknown_boot = settings.dhcp.unknown == "discover"
        self._delay = settings.dhcp.delay
        self._now = now
        self._wanted = inet_aton(str(settings.address)) if settings.address else None
        self.guard = guard or Guard(inventory=inventory, timeline=timeline, seconds=seconds)
        self.treatments = Treatments(inventory=inventory, timeline=timeline, guard=self.guard, quirks=settings.dhcp.quirks, seconds=seconds)
        self._memory = Memory()
        self.neighbours = Neighbours(now)
        self.report = Report(timeline, seconds)
        self.interfaces = interfaces or Interfaces(settings.interfaces)
        self.wire = Wire(
            reactor,
            settings,
            self.interfaces,
            on_packet=self.received,
            on_reply=self.overheard,
            changed=lambda: self.report.forget("interface "),
            tick=self.report.catch_up,
        )

    def privilegedStartService(self) -> None:
        """Bind 67 and 4011 while we may. HostProblem as `Wire.open`."""
        super().privilegedStartService()
        self.wire.open()

    def startService(self) -> None:
        super().startService()
        self.wire.open()
        self.wire.start()

    def stopService(self) -> None:
        super().stopService()
        self.wire.close()

    def received(self, port: int, data: bytes, index: int, local: bytes, source: str, source_port: int) -> None:
        """One datagram at door `port` (67 or 4011), from interface `index`. Never raises for anything that a datagram holds."""
        link = self.interfaces.get(index)
        if link is None:
            self._count("interface")
            return
        if port == SERVER_PORT:
            answered = self._memory.recall(data, link, local, source)
            if answered is not None and self._still_holds(answered):
                self._answer_again(answered, data, index)
                return
        packet = self._parsed(data, link)
        if packet is None:
            return
        server = link.server_address(local, packet.giaddr if port == SERVER_PORT else packet.ciaddr, self._wanted)
        if server is None:
            self._count("no-address")
            self.report.once(f"interface {link.name}", f"{link.name} has no IPv4 address: packets there are not answered")
            return
        mac = hardware_of(packet)
        if mac is None:
            self._count("hardware")
            return
        asked = self._understood(packet, Arrival(port, link, server, source, source_port, self.interfaces.own), mac)
        answered = self._answer(asked, packet, index)
        if answered is not None and port == SERVER_PORT:
            self._memory.keep(data, link, local, source, answered)

    def _parsed(self, data: bytes, link: Interface) -> Packet | None:
        try:
            return parse(data)
        except MalformedPacket as bad:
            self._count("malformed-" + bad.reason)
            self.report.malformed(data[28:34].hex(":"), link.name, bad)
            return None

    def _understood(self, packet: Packet, arrival: Arrival, mac: str) -> Asked:
        """Who asks, and what it says about itself."""
        if packet.op != BOOTREQUEST:
            return Asked(arrival, mac, _A_REPLY, {})
        if packet.message == REQUEST:
            self._note_address(packet, mac)
        client = classify(packet)
        guid = packet.options.get(opt.CLIENT_GUID)
        said = {
            "arch": client.arch if isinstance(client, Client) else None,
            "vendor_class": _printable(packet.options.get(opt.VENDOR_CLASS, b"")),
            "uuid": _client_uuid(guid) if guid is not None else None,
            "interface": arrival.link.name,
        }
        return Asked(arrival, mac, client, said)

    def overheard(self, data: bytes, link: Interface, source: str) -> None:
        """One OFFER or ACK of another server, from the sniffer."""
        if inet_aton(source) in self.interfaces.own:
            return
        try:
            packet = parse(data)
        except MalformedPacket:
            return
        mac = hardware_of(packet)
        node = self._inventory.by_mac(mac) if mac is not None else None
        if node is not None and packet.message == ACK and packet.yiaddr != _NO_ADDRESS:
            self._inventory.note_address(str(mac), inet_ntoa(packet.yiaddr))
        heard = self.neighbours.heard(packet, source, link.name, self.interfaces.own)
        if heard.warning is not None:
            self.report.neighbour(heard.warning, source, link.name)
        if node is not None and node.boot.kind == "installer" and heard.to_node is not None:
            self.report.rival(packet.xid, node, heard.to_node, source)

    def _answer(self, asked: Asked, packet: Packet, index: int) -> Answered | None:
        """Answer or keep silent; what an offer to a network boot client hung on."""
        node = self._meet(asked)
        boot, client, arrival, treatment = _assigned(node), asked.client, asked.arrival, USUAL
        policy = self._policy()
        outcome: Reply | Silence | None = None
        shapes: tuple[str, ...] = ()
        if node is not None and isinstance(client, Client) and (self._unknown_boot if boot is None else boot.kind == "installer"):
            outcome = self.treatments.refusal(node, client)
            if outcome is None and arrival.port == PXE_PORT:
                treatment = self.treatments.acknowledging(node, client, asked.mac)
            elif outcome is None and packet.message == DISCOVER:
                shapes, program = self.treatments.shapes(node, client, asked.mac)
                treatment = Treatment(self._shape(asked, node, client, packet.xid, shapes), program)
        if outcome is None:
            outcome = decide(packet, arrival, boot, policy, client=client, treatment=treatment)
        self._act(asked, outcome, node, packet.xid, index)
        if node is None or not shapes or isinstance(client, Silence) or isinstance(outcome, Silence):
            return None
        return Answered(asked, client, node, _as_it_is(node), policy, shapes, treatment, outcome)

    def _still_holds(self, answered: Answered) -> bool:
        """Whether everything that this offer hung on is as it was, but for the shape, which is chosen anew each time."""
        node = answered.node
        return answered.then == _as_it_is(node) and answered.policy is self._policy() and self.guard.refusal(node.id) is None

    def _answer_again(self, answered: Answered, data: bytes, index: int) -> None:
        """As `_answer`, for a DISCOVER that differs in xid and secs alone from the one that was answered."""
        asked, client, node, treatment = answered.asked, answered.client, answered.node, answered.treatment
        if self._now() - node.last_seen >= _SEEN_ALREADY:
            self._inventory.seen_again(node)
        xid = int.from_bytes(data[4:8], "big")
        shape = self._shape(asked, node, client, xid, answered.shapes)
        if shape == treatment.shape:
            self._give(asked, answered.reply, answered.again(data), node, xid, index)
        else:
            treatment = treatment._replace(shape=shape)
            outcome = decide(parse(data), asked.arrival, _assigned(node), answered.policy, client=client, treatment=treatment)
            self._act(asked, outcome, node, xid, index)

    def _act(self, asked: Asked, outcome: Reply | Silence, node: Node | None, xid: int, index: int) -> None:
        """Send and tell."""
        if isinstance(outcome, Silence):
            self.report.silent(xid, asked.mac, node, outcome)
            return
        if outcome.message == ACK:
            self.treatments.followed(asked.mac)
        self._give(asked, outcome, outcome.data, node, xid, index)

    def _give(self, asked: Asked, reply: Reply, data: bytes, node: Node | None, xid: int, index: int) -> None:
        """Send `data`, which is `reply` to this xid, and tell."""
        if self._delay and reply.message == OFFER:
            self._reactor.callLater(self._delay, self._send, data, reply.destination, asked.arrival, index)
        else:
            self._send(data, reply.destination, asked.arrival, index)
        self.report.answered(xid, asked.mac, asked.arrival.link.name, node, reply)

    def _policy(self) -> Policy:
        programs = self._programs()
        if programs is not self._policy_for:
            self._policy_for = programs
            self._policy_now = Policy(Picked(programs), self._settings.ports.http, self._settings.dhcp.unknown)
        return self._policy_now

    def _shape(self, asked: Asked, node: Node, client: Client, xid: int, shapes: tuple[str, ...]) -> str:
        """The shape to offer now; says so when that is a sign of trouble."""
        advice = self.treatments.offering(node, client, asked.mac, xid, shapes)
        if advice.changed:
            self.report.other_shape(node, advice.shape)
        if advice.gave_up:
            interface = asked.arrival.link.name
            heard = self.wire.sniffer is None or self.neighbours.leases_on(interface, since=self._now() - _LEASE_HEARD_WITHIN)
            self.report.ignored(node, shapes, not heard, self.site_server_lines(node))
        return advice.shape

    def _send(self, data: bytes, destination: tuple[str, int], arrival: Arrival, index: int) -> None:
        """Out of the interface it came in by; to a relay or a routed client as the routing table says."""
        door = self.wire.doors.get(arrival.port)
        if door is not None:
            address = destination[0]
            local = address == _BROADCAST or (arrival.port == PXE_PORT and arrival.link.reaches(inet_aton(address)))
            door.send(data, destination, index if local else 0, arrival.server)

    def _meet(self, asked: Asked) -> Node | None:
        """The node behind a network boot packet; None for the ordinary DHCP clients of the site."""
        client = asked.client
        if isinstance(client, Silence) and client.reason != "architecture":
            return None
        return self._inventory.seen(asked.mac, **asked.said)

    def _note_address(self, packet: Packet, mac: str) -> None:
        """A REQUEST says which address the node is about to have: so TFTP and syslog can tell by IP who it is."""
        address = packet.options.get(opt.REQUESTED_ADDRESS, packet.ciaddr)
        if len(address) == 4 and address != _NO_ADDRESS and self._inventory.by_mac(mac) is not None:
            self._inventory.note_address(mac, inet_ntoa(address))

    def _count(self, reason: str) -> None:
        self.report.counters[reason] += 1

    # what other rooms ask, through tap

    @property
    def counters(self) -> Counter[str]:
        """Packets since the start, by what became of them: ``offer``, ``ack``, or why there was no answer or no packet."""
        total = Counter(self.report.counters)
        for door in self.wire.doors.values():
            total.update(door.dropped)
        return total

    def status(self) -> dict[str, Any]:
        """For health reports, JSON values: counters, whether 67 is shared (raw), the other servers heard, the nodes that follow no offer,
        the nodes that are refused."""
        dhcp = self.wire.doors.get(SERVER_PORT)
        return {
            "counters": dict(self.counters),
            "raw": dhcp is not None and dhcp.raw,
            "hears_others": self.wire.sniffer is not None,
            "neighbours": [asdict(each) for each in self.neighbours.all()],
            "ignoring": [_ignores(node, shapes) for node, shapes in self.treatments.ignoring()],
            "refused": {
                node: {"label": self._label(node), "reason": each.reason, "text": each.text, "left": each.left}
                for node, each in self.guard.refused().items()
            },
        }

    def _label(self, node_id: str) -> str:
        node = self._inventory.get(node_id)
        return node.label if node is not None else node_id

    def blksize_max(self, node: Node) -> int | None:
        """The block size cap (bytes) that a quirk sets for this node's firmware, None for none."""
        return self.treatments.special(node, node.mac, node.arch).blksize_max

    def base_url(self, client: str) -> str | None:
        """``http://IP[:port]`` as a client with this address reaches us. None for IPv6, and while no served interface has an address."""
        if ":" in client:
            return None
        address = inet_aton(client)
        links = [each for each in self.interfaces.all() if each.subnets]
        link = next((each for each in links if each.reaches(address)), links[0] if links else None)
        return self._url(link.server_address(b"", address, self._wanted) if link else None)

    def base_of(self, node: Node) -> str | None:
        """``http://IP[:port]`` as this node reaches us, or will when it is there. None while no served interface has an address."""
        return self._url(self._side_of(node)[1])

    def _url(self, server: bytes | None) -> str | None:
        port = self._settings.ports.http
        return None if server is None else f"http://{inet_ntoa(server)}" + ("" if port == 80 else f":{port}")

    def _side_of(self, node: Node) -> tuple[Interface | None, bytes | None]:
        """The interface that this node is behind (the first if that isn't known), and our address there."""
        links = [each for each in self.interfaces.all() if each.subnets]
        link = next((each for each in links if each.name == node.interface), links[0] if links else None)
        return link, link.server_address(b"", inet_aton(node.address or "0.0.0.0"), self._wanted) if link else None

    def site_server_lines(self, node: Node) -> list[Piece]:
        """The lines that make the site's own DHCP server send this node here; a node whose architecture is not known is taken for BIOS.

        [] while no served interface has an address, when there is no boot program for the node, and when its network card is not
        Ethernet's: no boot profile goes by its address.
        """
        if len(node.mac) != len("00:00:00:00:00:00"):
            return []
        link, server = self._side_of(node)
        if link is None or server is None:
            return []
        subnet = next(each for each in link.subnets if each.address == server)
        text, port = inet_ntoa(server), self._settings.ports.http
        base = f"http://{text}" if port == 80 else f"http://{text}:{port}"
        program = self._programs().pick(node.arch or 0, prefer=self.treatments.special(node, node.mac, node.arch).boot_program)
        if program is None:
            return []
        http = node.firmware == "uefi-http"
        return for_node(
            node.mac,
            server=text,
            program=f"{base}/b/{quote(program.path)}" if http else program.path,
            profile=f"{base}/p/{node.mac.replace(':', '')}",
            subnet=str(subnet),
            http_boot=http,
        )


def hardware_of(packet: Packet) -> str | None:
    """``aa:bb:..`` of the client: `chaddr`, or option 61 when firmware put a GUID of 16 bytes into `chaddr` (EDK2's SendGUID).

    None when it is all zeros: that names nobody.
    """
    hardware = packet.chaddr[: packet.hlen]
    if packet.hlen != 6:
        identifier = packet.options.get(opt.CLIENT_IDENTIFIER, b"")
        if len(identifier) == 7 and identifier[0] == 1:
            hardware = identifier[1:]
    return hardware.hex(":") if hardware.strip(b"\0") else None


def _ignores(node: Node, shapes: tuple[str, ...]) -> dict[str, Any]:
    return {"node": node.id, "label": node.label, "mac": node.mac, "shapes": list(shapes)}


def _as_it_is(node: Node) -> tuple[Any, ...]:
    """All of a node that an offer to it hangs on, and what it said of itself."""
    return (
        node.gone, node.boot, node.known, node.boot_program, node.facts, node.arch, node.vendor_class, node.uuid, node.interface,
    )  # fmt: skip


def _assigned(node: Node | None) -> Boot | None:
    """The boot that is assigned; None for a node that nobody has armed, named or adopted."""
    if node is None or (node.boot.kind == "silent" and not node.known):
        return None
    return node.boot
