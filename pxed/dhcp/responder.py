"""The service that joins the wire to the inventory: every packet of ports 67 and 4011 comes through here.

What to answer says `offer.decide`; this module finds out who asks and through which interface, tells the timeline (one event and one log
line per step of one exchange; a retransmit with the same xid is answered but not told again) and counts everything it does not answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from socket import inet_aton, inet_ntoa
from typing import Any

from twisted.application import service
from twisted.logger import Logger

from pxed.config import Settings
from pxed.dhcp import options as opt
from pxed.dhcp.client import Client, Silence, classify
from pxed.dhcp.interfaces import ChangeWatch, Interfaces
from pxed.dhcp.neighbours import Neighbours
from pxed.dhcp.offer import PXE_PORT, SERVER_PORT, Arrival, Policy, Programs, Reply, decide
from pxed.dhcp.packet import ACK, BOOTREQUEST, OFFER, REQUEST, MalformedPacket, Packet, parse
from pxed.dhcp.sockets import Door, RawDoor, open_dhcp, open_pxe, open_sniffer, replies_to_clients
from pxed.errors import HostProblem
from pxed.node.identity import architecture_name
from pxed.node.inventory import Inventory
from pxed.node.model import Boot, Node
from pxed.node.timeline import Timeline

_REFRESH_EVERY = 30.0
_NO_ADDRESS = bytes(4)
_REMEMBERED = 16384
_SILENCE_TOLD_AGAIN = 60.0

_printable = lru_cache(maxsize=512)(opt.printable)


class Responder(service.Service):
    """Proxy-DHCP on 67 and the PXE boot server on 4011. `reactor` as IReactorTime and IReactorFDSet; `now` gives UTC seconds.

    `programs` is asked per packet, so that a boot program put there while we run is offered from then on.
    """

    log = Logger()
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
        interfaces: Interfaces | None = None,
    ) -> None:
        self._reactor = reactor
        self._inventory = inventory
        self._timeline = timeline
        self._programs = programs
        self._settings = settings
        self._now = now
        self._wanted = inet_aton(str(settings.address)) if settings.address else None
        self.interfaces = interfaces or Interfaces(settings.interfaces)
        self.neighbours = Neighbours(now)
        self.counters: Counter[str] = Counter()
        """Packets by what became of them: ``offer``, ``ack``, or the reason of silence."""
        self._doors: dict[int, Door] = {}
        self._sniffer: RawDoor | None = None
        self._watch: ChangeWatch | None = None
        self._timer: Any = None
        self._told: dict[tuple[str, int], tuple[int, str, float]] = {}
        self._warned: set[str] = set()

    # the service

    def privilegedStartService(self) -> None:
        """Bind 67 and 4011 while we may. HostProblem when that can't be had, or a configured interface does not exist."""
        super().privilegedStartService()
        if not self._doors:
            self._open()

    def startService(self) -> None:
        super().startService()
        if not self._doors:
            self._open()
        for door in (*self._doors.values(), *([self._sniffer] if self._sniffer else [])):
            door.start()
        try:
            self._watch = ChangeWatch(self._reactor, self._refresh)
        except OSError as error:
            self.log.info("Changes of interfaces are noticed within {seconds:.0f} s: {error}", seconds=_REFRESH_EVERY, error=error)
        self._timer = self._reactor.callLater(_REFRESH_EVERY, self._on_timer)

    def stopService(self) -> None:
        super().stopService()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for part in (self._watch, self._sniffer, *self._doors.values()):
            if part is not None:
                part.close()
        self._doors.clear()
        self._watch = self._sniffer = self._timer = None

    def _open(self) -> None:
        try:
            self.interfaces.refresh()
        except OSError as error:
            raise HostProblem(f"the network interfaces can't be listed: {error}") from error
        if missing := self.interfaces.missing():
            raise HostProblem(f"there is no network interface {', '.join(missing)}", "`ip -br address` shows what there is")
        ports = self._settings.ports
        try:
            self._doors[SERVER_PORT] = open_dhcp(self._reactor, self._on_dhcp, port=ports.dhcp, mode=self._settings.dhcp.socket)
            self._doors[PXE_PORT] = open_pxe(self._reactor, self._on_pxe, port=ports.pxe)
        except HostProblem:
            for door in self._doors.values():
                door.close()
            self._doors.clear()
            raise
        try:
            self._sniffer = open_sniffer(self._reactor, self._on_reply, self.interfaces.own)
        except OSError as error:
            self.log.info("Other servers on the wire can't be heard (needs CAP_NET_RAW): {error}", error=error.strerror)
        if self._doors[SERVER_PORT].raw:
            self.log.info("Port {port} belongs to a DHCP server on this host: listening beside it", port=ports.dhcp)

    def _on_timer(self) -> None:
        self._timer = self._reactor.callLater(_REFRESH_EVERY, self._on_timer)
        self._refresh()

    def _refresh(self) -> None:
        try:
            changed = self.interfaces.refresh()
        except OSError as error:
            self.log.warn("The network interfaces can't be listed: {error}", error=error)
            return
        if not changed:
            return
        served = ", ".join(f"{each.name} {' '.join(map(str, each.subnets)) or '(no address)'}" for each in self.interfaces.all())
        self.log.info("Interfaces changed; serving {served}", served=served or "none")
        self._warned = {key for key in self._warned if not key.startswith("interface ")}
        if self._sniffer is not None:
            self._sniffer.refilter(replies_to_clients(self.interfaces.own))

    # packets

    def _on_dhcp(self, data: bytes, index: int, local: bytes, source: str, source_port: int) -> None:
        self._on_packet(SERVER_PORT, data, index, local, source, source_port)

    def _on_pxe(self, data: bytes, index: int, local: bytes, source: str, source_port: int) -> None:
        self._on_packet(PXE_PORT, data, index, local, source, source_port)

    def _on_packet(self, port: int, data: bytes, index: int, local: bytes, source: str, source_port: int) -> None:
        link = self.interfaces.get(index)
        if link is None:
            self.counters["interface"] += 1
            return
        try:
            packet = parse(data)
        except MalformedPacket as bad:
            self.counters["malformed-" + bad.reason] += 1
            self.log.debug("Malformed packet from {mac} on {interface}: {why}", mac=data[28:34].hex(":"), interface=link.name, why=bad)
            return
        server = link.server_address(local, packet.giaddr if port == SERVER_PORT else packet.ciaddr, self._wanted)
        if server is None:
            self.counters["no-address"] += 1
            self._warn_once(f"interface {link.name}", f"{link.name} has no IPv4 address: packets there are not answered")
            return
        mac = hardware_of(packet)
        if mac is None:
            self.counters["hardware"] += 1
            return
        arrival = Arrival(port, link, server, source, source_port, self.interfaces.own)
        self._answer(packet, arrival, mac, index)

    def _answer(self, packet: Packet, arrival: Arrival, mac: str, index: int) -> None:
        if packet.message == REQUEST and packet.op == BOOTREQUEST:
            self._note_address(packet, mac)
        client = classify(packet)
        node = self._meet(packet, client, mac, arrival.link.name) if packet.op == BOOTREQUEST else None
        boot = _assigned(node)
        verdict = decide(packet, arrival, boot, self._policy(), client=client)
        if isinstance(verdict, Silence):
            self.counters[verdict.reason] += 1
            if node is not None:
                self._tell_silence(packet, mac, arrival.port, node, verdict)
            return
        self._send(verdict, arrival, index)
        self.counters["ack" if verdict.message == ACK else "offer"] += 1
        if node is not None:
            self._tell_reply(packet, mac, arrival, node, verdict)

    def _send(self, reply: Reply, arrival: Arrival, index: int) -> None:
        """Out of the interface it came in by; a relay or a routed client by the routing table."""
        address = reply.destination[0]
        local = address == "255.255.255.255" or (arrival.port == PXE_PORT and arrival.link.reaches(inet_aton(address)))
        self._doors[arrival.port].send(reply.data, reply.destination, index if local else 0, arrival.server)

    def _meet(self, packet: Packet, client: Client | Silence, mac: str, interface: str) -> Node | None:
        """The node behind a network boot packet; None for the ordinary DHCP clients of the site."""
        if isinstance(client, Silence) and client.reason != "architecture":
            return None
        given = packet.options
        guid = given.get(opt.CLIENT_GUID)
        return self._inventory.seen(
            mac,
            arch=client.arch if isinstance(client, Client) else None,
            vendor_class=_printable(given.get(opt.VENDOR_CLASS, b"")),
            uuid=opt.client_uuid(guid) if guid is not None else None,
            interface=interface,
        )

    def _note_address(self, packet: Packet, mac: str) -> None:
        """A REQUEST says which address the node is about to have: so TFTP and syslog can tell by IP who it is."""
        address = packet.options.get(opt.REQUESTED_ADDRESS, packet.ciaddr)
        if len(address) == 4 and address != _NO_ADDRESS and self._inventory.by_mac(mac) is not None:
            self._inventory.note_address(mac, inet_ntoa(address))

    def _on_reply(self, data: bytes, index: int, local: bytes, source: str, source_port: int) -> None:  # noqa: ARG002 - as every door
        """An OFFER or ACK of another server, from the sniffer."""
        link = self.interfaces.get(index)
        if link is None or inet_aton(source) in self.interfaces.own:
            return
        try:
            packet = parse(data)
        except MalformedPacket:
            return
        mac = hardware_of(packet)
        if packet.message == ACK and mac is not None and packet.yiaddr != _NO_ADDRESS and self._inventory.by_mac(mac) is not None:
            self._inventory.note_address(mac, inet_ntoa(packet.yiaddr))
        warning = self.neighbours.heard(packet, source, link.name)
        if warning is not None:
            self.log.warn("{warning}", warning=warning)
            self._timeline.record("dhcp.problem", warning, data={"server": source, "interface": link.name})

    def _policy(self) -> Policy:
        return Policy(self._programs(), self._settings.ports.http, self._settings.dhcp.unknown)

    # what people read

    def _is_news(self, mac: str, port: int, xid: int, what: str, again_after: float) -> bool:
        """Whether this outcome is not a repetition: another xid or outcome than the last told for that MAC and port, or long ago.

        With `again_after` > 0 the same outcome is news only after that many seconds, whatever the xid.
        """
        key = (mac, port)
        last = self._told.get(key)
        at = self._reactor.seconds()
        if last is not None and last[1] == what and (last[0] == xid or at - last[2] < again_after):
            return False
        if last is None and len(self._told) >= _REMEMBERED:
            del self._told[next(iter(self._told))]
        self._told[key] = (xid, what, at)
        return True

    def _tell_reply(self, packet: Packet, mac: str, arrival: Arrival, node: Node, reply: Reply) -> None:
        if not self._is_news(mac, arrival.port, packet.xid, reply.file or reply.shape, 0.0):
            return
        client = reply.client
        who = f"iPXE {client.ipxe}".rstrip() if client.ipxe is not None else architecture_name(client.arch)
        what = reply.file or "a boot server, this one, on port 4011"
        if reply.message == OFFER:
            text = f"{node.label} ({who}) asked on {arrival.link.name} and was offered {what}"
        else:
            text = f"{node.label} ({who}) came to port 4011 and was told {what}"
        for note in client.notes:
            text += f"; {note}"
        data = {"xid": f"{packet.xid:08x}", "file": reply.file, "shape": reply.shape, "class": client.kind, "interface": arrival.link.name}
        kind = "dhcp.offer" if reply.message == OFFER else "dhcp.ack"
        self._timeline.record(kind, text, node=node.id, install=node.boot.install, data=data)
        self.log.info("{text}", text=text, node=node.id, xid=packet.xid)

    def _tell_silence(self, packet: Packet, mac: str, port: int, node: Node, silence: Silence) -> None:
        if not self._is_news(mac, port, packet.xid, silence.reason, _SILENCE_TOLD_AGAIN):
            return
        text = f"{node.label} asked to boot from the network and got no answer: {silence.text}"
        kind = "dhcp.problem" if silence.reason in ("no-program", "hardware") else "dhcp.silent"
        self._timeline.record(kind, text, node=node.id, install=node.boot.install, data={"reason": silence.reason})
        self.log.info("{text}", text=text, node=node.id, xid=packet.xid)

    def _warn_once(self, key: str, text: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            self.log.warn("{text}", text=text)


def hardware_of(packet: Packet) -> str | None:
    """``aa:bb:..`` of the client: `chaddr`, or option 61 when firmware put a GUID of 16 bytes into `chaddr` (EDK2's SendGUID).

    None when it is all zeros: that names nobody.
    """
    hardware = packet.hardware
    if packet.hlen != 6:
        identifier = packet.options.get(opt.CLIENT_IDENTIFIER, b"")
        if len(identifier) == 7 and identifier[0] == 1:
            hardware = identifier[1:]
    return hardware.hex(":") if any(hardware) else None


def _assigned(node: Node | None) -> Boot | None:
    """The boot that is assigned; None for a node that nobody has armed, named or adopted."""
    if node is None or (node.boot.kind == "silent" and not node.known):
        return None
    return node.boot
