"""Which cores clients and servers get while something is measured, and that no core halts.

Clients stand for other machines, and share this one with the server. Who shares a core with its clients pays less for waking them, and
Linux puts the two together now and then: so the clients have the first core, the servers all others. And a core of a virtual machine that
has halted costs whoever wakes it 5 to 10 us, which the sender of a packet is charged with; on metal it is about one. That would be most of
what a cheap answer costs, and comes and goes with whatever else runs: so a loop of the class SCHED_IDLE keeps each core busy that nobody
wants. Only where packets are exchanged: between the threads of one process, which Linux wants to spread over idle cores, it is in the way.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

HALT = "PXED_BENCH_HALT"
"""Set in the environment, the cores may halt."""

_LOOP = """
import os, sys
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
os.sched_setaffinity(0, {int(sys.argv[1])})
while os.getppid() == int(sys.argv[2]):
    for _ in range(1_000_000):
        pass
"""


def clients() -> list[str]:
    """The beginning of a client's command: the first core."""
    return _on(sorted(os.sched_getaffinity(0))[:1])


def servers() -> list[str]:
    """The beginning of a server's command: all cores but the first, unless there is no other."""
    cores = sorted(os.sched_getaffinity(0))
    return _on(cores[1:] or cores)


def _on(cores: list[int]) -> list[str]:
    return ["taskset", "-c", ",".join(map(str, cores))]


@contextmanager
def awake() -> Iterator[None]:
    """No core halts for as long as the ``with`` lasts, or this process."""
    cores = [] if os.environ.get(HALT) else sorted(os.sched_getaffinity(0))
    loops = [subprocess.Popen([sys.executable, "-c", _LOOP, str(core), str(os.getpid())]) for core in cores]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
