"""The socket on port 69: remembers which of our addresses was asked, and answers from it (D15).

A multi-homed appliance must answer from the address the client sent to; firmware drops anything else. IP_PKTINFO (ip(7)) and
IPV6_RECVPKTINFO (RFC 3542 section 6) tell and set it.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Any, NamedTuple

RCVBUF = 4 << 20
"""Bytes. With the usual 208 KiB, 130 to 240 of 500 simultaneous requests were lost."""
MAX_DATAGRAM = 2048
"""Bytes; a longer datagram is no request (RFC 2347: 512) and arrives cut, which shows."""
_IP_PKTINFO = 8
_PKTINFO4 = struct.Struct("=I4s4s")  # ipi_ifindex, ipi_spec_dst (our address), ipi_addr (destination in the header)
_PKTINFO6 = struct.Struct("=16sI")  # ipi6_addr, ipi6_ifindex


class Arrival(NamedTuple):
    """One datagram: its bytes, the sender's socket address, our address it was sent to, the interface it came in on (index)."""

    data: bytes
    peer: tuple[Any, ...]
    local: str
    ifindex: int
    unicast: bool

    def packed(self) -> bytes:
        """Our address as bytes: fbtftp asks it for its family, which takes a sixth of the time that text takes."""
        return socket.inet_aton(self.local) if len(self.peer) == 2 else socket.inet_pton(socket.AF_INET6, self.local)

    def local_address(self) -> tuple[Any, ...]:
        """What a transfer's socket binds to: the address that was asked, any port; the scope of a link-local IPv6 address kept."""
        return (self.local, 0) if len(self.peer) == 2 else (self.local, 0, 0, self.peer[3])


def listen(address: str, port: int) -> socket.socket:
    """A bound, non-blocking UDP socket for one address, which may be ``0.0.0.0`` or ``::`` (then IPv6 only). OSError as of bind."""
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        try:
            sock.setsockopt(socket.SOL_SOCKET, 33, RCVBUF)  # SO_RCVBUFFORCE: needs CAP_NET_ADMIN, passes net.core.rmem_max
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RCVBUF)
        sock.bind((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def receive(sock: socket.socket) -> Arrival:
    """The next datagram. BlockingIOError if there is none after all (a bad checksum may wake us for nothing, D2)."""
    data, ancillary, _flags, peer = sock.recvmsg(MAX_DATAGRAM, 128)
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            index, ours, destination = _PKTINFO4.unpack_from(value)
            return Arrival(data, peer, socket.inet_ntoa(ours), index, ours == destination)
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            ours, index = _PKTINFO6.unpack_from(value)
            return Arrival(data, peer, socket.inet_ntop(socket.AF_INET6, ours), index, ours[0] != 0xFF)
    return Arrival(data, peer, sock.getsockname()[0], 0, True)


def reply(sock: socket.socket, packet: bytes, to: Arrival) -> None:
    """Send `packet` to the sender of `to`, from the address it had asked. OSError as of sendmsg."""
    if len(to.peer) == 2:
        info = (socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO4.pack(0, socket.inet_aton(to.local), b""))
    else:
        info = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PKTINFO6.pack(socket.inet_pton(socket.AF_INET6, to.local), to.peer[3]))
    sock.sendmsg([packet], [info], 0, to.peer)
