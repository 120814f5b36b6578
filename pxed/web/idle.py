"""Connections on which nobody asks anything: one timer for all of them, since one for each is more than reading its request takes."""

from __future__ import annotations

from typing import Any, Protocol


class Quiet(Protocol):
    """What a connection is told."""

    def timeoutConnection(self) -> object: ...


class Idle:
    """`clock`: IReactorTime. `period`: seconds for which a connection may be quiet. Has no timer while it watches nobody."""

    def __init__(self, clock: Any, period: float) -> None:
        self._clock = clock
        self._period = period
        self._since: dict[Quiet, float] = {}  # who has been quiet for longest comes first
        self._timer: Any = None

    def watch(self, connection: Quiet) -> None:
        """From now on, or anew."""
        self._since.pop(connection, None)
        self._since[connection] = self._clock.seconds()
        if self._timer is None:
            self._timer = self._clock.callLater(self._period, self._look)

    def forget(self, connection: Quiet) -> None:
        """May be called twice."""
        self._since.pop(connection, None)
        if not self._since and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        end = self._clock.seconds() - self._period
        while self._since:
            connection, since = next(iter(self._since.items()))
            if since > end:
                self._timer = self._timer or self._clock.callLater(since - end, self._look)
                return
            del self._since[connection]
            connection.timeoutConnection()
