"""The storm's loop: at most `at_once` fake nodes under way, one epoll, bounded by a deadline for each node and for the whole.

Each node has its own MAC address 02:70:78:xx:xx:xx; they take `addresses` in turn (as ciaddr and as source). An appliance tells nodes apart
by address when they download, so with fewer addresses than nodes under way their downloads are taken for those of one node.
"""

from __future__ import annotations

import resource
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pxed.cli.storm import packets
from pxed.cli.storm.node import PHASES, Node
from pxed.cli.storm.where import objection
from pxed.errors import HostProblem

_TICK = 0.05
_SO_RCVBUFFORCE = 33
_FILES = 64
"""Open files beside one for each node that downloads."""


@dataclass(slots=True)
class Summary:
    """`seconds` wall time; `phases[name]` = sorted seconds of the nodes that passed it; `failures[sentence]` = how many nodes."""

    nodes: int
    seconds: float
    passed: int
    bytes: int
    phases: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    def percentile(self, phase: str, share: float) -> float:
        """Seconds below which `share` (0..1) of the nodes passed `phase`; 0.0 if none did."""
        values = self.phases.get(phase, [])
        return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


class Storm:
    """One run. HostProblem when this host can't send (not root, no such interface, port 68 taken, too few open files). `elsewhere`: servers
    outside this host may be asked as well."""

    def __init__(
        self,
        interface: str,
        addresses: Sequence[str],
        *,
        nodes: int,
        at_once: int,
        node_seconds: float,
        total_seconds: float,
        elsewhere: bool = False,
    ) -> None:
        self._addresses = addresses
        self._elsewhere = elsewhere
        self._objections: dict[str, str] = {}
        self.now = time.monotonic()
        self._interface = interface
        self._total, self._at_once = nodes, at_once
        self._node_seconds, self._total_seconds = node_seconds, total_seconds
        _let_open(at_once + _FILES)
        self._poll = select.epoll()
        self._by_fd: dict[int, Node] = {}
        self._by_mac: dict[bytes, Node] = {}
        self._finished: list[Node] = []
        self._dhcp = self._socket(68)
        # iPXE asks port 4011 from port 68 and firmware from 4011; either is answered where it came from, and 68 is ours already.
        self._poll.register(self._dhcp, select.EPOLLIN)

    def _socket(self, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode() + b"\0")
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
            sock.bind(("", port))
        except PermissionError as e:
            sock.close()
            raise HostProblem("the storm sends as DHCP clients do, which needs root", "Run it with sudo") from e
        except OSError as e:
            sock.close()
            raise HostProblem(
                f"can't send from port {port} of {self._interface}: {e.strerror}", "Stop the DHCP client there, or name another interface"
            ) from e
        return sock

    # ---- what nodes call ------------------------------------------------------------------------------------------------------
    def address_of(self, index: int) -> str:
        return self._addresses[index % len(self._addresses)]

    def objection(self, server: str) -> str:
        """Why `server` must not be asked, "" if it may; looked up once for each."""
        if server not in self._objections:
            self._objections[server] = objection(server, elsewhere=self._elsewhere)
        return self._objections[server]

    def broadcast(self, data: bytes) -> None:
        self._send(data, "255.255.255.255", 67)

    def to_pxe(self, data: bytes, server: str) -> None:
        self._send(data, server, 4011)

    def _send(self, data: bytes, host: str, port: int) -> None:
        try:
            self._dhcp.sendto(data, (host, port))
        except OSError:
            pass  # a full send buffer, a neighbour that is not there: a lost packet, the node retries

    def watch(self, sock: socket.socket, node: Node) -> None:
        self._by_fd[sock.fileno()] = node
        stream = sock.type == socket.SOCK_STREAM
        self._poll.register(sock, select.EPOLLIN | (select.EPOLLOUT if stream else 0))

    def unwatch(self, sock: socket.socket) -> None:
        self._by_fd.pop(sock.fileno(), None)
        self._poll.unregister(sock)

    def done(self, node: Node) -> None:
        self._by_mac.pop(node.mac, None)
        self._finished.append(node)

    # ---- the loop -------------------------------------------------------------------------------------------------------------
    def run(self, progress: Callable[[int, int], None] = lambda _done, _total: None) -> Summary:
        """Run to the end or the deadline; `progress(done, total)` is called about ten times a second."""
        started = time.monotonic()
        end, next_tick, index, shown = started + self._total_seconds, 0.0, 0, 0.0
        try:
            while len(self._finished) < self._total and self.now < end:
                self.now = time.monotonic()
                while index < self._total and len(self._by_mac) < self._at_once:
                    node = Node(index, self, self.now + self._node_seconds)
                    self._by_mac[node.mac] = node
                    index += 1
                    node.begin()
                for fd, events in self._poll.poll(_TICK, 256):
                    self._handle(fd, events)
                if self.now >= next_tick:
                    next_tick = self.now + _TICK
                    for node in list(self._by_mac.values()):
                        node.tick()
                if self.now - shown > 0.1:
                    shown = self.now
                    progress(len(self._finished), self._total)
            for node in list(self._by_mac.values()):
                node.fail("the storm's own time was up")
            progress(len(self._finished), self._total)
            return self._summary(time.monotonic() - started)
        finally:
            self._dhcp.close()
            self._poll.close()

    def _handle(self, fd: int, events: int) -> None:
        self.now = time.monotonic()
        if fd == self._dhcp.fileno():
            self._answers()
            return
        node = self._by_fd.get(fd)
        if node is None:
            return
        if events & select.EPOLLOUT:
            self._poll.modify(fd, select.EPOLLIN)
            node.writable()
        if events & ~select.EPOLLOUT:
            node.readable()

    def _answers(self) -> None:
        for _ in range(64):
            try:
                data = self._dhcp.recv(2048)
            except BlockingIOError:
                return
            answer = packets.parse(data)
            node = self._by_mac.get(answer.chaddr) if answer else None
            if answer is not None and node is not None:
                node.answered(answer)

    def _summary(self, seconds: float) -> Summary:
        phases = {name: sorted(n.spent[name] for n in self._finished if name in n.spent) for name in PHASES}
        failures: dict[str, int] = {}
        for node in self._finished:
            if node.failed:
                failures[node.failed] = failures.get(node.failed, 0) + 1
        return Summary(
            nodes=self._total,
            seconds=seconds,
            passed=sum(not node.failed for node in self._finished),
            bytes=sum(sum(node.received.values()) for node in self._finished),
            phases=phases,
            failures=failures,
        )


def _let_open(files: int) -> None:
    """Raise the limit of open files of this process as far as is needed and allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < files:
        if hard != resource.RLIM_INFINITY and hard < files:
            raise HostProblem(f"this storm needs {files} open files, and a program may have {hard}", "`ulimit -n`, or fewer --at-once")
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
