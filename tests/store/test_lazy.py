"""Writes nobody waits for: batched, one at a time, not lost by a failure of the disk."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from pxed.errors import StorageUnavailable
from pxed.store.lazy import PAUSE, Batch, LazyWriter
from pxed.testing import MemoryStore, result_of


class Owner:
    """Collects numbers that are to be stored; `batches` are those that were."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore()
        self.pending: list[int] = []
        self.batches: list[list[int]] = []
        self.fault: Exception | None = None
        self.writer = LazyWriter(self.store, self.take, what="These numbers", now=self.clock.seconds)

    def add(self, *numbers: int) -> None:
        self.pending.extend(numbers)
        self.writer.poke()

    def take(self) -> Batch | None:
        taken, self.pending = self.pending, []

        def op(_connection: Connection) -> None:
            if self.fault:
                raise self.fault
            self.batches.append(taken)

        return Batch(op, lambda: self.pending.extend(taken)) if taken else None


def test_what_comes_during_a_write_goes_together_into_the_next() -> None:
    owner = Owner()
    owner.store.held = []
    owner.add(1)
    owner.add(2)
    owner.add(3)
    assert len(owner.store.held) == 1
    owner.store.release()
    assert owner.batches == [[1], [2, 3]]


def test_flush_waits_for_what_was_there_and_not_for_what_comes_later() -> None:
    owner = Owner()
    owner.store.held = []
    owner.add(1)
    owner.add(2)
    flushed = Deferred.fromCoroutine(owner.writer.flush())
    owner.store.release()
    result_of(flushed)
    assert owner.batches == [[1], [2]]


def test_flush_of_nothing_returns_at_once() -> None:
    result_of(Owner().writer.flush())


def test_a_failure_of_the_disk_gives_back_and_the_next_attempt_waits_a_moment() -> None:
    owner = Owner()
    owner.store.broken = "no disk"
    owner.add(1)
    assert owner.pending == [1]
    owner.store.broken = None
    owner.add(2)
    assert owner.batches == []  # too soon
    owner.clock.advance(PAUSE)
    owner.add(3)
    assert owner.batches == [[1, 2, 3]]


def test_flush_tells_that_the_disk_failed_and_tries_at_once() -> None:
    owner = Owner()
    owner.store.broken = "no disk"
    owner.add(1)
    with pytest.raises(StorageUnavailable, match="no disk"):
        result_of(owner.writer.flush())
    owner.store.broken = None
    result_of(owner.writer.flush())
    assert owner.batches == [[1]]


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    owner = Owner()
    owner.clock.advance(1000)
    owner.store.broken = "no disk"
    owner.add(1)
    owner.store.broken = None
    owner.clock.rightNow = 5.0
    owner.add(2)
    assert owner.batches == [[1, 2]]


def test_a_fault_of_ours_holds_up_nothing_that_comes_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    owner = Owner()
    owner.fault = ValueError("a poisoned row")
    owner.add(1)
    owner.fault = None
    owner.add(2)
    assert owner.batches == [[2]]
