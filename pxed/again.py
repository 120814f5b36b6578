"""What is looked at again while pxed runs: every so often, and at once when the operator sends SIGHUP, as daemons take it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred


class Again:
    """Calls `look` (never two at a time; it must not fail) `every` seconds after the last look has ended. `clock`: IReactorTime."""

    def __init__(self, clock: Any, look: Callable[[], Deferred[Any]], every: float) -> None:
        self._clock = clock
        self._look = look
        self._every = every
        self._next: Any = None
        self._runs = self._asked = False

    def start(self) -> None:
        """The first look is now."""
        self._runs = True
        self._now()

    def at_once(self) -> None:
        """Do not wait for the next one; behind one that is under way comes another. Nothing before `start`."""
        self._asked = True
        if self._next is not None and self._next.active():
            self._next.cancel()
            self._now()

    def stop(self) -> None:
        """May be called twice, and without a start."""
        self._runs = False
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _now(self) -> None:
        self._asked = False
        self._look().addBoth(lambda _: self._later())

    def _later(self) -> None:
        if self._runs:
            self._next = self._clock.callLater(0.0 if self._asked else self._every, self._now)


def on_hangup(reactor: Any, look: Callable[[], None], *, terminal: Callable[[], bool] | None = None) -> None:
    """SIGHUP calls `look` in `reactor`, once that runs. On a terminal it goes on to mean that the terminal was closed, which ends pxed."""

    def listen() -> None:
        if not (terminal or _has_terminal)():
            signal.signal(signal.SIGHUP, lambda _number, _frame: reactor.callFromThread(look))

    reactor.callWhenRunning(listen)  # by then twistd has left the terminal, if it is to


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
