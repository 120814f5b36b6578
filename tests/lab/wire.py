"""What was said on the wire, by an ear of our own: DHCP on 67, 68 and 4011, and TFTP's requests. Owes nothing to pxed's code.

The ear is a packet socket on the switch itself, so it hears every machine. Everything heard is also written to ``wire.pcap``.
RFC 2131, 2132; RFC 1350; packet(7); BPF's classic instructions as in filter.txt.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.network import APPLIANCE, Network, inside
from tests.lab.process import run

PORTS = (67, 68, 69, 4011)
KINDS = {1: "DISCOVER", 2: "OFFER", 3: "REQUEST", 4: "DECLINE", 5: "ACK", 6: "NAK", 7: "RELEASE", 8: "INFORM"}
SO_ATTACH_FILTER = 26
ETH_P_ALL = 3


@dataclass(frozen=True)
class Said:
    """One datagram. `at` is UTC seconds; `mac` is the client's, "" for TFTP; `what` a DHCP message type or RRQ; `text` says the rest."""

    at: float
    source: str
    target: str
    what: str
    mac: str
    text: str

    def __str__(self) -> str:
        clock = time.strftime("%H:%M:%S", time.gmtime(self.at))
        return (
            f"{clock}.{int(self.at * 1000) % 1000:03} {self.source:>15} > {self.target:<15} {self.what:<8} {self.mac} {self.text}".rstrip()
        )


class Wire:
    """Listens from its construction until `stop`."""

    def __init__(self, network: Network, folder: Path) -> None:
        run("ip", "-n", network.switch, "link", "set", "br0", "promisc", "on")
        with inside(network.switch):
            self._ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            _only(self._ear, PORTS)
            self._ear.bind(("br0", ETH_P_ALL))
        self._ear.settimeout(0.5)
        self._heard: list[Said] = []
        self._ended = threading.Event()
        self._pcap = (folder / "wire.pcap").open("wb", buffering=0)
        self._pcap.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        self._thread = threading.Thread(target=self._listen, name="wire", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                frame = self._ear.recv(65535)
            except TimeoutError:
                continue
            at = time.time()
            self._pcap.write(struct.pack("<IIII", int(at), int(at % 1 * 1e6), len(frame), len(frame)) + frame)
            said = decode(frame, at)
            if said is not None:
                self._heard.append(said)

    def heard(self, *, mac: str | None = None, what: str | None = None, since: float = 0.0) -> list[Said]:
        """All that was said, oldest first; about `mac` only, of the kind `what` only, not before `since` (UTC seconds)."""
        return [
            said
            for said in list(self._heard)
            if said.at >= since and (mac is None or said.mac == mac.lower()) and (what is None or said.what == what)
        ]

    def from_appliance(self, *, mac: str, since: float = 0.0) -> list[Said]:
        """What the appliance answered to this machine by DHCP: empty means silence."""
        return [said for said in self.heard(mac=mac, since=since) if said.source == APPLIANCE]

    def write(self, path: Path) -> None:
        path.write_text("".join(f"{said}\n" for said in list(self._heard)))

    def stop(self) -> None:
        """May be called twice."""
        self._ended.set()
        self._thread.join()
        self._ear.close()
        self._pcap.close()


def decode(frame: bytes, at: float) -> Said | None:
    """An Ethernet frame > what it says; None for what is neither DHCP nor a TFTP request, and for torn datagrams."""
    try:
        if frame[23] != 17:
            return None
        start = 14 + (frame[14] & 15) * 4
        source, target = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
        port = int.from_bytes(frame[start + 2 : start + 4], "big")
        body = frame[start + 8 : start + int.from_bytes(frame[start + 4 : start + 6], "big")]
        if port == 69:
            return Said(
                at, source, target, "RRQ" if body[:2] == b"\0\1" else "WRQ", "", body[2:].split(b"\0")[0].decode("ascii", "replace")
            )
        return _dhcp(body, at, source, target)
    except (IndexError, ValueError, OSError, struct.error):
        return None


def _dhcp(body: bytes, at: float, source: str, target: str) -> Said | None:
    if body[236:240] != b"\x63\x82\x53\x63":
        return None
    options = dict(_options(body[240:]))
    notes = {
        "yiaddr": socket.inet_ntoa(body[16:20]) if any(body[16:20]) else "",
        "class": options.get(60, b"").decode("ascii", "replace"),
        "user": options.get(77, b"").decode("ascii", "replace"),
        "server": socket.inet_ntoa(options[54]) if len(options.get(54, b"")) == 4 else "",
        "file": (options.get(67) or body[108:236]).split(b"\0")[0].decode("ascii", "replace"),
    }
    text = " ".join(f"{name}={value}" for name, value in notes.items() if value)
    return Said(at, source, target, KINDS.get(options.get(53, b"\0")[0], "BOOTP"), body[28:34].hex(":"), text)


def _options(rest: bytes) -> Iterator[tuple[int, bytes]]:
    while rest and rest[0] != 255:
        if rest[0] == 0:
            rest = rest[1:]
            continue
        yield rest[0], rest[2 : 2 + rest[1]]
        rest = rest[2 + rest[1] :]


def _only(ear: socket.socket, ports: tuple[int, ...]) -> None:
    """Let the kernel drop all but UDP over IPv4 to these ports: the installer moves hundreds of megabytes past this ear."""
    last = 6 + len(ports)
    code = [
        (0x28, 0, 0, 12),  # ldh [12]: EtherType
        (0x15, 0, last - 2, 0x0800),
        (0x30, 0, 0, 23),  # ldb [23]: protocol
        (0x15, 0, last - 4, 17),
        (0xB1, 0, 0, 14),  # ldxb 4*([14]&0xf): length of the IP header
        (0x48, 0, 0, 16),  # ldh [x+16]: destination port
        *((0x15, last - 6 - n, 0, port) for n, port in enumerate(ports)),
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 65535),  # take
    ]
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    memory = ctypes.create_string_buffer(program)
    ear.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(code), ctypes.addressof(memory)))
