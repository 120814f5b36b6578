"""Python's garbage collector, held to moments in which it disturbs nobody.

A full collection looks through every object: 0.05 to 0.15 s in which no node gets an offer, and a boot storm brings several; one of the
middle generation takes 5 ms, a dozen times. So what was loaded at the start is left out for good (`gc.freeze`), only the young are
collected as ever (1 ms), and the full collection, which takes the others too, waits until nobody is being served by TFTP, whom it would
hurt; at the latest it comes after `LATEST` seconds. What waits is about 5 kB a node that boots.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

EVERY = 30.0
"""Seconds between two full collections of an appliance at rest."""
LATEST = 900.0
"""Seconds after which one comes although somebody is being served."""
_NEVER = 1 << 30


class Collector:
    """`clock`: IReactorTime. `busy`: whether somebody is being served."""

    log = Logger()

    def __init__(self, clock: Any, busy: Callable[[], bool], *, collect: Callable[[], object] = gc.collect) -> None:
        self._clock = clock
        self._busy = busy
        self._collect = collect
        self._due = 0.0
        self._look = LoopingCall(self.look)
        self._look.clock = clock
        self._usual = gc.get_threshold()
        self._alone = True

    def start(self) -> None:
        """From now on. What is in memory stays there."""
        self._collect()
        self._alone = gc.get_freeze_count() == 0
        gc.freeze()
        gc.set_threshold(self._usual[0], _NEVER, _NEVER)
        self._due = self._clock.seconds() + LATEST
        self._look.start(EVERY, now=False).addErrback(lambda failure: self.log.failure("Nobody collects garbage any more", failure))

    def stop(self) -> None:
        """As Python does it again; what was left out before `start`, by somebody else, remains so. May be called twice."""
        if self._look.running:
            self._look.stop()
        gc.set_threshold(*self._usual)
        if self._alone:
            gc.unfreeze()

    def look(self) -> None:
        """Collect if nobody is being served, or if it is high time."""
        now = self._clock.seconds()
        if not self._busy() or not 0 <= self._due - now <= LATEST:  # the reactor's clock may be set back
            self._collect()
            self._due = now + LATEST
