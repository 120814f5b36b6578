"""The log of `pxed up`: a line for each event from ``info`` on, as Twisted writes them; and a logger for who says much.

Twisted's own formatter takes a tenth of a millisecond for a line, which in a boot storm is as much as DHCP. This one asks it only once a
second (for the time) and for what is out of the ordinary: failures, lines of old-fashioned loggers, events that can't be formatted.
"""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from twisted.logger import ILogObserver, Logger, LogLevel, formatEventAsClassicLogText, formatTime
from zope.interface import implementer

_INFO, _DEBUG = LogLevel.info, LogLevel.debug  # as attributes they cost a call each


@implementer(ILogObserver)
class Lines:
    """Writes to `out` and flushes each line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._second = -1
        self._time = ""

    def __call__(self, event: dict[str, Any]) -> None:
        if event.get("log_level") is not _DEBUG:
            text = self._usual(event) or formatEventAsClassicLogText(event)
            if text:
                self._out.write(text)
                self._out.flush()

    def _usual(self, event: dict[str, Any]) -> str | None:
        """The line of an event that is nothing special, None for any other."""
        if "log_failure" in event or "log_system" in event:
            return None
        try:
            text = event["log_format"].format_map(event)
            source = f"{event['log_namespace']}#{event['log_level'].name}"
            second = int(event["log_time"])
        except Exception:
            return None
        if second != self._second:
            self._second, self._time = second, formatTime(event["log_time"])
        return f"{self._time} [{source}] {text}\n" if text and "\n" not in text else None


class Log(Logger):
    """Twisted's, which looks for the level among all that there are each time it is asked to say something.

    `debugging`: whether anybody reads what is said at level ``debug``.
    """

    debugging = True

    def debug(self, format: str | None = None, **kwargs: Any) -> None:
        if Log.debugging:
            self.emit(LogLevel.debug, format, **kwargs)

    def emit(self, level: Any, format: str | None = None, **kwargs: Any) -> None:
        self._say(level, format, kwargs)

    def info(self, format: str | None = None, **kwargs: Any) -> None:
        self._say(_INFO, format, kwargs)

    def _say(self, level: Any, format: str | None, event: dict[str, Any]) -> None:
        event["log_logger"] = self
        event["log_level"] = level
        event["log_namespace"] = self.namespace
        event["log_source"] = self.source
        event["log_format"] = format
        event["log_time"] = time.time()  # noqa: TID251  (as Twisted's)
        self.observer(event)


def to_stdout() -> Lines:
    """What ``twistd --logger`` wants: then nobody else listens."""
    Log.debugging = False
    return Lines(sys.stdout)
