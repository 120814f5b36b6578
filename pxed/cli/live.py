"""Following the appliance's timeline over a connection that may break: reconnects, and goes on behind the last event it had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import task

from pxed.cli.client import Client, EventStream, Refused, Unreachable
from pxed.cli.invocation import Pace
from pxed.errors import PxedError

Event = dict[str, Any]


class Follower:
    """The events of `node`, of `install` or of all, behind event id `after` (None: only new ones).

    `lost` is told each time the connection breaks. The first connection must succeed; later ones are tried again for ever.
    """

    def __init__(
        self,
        client: Client,
        pace: Pace,
        *,
        after: int | None = None,
        node: str | None = None,
        install: str | None = None,
        lost: Callable[[PxedError], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._last = after
        self._scope = {"node": node, "install": install}
        self._lost = lost
        self._stream: EventStream | None = None
        self._pace = pace
        self._pause = pace.retry
        self._stopped = False

    @property
    def pending(self) -> int:
        """How many events have arrived and wait for `next`."""
        return self._stream.pending if self._stream is not None else 0

    async def connect(self) -> None:
        """Unreachable, Unauthorised, Refused if that fails; `next` does it by itself after a loss."""
        self._stream = await self._client.events(after=self._last, **self._scope)
        if self._stopped:
            self._stream.stop()

    async def next(self) -> Event | None:
        """The next event; None after `stop`. Refused and Unauthorised if the appliance comes back another one, never Unreachable again."""
        if self._stream is None:
            await self.connect()
        while True:
            arrived = await self._stream.next() if self._stream is not None else None
            if arrived is None:
                if self._stopped:
                    return None
                await self._reconnect()
                continue
            self._pause = self._pace.retry
            if arrived.id.isdigit():
                self._last = max(self._last or 0, int(arrived.id))
            event = arrived.value()
            if event is not None:
                return event

    def stop(self) -> None:
        """Hang up; `next` gives what has arrived and then None. May be called twice."""
        self._stopped = True
        if self._stream is not None:
            self._stream.stop()

    async def _reconnect(self) -> None:
        self._lost(Unreachable(f"The appliance at {self._client.endpoint.url} broke the event stream off"))
        while not self._stopped:
            await task.deferLater(self._client.reactor, self._pause)
            self._pause = min(2 * self._pause, self._pace.longest_retry)
            try:
                await self.connect()
            except (Unreachable, Refused) as e:
                if isinstance(e, Refused) and e.status < 500:
                    raise
                self._lost(e)
            else:
                return
