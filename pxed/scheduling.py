"""How soon the kernel lets our threads run when there are more of them than cores: the reactor's at once, the disk's when there is time.

Two words to Linux's scheduler, neither needs a privilege. A thread that asks for a shorter slice has an earlier deadline and is let run
sooner after it was woken (EEVDF, Linux 6.12 and later; older kernels take the word and do nothing). A thread that is nicer gets a smaller
share of a core that others want too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import threading

SLICE = 100_000
"""Nanoseconds; the least that the kernel takes."""
NICER = 5
"""By how much the thread of the disk is nicer. More would keep the interpreter from the reactor for longer, on a busy host: who is not
let run gives nothing back."""

_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274, "loongarch64": 274}
"""System call numbers (syscalls(2)); Python has no function for it, nor has glibc before 2.41."""
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
"""struct sched_attr, its first version (sched_setattr(2)): size, policy, flags, nice, priority, runtime, deadline, period."""


def soon() -> None:
    """The calling thread wants to be let run soon. Where the kernel or the container won't have that: nothing."""
    number = _SCHED_SETATTR.get(platform.machine())
    if number is not None:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        wanted = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, SLICE, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, wanted, 0)


def later() -> None:
    """The calling thread has time."""
    with contextlib.suppress(OSError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICER)
