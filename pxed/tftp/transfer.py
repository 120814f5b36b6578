"""One transfer: fbtftp's handler without its process, its blocking socket and its clock.

Kept of `BaseHandler`: construction, option negotiation (`_parse_options`), the OACK and ERROR packets, statistics and the closing
sequence. Replaced: `start` (no process), `_get_listener` (connected, non-blocking), the block loop (`stream`). A connected socket lets
the kernel turn strangers away: they get ICMP port unreachable instead of ERROR 5, and the transfer never hears of them (D3).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import Process
from typing import Any

from fbtftp import BaseHandler, SessionStats, constants
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pxed.log import Log
from pxed.tftp.events import NotServed, Outcome, Problem, TransferEvent, printable
from pxed.tftp.files import Content, Files, prepared
from pxed.tftp.hub import Hub
from pxed.tftp.image import HEADER, OVERLAP
from pxed.tftp.listener import Arrival
from pxed.tftp.options import granted
from pxed.tftp.pace import Pace
from pxed.tftp.request import RESERVED
from pxed.tftp.root import normalise
from pxed.tftp.settings import TftpSettings
from pxed.tftp.stream import Stream

Virtual = Callable[[str, str], "bytes | Deferred[bytes | None] | Deferred[bytes] | None"]
"""(normalised name, client's address) > content rendered for this client, or None: then it is a file."""

_IP_MTU, _IPV6_MTU = 14, 24
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER = 10, 23
_UDP_SEGMENT = 103
_LARGEST_OTHER = 256
"""Bytes; no OACK and no ERROR of ours is larger. UDP_SEGMENT would cut them too, were the blocks smaller than they are."""
_UDP_PAYLOAD = 65487
"""Bytes of one UDP_SEGMENT call at most, IPv4 and IPv6."""
_NOT_CUT = frozenset({errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.ENOPROTOOPT})

_STORY: dict[Outcome | None, str] = {
    "sent": "{peer} has {file}: {bytes} bytes in {seconds:.2f} s, {again} retransmissions",
    "failed": "{peer} did not get {file}: {reason}",
    None: "{peer} asked about {file} and does not want it now: {reason}",
}


@dataclass(frozen=True)
class Services:
    """What all transfers share. `uncut`: local addresses on whose interface the kernel refused UDP_SEGMENT.

    `blksize_cap`: the largest block (bytes) for the client at an address, None for no other than everybody's.
    """

    files: Files
    hub: Hub
    settings: TftpSettings
    seconds: Callable[[], float]
    report: Callable[[TransferEvent], None]
    forget: Callable[[Transfer], None]
    virtual: Virtual | None = None
    blksize_cap: Callable[[str], int | None] | None = None
    uncut: set[str] = field(default_factory=set)


class _NoProcess(Process):
    """Stands between `BaseHandler` and `Process`: what is never started needs no number, no name and no place among the children."""

    daemon = False

    def __init__(self, *_arguments: object) -> None:
        """Not that of `Process`."""


class Transfer(BaseHandler, _NoProcess):  # type: ignore[misc]  # fbtftp has no types
    """`start` and then nothing more to do: it ends itself, tells `Services.forget` and reports one TransferEvent.

    `peer`: the client's socket address, one live transfer for each. `peer_ip`: the address in it.
    """

    log = Log()
    _listener: socket.socket | None
    _options: dict[str, Any]

    def __init__(self, services: Services, arrival: Arrival, name: bytes, options: Mapping[str, Any]) -> None:
        self._services = services
        self.arrival = arrival
        self.peer = arrival.peer
        self.peer_ip = str(arrival.peer[0])
        self._stream: Stream | None = None
        self._started = services.seconds()
        self._ended = self._cut = False
        self._outcome: Outcome | None = None
        self._reason = ""
        self.asked = (name, dict(options))
        self.file = printable(name.rstrip(b"\xff"))
        super().__init__((arrival.packed(), 0), arrival.peer, self.file, options, self._tell)

    def get_response_data(self) -> None:
        """fbtftp asks in the constructor; the content comes later, from a thread or a Deferred."""

    def start(self) -> None:
        """Answer the request as soon as its content is there. Never raises: what fails ends this transfer."""
        self._report("request")
        try:
            self._begin()
        except NotServed as refusal:
            self.refuse(refusal.problem, str(refusal))
        except OSError as error:
            self.fail(f"no socket for it: {error.strerror}")
        except Exception:
            self._crashed(Failure())

    def catch_up(self) -> None:
        """Take what the client has sent already: a last ACK or an ERROR may wait behind its next request."""
        if self._stream is not None:
            self._stream.catch_up(self._services.seconds())

    def superseded(self) -> None:
        """The client has asked again from the same port: it knows nothing of this transfer any more."""
        self._outcome, self._reason = (None if self._asked_only() else "failed"), "the client asked again from the same port"
        self._close()

    def quiet_for(self) -> float:
        """Seconds since the client acknowledged something; 0 while nothing was sent yet or nothing is acknowledged."""
        return self._stream.silence() if self._stream is not None and self._stream.acked >= 0 else 0.0

    def refuse(self, problem: Problem, detail: str = "") -> None:
        """End with an ERROR of a fixed text; `detail` is for our log and the timeline only. May be called at any time."""
        if self._ended:
            return
        self._stats.error = {"error_code": problem.code, "error_message": problem.text}
        try:
            self._transmit_error()
        except OSError as error:
            self.log.debug("The ERROR for {peer} could not be sent: {error}", peer=self.peer_ip, error=error)
        self.fail(detail or problem.text)

    def fail(self, reason: str) -> None:
        """End without a word to the client."""
        self._outcome, self._reason = "failed", reason
        self._close()

    def holds(self, fd: int) -> bool:
        """Whether `fd` is this transfer's socket."""
        return self._listener is not None and self._listener.fileno() == fd

    def wait_for(self, work: Deferred[None]) -> None:
        work.addErrback(self._crashed)

    # what the stream asks for

    def send_oack(self) -> None:
        self._transmit_oack()

    def wanted(self) -> None:
        self.wait_for(Deferred.fromCoroutine(self._advance()))

    def cannot_send(self, error: OSError) -> bool:
        self.log.debug("A packet to {peer} was refused: {error}", peer=self.peer_ip, error=error)
        if not self._cut or error.errno not in _NOT_CUT:
            return False
        self._cut = False
        self._services.uncut.add(self.arrival.local)
        self._get_listener().setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, 0)
        return True

    def ended(self, reason: str) -> None:
        self._outcome, self._reason = ("failed", reason) if reason else ("sent", "")
        self._close()

    def aborted(self, code: int, text: bytes) -> None:
        """OVMF asks for the size first and hangs up with ERROR 8 (Intel's PXE ROMs with ERROR 0): not a failure, not even news."""
        self._reason = f"the client ended it: ERROR {code} {printable(text)}".rstrip()
        self._stats.error = {"error_code": code, "error_message": printable(text)}
        self._outcome = None if self._asked_only() else "failed"
        self._close()

    def illegal(self) -> None:
        self.refuse(Problem.OPERATION, "the client sent something that is neither ACK nor ERROR")

    # fbtftp's hooks

    def _get_listener(self) -> socket.socket:
        """This transfer's socket: bound to the address that was asked, an ephemeral port (the server's TID), connected to the client."""
        if self._listener is None:
            sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                # as dnsmasq does: no DF bit, networks that drop ICMP would swallow large blocks without a trace
                if self._family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, 0)
                else:
                    sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, 0)
                sock.bind(self.arrival.local_address())
                sock.connect(self.peer)
            except BaseException:
                sock.close()
                raise
            self._listener = sock
        return self._listener

    def _parse_options(self) -> None:
        """fbtftp's negotiation over values that were vetted (`options.granted`), and windowsize, which it does not know (RFC 7440)."""
        window = self._granted.get("windowsize")
        super()._parse_options()
        if window is not None:
            self._options["windowsize"] = window

    def _close(self, _test: bool = True) -> None:
        """fbtftp's closing sequence without its exit. May be called twice."""
        if self._ended:
            return
        self._ended = True
        if self._stream is not None:
            self._stream.close()
        self._services.forget(self)
        if self._listener is not None:
            self._services.hub.remove(self._listener.fileno())
            super()._close(test=True)
        else:
            self._on_close()

    # inside

    def _begin(self) -> None:
        as_netascii = self._options["mode"] == constants.MODE_NETASCII
        settings = self._services.settings
        self._granted = granted(
            {name: value for name, value in self._options.items() if name not in RESERVED},
            blksize_max=self._blksize_max(),
            window_max=min(settings.window_max, OVERLAP),
            room=self._room(),
        )
        blksize = int(self._granted.get("blksize", constants.DEFAULT_BLKSIZE))
        name = normalise(self.asked[0])
        virtual = self._services.virtual(name, self.peer_ip) if self._services.virtual is not None else None
        content: Content | None
        if virtual is None:
            content = self._services.files.at_hand(name, as_netascii=as_netascii, blksize=blksize)
        elif isinstance(virtual, bytes):
            content = prepared(virtual, as_netascii=as_netascii, blksize=blksize)
        else:
            content = None
        if content is not None:
            self._serve(content, blksize)
        else:
            self.wait_for(Deferred.fromCoroutine(self._fetch(name, virtual, as_netascii, blksize)))

    def _blksize_max(self) -> int:
        cap = self._services.blksize_cap(self.peer_ip) if self._services.blksize_cap is not None else None
        most = self._services.settings.blksize_max
        return most if cap is None else min(cap, most)

    async def _fetch(self, name: str, virtual: Any, as_netascii: bool, blksize: int) -> None:
        """Wait for rendered content or a thread's; by then the client may have given up or asked for something else."""
        try:
            rendered: bytes | None = await virtual if virtual is not None else None
            if rendered is not None:
                content = prepared(rendered, as_netascii=as_netascii, blksize=blksize)
            else:
                content = await self._services.files.open(name, as_netascii=as_netascii, blksize=blksize)
        except NotServed as refusal:
            self.refuse(refusal.problem, str(refusal))
            return
        if self._ended:
            content.close()
        else:
            self._serve(content, blksize)

    async def _advance(self) -> None:
        try:
            segment = await self._response_data.advance()
        except NotServed as refusal:
            self.refuse(refusal.problem, str(refusal))
            return
        if not self._ended and self._stream is not None:
            self._stream.resume(segment)

    def _serve(self, content: Content, blksize: int) -> None:
        self._response_data = content
        self._options = {
            "mode": constants.MODE_BINARY,  # netascii was made when the content was prepared
            "retries": self._retries,
            "default_timeout": self._timeout,
            **self._granted,
        }
        self._parse_options()
        sock = self._get_listener()
        window = int(self._granted.get("windowsize", 1))
        timeout = self._granted.get("timeout")
        self._stream = Stream(
            self,
            fd=sock.fileno(),
            seconds=self._services.seconds,
            segment=content.segment,
            total=content.total,
            blksize=blksize,
            window=window,
            run=self._run(sock, blksize + HEADER, window),
            pace=Pace(None if timeout is None else float(timeout)),
            idle_timeout=self._services.settings.idle_timeout,
        )
        self._services.hub.add(sock.fileno(), self._stream)
        self._stream.start(oack=bool(self._options))

    def _asked_only(self) -> bool:
        """Whether there was an OACK and no block was acknowledged."""
        return bool(self._options) and self._stream is not None and self._stream.acked <= 0

    def _room(self) -> int:
        """Bytes of data that fit into one packet towards this client; 8 at least."""
        sock = self._get_listener()
        if self._family == socket.AF_INET6:
            return sock.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU) - 48 - HEADER
        return sock.getsockopt(socket.IPPROTO_IP, _IP_MTU) - 28 - HEADER

    def _run(self, sock: socket.socket, step: int, window: int) -> int:
        """Blocks that one send may carry: with UDP_SEGMENT the kernel cuts a whole window into packets."""
        if window == 1 or step < _LARGEST_OTHER or self.arrival.local in self._services.uncut:
            return 1
        try:
            sock.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, step)
        except OSError:
            return 1
        self._cut = True
        return min(OVERLAP, _UDP_PAYLOAD // step)

    def _crashed(self, failure: Failure) -> None:
        self.log.failure("The transfer of {file} to {peer} failed inside pxed", failure, file=self.file, peer=self.peer_ip)
        self.refuse(Problem.INTERNAL)

    def _tell(self, stats: SessionStats) -> None:
        """fbtftp's statistics callback, at the end."""
        stream = self._stream
        if stream is not None:
            done = min(max(0, stream.acked) * stats.blksize, self._response_data.size())
            stats.packets_acked, stats.bytes_sent, stats.retransmits = max(0, stream.acked), done, stream.retransmits
        if self._outcome is not None:
            self._report(self._outcome, stats.bytes_sent)
        self.log.info(
            _STORY[self._outcome],
            peer=self.peer_ip,
            file=self.file,
            bytes=stats.bytes_sent,
            seconds=self._services.seconds() - self._started,
            again=stats.retransmits,
            reason=self._reason,
        )

    def _report(self, outcome: Outcome, done: int = 0) -> None:
        seconds = self._services.seconds() - self._started
        self._services.report(TransferEvent(self.peer_ip, self.file, outcome, done, seconds, self._reason))
