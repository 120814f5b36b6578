"""The wire as the responder sees it: two doors, an ear, and interfaces that come and go.

Opens ports 67 and 4011 and, where allowed, the sniffer; keeps the reading of the interfaces fresh (netlink tells, a timer makes sure) and
hands on every datagram with the interface it came in by.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.logger import Logger

from pxed.config import Settings
from pxed.dhcp.interfaces import ChangeWatch, Interface, Interfaces
from pxed.dhcp.offer import PXE_PORT, SERVER_PORT
from pxed.dhcp.sockets import Door, RawDoor, open_dhcp, open_pxe, open_sniffer, replies_to_clients
from pxed.errors import HostProblem

_TICK = 1.0
_REFRESH_EVERY = 30
"""Ticks between two readings of the interfaces without a reason."""
_BETWEEN = 2
"""Packets of each door that are answered before somebody else's long turn."""

OnPacket = Callable[[int, bytes, int, bytes, str, int], None]
"""(door 67 or 4011, data, interface index, destination address, source address, source port)"""

OnReply = Callable[[bytes, Interface, str], None]
"""(data, interface, source address) of another server's answer to some client"""


class Wire:
    """`tick` is called once a second, `changed` when the interfaces are others than before."""

    log = Logger(namespace="pxed.dhcp")

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        interfaces: Interfaces,
        *,
        on_packet: OnPacket,
        on_reply: OnReply,
        changed: Callable[[], None],
        tick: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._interfaces = interfaces
        self._on_packet = on_packet
        self._on_reply = on_reply
        self._changed = changed
        self._tick = tick
        self.doors: dict[int, Door] = {}
        self.sniffer: RawDoor | None = None
        self._watch: ChangeWatch | None = None
        self._timer: Any = None
        self._ticks = 0

    def open(self) -> None:
        """Bind, not read yet. HostProblem when a port can't be had or a configured interface does not exist. May be called twice."""
        if self.doors:
            return
        try:
            self._interfaces.refresh()
        except OSError as error:
            raise HostProblem(f"the network interfaces can't be listed: {error}") from error
        if missing := self._interfaces.missing():
            raise HostProblem(f"there is no network interface {', '.join(missing)}", "`ip -br address` shows what there is")
        ports = self._settings.ports
        try:
            self.doors[SERVER_PORT] = open_dhcp(
                self._reactor, partial(self._on_packet, SERVER_PORT), port=ports.dhcp, mode=self._settings.dhcp.socket
            )
            self.doors[PXE_PORT] = open_pxe(self._reactor, partial(self._on_packet, PXE_PORT), port=ports.pxe)
        except HostProblem:
            self.close()
            raise
        try:
            self.sniffer = open_sniffer(self._reactor, self._hear, self._interfaces.own)
        except OSError as error:
            self.log.info("Other servers on the wire can't be heard (that needs CAP_NET_RAW): {error}", error=error.strerror)
        if self.doors[SERVER_PORT].raw:
            self.log.info("Port {port} belongs to another server on this host: listening beside it", port=ports.dhcp)

    def start(self) -> None:
        """Read from now on."""
        for door in self.doors.values():
            door.start()
        if self.sniffer is not None:
            self.sniffer.start()
        try:
            self._watch = ChangeWatch(self._reactor, self.refresh)
        except OSError as error:
            self.log.info("Changes of interfaces are noticed within {seconds:.0f} s: {error}", seconds=_REFRESH_EVERY * _TICK, error=error)
        self._timer = self._reactor.callLater(_TICK, self._on_timer)

    def answer_waiting(self) -> None:
        """Answer the first who wait at the doors, for who is about to keep the reactor for a while; the others have a turn of their own."""
        for door in self.doors.values():
            door.doRead(_BETWEEN)

    def close(self) -> None:
        """May be called twice; `open` may follow."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for part in (self._watch, self.sniffer, *self.doors.values()):
            if part is not None:
                part.close()
        self.doors.clear()
        self._watch = self.sniffer = self._timer = None

    def refresh(self) -> None:
        """Read the interfaces anew; tells the log and `changed` when they are others than before."""
        try:
            if not self._interfaces.refresh():
                return
        except OSError as error:
            self.log.warn("The network interfaces can't be listed: {error}", error=error)
            return
        served = ", ".join(f"{each.name} {' '.join(map(str, each.subnets)) or '(no address)'}" for each in self._interfaces.all())
        self.log.info("Interfaces changed; serving {served}", served=served or "none")
        if self.sniffer is not None:
            self.sniffer.refilter(replies_to_clients(self._interfaces.own))
        self._changed()

    def _on_timer(self) -> None:
        self._timer = self._reactor.callLater(_TICK, self._on_timer)
        self._ticks += 1
        if self._ticks % _REFRESH_EVERY == 0:
            self.refresh()
        self._tick()

    def _hear(self, data: bytes, index: int, local: bytes, source: str, source_port: int) -> None:  # noqa: ARG002 - as every door
        link = self._interfaces.get(index)
        if link is not None:
            self._on_reply(data, link, source)
