"""UDP with the arrival interface: sockets of our own in the reactor, because a DHCP answer must leave where its question came in.

`open_dhcp` climbs the bind ladder for port 67, `open_pxe` binds 4011, `open_sniffer` hears what other servers send to clients. Each gives
a `Door`, an `IReadDescriptor` that calls ``receive(data, ifindex, local, source, source_port)`` for every datagram (`local`: 4-byte
destination address) and sends with the source address and interface of one's choice (IP_PKTINFO, ip(7)).

Never bind with REUSEADDR on 0.0.0.0: the last binder would take the renewals of a DHCP server on this host. In
raw mode (SOCK_RAW and a socket filter) the kernel gives us copies, and the DHCP server keeps every packet.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Literal

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pxed.errors import HostProblem

Receive = Callable[[bytes, int, bytes, str, int], None]

_IP_PKTINFO = 8
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33
_TRUNCATED = int(socket.MSG_TRUNC)  # an int: the enumeration's own & costs as much as reading an option
_PKTINFO = struct.Struct("=I4s4s")
_UDP = struct.Struct("!HHHH")
_ANCILLARY = socket.CMSG_SPACE(_PKTINFO.size)
_RECEIVE_BUFFER = 4 << 20
_LONGEST_DATAGRAM = 2048
_PER_WAKEUP = 32
_BUDGET = 0.001
"""Datagrams and seconds per turn of the reactor: a flood on port 67 must leave TFTP and HTTP their share."""

log = Logger()


@implementer(IReadDescriptor)
class Door:
    """One bound UDP socket in the reactor. `dropped` counts by reason what was lost here, both ways."""

    raw = False

    seconds: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, reactor: Any, sock: socket.socket, receive: Receive, name: str) -> None:
        self._reactor = reactor
        self._socket = sock
        self._receive = receive
        self._name = name
        self.dropped: Counter[str] = Counter()
        self._waiting: list[tuple[bytes, list[tuple[int, int, bytes]], tuple[str, int]]] | None = None
        sock.setblocking(False)

    def start(self) -> None:
        self._reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return self._name

    @property
    def port(self) -> int:
        """The UDP port it is bound to (of a raw one: that it filters for)."""
        return int(self._socket.getsockname()[1])

    def doRead(self, most: int = _PER_WAKEUP) -> None:
        """Hand on up to `most` waiting datagrams, or as many as 1 ms allows; one that raises is logged and does not stop the others.

        The answers leave behind one another when all are handed on: to read, think and send by turns costs half as much again
        (benchmarks/offer.py), because the kernel's ways in and out are cold each time, and whoever waits is woken for each answer.
        """
        self._waiting = []
        try:
            self._hand_on_all(most)
        finally:
            waiting, self._waiting = self._waiting, None
            for answer in waiting:
                self._put(*answer)

    def _hand_on_all(self, most: int) -> None:
        recvmsg, receive, seconds = self._socket.recvmsg, self._receive, self.seconds
        stop = seconds() + _BUDGET
        for _ in range(most):
            try:
                data, ancillary, flags, source = recvmsg(_LONGEST_DATAGRAM, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error of an earlier answer, or memory; the socket lives on
                self.dropped[errno.errorcode.get(error.errno or 0, "receive")] += 1
                return
            if flags & _TRUNCATED:
                self.dropped["truncated"] += 1
                continue
            if not ancillary or len(ancillary[0][2]) != _PKTINFO.size:
                self.dropped["no-pktinfo"] += 1
                continue
            index, _, local = _PKTINFO.unpack(ancillary[0][2])
            try:
                receive(data, index, local, source[0], source[1])
            except Exception:
                log.failure("{door}: a packet from {source} was not handled", door=self._name, source=source[0])
            if seconds() > stop:
                return

    def send(self, data: bytes, destination: tuple[str, int], index: int, server: bytes) -> None:
        """Send from address `server` (4 bytes) on interface `index`, 0 for the routing table's choice.

        Fire and forget: a count in `dropped` when the kernel won't take it; clients ask again.
        """
        if self._waiting is not None:
            self._waiting.append((data, _from(index, server), destination))
        else:
            self._put(data, _from(index, server), destination)

    def _put(self, data: bytes, ancillary: list[tuple[int, int, bytes]], destination: tuple[str, int]) -> None:
        try:
            self._socket.sendmsg((data,), ancillary, 0, destination)
        except OSError as error:
            self.dropped["send-" + errno.errorcode.get(error.errno or 0, "error")] += 1

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002 - Twisted's signature
        self.close()

    def close(self) -> None:
        """May be called twice."""
        if self._socket.fileno() >= 0:
            self._reactor.removeReader(self)
            self._socket.close()


class RawDoor(Door):
    """Copies of the UDP datagrams that a filter lets through, beside whoever has bound the port. Writes its own UDP header."""

    raw = True

    def __init__(self, reactor: Any, sock: socket.socket, receive: Receive, name: str, port: int) -> None:
        super().__init__(reactor, sock, self._unwrapped, name)
        self._hand_on = receive
        self._port = port

    @property
    def port(self) -> int:
        return self._port

    def refilter(self, program: bytes) -> None:
        """Let another program choose from now on."""
        attach_filter(self._socket, program)

    def _unwrapped(self, data: bytes, index: int, local: bytes, source: str, _: int) -> None:
        """`data` with IP and UDP header > the payload."""
        start = (data[0] & 15) * 4
        source_port, _, length, _ = _UDP.unpack_from(data, start)
        self._hand_on(data[start + 8 : start + length], index, local, source, source_port)

    def send(self, data: bytes, destination: tuple[str, int], index: int, server: bytes) -> None:
        """As `Door.send`. Source port is ours (EDK2 takes offers from 67 only); checksum 0, which RFC 768 allows."""
        header = _UDP.pack(self._port, destination[1], len(data) + 8, 0)
        super().send(header + data, (destination[0], 0), index, server)


@lru_cache(maxsize=64)
def _from(index: int, server: bytes) -> list[tuple[int, int, bytes]]:
    """What sendmsg wants to hear of an interface and a source address."""
    return [(socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(index, server, b"\0\0\0\0"))]


def open_dhcp(reactor: Any, receive: Receive, *, port: int = 67, mode: Literal["auto", "bound", "raw"] = "auto") -> Door:
    """The bind ladder: plain bind, else (EADDRINUSE) raw. `mode` forces one step. HostProblem says what mends it."""
    if mode != "raw":
        try:
            return Door(reactor, _bound(port), receive, f"dhcp {port}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE or mode == "bound":
                raise _host_problem(error, port) from error
    try:
        return RawDoor(reactor, _raw(requests_to(port)), receive, f"dhcp {port} (raw)", port)
    except OSError as error:
        raise HostProblem(
            f"UDP port {port} belongs to another server on this host and a raw socket can't be had: {error.strerror}",
            "Run as root or with CAP_NET_RAW (setcap cap_net_raw+ep), or stop that server",
        ) from error


def open_pxe(reactor: Any, receive: Receive, *, port: int = 4011) -> Door:
    """The ordinary socket on 4011. HostProblem when somebody has it: there is no sharing a boot server's port."""
    try:
        return Door(reactor, _bound(port), receive, f"pxe {port}")
    except OSError as error:
        raise _host_problem(error, port) from error


def open_sniffer(reactor: Any, receive: Receive, own: Iterable[bytes]) -> RawDoor:
    """Hear the OFFERs and ACKs that other servers send to port 68, without those of `own` addresses. OSError without CAP_NET_RAW."""
    return RawDoor(reactor, _raw(replies_to_clients(own)), receive, "dhcp sniffer", 67)


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        _prepare(sock)
        sock.bind(("0.0.0.0", port))
        # Only now: bound without it we know that nobody was there before; with it a DHCP server that starts later (ISC dhcpd, dnsmasq
        # with bind-interfaces) may bind as well, and as the last binder it gets its renewals.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError:
        sock.close()
        raise
    return sock


def _raw(program: bytes) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    try:
        attach_filter(sock, program)
        _prepare(sock)
        _drain(sock)
    except OSError:
        sock.close()
        raise
    return sock


def _drain(sock: socket.socket) -> None:
    """Throw away what came between the socket and its filter."""
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.recv(1, socket.MSG_DONTWAIT)


def _prepare(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:  # without CAP_NET_ADMIN: as much as rmem_max gives
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)


def _host_problem(error: OSError, port: int) -> HostProblem:
    if error.errno == errno.EADDRINUSE:
        what = f"UDP port {port} is taken by another program on this host"
        if port == 4011:
            return HostProblem(
                what, "Another PXE service (dnsmasq with pxe-service, WDS, a second pxed) runs here: stop it; `ss -ulnp` shows it"
            )
        return HostProblem(what, 'Stop it, or let pxed listen beside it with socket = "auto" under [dhcp]; `ss -ulnp` shows it')
    if error.errno in (errno.EACCES, errno.EPERM):
        return HostProblem(f"UDP port {port} needs privileges", "Run as root or with CAP_NET_BIND_SERVICE")
    return HostProblem(f"UDP port {port} can't be opened: {os.strerror(error.errno or 0)}")


# Classic BPF (linux/filter.h). Offset 0 is the IP header; X holds its length.

_LD_B, _LD_H, _LD_W, _LDX_IHL = 0x30, 0x28, 0x20, 0xB1
_LD_B_X, _LD_H_X = 0x50, 0x48
_JEQ, _RET = 0x15, 0x06


def requests_to(port: int) -> bytes:
    """Filter program: UDP to `port` whose DHCP op is 1 (our own answers and other servers' come back on loopback otherwise)."""
    return _program([(_LDX_IHL, 0), (_LD_H_X, 2), (_JEQ, port), (_LD_B_X, 8), (_JEQ, 1)])


def replies_to_clients(own: Iterable[bytes]) -> bytes:
    """Filter program: UDP to port 68 with DHCP op 2, not from one of `own` addresses (at most 60 of them are told apart)."""
    theirs = [(_LD_W, 12), *((-_JEQ, int.from_bytes(address, "big")) for address in sorted(own)[:60])]
    return _program([*theirs, (_LDX_IHL, 0), (_LD_H_X, 2), (_JEQ, 68), (_LD_B_X, 8), (_JEQ, 2)])


def _program(steps: list[tuple[int, int]]) -> bytes:
    """Steps > struct sock_filter[]. A `_JEQ` that does not hold rejects; a negative one that holds rejects; the end accepts."""
    reject = len(steps) + 1
    code = b""
    for at, (what, value) in enumerate(steps):
        away = reject - at - 1
        yes, no = (0, away) if what == _JEQ else (away, 0) if what == -_JEQ else (0, 0)
        code += struct.pack("=HBBI", abs(what), yes, no, value)
    return code + struct.pack("=HBBI", _RET, 0, 0, 0xFFFF) + struct.pack("=HBBI", _RET, 0, 0, 0)


def attach_filter(sock: socket.socket, program: bytes) -> None:
    """Attach a program of `requests_to` or `replies_to_clients`, in place of an earlier one. OSError if the kernel refuses it."""
    code = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
