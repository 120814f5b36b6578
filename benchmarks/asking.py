"""The asking side of `benchmarks.offer`: machines whose firmware sends DISCOVER, as many and as fast as is asked for.

``python -m benchmarks.asking burst START COUNT BOOTS`` asks in bursts and prints ``seconds repeated``; ``... paced START COUNT PACE`` asks
one by one, `PACE` a second, and prints the milliseconds from each DISCOVER to its OFFER, -1 for one that was never answered. xids are
`START` and up, one for each node. Both need root and an interface veth0.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time
from contextlib import suppress

SERVER, INTERFACE = "10.79.0.1", b"veth0"
WINDOW = 32
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
_TIME = struct.Struct("@qq")
_EVERYBODY = ("255.255.255.255", 67)


def mac_of(number: int) -> bytes:
    return bytes.fromhex("525400") + number.to_bytes(3, "big")


def asks(number: int, xid: int, message: int = 1) -> bytes:
    """What OVMF sends, 548 bytes: DISCOVER (1), or REQUEST (3) for port 4011. `number` is the node's."""
    wanted = bytes((1, 2, 3, 4, 5, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67))
    guid = b"\0" + struct.pack("!QQ", number, 77)
    said = {57: b"\5\xc0", 55: wanted, 97: guid, 94: b"\1\3\0", 93: b"\0\7", 60: b"PXEClient:Arch:00007:UNDI:003000"}
    options = bytes((53, 1, message)) + b"".join(bytes((code, len(value))) + value for code, value in said.items()) + b"\xff"
    header = struct.pack("!BBBBIHH16s16s192s4s", 1, 1, 6, 0, xid, 0, 0x8000, b"", mac_of(number).ljust(16, b"\0"), b"", b"\x63\x82\x53\x63")
    return (header + options).ljust(548, b"\0")


def burst(start: int, count: int, boots: bool) -> tuple[float, int]:
    """`count` nodes ask once, `WINDOW` at a time, as a rack does that is switched on; with `boots` each goes on to port 4011. (seconds,
    DISCOVERs that had to be sent again)"""
    repeated, packets = 0, [asks(number, start + number) for number in range(count)]
    with _port_68() as sock:
        sock.settimeout(0.5)
        began = time.perf_counter()
        for first in range(0, count, WINDOW):
            waiting = {start + number: number for number in range(first, min(count, first + WINDOW))}
            for number in waiting.values():
                sock.sendto(packets[number], _EVERYBODY)
            while waiting:
                try:
                    xid = _offered(sock.recv(2048))
                except TimeoutError:
                    repeated += len(waiting)
                    for number in waiting.values():
                        sock.sendto(packets[number], _EVERYBODY)
                    continue
                number = waiting.pop(xid, -1)
                if boots and number >= 0:
                    sock.sendto(asks(number, xid, 3), (SERVER, 4011))
        return time.perf_counter() - began, repeated


def paced(start: int, count: int, pace: float) -> list[float]:
    """Milliseconds to the offer of each of `count` nodes that ask at `pace` a second; -1 if there was none within a second of the last.

    From the clock before the send to the kernel's stamp on the answer's arrival: how soon we are scheduled to read it does not count.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    took, sent = [-1.0] * count, [0] * count
    with _port_68() as sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setblocking(False)
        packets = [asks(number, start + number) for number in range(count)]
        began, number, left = time.perf_counter(), 0, count
        while left and time.perf_counter() < began + count / pace + 1:
            due = began + number / pace if number < count else began + count / pace + 1
            select.select([sock], [], [], max(0.0, due - time.perf_counter()))
            left -= _arrived(sock, start, sent, took)
            if number < count and time.perf_counter() >= due:
                sent[number] = time.time_ns()
                sock.sendto(packets[number], _EVERYBODY)
                number += 1
    return took


def _arrived(sock: socket.socket, start: int, sent: list[int], took: list[float]) -> int:
    """Take what has come; how many of the answers were the first ones of their nodes."""
    new = 0
    with suppress(BlockingIOError):
        while True:
            data, ancillary, _, _ = sock.recvmsg(2048, 64)
            number = _offered(data) - start
            if 0 <= number < len(sent) and took[number] < 0:
                seconds, nanoseconds = _TIME.unpack(ancillary[0][2])
                took[number] = (seconds * 1_000_000_000 + nanoseconds - sent[number]) / 1e6
                new += 1
    return new


def _offered(data: bytes) -> int:
    """The xid of an offer of boot information, else -1."""
    return int.from_bytes(data[4:8], "big") if data[0] == 2 and b"PXEClient" in data else -1


def _port_68() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, INTERFACE)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)
    sock.bind(("0.0.0.0", 68))
    return sock


def main() -> None:
    how, start, count, more = sys.argv[1:]
    if how == "burst":
        print(*burst(int(start), int(count), bool(float(more))))
    else:
        print(*paced(int(start), int(count), float(more)))


if __name__ == "__main__":
    main()
