"""How late the reactor is: a timer that should fire every 10 ms writes down by how much it missed.

Whatever blocks the reactor (a disk, a template, a name look-up) delays offers and TFTP; this number shows it, in `/api/v1/health`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

EVERY = 0.01
"""Seconds between two samples."""
KEPT = 1000
"""Samples that the figures speak of: the last ten seconds."""


class Lateness:
    """`clock`: IReactorTime; `monotonic`: seconds that never jump. Figures are milliseconds."""

    def __init__(self, clock: Any, monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._samples: deque[float] = deque(maxlen=KEPT)
        self._worst = 0.0
        self._call: Any = None
        self._due = 0.0

    def start(self) -> None:
        self._due = self._monotonic() + EVERY
        self._call = self._clock.callLater(EVERY, self._sample)

    def stop(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def _sample(self) -> None:
        late = max(0.0, self._monotonic() - self._due)
        self._samples.append(late)
        self._worst = max(self._worst, late)
        self.start()

    def figures(self) -> dict[str, float | int]:
        """``p50_ms``, ``p99_ms``, ``p999_ms``, ``max_ms`` of the last ten seconds, ``worst_ms`` since the start, ``samples``."""
        ordered = sorted(self._samples)

        def at(share: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 2) if ordered else 0.0

        return {
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
            "p999_ms": at(0.999),
            "max_ms": at(1.0),
            "worst_ms": round(self._worst * 1000, 2),
            "samples": len(ordered),
        }
