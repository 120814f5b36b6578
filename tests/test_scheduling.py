"""What the kernel is told of our threads, asked of the kernel."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pxed import scheduling

_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275, "riscv64": 275, "loongarch64": 275}


def _in_thread(work: Callable[[], Any]) -> Any:
    """What `work` returns in a thread of its own: what it asks for ends with that thread."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(10)
    return found[0]


def _attributes() -> tuple[int, ...]:
    """struct sched_attr of the calling thread: size, policy, flags, nice, priority, runtime, deadline, period."""
    into = ctypes.create_string_buffer(48)
    assert ctypes.CDLL(None).syscall(_SCHED_GETATTR[platform.machine()], 0, into, 48, 0) == 0
    return struct.unpack("=IIQiIQQQ", into.raw)


def _nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_thread_that_has_time_is_nicer_and_the_others_are_not() -> None:
    before = _nice()

    def work() -> int:
        scheduling.later()
        return _nice()

    assert _in_thread(work) == min(19, before + scheduling.NICER)
    assert _nice() == before


@pytest.mark.skipif(platform.machine() not in _SCHED_GETATTR, reason="no system call number for this machine")
def test_a_thread_that_is_wanted_soon_asks_for_short_slices_and_stays_as_nice() -> None:
    before = _nice()

    def work() -> tuple[int, ...]:
        scheduling.later()
        scheduling.soon()
        return _attributes()

    _, policy, _, nice, _, runtime, _, _ = _in_thread(work)
    assert (policy, nice) == (os.SCHED_OTHER, min(19, before + scheduling.NICER))
    if tuple(map(int, platform.release().split("-")[0].split(".")[:2])) >= (6, 12):
        assert runtime == scheduling.SLICE


def test_a_machine_without_such_a_call_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    scheduling.soon()
