"""Syslog by TCP: connections in, messages to the same `Syslog` as the datagrams (anaconda's rsyslog forwards by TCP only).

* One turn of the reactor hands on `TURN` messages at most, or as many as `BUDGET` allows, of all connections together and in turn; who has
  more is not read meanwhile, so that TCP holds the sender back.
* Connections are bounded, per client and in all. A client that opens one more than it may loses the one that was quiet for longest: a
  machine that was reset leaves dead ones behind. When all places are taken, a node takes that of a stranger.
* Who says nothing for the idle time-out is hung up on. Nothing is ever sent.
"""

from __future__ import annotations

import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.protocol import Factory, Protocol

from pxed.config import SyslogSettings
from pxed.syslog.framing import Frames

TURN = 64
BUDGET = 0.002
"""Messages and seconds per turn of the reactor; a message costs 40 us, a hostile one 300."""
SHARE = 8
"""Messages of one connection before it is the next one's turn."""
CHUNK = 8192
"""Bytes read of a connection at once: what it may make us hold."""
SWEEP = 10.0
"""Seconds between two looks for who has been quiet for too long."""
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 3))
"""A machine that lost its power says no goodbye: found out within two minutes."""


class Intake(Factory):
    """All connections. `take(message, address)` is told each message, `knows(address)` whether that is a node's; `seconds` is monotonic.

    `open` says how many there are, `refused` and `replaced` count those that found no place or lost it to another.
    """

    noisy = False

    def __init__(
        self,
        take: Callable[[bytes, str], None],
        *,
        knows: Callable[[str], bool],
        reactor: Any,
        settings: SyslogSettings,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._take, self._knows, self._reactor, self._settings, self._seconds = take, knows, reactor, settings, seconds
        self._quiet_for_longest: OrderedDict[Connection, float] = OrderedDict()
        self._of: dict[str, OrderedDict[Connection, None]] = {}
        self._ready: deque[Connection] = deque()
        self._turn: Any = None
        self._sweep: Any = None
        self.refused = self.replaced = 0

    @property
    def open(self) -> int:
        return len(self._quiet_for_longest)

    def buildProtocol(self, addr: Any) -> Connection | None:
        address = str(addr.host)
        if not self._makes_place(address):
            self.refused += 1
            return None
        connection = Connection(self, address)
        self._quiet_for_longest[connection] = self._seconds()
        self._of.setdefault(address, OrderedDict())[connection] = None
        if self._sweep is None:
            self._sweep = self._reactor.callLater(SWEEP, self._swept)
        return connection

    def _makes_place(self, address: str) -> bool:
        """Whether there is room for one more of `address`, if need be in another's place."""
        theirs = self._of.get(address)
        if theirs is not None and len(theirs) >= self._settings.per_client:
            self._replace(next(iter(theirs)))
        elif self.open >= self._settings.max_connections:
            known = self._knows(address)
            other = next((each for each in self._quiet_for_longest if not self._knows(each.address)), None) if known else None
            if other is None:
                return False
            self._replace(other)
        return True

    def _replace(self, connection: Connection) -> None:
        self.replaced += 1
        connection.hang_up()

    def spoke(self, connection: Connection) -> None:
        """It has sent something: it is read no further until that is handed on. Nothing if it was hung up on."""
        if connection not in self._quiet_for_longest:
            return
        self._quiet_for_longest[connection] = self._seconds()
        self._quiet_for_longest.move_to_end(connection)
        self._of[connection.address].move_to_end(connection)
        if not connection.waits:
            connection.pause()
            self._ready.append(connection)
            if self._turn is None:
                self._turn = self._reactor.callLater(0, self._serve)

    def gone(self, connection: Connection) -> None:
        """It is closed, or about to be. May be called twice."""
        if self._quiet_for_longest.pop(connection, None) is None:
            return
        theirs = self._of[connection.address]
        del theirs[connection]
        if not theirs:
            del self._of[connection.address]
        if not self._quiet_for_longest and self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def stop(self) -> Deferred[Any]:
        """Hang up on everybody; fires when all are gone. What was not handed on yet is dropped. May be called twice."""
        everybody = list(self._quiet_for_longest)
        for connection in everybody:
            connection.hang_up()
        self._ready.clear()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        return DeferredList([connection.lost for connection in everybody])

    def _serve(self) -> None:
        """One turn: `SHARE` messages each, `TURN` or `BUDGET` in all."""
        left, stop = TURN, self._seconds() + BUDGET
        while self._ready and left > 0 and self._seconds() <= stop:
            connection = self._ready.popleft()
            for _ in range(min(SHARE, left)):
                message = connection.frames.next()
                if message is None:
                    connection.resume()
                    break
                left -= 1
                self._take(message, connection.address)
            else:
                self._ready.append(connection)
        self._turn = self._reactor.callLater(0, self._serve) if self._ready else None

    def _swept(self) -> None:
        self._sweep = self._reactor.callLater(SWEEP, self._swept)
        longest_ago = self._seconds() - self._settings.idle_timeout
        for connection, last in list(self._quiet_for_longest.items()):
            if last > longest_ago:
                break
            connection.hang_up()


class Connection(Protocol):
    """One client's. `waits`: it has messages that are to be handed on, and is not read; `lost` fires when it is closed."""

    def __init__(self, intake: Intake, address: str) -> None:
        self._intake = intake
        self.address = address
        self.frames = Frames()
        self.waits = False
        self.lost: Deferred[None] = Deferred()
        self._closed = False

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.bufferSize = CHUNK
        transport.setTcpKeepAlive(1)
        for option, value in _KEEPALIVE:
            transport.getHandle().setsockopt(socket.IPPROTO_TCP, option, value)

    def dataReceived(self, data: bytes) -> None:
        self.frames.feed(data)
        self._intake.spoke(self)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ARG002 - Twisted's signature
        self._closed = True
        self.frames.end()
        self._intake.spoke(self)
        self._intake.gone(self)
        self.lost.callback(None)

    def pause(self) -> None:
        self.waits = True
        self._transport("pauseProducing")

    def resume(self) -> None:
        self.waits = False
        self._transport("resumeProducing")

    def hang_up(self) -> None:
        """Close it without a word, and give its place away at once."""
        self._intake.gone(self)
        self._transport("abortConnection")

    def _transport(self, verb: str) -> None:
        if not self._closed and self.transport is not None:
            getattr(self.transport, verb)()
