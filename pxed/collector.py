"""Python's garbage collector, held to moments in which it disturbs nobody.

A full collection looks through every object: 0.05 to 0.4 s in which no node gets an offer, and a boot storm brings several; one of the
middle generation takes 5 ms, a dozen times. So what was loaded at the start is left out (`gc.freeze`), only the young are collected as ever
(1 ms), and the full collection, which takes the others too, waits until nobody is being served by TFTP, whom it would hurt; at the latest
it comes after `LATEST` seconds. What waits is about 5 kB a node that boots. What it finds alive is left out of the next ones: nodes stay
for long. If that becomes garbage which refers to itself, it goes when everything is looked at, at rest, every `WHOLE` seconds.
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
WHOLE = 3600.0
"""Seconds after which a collection at rest looks at everything."""
_NEVER = 1 << 30


class Collector:
    """`clock`: IReactorTime. `busy`: whether somebody is being served."""

    log = Logger()

    def __init__(self, clock: Any, busy: Callable[[], bool], *, collect: Callable[[], object] = gc.collect) -> None:
        self._clock = clock
        self._busy = busy
        self._collect = collect
        self._due = self._whole = 0.0
        self._look = LoopingCall(self.look)
        self._look.clock = clock
        self._usual = gc.get_threshold()
        self._alone = True

    def start(self) -> None:
        """From now on."""
        self._alone = gc.get_freeze_count() == 0
        gc.set_threshold(self._usual[0], _NEVER, _NEVER)
        self._whole = self._clock.seconds() + WHOLE
        self._collect_and_leave_out()
        self._look.start(EVERY, now=False).addErrback(lambda failure: self.log.failure("Nobody collects garbage any more", failure))

    def stop(self) -> None:
        """As Python does it again; what was left out before `start`, by somebody else, remains so. May be called twice."""
        if self._look.running:
            self._look.stop()
        gc.set_threshold(*self._usual)
        if self._alone:
            gc.unfreeze()

    def look(self) -> None:
        """Collect if nobody is being served, or if it is high time; the reactor's clock may be set back."""
        now, rests = self._clock.seconds(), not self._busy()
        if rests and self._alone and not 0 <= self._whole - now <= WHOLE:
            gc.unfreeze()
            self._whole = now + WHOLE
        if rests or not 0 <= self._due - now <= LATEST:
            self._collect_and_leave_out()

    def _collect_and_leave_out(self) -> None:
        self._collect()
        gc.freeze()
        self._due = self._clock.seconds() + LATEST
