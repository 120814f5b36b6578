"""Sends a stretch of an open file as a response body: by sendfile(2) under the transport where that is possible, else by copying.

How the first works. The head and a first chunk of the file are sent at once: of most files that is all. Else HTTPChannel gets us as a push
producer, and a chunk is sent whenever the socket takes more (`pxed.web.outlet`). What was answered before is in the transport's own buffer
sometimes; the head goes behind it then, and the file waits until it is empty. Whether it is say two private names of
`twisted.internet.abstract.FileDescriptor`; `can_sendfile` looks for them, so that a Twisted without them only makes us slower. The reactor
never waits for the disk: before a chunk of the file is sent, its last byte (and the file's first) is read with RWF_NOWAIT; if a page is not
in memory, sending pauses while a thread reads ahead. Where the file system can't say (NFS, CIFS, FUSE), a thread reads each time.

Rules: whoever calls `send` gives the descriptor away; it is closed exactly once, after the last thread that uses it. Content-Length is
promised before, so a file that turns out shorter aborts the connection. Nobody who takes no byte for `STALL` seconds keeps a descriptor.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from twisted.internet import error, tcp
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pxed.repo.disk import Disk
from pxed.web.outlet import Outlet

CHUNK = 8 << 20
"""Bytes per turn at most; what the socket's buffer takes (4 MiB by default) is the usual end of one."""
COLD = 2 << 20
"""Bytes that are waited for when they are not in memory."""
WINDOW = 8 << 20
"""Bytes asked of the disk ahead of the socket."""
COPY = 1 << 18
"""Bytes per read where we copy."""
STALL = 60.0
"""Seconds without progress after which the client counts as gone."""

_NO_SENDFILE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EOVERFLOW}

_PROBE = [bytearray(1)]

log = Logger()


def can_sendfile(transport: object) -> bool:
    """Whether `transport` is a plain TCP connection whose private names are those that we know."""
    return (
        isinstance(transport, tcp.Connection)
        and not getattr(transport, "TLS", False)
        and hasattr(os, "sendfile")
        and isinstance(getattr(transport, "_tempDataBuffer", None), list)
        and isinstance(getattr(transport, "dataBuffer", None), bytes)
    )


async def send(request: Any, fd: int, start: int, length: int, *, disk: Disk, clock: Any) -> int:
    """Send ``length`` bytes from ``start``; the headers, Content-Length among them, are set but not written. Takes `fd` over.

    Returns the bytes sent, `length`, with the request ready for `finish`. Raises ConnectionLost if the client went, stalled, or the file
    was shorter; the request is dead then.
    """
    if request.gone:
        os.close(fd)
        raise error.ConnectionLost()
    transport = request.channel.transport
    body = Body(request, fd, start, length, disk=disk, clock=clock)
    try:
        if can_sendfile(transport):
            await _BySendfile(body, transport, request.channel.site.outlet).run()
        if body.left:
            await body.copy()
        return length
    finally:
        body.close()


@implementer(IPushProducer)
class Body:
    """What is left to send, the descriptor, the stall timer; and the copying way. As a producer: pausable, told when the client goes.

    The timer and the producer are there from `wait` on: what is sent at once needs neither.
    """

    def __init__(self, request: Any, fd: int, start: int, length: int, *, disk: Disk, clock: Any) -> None:
        self.request, self.fd, self.offset, self.left, self.disk = request, fd, start, length, disk
        self._clock = clock
        self._gone: Failure | None = None
        self._wake: Deferred[None] | None = None
        self._paused = False
        self._in_thread = False
        self._closed = False
        self._waiting_for_file = False
        self.on_gone: Any = None
        self._seen = length
        self._stall: Any = None

    def wait(self) -> None:
        """Be told when the client goes, and when it takes nothing. May be called twice."""
        if self._stall is None:
            self._stall = self._clock.callLater(STALL, self._check_progress)
            self.request.registerProducer(self, True)

    def took(self, count: int) -> None:
        """`count` more bytes have left (or are in the transport's buffer)."""
        self.offset += count
        self.left -= count

    async def read(self, work: Any, *args: Any) -> Any:
        """`work(fd, *args)` in a thread; the descriptor outlives it."""
        self._in_thread = True
        try:
            return await self.disk.do(work, self.fd, *args)
        finally:
            self._in_thread = False
            if self._closed:
                os.close(self.fd)

    async def copy(self) -> None:
        """Read in a thread, write through the transport. ConnectionLost as `send`."""
        await self._copy(None)

    async def follow(self, grown: Callable[[int], Awaitable[int]]) -> None:
        """As `copy`, of a file that still grows: ``await grown(offset)`` is how long it is, as soon as that is more than `offset`."""
        await self._copy(grown)

    async def _copy(self, grown: Callable[[int], Awaitable[int]] | None) -> None:
        self.wait()
        while self.left:
            await self._writable()
            most = min(COPY, self.left)
            if grown is not None:
                self._waiting_for_file = True
                most = min(most, await grown(self.offset) - self.offset)
                self._waiting_for_file = False
                self._raise_if_gone()
            data = await self.read(os.pread, most, self.offset)
            self._raise_if_gone()
            if not data:
                self.abort("the file is shorter than promised")
                self._raise_if_gone()
            self.request.write(data)
            self.took(len(data))
        self._raise_if_gone()

    def abort(self, why: str) -> None:
        """Drop the connection: what was promised can't be kept."""
        if self._gone is None:
            log.warn("Dropped a client in the middle of a file, {left} bytes before its end: {why}", left=self.left, why=why)
            transport = self.request.channel.transport if self.request.channel else None
            self.stopProducing()
            if transport is not None:
                transport.abortConnection() if hasattr(transport, "abortConnection") else transport.loseConnection()

    def close(self) -> None:
        """Give up descriptor, timer and producer. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._stall is not None:
            if self._stall.active():
                self._stall.cancel()
            if self._gone is None and self.request.channel is not None:
                self.request.unregisterProducer()
        if not self._in_thread:
            os.close(self.fd)

    async def _writable(self) -> None:
        self._raise_if_gone()
        if self._paused:
            self._wake = Deferred()
            await self._wake
            self._raise_if_gone()

    def _raise_if_gone(self) -> None:
        if self._gone is not None:
            self._gone.raiseException()

    def _check_progress(self) -> None:
        if self.left == self._seen and not self._waiting_for_file:
            self.abort(f"no progress for {STALL:.0f} s")
            return
        self._seen = self.left
        self._stall = self._clock.callLater(STALL, self._check_progress)

    # IPushProducer
    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._woken()

    def stopProducing(self) -> None:
        """The client went."""
        if self._gone is None:
            self._gone = Failure(error.ConnectionLost())
            if self.on_gone is not None:
                self.on_gone(self._gone)
            self._woken()

    def _woken(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.callback(None)


class _BySendfile:
    """Sends whenever the socket takes more, until the last byte, the client's end, or a file system that can't."""

    def __init__(self, body: Body, transport: Any, outlet: Outlet) -> None:
        self._body = body
        self._transport = transport
        self._socket: int = transport.fileno()
        self._outlet = outlet
        self._done: Deferred[None] = Deferred()
        self._known = -1
        self._warm_until = body.offset
        self._reading = self._corked = False
        body.on_gone = self._end

    async def run(self) -> None:
        """Returns when all is sent, or early (`body.left` > 0) if sendfile can't read this file. ConnectionLost as `send`."""
        request = self._body.request
        if not request.startedWriting:
            self._send_head(request.head())
        if not self._waits():
            self._chunk()
        if not self._done.called:
            self._body.wait()
            self._cork(True)
            if self._waits():
                self._transport.doWrite = self._empty
            elif not self._reading:
                self._outlet.add(self._socket, self._chunk)
        await self._done

    def _send_head(self, head: bytes) -> None:
        """In one segment with what follows, if nothing is in the way."""
        if not self._waits():
            with suppress(OSError):  # full, or gone: the next write says which
                head = head[self._transport.socket.send(head, socket.MSG_MORE) :]
        if head:
            self._transport.write(head)

    def _cork(self, on: bool) -> None:
        """TCP_CORK (tcp(7)): the kernel fills its segments across calls; that is a third of what a transfer costs."""
        self._corked = on
        with suppress(OSError):  # the client is gone: the next write says so
            self._transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)

    def _waits(self) -> bool:
        """Whether the headers, or what was answered before them, are still in the transport's buffer."""
        return bool(self._transport.dataBuffer or self._transport._tempDataBuffer)

    def _empty(self) -> Any:
        """In place of `doWrite`, as the reactor calls it, until the buffer is empty: None to go on, a connection error to end."""
        result = type(self._transport).doWrite(self._transport)
        if result is None and not self._waits():
            del self._transport.doWrite
            self._chunk()
            if not (self._done.called or self._reading):
                self._outlet.add(self._socket, self._chunk)
        return result

    def _chunk(self) -> None:
        """Send what the socket takes."""
        body = self._body
        if body.offset >= self._warm_until and not self._warm():
            return
        try:
            sent = os.sendfile(self._socket, body.fd, body.offset, min(self._warm_until - body.offset, body.left))
        except BlockingIOError:
            return
        except OSError as e:
            self._outlet.remove(self._socket)
            if e.errno in _NO_SENDFILE:
                self._end()
            else:
                self._transport.abortConnection()
            return
        body.took(sent)
        body.request.sentLength += sent
        if not sent:
            body.abort("the file is shorter than promised")
        elif not body.left:
            self._end()

    def _warm(self) -> bool:
        """Whether the next bytes are in memory; if not, a thread reads them and then they are sent."""
        body = self._body
        step = min(CHUNK, body.left)
        last = body.offset + step - 1
        if not (_in_memory(body.fd, last) and (body.offset == self._known or _in_memory(body.fd, body.offset))):
            self._reading = True
            self._outlet.remove(self._socket)
            Deferred.fromCoroutine(self._read_ahead(min(step, COLD))).addErrback(lambda f: log.failure("Reading ahead failed", f))
            return False
        self._known = self._warm_until = last + 1
        return True

    async def _read_ahead(self, step: int) -> None:
        body = self._body
        start = body.offset
        try:
            await body.read(_warm_up, start, step, body.left)
        except OSError as e:
            body.abort(f"the disk failed: {e.strerror}")
        self._reading = False
        self._known = self._warm_until = start + step
        if not self._done.called:
            self._outlet.add(self._socket, self._chunk)

    def _end(self, failure: Failure | None = None) -> None:
        if self._done.called:
            return
        self._outlet.remove(self._socket)
        if self._transport.__dict__.get("doWrite") == self._empty:
            del self._transport.doWrite
        if failure is not None:
            self._done.errback(failure)
            return
        if self._corked:
            self._cork(False)
        self._done.callback(None)


def _in_memory(fd: int, offset: int) -> bool:
    """Whether reading this byte needs no disk. False where the file system can't say: those are the ones that may be far away."""
    try:
        os.preadv(fd, _PROBE, offset, os.RWF_NOWAIT)
    except OSError:
        return False
    return True


def _warm_up(fd: int, start: int, step: int, left: int) -> None:
    """Have the disk work on the window, wait for its first `step` bytes."""
    os.posix_fadvise(fd, start, min(WINDOW, left), os.POSIX_FADV_WILLNEED)
    os.pread(fd, step, start)
