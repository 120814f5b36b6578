"""The syslog receiver: messages in, by UDP and TCP, `syslog` events on the timeline of the node whose address they come from.

* Every line of a known node goes to `on_line` (an OS family may read progress from it); what reaches the timeline is limited per node, and
  a line says how many were left out. Kernel messages and debug lines are left out without a word unless they are errors.
* Lines from addresses of no node are counted and dropped.
* One turn of the reactor reads `TURN` datagrams at most, empty ones included, or as many as `BUDGET` allows; `pxed.syslog.stream` has TCP's
  rules.
"""

from __future__ import annotations

import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from twisted.application import service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from pxed.config import SyslogSettings
from pxed.errors import HostProblem
from pxed.node.inventory import Inventory
from pxed.node.mask import mask
from pxed.node.model import Node
from pxed.node.timeline import Timeline
from pxed.syslog.parse import Line, parse
from pxed.syslog.stream import BUDGET, TURN, Intake

LARGEST = 8192
"""Bytes read of a datagram; RFC 5426 asks for 2048."""
RECEIVE_BUFFER = 1 << 20
BURST = 60
"""Lines of a node that reach the timeline at once."""
RATE = 2.0
"""Lines per second after that. A node's timeline is bounded: its log must not push out what happened to it."""
SAY_AFTER = 10.0
"""Seconds after which lines left out are owned up to."""
NODES = 4096
"""Nodes whose rate is remembered."""
KERNEL, ERROR, DEBUG = 0, 3, 7

log = Logger()


class Syslog:
    """What a message does. `clock`: IReactorTime; `on_line(node, program, text)` hears every line, masked."""

    def __init__(
        self, *, inventory: Inventory, timeline: Timeline, clock: Any, on_line: Callable[[Node, str, str], None] | None = None
    ) -> None:
        self._inventory, self._timeline, self._clock, self._on_line = inventory, timeline, clock, on_line
        self._budgets: OrderedDict[str, Budget] = OrderedDict()
        self._owning_up: Any = None
        self.received = 0
        self.strangers = 0

    def knows(self, address: str) -> bool:
        """Whether that is the address of a node."""
        return self._inventory.by_address(address) is not None

    def message(self, data: bytes, address: str) -> None:
        """One datagram, or one message of a stream, from `address`. Never raises."""
        self.received += 1
        node = self._inventory.by_address(address)
        if node is None:
            self.strangers += 1
            return
        line = parse(data)
        text = mask(line.text)
        self._tell(node, line.program, text)
        if not text or not _interesting(line):
            return
        budget = self._budget(node)
        if budget.take(self._clock.seconds()):
            self._own_up(node, budget)
            self._record(node, f"{line.program}: {text}" if line.program else text, {"severity": line.severity})
        else:
            budget.left_out += 1
            if self._owning_up is None:
                self._owning_up = self._clock.callLater(SAY_AFTER, self._own_up_all)

    def stop(self) -> None:
        """Say what was left out so far. May be called twice."""
        if self._owning_up is not None:
            self._owning_up.cancel()
            self._own_up_all()

    def _tell(self, node: Node, program: str, text: str) -> None:
        if self._on_line is not None:
            try:
                self._on_line(node, program, text)
            except Exception:
                log.failure("A syslog line of {node} could not be read for progress", node=node.id)

    def _record(self, node: Node, text: str, data: dict[str, Any]) -> None:
        self._timeline.record("syslog", text, node=node.id, install=node.boot.install, data=data)

    def _budget(self, node: Node) -> Budget:
        budget = self._budgets.get(node.id)
        if budget is None:
            budget = self._budgets[node.id] = Budget(self._clock.seconds())
            while len(self._budgets) > NODES:
                self._budgets.popitem(last=False)
        else:
            self._budgets.move_to_end(node.id)
        return budget

    def _own_up(self, node: Node, budget: Budget) -> None:
        if budget.left_out:
            self._record(node, f"({budget.left_out} lines of its log were left out: too many at once)", {"left_out": budget.left_out})
            budget.left_out = 0

    def _own_up_all(self) -> None:
        self._owning_up = None
        for node_id, budget in self._budgets.items():
            node = self._inventory.get(node_id)
            if node is not None:
                self._own_up(node, budget)


class Budget:
    """A token bucket: BURST lines, RATE more per second."""

    __slots__ = ("_at", "_left", "left_out")

    def __init__(self, at: float) -> None:
        self._left, self._at, self.left_out = float(BURST), at, 0

    def take(self, now: float) -> bool:
        """Whether one more line may pass."""
        self._left = min(float(BURST), self._left + max(0.0, now - self._at) * RATE)  # Twisted's clock may be set back
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _interesting(line: Line) -> bool:
    return line.severity <= ERROR or (line.facility != KERNEL and line.severity != DEBUG)


@implementer(IReadDescriptor)
class Reader:
    """Reads a bound, non-blocking UDP socket for the reactor. `close` may be called twice. `seconds` is monotonic."""

    seconds: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, sock: socket.socket, received: Callable[[bytes, str], None], reactor: Any) -> None:
        self._socket, self._received, self._reactor = sock, received, reactor
        reactor.addReader(self)

    def doRead(self) -> None:
        stop = self.seconds() + BUDGET
        for _ in range(TURN):
            try:
                data, peer = self._socket.recvfrom(LARGEST)
            except OSError:  # nothing more; or an ICMP error that some earlier answer met
                return
            self._received(data, peer[0])
            if self.seconds() > stop:
                return

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "syslog"

    def connectionLost(self, reason: Any) -> None:
        """The reactor lost faith in the socket."""
        log.error("The syslog socket failed: {reason}", reason=reason)
        self.close()

    def close(self) -> None:
        self._reactor.removeReader(self)
        self._socket.close()


class Receiver(service.Service):
    """The service. Binds in `privilegedStartService` (HostProblem if it can't); `address` "" = every address; `port` 0 = any (tests).

    UDP and, unless `settings` says no, TCP on the same number; `tcp_port` is TCP's once it is bound.
    """

    name = "syslog"

    def __init__(self, syslog: Syslog, *, reactor: Any, settings: SyslogSettings, port: int = 514, address: str = "") -> None:
        self.syslog = syslog
        self.port = self.tcp_port = port
        self.intake = Intake(syslog.message, knows=syslog.knows, reactor=reactor, settings=settings) if settings.tcp else None
        self._reactor, self._address = reactor, address
        self._socket: socket.socket | None = None
        self._reader: Reader | None = None
        self._listener: Any = None

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        if self._socket is None:
            self._socket = _bind(self._address, self.port)
            self.port = self._socket.getsockname()[1]
        if self._listener is None and self.intake is not None:
            self._listener = self._listen(self.intake)
            self.tcp_port = self._listener.getHost().port

    def _listen(self, intake: Intake) -> Any:
        """TCP, not accepting yet."""
        try:
            listener = self._reactor.listenTCP(self.tcp_port, intake, backlog=128, interface=self._address)
        except CannotListenError as e:
            self._close()
            raise HostProblem(
                f"TCP port {self.tcp_port} (syslog) can't be used: {e.socketError.strerror}",
                "Stop what holds it, set another ports.syslog, or tcp = false under [syslog]",
            ) from e
        listener.stopReading()
        return listener

    def startService(self) -> None:
        if self._socket is None:
            self.privilegedStartService()
        super().startService()
        assert self._socket is not None
        self._reader = Reader(self._socket, self.syslog.message, self._reactor)
        if self._listener is not None:
            self._listener.startReading()

    def stopService(self) -> Deferred[Any]:
        listener, self._listener = self._listener, None
        closing = [maybeDeferred(listener.stopListening)] if listener is not None else []
        if self.intake is not None:
            closing.append(self.intake.stop())
        self._close()
        self.syslog.stop()
        super().stopService()
        return DeferredList(closing)

    def status(self) -> dict[str, int]:
        """For health reports: messages received, those of strangers, TCP connections now, refused and replaced."""
        counts = {"received": self.syslog.received, "strangers": self.syslog.strangers}
        if self.intake is not None:
            counts |= {"connections": self.intake.open, "refused": self.intake.refused, "replaced": self.intake.replaced}
        return counts

    def _close(self) -> None:
        """Close the UDP socket. May be called twice."""
        if self._reader is not None:
            self._reader.close()
        elif self._socket is not None:
            self._socket.close()
        self._reader = self._socket = None


def _bind(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    try:
        sock.bind((address, port))
    except OSError as e:
        sock.close()
        raise HostProblem(f"UDP port {port} (syslog) can't be used: {e.strerror}", "Stop what holds it, or set another ports.syslog") from e
    return sock
