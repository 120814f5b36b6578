"""Children that cannot outlive the lab: own session, parent-death signal, output to a file."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class LabProblem(Exception):
    """The lab itself can't do its part (no root, a package is missing, a tool failed): says nothing about pxed. Exit status 2."""


class Child:
    """A process in a network namespace, from its construction on. `log` gets its stdout and stderr, appended.

    The command replaces ``ip netns exec``, ``setpriv`` and the shell by exec, so `pid` is the command's own. Start it from a thread that
    lives as long as the child should: the kernel ties the parent-death signal to the thread that forked.
    """

    def __init__(
        self, name: str, argv: Sequence[str], *, namespace: str, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ):
        self.name = name
        self.log = log
        # The shell looks whether we still live: who dies before prctl(2) is reached sends no parent-death signal.
        guarded = ["setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", f'[ "$PPID" = {os.getpid()} ] && exec "$@"', name, *argv]
        wrapped = ["ip", "netns", "exec", namespace, *guarded]
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                wrapped, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd, env=env, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def status(self) -> int | None:
        """The exit status; negative is a signal's number; None while it runs."""
        return self._popen.poll()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone. May be called twice."""
        if self.alive:
            self._popen.send_signal(signal.SIGKILL)
        self._popen.wait()

    def stop(self, *, within: float = 10.0) -> int:
        """SIGTERM; after `within` s SIGKILL. Returns the exit status. May be called twice."""
        if self.alive:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(within)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._popen.wait()

    def tail(self, lines: int = 30) -> str:
        return tail(self.log, lines)


def run(*argv: str, within: float = 60.0, cwd: Path | None = None) -> str:
    """Run a short command and return its stdout. LabProblem with its stderr when it fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=within, cwd=cwd)
    except FileNotFoundError as error:
        raise LabProblem(f"{argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise LabProblem(f"{argv[0]} took more than {within:.0f} s") from error
    if done.returncode:
        raise LabProblem(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def tail(path: Path, lines: int = 30) -> str:
    """The last lines of a log as text, without the control characters of a serial console; "" if there is no such file."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 400 * lines))
        text = file.read().decode("utf-8", "replace").replace("\r", "\n")
    clean = "".join(c for c in text if c == "\n" or c.isprintable())
    return "\n".join([line for line in clean.split("\n") if line.strip()][-lines:])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def patience() -> float:
    """Factor on all the lab's waiting, for slow hosts: $PXED_LAB_PATIENCE."""
    return float(os.environ.get("PXED_LAB_PATIENCE") or 1.0)


def eventually(what: str, probe: Callable[[], T | None], *, within: float, every: float = 0.2) -> T:
    """Ask `probe` until its answer is true, and return that. TimeoutError naming `what` after `within` s (times `patience`)."""
    within *= patience()
    deadline = time.monotonic() + within
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:.0f} s in vain for {what}")
        time.sleep(every)
