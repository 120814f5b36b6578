"""SIGTERM ends a run of pytest as Ctrl-C does: the test stops where it is, and every fixture cleans up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def unwinding(reactor: Any) -> Iterator[None]:
    """Inside it SIGTERM raises KeyboardInterrupt wherever the program is.

    `reactor` takes the signal for itself when it starts, and pytest-twisted starts it with the first test: then it is taken back.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    within = True

    def again() -> None:
        if within:
            signal.signal(signal.SIGTERM, interrupt)

    reactor.callWhenRunning(again)
    try:
        yield
    finally:
        within = False
        signal.signal(signal.SIGTERM, before)
