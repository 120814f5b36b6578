"""This host's interfaces: index > name, addresses, subnets. Read by netlink (RFC 3549) when something changed, never per packet.

`Interfaces` holds the last reading; `refresh` takes a new one. `ChangeWatch` is the netlink socket that says when; a slow timer in the
responder covers kernels and containers where it can't be had.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

_RTM_NEWLINK, _RTM_GETLINK, _RTM_NEWADDR, _RTM_GETADDR = 16, 18, 20, 22
_NLM_F_REQUEST_DUMP = 0x301
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_IFA_ADDRESS, _IFA_LOCAL, _IFLA_IFNAME = 1, 2, 3
_IFA_F_SECONDARY = 0x01
_IFF_LOOPBACK = 0x8
_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR = 0x1, 0x10
_NLMSG = struct.Struct("=IHHII")
_IFADDRMSG = struct.Struct("=BBBBi")
_IFINFOMSG = struct.Struct("=BxHiII")

log = Logger()


@dataclass(frozen=True, slots=True)
class Subnet:
    """One IPv4 address of an interface (4 bytes) with its prefix length."""

    address: bytes
    prefix: int

    @property
    def mask(self) -> int:
        return 0xFFFFFFFF << (32 - self.prefix) & 0xFFFFFFFF

    def __str__(self) -> str:
        return f"{socket.inet_ntoa(self.address)}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface. `subnets` in the kernel's order, primary addresses first."""

    index: int
    name: str
    loopback: bool
    subnets: tuple[Subnet, ...]
    _ranges: tuple[tuple[int, int], ...] = field(init=False, repr=False)
    broadcasts: frozenset[bytes] = field(init=False, repr=False)
    addresses: tuple[bytes, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ranges = []
        for subnet in self.subnets:
            low = int.from_bytes(subnet.address, "big") & subnet.mask
            ranges.append((low, low | ~subnet.mask & 0xFFFFFFFF))
        object.__setattr__(self, "_ranges", tuple(ranges))
        ends = (high.to_bytes(4, "big") for (_, high), subnet in zip(ranges, self.subnets, strict=True) if subnet.prefix < 31)
        object.__setattr__(self, "broadcasts", frozenset(ends))
        object.__setattr__(self, "addresses", tuple(subnet.address for subnet in self.subnets))

    def reaches(self, address: bytes) -> bool:
        """Whether `address` (4 bytes) is a host's in one of the subnets: inside it, not its broadcast address."""
        number = int.from_bytes(address, "big")
        return address not in self.broadcasts and any(low <= number <= high for low, high in self._ranges)

    def server_address(self, arrived_at: bytes, client: bytes, wanted: bytes | None) -> bytes | None:
        """The 4-byte address we answer as: the one the packet was sent to, else the one in the subnet of the client or relay, else
        the configured one if it is here, else the first. None on an interface without an address."""
        addresses = self.addresses
        if arrived_at in addresses:
            return arrived_at
        if len(addresses) > 1:
            number = int.from_bytes(client, "big")
            for subnet, (low, high) in zip(self.subnets, self._ranges, strict=True):
                if low <= number <= high:
                    return subnet.address
            if wanted in addresses:
                return wanted
        return addresses[0] if addresses else None


class Interfaces:
    """The interfaces that pxed serves, by index. `allowed`: names; empty means all but loopback."""

    def __init__(self, allowed: Iterable[str] = (), *, read: Callable[[], list[Interface]] | None = None) -> None:
        self.allowed = frozenset(allowed)
        self._read = read or read_interfaces
        self._by_index: dict[int, Interface] = {}
        self.own: frozenset[bytes] = frozenset()
        """Every IPv4 address of this host, served or not."""

    def refresh(self) -> bool:
        """Read them anew (one netlink dump, under a millisecond). Returns whether anything changed. OSError when netlink can't be had."""
        found = self._read()
        served = {each.index: each for each in found if self._serves(each)}
        own = frozenset(address for each in found for address in each.addresses)
        changed = served != self._by_index or own != self.own
        self._by_index, self.own = served, own
        return changed

    def _serves(self, interface: Interface) -> bool:
        return interface.name in self.allowed if self.allowed else not interface.loopback

    def get(self, index: int) -> Interface | None:
        """The interface with that index, None when there is none or it is not served."""
        return self._by_index.get(index)

    def all(self) -> list[Interface]:
        return list(self._by_index.values())

    def missing(self) -> list[str]:
        """Configured names that no interface has at present."""
        return sorted(self.allowed - {each.name for each in self._by_index.values()})


def read_interfaces() -> list[Interface]:
    """All interfaces of this network namespace with their IPv4 addresses. OSError when the kernel refuses."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.bind((0, 0))
        links: dict[int, tuple[str, bool]] = {}
        for body in _dump(netlink, _RTM_GETLINK, _RTM_NEWLINK):
            _, _, index, flags, _ = _IFINFOMSG.unpack_from(body)
            name = _attributes(body, _IFINFOMSG.size).get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
            links[index] = (name, bool(flags & _IFF_LOOPBACK))
        addresses: dict[int, list[tuple[bool, Subnet]]] = {index: [] for index in links}
        for body in _dump(netlink, _RTM_GETADDR, _RTM_NEWADDR):
            _, prefix, flags, _, index = _IFADDRMSG.unpack_from(body)
            found = _attributes(body, _IFADDRMSG.size)
            local = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS))
            if local is not None and len(local) == 4 and index in addresses:
                addresses[index].append((bool(flags & _IFA_F_SECONDARY), Subnet(local, prefix)))
    return [
        Interface(index, name, loopback, tuple(subnet for _, subnet in sorted(addresses[index], key=lambda pair: pair[0])))
        for index, (name, loopback) in links.items()
    ]


def _dump(netlink: socket.socket, ask: int, wanted: int) -> Iterator[bytes]:
    """Send one dump request, yield the body of every message of type `wanted`."""
    body = struct.pack("=B15x", socket.AF_INET if ask == _RTM_GETADDR else socket.AF_UNSPEC)
    netlink.send(_NLMSG.pack(_NLMSG.size + len(body), ask, _NLM_F_REQUEST_DUMP, 1, 0) + body)
    while True:
        data = netlink.recv(1 << 16)
        at = 0
        while at + _NLMSG.size <= len(data):
            length, kind, _, _, _ = _NLMSG.unpack_from(data, at)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                raise OSError("netlink refused to list the interfaces")
            if kind == wanted:
                yield data[at + _NLMSG.size : at + length]
            at += max(_NLMSG.size, (length + 3) & ~3)


def _attributes(body: bytes, at: int) -> dict[int, bytes]:
    """Netlink attributes {u16 length, u16 type, value} behind the fixed part of a message."""
    found: dict[int, bytes] = {}
    while at + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, at)
        if length < 4:
            break
        found[kind] = body[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


@implementer(IReadDescriptor)
class ChangeWatch:
    """Calls `changed()` when a link or an IPv4 address comes, goes or changes. OSError from the constructor when netlink can't be had."""

    def __init__(self, reactor: Any, changed: Callable[[], None]) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        try:
            self._socket.bind((0, _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR))
        except OSError:
            self._socket.close()
            raise
        self._reactor = reactor
        self._changed = changed
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "interfaces"

    def doRead(self) -> None:
        """Read away everything that waits; what exactly changed is found out by the next `refresh`."""
        for _ in range(64):
            try:
                self._socket.recv(1 << 16)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: the kernel dropped notices, so something changed
                break
        try:
            self._changed()
        except Exception:
            log.failure("the interfaces could not be read")

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002 - Twisted's signature
        self.close()

    def close(self) -> None:
        """May be called twice."""
        if self._socket.fileno() >= 0:
            self._reactor.removeReader(self)
            self._socket.close()
