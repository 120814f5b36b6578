"""The log's lines are Twisted's, for every kind of event, and debug is left out."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from twisted.logger import ILogObserver, Logger, LogLevel, globalLogPublisher, textFileLogObserver
from twisted.python.failure import Failure
from zope.interface import implementer

from pxed.dhcp.report import Report
from pxed.log import Lines, Log, to_stdout
from pxed.tftp.transfer import Transfer


def lines(observer: Any, level: LogLevel, form: str, **values: Any) -> str:
    """What the observer that `observer` makes writes of one event."""
    out = io.StringIO()
    event = {"log_level": level, "log_format": form, "log_namespace": "pxed.room", "log_time": 1_700_000_000.25, **values}
    observer(out)(event)
    return out.getvalue()


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("form", "values"),
    [
        ("{node} asked on {interface}", {"node": "node1", "interface": "eth0"}),
        ("{seconds:.2f} s", {"seconds": 1.239}),
        ("{place.name}, {kinds[0]}, {{}}", {"place": LogLevel.info, "kinds": ["a"]}),
        ("{node()} was called", {"node": lambda: "it"}),
        ("two\nlines", {}),
        ("", {}),
        ("{missing}", {}),
        ("{broken}", {"broken": Broken()}),
        ("{log_text}", {"log_text": "an old one", "log_system": "-"}),
        ("no time", {"log_time": None}),
    ],
)
def test_a_line_is_what_twisted_would_write(form: str, values: dict[str, Any]) -> None:
    ours, theirs = (lines(each, LogLevel.info, form, **values) for each in (Lines, textFileLogObserver))
    assert ours.split("Traceback")[0] == theirs.split("Traceback")[0]


def test_a_failure_comes_with_its_traceback() -> None:
    failure = Failure(ValueError("a bug"))
    assert "ValueError: a bug" in lines(Lines, LogLevel.critical, "It failed", log_failure=failure)


def test_the_time_is_each_events_own() -> None:
    out = io.StringIO()
    observer = Lines(out)
    for at in (1_700_000_000.9, 1_700_000_001.0, 1_700_000_001.9):
        observer({"log_level": LogLevel.info, "log_format": "now", "log_namespace": "pxed", "log_time": at})
    assert [line[17:19] for line in out.getvalue().splitlines()] == ["20", "21", "21"]


def test_debug_is_left_out() -> None:
    assert not lines(Lines, LogLevel.debug, "bulk")
    assert lines(Lines, LogLevel.warn, "trouble")


def test_what_nobody_reads_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pxed up` writes from info on and is the only one to listen; another logger of twistd's may want every file that was sent."""
    said: list[Any] = []

    @implementer(ILogObserver)
    def hears(event: Any) -> None:
        said.append(event["log_format"])

    monkeypatch.setattr(Log, "debugging", True)
    speaker = Log("pxed.room", observer=hears)
    speaker.debug("first")
    assert isinstance(to_stdout(), Lines)
    speaker.debug("second")
    speaker.info("third")
    assert said == ["first", "third"]


def test_our_logger_says_what_twisteds_says() -> None:
    said: list[Any] = []

    @implementer(ILogObserver)
    def hears(event: Any) -> None:
        said.append(event)

    for kind in (Log, Logger):
        kind("pxed.room", source=said, observer=hears).info("{node} asked", node="node1")
    ours, theirs = ({name: value for name, value in event.items() if name not in {"log_time", "log_logger"}} for event in said)
    assert ours == theirs
    assert all(abs(event["log_time"] - time.time()) < 60 for event in said)
    assert Log().namespace == Logger().namespace == __name__


@pytest.mark.parametrize("who", [Report, Transfer])
def test_who_says_much_says_it_by_our_logger_and_in_its_own_name(who: Any) -> None:
    said: list[Any] = []

    @implementer(ILogObserver)
    def hears(event: Any) -> None:
        said.append(event)

    speaker = who.__new__(who)
    assert isinstance(speaker.log, Log)
    globalLogPublisher.addObserver(hears)
    try:
        speaker.log.info("{node} asked", node="node1")
    finally:
        globalLogPublisher.removeObserver(hears)
    (event,) = said
    assert event["log_source"] is speaker
    assert event["log_namespace"] == f"{who.__module__}.{who.__name__}"
