"""Tests on the real reactor: ``async def test_...`` is all it takes.

pytest-twisted runs them; what it lacks is here. Every coroutine test

* fails after 30 seconds (``@pytest.mark.limit(seconds)`` for another limit),
* fails if it leaves delayed calls, open sockets or a logged failure behind. A failure that the test provokes is taken out with the
  fixture `logged`: ``assert logged.take(ValueError)``. A synchronous test that asks for `logged` is held to the same.
"""

from __future__ import annotations

import faulthandler
import functools
import gc
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from pxed.oses import accounts

reactor: Any = _reactor

LIMIT = 30.0
SHIPPED_ROUNDS = accounts.ROUNDS
"""What a password's hash costs. Tests hash thousands of them, a sixth of all their time: for less, but for the one that looks at it."""
accounts.ROUNDS = 1000
SETTLE = 5.0
"""Seconds for connections to finish closing when a test has ended."""


_module: Any = None
"""That of the last coroutine test."""


@implementer(ILogObserver)
class Logged:
    """The failures logged since the test began."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any]) -> None:
        if event.get("log_failure") is not None or event.get("log_level") in {LogLevel.error, LogLevel.critical}:
            self.events.append(event)

    def take(self, *kinds: type[BaseException]) -> list[BaseException]:
        """Remove and return the logged exceptions of these kinds (none given: all)."""
        failures = [event["log_failure"].value for event in self.events if event.get("log_failure") is not None]
        taken = [value for value in failures if not kinds or isinstance(value, kinds)]
        self.events = [
            event
            for event in self.events
            if event.get("log_failure") is None or all(event["log_failure"].value is not one for one in taken)
        ]
        return taken

    def take_errors(self) -> list[str]:
        """Remove and return the error lines that carry no exception, formatted."""
        lines = [event for event in self.events if event.get("log_failure") is None]
        self.events = [event for event in self.events if event.get("log_failure") is not None]
        return [str(event.get("log_format") or "").format(**event) for event in lines]

    def describe(self) -> str:
        parts = []
        for event in self.events:
            failure: Failure | None = event.get("log_failure")
            parts.append(failure.getTraceback() if failure is not None else str(event.get("log_format")))
        return "\n".join(parts)


@pytest.fixture
def logged() -> Iterator[Logged]:
    """Failures logged during the test; the test fails over those that it did not take."""
    errors = Logged()
    globalLogPublisher.addObserver(errors)
    try:
        yield errors
    finally:
        globalLogPublisher.removeObserver(errors)
    if errors.events:
        pytest.fail("The test logged errors that it did not take:\n" + errors.describe())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What has gathered since the last module of coroutine tests need not be looked through after each test of this one, either."""
    global _module
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function) and item.module is not _module:
        _module = item.module
        gc.collect()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Turn a coroutine test into one that pytest-twisted can wait for, with a limit and an inspection at its end."""
    if inspect.iscoroutinefunction(pyfuncitem.obj) and not hasattr(pyfuncitem.obj, "hypothesis"):
        marker = pyfuncitem.get_closest_marker("limit")
        pyfuncitem.obj = _limited(pyfuncitem.obj, float(marker.args[0]) if marker else LIMIT)


def _limited(test: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    @functools.wraps(test)
    def run(**arguments: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(_inspected(test, arguments, seconds))

    for name in ("__wrapped__", "_pytest_twisted_mark"):
        if hasattr(run, name):
            delattr(run, name)
    return run


async def _inspected(test: Callable[..., Any], arguments: dict[str, Any], seconds: float) -> None:
    errors: Logged = arguments.get("logged") or Logged()
    if "logged" not in arguments:
        globalLogPublisher.addObserver(errors)
    calls, readers = set(reactor.getDelayedCalls()), set(reactor.getReaders())
    try:
        await Deferred.fromCoroutine(test(**arguments)).addTimeout(seconds, reactor)
        await _settled(calls, readers)
        gc.collect()
        left = _left(calls, readers)
        assert not left, "The test left behind:\n" + "\n".join(left)
        if "logged" not in arguments:
            assert not errors.events, "The test logged errors:\n" + errors.describe()
    finally:
        if "logged" not in arguments:
            globalLogPublisher.removeObserver(errors)
        for call in set(reactor.getDelayedCalls()) - calls:
            call.cancel()


async def _settled(calls: set[Any], readers: set[Any]) -> None:
    began = reactor.seconds()
    while _left(calls, readers) and reactor.seconds() - began < SETTLE:
        await deferLater(reactor, 0.01)


def _left(calls: set[Any], readers: set[Any]) -> list[str]:
    delayed = [str(call) for call in set(reactor.getDelayedCalls()) - calls]
    sockets = [repr(each) for each in set(reactor.getReaders()) - readers if "Waker" not in type(each).__name__]
    return delayed + sockets


def pytest_collection_finish() -> None:
    """What is there before the first test need not be looked through after each of them (`_inspected`)."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """A thread that a failed test left behind must not keep the process for ever: say where it is, and end."""
    faulthandler.dump_traceback_later(60, exit=True)


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until everything is imported and collected
    hypothesis.settings.register_profile("pxed", deadline=None)  # a busy machine is no bug
    hypothesis.settings.load_profile("pxed")
    if "test_case_" in config.option.keyword and config.option.markexpr == "not lab and not slow":
        config.option.markexpr = (
            ""  # `pytest -k test_case_` means all of the specification's cases, those on real wires and firmware as well
        )
    config.addinivalue_line("markers", "limit(seconds): another time limit for a coroutine test than 30 seconds")
