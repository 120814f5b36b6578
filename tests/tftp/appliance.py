"""The TFTP service on real loopback sockets with a clock that only the test moves, and a client that speaks raw packets.

No reactor runs: `Appliance.settle` calls the readers that the service gave to a memory reactor, for as long as one of them has
something to read. Leaving the `with` block checks that nothing was logged as a failure and that nothing is left over.
"""

from __future__ import annotations

import functools
import logging
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher

from pxed.tftp import Limits, TftpService, TransferEvent
from pxed.tftp.hub import TICK

T = TypeVar("T")


def rrq(name: bytes | str, *options: tuple[str, object], mode: str = "octet") -> bytes:
    """A read request (RFC 1350, RFC 2347)."""
    raw = name.encode() if isinstance(name, str) else name
    fields = [raw, mode.encode(), *(str(part).encode("latin-1") for option in options for part in option)]
    return b"\0\1" + b"".join(field + b"\0" for field in fields)


def ack(block: int) -> bytes:
    return b"\0\4" + (block & 0xFFFF).to_bytes(2, "big")


def error(code: int, text: str = "") -> bytes:
    return b"\0\5" + code.to_bytes(2, "big") + text.encode() + b"\0"


def data(block: int, payload: bytes) -> bytes:
    return b"\0\3" + (block & 0xFFFF).to_bytes(2, "big") + payload


def oack(packet: bytes | None) -> dict[str, str]:
    """The options of an OACK; AssertionError for anything else."""
    assert packet is not None
    assert packet[:2] == b"\0\6", packet[:40]
    fields = packet[2:-1].decode().split("\0")
    return dict(zip(fields[::2], fields[1::2], strict=True))


def error_of(packet: bytes | None) -> tuple[int, str]:
    """Code and text of an ERROR; AssertionError for anything else."""
    assert packet is not None, "no answer"
    assert packet[:2] == b"\0\5", packet[:40]
    assert packet[-1] == 0
    return packet[3], packet[4:-1].decode("ascii")


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that differ from block to block."""
    unit = _unit(seed)
    return (unit * (size // len(unit) + 1))[:size] if size < 1 << 20 else os.urandom(size)


@functools.cache
def _unit(seed: int) -> bytes:
    return b"".join((i * 2654435761 + seed & 0xFFFFFFFF).to_bytes(4, "big") for i in range(4096))


class Client:
    """A UDP socket on one loopback address. `tid` is where the last packet came from, `server` where requests go."""

    def __init__(self, appliance: Appliance, ip: str, server: tuple[Any, ...]) -> None:
        self._appliance = appliance
        self.socket = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((ip, 0))
        self.socket.setblocking(False)
        self.server = server
        self.tid: tuple[Any, ...] = server

    def ask(self, packet: bytes) -> None:
        """To port 69."""
        self.socket.sendto(packet, self.server)
        self._appliance.settle()

    def tell(self, packet: bytes) -> None:
        """To the transfer."""
        self.socket.sendto(packet, self.tid)
        self._appliance.settle()

    def hear(self) -> bytes | None:
        """The next packet, None if none has come."""
        try:
            packet, self.tid = self.socket.recvfrom(70000)
        except BlockingIOError:
            return None
        return packet

    def hear_all(self) -> list[bytes]:
        packets = []
        while (packet := self.hear()) is not None:
            packets.append(packet)
        return packets

    def fetch(self, name: bytes | str, *options: tuple[str, object], mode: str = "octet") -> bytes:
        """A whole transfer as RFC 1350 and RFC 7440 have it; AssertionError if the server strays from them."""
        self.ask(rrq(name, *options, mode=mode))
        packet = self.hear()
        blksize, window = 512, 1
        if packet is not None and packet[:2] == b"\0\6":
            granted = oack(packet)
            blksize, window = int(granted.get("blksize", 512)), int(granted.get("windowsize", 1))
            self.tell(ack(0))
            packet = self.hear()
        parts: list[bytes] = []
        while True:
            assert packet is not None, f"no packet behind block {len(parts)}"
            number = len(parts) + 1
            assert packet[:4] == data(number, b""), (packet[:40], number)
            parts.append(packet[4:])
            last = len(packet) - 4 < blksize
            if last or number % window == 0:
                assert last or self.hear() is None, "more than a window"
                self.tell(ack(number))
            if last:
                return b"".join(parts)
            packet = self.hear()

    def close(self) -> None:
        self.socket.close()


class Appliance:
    """A started service over `root`. `events` is what it reported, `failures` what it logged as failed."""

    def __init__(self, root: Path, *, addresses: tuple[str, ...] = ("127.0.0.1",), settings: Limits | None = None, **more: Any) -> None:
        self.root = root
        self.clock = MemoryReactorClock()
        self.events: list[TransferEvent] = []
        self.failures: list[str] = []
        more.setdefault("in_thread", at_once)
        more.setdefault("seconds", self.clock.seconds)
        self.service = TftpService(
            reactor=self.clock,
            root=root,
            on_event=self.events.append,
            settings=settings,
            port=0,
            addresses=addresses,
            **more,
        )
        self._addresses = addresses
        self._clients: list[Client] = []
        self._handler = _Records(self.failures)

    def __enter__(self) -> Appliance:
        globalLogPublisher.addObserver(cast(ILogObserver, self._observe))
        logging.getLogger().addHandler(self._handler)
        self.service.startService()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.service.stopService()
        for client in self._clients:
            client.close()
        globalLogPublisher.removeObserver(cast(ILogObserver, self._observe))
        logging.getLogger().removeHandler(self._handler)
        if kind is None:
            assert not self.failures, self.failures
            assert self.service.active == 0
            assert not self.clock.getDelayedCalls(), "a timer is left over"
            assert not self.clock.readers, "a reader is left over"

    def client(self, ip: str = "127.0.0.1", *, to: str | None = None) -> Client:
        """A client on `ip` that asks the first listener, by the address `to`."""
        listener = ["::" if ":" in ip else "0.0.0.0", "::1" if ":" in ip else "127.0.0.1"]
        index = next(i for i, address in enumerate(self._addresses) if address in listener or address == to)
        client = Client(self, ip, (to or ("::1" if ":" in ip else "127.0.0.1"), self.service.ports[index]))
        self._clients.append(client)
        return client

    def settle(self) -> None:
        """Let every reader read until none has anything left. Loopback delivers within the sender's system call."""
        while True:
            readers = {reader.fileno(): reader for reader in list(self.clock.readers) if reader.fileno() >= 0}
            ready, _, _ = select.select(list(readers), [], [], 0)
            if not ready:
                return
            for fd in ready:
                readers[fd].doRead()

    def advance(self, seconds: float) -> None:
        """Move the clock, tick by tick, and let everything happen that is due."""
        end = self.clock.seconds() + seconds
        while (left := end - self.clock.seconds()) > 1e-9:
            self.clock.advance(min(TICK, left))
            self.settle()

    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.events]

    def _observe(self, event: LogEvent) -> None:
        if event.get("log_failure") is not None or event["log_level"] >= LogLevel.error:
            failure = event.get("log_failure")
            self.failures.append(formatEvent(event) + (failure.getTraceback() if failure is not None else ""))


class _Records(logging.Handler):
    def __init__(self, into: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._into = into

    def emit(self, record: logging.LogRecord) -> None:
        self._into.append(record.getMessage())


def at_once(function: Callable[..., T], /, *args: Any) -> Deferred[T]:
    """In place of a thread pool: run it now."""
    return maybeDeferred(function, *args)


class Later:
    """In place of a thread pool: run each function when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]] = []

    def __call__(self, function: Callable[..., T], /, *args: Any) -> Deferred[T]:
        result: Deferred[T] = Deferred()
        self.waiting.append((result, function, args))
        return result

    def run(self) -> None:
        """Run what waits now (not what that starts in turn)."""
        waiting, self.waiting = self.waiting, []
        for result, function, args in waiting:
            maybeDeferred(function, *args).chainDeferred(result)
