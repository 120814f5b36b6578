"""The timeline as server-sent events: any number of followers, each event encoded once (WHATWG HTML, "Server-sent events").

* Events are gathered for `TICK` seconds, then written once per follower.
* A follower that gives ``Last-Event-ID`` (or ``?after=``) gets the stored events behind that id first. Live ones are held back and
  follow behind the last replayed id: no gap, nothing twice.
* A follower that does not read is paused by its transport; beyond `BACKLOG` bytes it is hung up on. It comes back with its last id.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from pxed.errors import StorageUnavailable
from pxed.node.model import Event
from pxed.web.api import gate
from pxed.web.api.shapes import event_shape
from pxed.web.rooms import Rooms

TICK = 0.075
KEEP_ALIVE = 15.0
BACKLOG = 1 << 20
PAGE = 500
FOLLOWERS = 1000

log = Logger()


def frame(event: Event) -> bytes:
    """One event on the wire."""
    data = json.dumps(event_shape(event), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.kind.encode("ascii", "replace"), data)


class Stream:
    """All followers of the timeline. Listens to it while there is one."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._followers: set[Follower] = set()
        self._gathered: list[Event] = []
        self._unsubscribe: Any = None
        self._tick: Any = None
        self._keep_alive: Any = None

    async def follow(self, request: Any) -> None:
        """Answer ``GET /events?node=&install=&after=``; returns when the follower is up to date. InvalidRequest, NotFound,
        StorageUnavailable before the first byte."""
        if len(self._followers) >= FOLLOWERS:
            raise StorageUnavailable(f"{FOLLOWERS} clients follow the timeline already")
        handle, install_id = request.argument("node"), request.argument("install")
        node = gate.found("node", self._rooms.inventory.find, handle).id if handle else None
        install = gate.found("install", self._rooms.engine.get, install_id).id if install_id else None
        last = request.getHeader(b"last-event-id")
        after = int(last) if last and last.isdigit() and len(last) < 19 else gate.number(request, "after", default=-1, most=1 << 60)
        follower = Follower(request, self, node=node, install=install)
        self._join(follower)
        try:
            await follower.begin(self._rooms.timeline, after)
        except BaseException:
            self.leave(follower)
            raise

    def close(self) -> None:
        """Hang up on everybody. May be called twice."""
        for follower in list(self._followers):
            follower.hang_up()

    def _join(self, follower: Follower) -> None:
        self._followers.add(follower)
        if self._unsubscribe is None:
            self._unsubscribe = self._rooms.timeline.subscribe(self._heard)
            self._keep_alive = self._rooms.clock.callLater(KEEP_ALIVE, self._say_alive)

    def leave(self, follower: Follower) -> None:
        """`follower` has gone. May be called twice."""
        self._followers.discard(follower)
        if not self._followers and self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
            self._gathered.clear()
            for call in (self._tick, self._keep_alive):
                if call is not None and call.active():
                    call.cancel()

    def _heard(self, event: Event) -> None:
        self._gathered.append(event)
        if self._tick is None or not self._tick.active():
            self._tick = self._rooms.clock.callLater(TICK, self._flush)

    def _flush(self) -> None:
        events, self._gathered = self._gathered, []
        frames = [(event, frame(event)) for event in events]
        everything = Frames(frames)
        for follower in list(self._followers):
            follower.live(everything)

    def _say_alive(self) -> None:
        self._keep_alive = self._rooms.clock.callLater(KEEP_ALIVE, self._say_alive)
        for follower in list(self._followers):
            follower.comment()


class Frames:
    """The frames of one tick; bodies for followers of everything are put together once, chunked or not."""

    def __init__(self, frames: list[tuple[Event, bytes]]) -> None:
        self.frames = frames
        self.first = frames[0][0].id
        self.body = b"".join(each for _, each in frames)
        self.chunk = b"%x\r\n%s\r\n" % (len(self.body), self.body)


@implementer(IPushProducer)
class Follower:
    """One client. Nothing with an id up to `_cursor` is sent to it (again)."""

    def __init__(self, request: Any, stream: Stream, *, node: str | None, install: str | None) -> None:
        self._ended = False
        self._cursor = 0
        self._request, self._stream = request, stream
        self._node, self._install = node, install
        self._held: list[tuple[Event, bytes]] | None = []
        self._held_bytes = 0
        self._missed = False
        self._paused = False
        self._queue: list[bytes] = []
        self._queued = 0
        self._wake: Deferred[None] | None = None

    async def begin(self, timeline: Any, after: int) -> None:
        """Headers, replay behind `after` (-1: none), then live. StorageUnavailable before the first byte; ConnectionLost."""
        self._cursor = max(after, 0)
        page = await self._page(timeline) if after >= 0 else []
        if self._request.gone:
            raise error.ConnectionLost()
        self._open()
        while page or self._missed:
            self._missed = False
            self._write(b"".join(frame(event) for event in page))
            self._cursor = page[-1].id if page else self._cursor
            await self._writable()
            page = await self._page(timeline)
        held, self._held = self._held or [], None
        self._write(b"".join(body for event, body in held if event.id > self._cursor))

    async def _page(self, timeline: Any) -> list[Event]:
        """The stored events behind the cursor. `history` would take 0 for "the newest"."""
        events: list[Event] = await timeline.history(node=self._node, install=self._install, after=self._cursor or -1, limit=PAGE)
        return events

    def live(self, tick: Frames) -> None:
        """What happened since the last tick."""
        if self._held is not None:
            self._hold(tick)
        elif tick.first > self._cursor and self._node is None and self._install is None:
            self._write(tick.body, tick.chunk)
        else:
            self._write(b"".join(body for event, body in tick.frames if self._wants(event)))

    def comment(self) -> None:
        """A line that means nothing, so that everybody between sees the connection live."""
        if self._held is None:
            self._write(b":\n\n")

    def hang_up(self) -> None:
        """End the stream from our side."""
        if not self._request.gone:
            self._request.channel.loseConnection()
        self._gone()

    def _wants(self, event: Event) -> bool:
        return event.id > self._cursor and self._node in {None, event.node} and self._install in {None, event.install}

    def _hold(self, tick: Frames) -> None:
        """Keep what arrives during the replay; if that is too much, forget it: the replay will read it from the store."""
        assert self._held is not None
        self._held += [(event, body) for event, body in tick.frames if self._wants(event)]
        self._held_bytes += len(tick.body)
        if self._held_bytes > BACKLOG:
            self._held.clear()
            self._held_bytes = 0
            self._missed = True

    def _open(self) -> None:
        request = self._request
        request.setHeader(b"Content-Type", b"text/event-stream")
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"X-Accel-Buffering", b"no")
        request.notifyFinish().addErrback(lambda _: self._gone())
        request.registerProducer(self, True)
        request.write(b"retry: 2000\n\n")

    def _write(self, body: bytes, chunk: bytes | None = None) -> None:
        if not body or self._ended or self._request.gone:
            return
        data = body if not self._request.chunked else chunk or b"%x\r\n%s\r\n" % (len(body), body)
        if not self._paused:
            self._request.channel.transport.write(data)
            return
        self._queue.append(data)
        self._queued += len(data)
        if self._queued > BACKLOG:
            log.info("Hung up on a follower of the timeline that does not read: {peer}", peer=self._request.peer)
            self._request.channel.transport.abortConnection()
            self._gone()

    async def _writable(self) -> None:
        if self._paused and not self._ended:
            self._wake = Deferred()
            await self._wake
        if self._ended or self._request.gone:
            raise error.ConnectionLost()

    def _gone(self) -> None:
        if not self._ended:
            self._ended = True
            self._queue.clear()
            self._stream.leave(self)
            self._woken()

    def _woken(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.callback(None)

    # IPushProducer
    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        waiting, self._queue, self._queued = b"".join(self._queue), [], 0
        if waiting and not self._request.gone:
            self._request.channel.transport.write(waiting)
        self._woken()

    def stopProducing(self) -> None:
        self._gone()
