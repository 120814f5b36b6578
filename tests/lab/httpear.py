"""What was asked and answered by HTTP, heard on the switch: every request of every machine with its status. Owes nothing to pxed's code.

Requests and heads of answers that fit into one segment each are what iPXE and pxed exchange. RFC 9112; packet(7).
"""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.lab.network import Network, inside
from tests.lab.process import run

ETH_P_IP = 0x0800
Conversation = tuple[str, int, str, int]
"""Client's address and port, server's address and port."""


@dataclass
class Exchange:
    """One request of `client`. `url` is absolute; `status` None as long as nobody has answered."""

    client: str
    method: str
    url: str
    status: int | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.url} {self.status or '(no answer)'}"


class HttpEar:
    """Listens on the switch from its construction until `stop`. `ports`: where the servers are."""

    def __init__(self, network: Network, *, ports: tuple[int, ...] = (80,)) -> None:
        run("ip", "-n", network.switch, "link", "set", "br0", "promisc", "on")
        with inside(network.switch):
            self._ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            self._ear.bind(("br0", ETH_P_IP))
        self._ear.settimeout(0.5)
        self._ports = ports
        self._heard: list[Exchange] = []
        self._open: dict[Conversation, list[Exchange]] = {}
        self._seen: set[tuple[Conversation, bool, int]] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="http ear", daemon=True)
        self._thread.start()

    def heard(self, client: str) -> list[Exchange]:
        """All that the machine at this address asked, oldest first."""
        return [exchange for exchange in list(self._heard) if exchange.client == client]

    def write(self, path: Path) -> None:
        path.write_text("".join(f"{exchange.client} {exchange}\n" for exchange in list(self._heard)))

    def stop(self) -> None:
        """May be called twice."""
        self._ended.set()
        self._thread.join()
        self._ear.close()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                self._take(self._ear.recv(65535))
            except TimeoutError:
                continue

    def _take(self, frame: bytes) -> None:
        """One Ethernet frame with IPv4 in it. Retransmits are told by their sequence number."""
        start = 14 + (frame[14] & 15) * 4
        if len(frame) < start + 20 or frame[23] != socket.IPPROTO_TCP:
            return
        payload = frame[start + (frame[start + 12] >> 4) * 4 : 14 + int.from_bytes(frame[16:18], "big")]
        source = (socket.inet_ntoa(frame[26:30]), int.from_bytes(frame[start : start + 2], "big"))
        target = (socket.inet_ntoa(frame[30:34]), int.from_bytes(frame[start + 2 : start + 4], "big"))
        asks = target[1] in self._ports
        if not payload or not (asks or source[1] in self._ports):
            return
        conversation: Conversation = (*source, *target) if asks else (*target, *source)
        mark = (conversation, asks, int.from_bytes(frame[start + 4 : start + 8], "big"))
        if mark in self._seen:
            return
        self._seen.add(mark)
        if asks:
            self._asked(conversation, payload)
        elif payload.startswith(b"HTTP/1.") and self._open.get(conversation):
            self._open[conversation].pop(0).status = int(payload[9:12])

    def _asked(self, conversation: Conversation, payload: bytes) -> None:
        words = payload.split(b"\r\n", 1)[0].decode("ascii", "replace").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return
        port = "" if conversation[3] == 80 else f":{conversation[3]}"
        exchange = Exchange(conversation[0], words[0], f"http://{conversation[2]}{port}{words[1]}")
        self._heard.append(exchange)
        self._open.setdefault(conversation, []).append(exchange)
