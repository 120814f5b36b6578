"""A line between a client that somebody else wrote and the service: packets are lost, come twice, late and out of turn, both ways."""

from __future__ import annotations

import heapq
import random
import socket
import time
from collections import Counter
from typing import Any, Literal

Way = Literal["to the server", "to the client"]
LATE = 0.005


class BadLine:
    """Passes on what one client sends to `port` here to `server`, and back. Call `turn` often; `next_due` says when at the latest.

    Each packet is lost with the probability `loss`, comes twice with `twice`, and each copy takes `LATE` seconds longer with `late`.
    What comes before the first block arrives once: tftp-hpa asks again only after five seconds, and atftp hangs up on a second OACK.
    `happened`: (way, what) > how often; what: ``lost``, ``twice``, ``overtaken`` (one that was sent later has arrived), ``passed``.
    """

    def __init__(self, server: tuple[str, int], *, seed: int, loss: float, twice: float, late: float) -> None:
        self._server: tuple[Any, ...] = server
        self._client: tuple[Any, ...] | None = None
        self._front, self._back = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for each in (self._front, self._back):
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)
        self.port = int(self._front.getsockname()[1])
        self._chance = random.Random(seed)
        self._loss, self._twice, self._late = loss, twice, late
        self._flying: list[tuple[float, int, Way, bytes]] = []
        self._serial = 0
        self._arrived: Counter[Way] = Counter()
        self.happened: Counter[tuple[Way, str]] = Counter()

    def fileno(self) -> tuple[int, int]:
        """Of both ends."""
        return self._front.fileno(), self._back.fileno()

    def turn(self) -> None:
        """Take what has come, let out what is due."""
        for sock, way in ((self._front, "to the server"), (self._back, "to the client")):
            while (packet := self._take(sock)) is not None:
                self._carry(way, packet)  # type: ignore[arg-type]
        while self._flying and self._flying[0][0] <= time.monotonic():
            _, serial, way, packet = heapq.heappop(self._flying)
            self.happened[way, "overtaken" if serial < self._arrived[way] else "passed"] += 1
            self._arrived[way] = max(serial, self._arrived[way])
            if way == "to the server":
                self._back.sendto(packet, self._server)
            elif self._client is not None:
                self._front.sendto(packet, self._client)

    def next_due(self) -> float:
        """Seconds until `turn` has something to let out, at most 10 ms."""
        return min(max(self._flying[0][0] - time.monotonic(), 0.0), 0.01) if self._flying else 0.01

    def close(self) -> None:
        self._front.close()
        self._back.close()

    def _take(self, sock: socket.socket) -> bytes | None:
        try:
            packet, peer = sock.recvfrom(70000)
        except OSError:
            return None
        if sock is self._front:
            self._client = peer
        else:
            self._server = peer  # the transfer's own port
        return packet

    def _carry(self, way: Way, packet: bytes) -> None:
        before = packet[1] in (1, 6) or packet == b"\0\4\0\0"
        if not before and self._chance.random() < self._loss:
            self.happened[way, "lost"] += 1
            return
        copies = 1 + (not before and self._chance.random() < self._twice)
        if copies == 2:
            self.happened[way, "twice"] += 1
        for _ in range(copies):
            self._serial += 1
            due = time.monotonic() + (LATE if self._chance.random() < self._late else 0.0)
            heapq.heappush(self._flying, (due, self._serial, way, packet))
