"""One fake node: DISCOVER, 4011, TFTP, DISCOVER as iPXE, profile, initrd; a state machine without a loop of its own.

The driver calls `begin`, `answered` (DHCP), `readable` and `writable` (its own sockets) and `tick` (timers); the node calls the driver's
`Wire` to send and to register sockets. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import re
import socket
from typing import Protocol
from urllib.parse import urlsplit

from pxed.cli.storm import packets

PHASES = ("offer", "pxe", "tftp", "ipxe-offer", "profile", "initrd")
_DHCP_RETRY = (1.0, 2.0, 4.0, 8.0)
_TFTP_RETRY = 1.0
_BLKSIZE = 1468
_CHUNK = 1 << 20
_INITRD = re.compile(r"^\s*initrd\s+(?:--?\w+\s+\S+\s+)*(\S+)", re.MULTILINE)
_SET = re.compile(r"^\s*set\s+(\S+)\s+(\S+)", re.MULTILINE)


class Wire(Protocol):
    """What the driver lends to its nodes."""

    now: float

    def address_of(self, index: int) -> str: ...
    def objection(self, server: str) -> str: ...
    def broadcast(self, data: bytes) -> None: ...
    def to_pxe(self, data: bytes, server: str) -> None: ...
    def watch(self, sock: socket.socket, node: Node) -> None: ...
    def unwatch(self, sock: socket.socket) -> None: ...
    def done(self, node: Node) -> None: ...


class Node:
    """`spent[phase]` = seconds; `received` = bytes by phase; `failed` = the sentence of what went wrong, else empty."""

    __slots__ = (
        "_blksize",
        "_body",
        "_left",
        "_next",
        "_sock",
        "_tftp_server",
        "_tries",
        "_wait",
        "address",
        "deadline",
        "failed",
        "mac",
        "phase",
        "received",
        "spent",
        "wire",
        "xid",
    )

    def __init__(self, index: int, wire: Wire, deadline: float) -> None:
        self.mac = b"\x02\x70\x78" + index.to_bytes(3, "big")
        self.address = wire.address_of(index)
        self.xid = 0x50580000 + index * 8
        self.wire = wire
        self.deadline = deadline
        self.phase = 0
        self.spent: dict[str, float] = {}
        self.received: dict[str, int] = {}
        self.failed = ""
        self._wait = self._next = 0.0
        self._tries = 0
        self._sock: socket.socket | None = None
        self._body = b""
        self._left = -1
        self._blksize = 512
        self._tftp_server = ""

    # ---- DHCP -------------------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        self._wait = self.wire.now
        self._discover()

    def _discover(self) -> None:
        self._send_again(_DHCP_RETRY[min(self._tries, 3)])
        self.wire.broadcast(packets.discover(self.xid + self.phase, self.mac, ipxe=self.phase == 3))

    def _ask_pxe(self, server: str) -> None:
        if self._may_not_ask(server):
            return
        self._send_again(_DHCP_RETRY[min(self._tries, 3)])
        self._body = server.encode()
        self.wire.to_pxe(packets.boot_request(self.xid + 1, self.mac, self.address), server)

    def _may_not_ask(self, server: str) -> bool:
        """Whether this node ends here, because `server` must not be asked."""
        why = self.wire.objection(server)
        if why:
            self.fail(f"not asked in phase {PHASES[self.phase]}: {why}")
        return bool(why)

    def _send_again(self, after: float) -> None:
        self._tries += 1
        self._next = self.wire.now + after

    def answered(self, answer: packets.Answer) -> None:
        """An OFFER or ACK whose chaddr is ours; answers of an earlier phase and leases of a DHCP server are passed over."""
        if answer.xid != self.xid + self.phase:
            return
        if self.phase == 0 and answer.proxy:
            self._advance()
            self._ask_pxe(answer.server)
        elif self.phase == 1 and answer.file:
            self._advance()
            self._open_tftp(answer.next_server, answer.file)
        elif self.phase == 3 and answer.file.startswith("http://"):
            self._advance()
            self._open_http(re.sub(r"\$\{[^}]*\}", "", answer.file))  # iPXE would put its SMBIOS strings in

    # ---- TFTP, lock-step (RFC 1350) -----------------------------------------------------------------------------------------
    def _open_tftp(self, server: str, name: str) -> None:
        if self._may_not_ask(server):
            return
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.bind((self.address, 0))
        self._sock, self._left, self._blksize, self._tftp_server = sock, 0, 512, server
        self._body = packets.read_request(name, _BLKSIZE)
        self._send_again(_TFTP_RETRY)
        self.wire.watch(sock, self)
        self._say(sock)

    def _say(self, sock: socket.socket) -> None:
        """The last packet once more: to port 69 while nothing was heard, then to the transfer."""
        try:
            if self._tftp_server:
                sock.sendto(self._body, (self._tftp_server, 69))
            else:
                sock.send(self._body)
        except OSError as e:
            self.fail(f"TFTP: {e.strerror}")

    def _tftp(self, sock: socket.socket) -> None:
        """`_left` counts the blocks received; the first answer's port becomes the peer (its TID), as RFC 1350 section 4 asks."""
        while self._sock is sock:
            try:
                data, peer = sock.recvfrom(_BLKSIZE + 4)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                self.fail("TFTP: connection refused")
                return
            if len(data) < 4:
                continue
            if self._tftp_server:
                sock.connect(peer)
                self._tftp_server = ""
            kind, block = data[1], int.from_bytes(data[2:4], "big")
            if kind == 5:
                self.fail("TFTP: " + data[4:].rstrip(b"\0").decode("ascii", "replace"))
            elif kind == 6 and self._left == 0:
                self._blksize = packets.granted_blksize(data)
                self._acknowledge(sock, 0)
            elif kind == 3 and block == (self._left + 1) & 0xFFFF:
                self._left += 1
                self._acknowledge(sock, block)
                if self._sock is not sock:
                    return
                self.received["tftp"] = self.received.get("tftp", 0) + len(data) - 4
                if len(data) < self._blksize + 4:
                    self._close()
                    self._advance()
                    self._discover()

    def _acknowledge(self, sock: socket.socket, block: int) -> None:
        self._body = b"\x00\x04" + block.to_bytes(2, "big")
        self._tries = 0
        self._next = self.wire.now + _TFTP_RETRY
        self._say(sock)

    # ---- HTTP -------------------------------------------------------------------------------------------------------------
    def _open_http(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or 80
        except ValueError:
            self.fail(f"HTTP: {url[:60]!r} is no URL")
            return
        if self._may_not_ask(host):
            return
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.bind((self.address, 0))
        self._sock, self._left = sock, -1
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._body = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\nUser-Agent: pxed-bench\r\n\r\n".encode()
        sock.connect_ex((host, port))
        self._next = self.deadline
        self.wire.watch(sock, self)

    def writable(self) -> None:
        """The connection stands: send the request (it fits any socket buffer)."""
        if self._sock is not None and self.phase >= 4 and self._body.startswith(b"GET "):
            try:
                self._sock.send(self._body)
            except OSError as e:
                self.fail(f"HTTP: {e.strerror}")
                return
            self._body = b""

    def _http(self, sock: socket.socket) -> bool:
        """One read; whether there may be more at once."""
        name = PHASES[self.phase]
        try:
            if self._left < 0 or self.phase == 4:
                data = sock.recv(65536)
                size = len(data)
            else:
                size, data = sock.recv_into(_SINK, min(self._left, _CHUNK), socket.MSG_TRUNC), b""
        except BlockingIOError:
            return False
        except OSError as e:
            self.fail(f"HTTP: {e.strerror}")
            return False
        if not size:
            self.fail(f"HTTP: connection closed with {max(self._left, 0)} bytes missing")
            return False
        if self._left < 0:
            self._body += data
            if b"\r\n\r\n" not in self._body:
                return True
            head, self._body = self._body.split(b"\r\n\r\n", 1)
            length = re.search(rb"(?i)^content-length: *(\d+)", head, re.MULTILINE)
            if head[9:12] != b"200" or length is None:
                self.fail(f"HTTP {name}: {head.splitlines()[0].decode('ascii', 'replace')}")
                return False
            self._left, size = int(length[1]), len(self._body)
        elif self.phase == 4:
            self._body += data
        self._left -= size
        self.received[name] = self.received.get(name, 0) + size
        if self._left <= 0:
            self._close()
            self._advance()
            if self.phase < len(PHASES):
                self._follow(self._body.decode("utf-8", "replace"))
        return True

    def _follow(self, script: str) -> None:
        variables = dict(_SET.findall(script))
        found = _INITRD.search(script)
        url = re.sub(r"\$\{([^}]+)\}", lambda m: variables.get(m[1], ""), found[1]) if found else ""
        if url.startswith("http://"):
            self._open_http(url)
        else:
            self.fail("the profile names no initrd with an http URL (is this node armed?)")

    # ---- all phases ---------------------------------------------------------------------------------------------------------
    def readable(self) -> None:
        sock = self._sock
        if sock is None:
            return
        if self.phase == 2:
            self._tftp(sock)
            return
        for _ in range(16):
            if self._sock is not sock or not self._http(sock):
                return

    def tick(self) -> None:
        """Retransmit what is due; give up at the deadline."""
        if self.wire.now >= self.deadline:
            self.fail(f"no answer in phase {PHASES[self.phase]}")
        elif self.wire.now < self._next:
            return
        elif self.phase in (0, 3):
            self._discover()
        elif self.phase == 1:
            self._ask_pxe(self._body.decode())
        elif self.phase == 2 and self._sock is not None:
            self._send_again(_TFTP_RETRY)
            self._say(self._sock)

    def _advance(self) -> None:
        self.spent[PHASES[self.phase]] = self.wire.now - self._wait
        self._wait = self.wire.now
        self.phase += 1
        self._tries = 0
        if self.phase == len(PHASES):
            self.wire.done(self)

    def _close(self) -> None:
        if self._sock is not None:
            self.wire.unwatch(self._sock)
            self._sock.close()
            self._sock = None

    def fail(self, why: str) -> None:
        self.failed = why
        self._close()
        self.wire.done(self)


_SINK = bytearray(_CHUNK)
