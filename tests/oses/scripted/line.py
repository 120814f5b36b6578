"""The wire between a node's shell and whoever answers: its wget, curl and sleep ask this process, which answers while the shell waits.

Two FIFOs: a program writes a line into one and waits for its exit status from the other. Wine's programs can do so, too.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.oses.sandbox import Sandbox
from tests.oses.winpe import Call, Machine

_ASK = """
printf '%s\\t%s\\t%s\\t%s\\n' {words} >"$LINE/ask"
read -r status <"$LINE/answer"
exit "$status"
"""
_CLIENT = """program=${0##*/}
method=GET out=/dev/null seconds=20
while [ $# -gt 0 ]; do
	case $1 in
	-O | -o) out=$2; shift ;;
	-T | -m) seconds=$2; shift ;;
	-X) method=$2; shift ;;
	--noproxy | --retry | --retry-delay) shift ;;
	-*) ;;
	*) url=$1 ;;
	esac
	shift
done
"""
TOOLS = (
    "awk basename cat chmod cp cut date dirname env expr false grep head install ln ls md5sum mkdir mktemp mv rm rmdir sed sh "
    "sort stat sync tail test touch tr true uname uniq wc"
)
"""What every machine has beside its own clients and stand-ins; a shell of busybox's has its applets. No bash: it could reach out."""
PATIENCE = 60.0
"""Seconds of real time after which a shell that says nothing hangs."""


class Asked(NamedTuple):
    """One request of a node's wget or curl. `out` is where its body goes, `seconds` how long the client waits."""

    method: str
    url: str
    out: Path
    seconds: float
    body: bytes = b""


class Failed(Exception):
    """What the client makes of it: ``refused``, ``timeout`` or ``status``."""

    STATUS = {"refused": (4, 7), "timeout": (4, 28), "status": (8, 22), "write": (3, 23)}
    """Exit status of wget and of curl."""


Answer = Callable[[Asked], bytes]
"""The body. Failed."""


class Line:
    """The FIFOs, and who answers: `_status` of a subclass."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pxed-line-"))
        for name in ("ask", "answer"):
            os.mkfifo(self._folder / name)
        # Open for both directions, so that neither end ever waits for the other to open its own.
        self._asks, self._answers = (os.open(self._folder / name, os.O_RDWR) for name in ("ask", "answer"))

    def close(self) -> None:
        for fd in (self._asks, self._answers):
            os.close(fd)
        for name in ("ask", "answer"):
            (self._folder / name).unlink()
        self._folder.rmdir()

    def _status(self, line: str) -> int:
        """What the program that has written `line` is to end with; it waits meanwhile."""
        raise NotImplementedError

    def _talk(self, command: dict[str, Any], ended: Callable[[int], int]) -> subprocess.CompletedProcess[str]:
        """Run what `command` says to `subprocess` until ``ended(its pid)``, a file descriptor, is readable. AssertionError if it hangs."""
        environment = {**command["env"], "LINE": str(self._folder)}
        with tempfile.TemporaryFile("w+", errors="replace") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
            process = subprocess.Popen(
                **{**command, "env": environment}, stdin=subprocess.DEVNULL, stdout=out, stderr=err, text=True, start_new_session=True
            )
            fd = ended(process.pid)
            try:
                self._serve(fd)
                process.wait(PATIENCE)
            finally:
                os.close(fd)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # whatever it has started, too
                process.wait()
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(command["args"], process.returncode, out.read(), err.read())

    def _serve(self, ended: int) -> None:
        waiting = b""
        while True:
            ready, _, _ = select.select([self._asks, ended], [], [], PATIENCE)
            assert ready, "the shell hangs"
            if self._asks in ready:
                waiting += os.read(self._asks, 65536)
                while b"\n" in waiting:
                    line, waiting = waiting.split(b"\n", 1)
                    os.write(self._answers, f"{self._status(line.decode())}\n".encode())
            else:
                return


class ShellLine(Line):
    """Runs scripts in `box`; `answer` takes the requests of their `clients` (wget, curl), `sleep` their pauses (seconds)."""

    def __init__(self, box: Sandbox, answer: Answer, sleep: Callable[[float], None], clients: Sequence[str]) -> None:
        super().__init__()
        self._box, self._answer, self._sleep = box, answer, sleep
        for name in ("wget", "curl"):
            box.remove(name)
        for name in clients:
            box.fake(name, _CLIENT + _ASK.format(words='"$program $seconds" "$method" "$url" "$out"'), noted=False)
        box.fake("sleep", _ASK.format(words='sleep "$1" "" ""'), noted=False)

    def run(self, script: str, *, root: Path | None = None, path: str = "") -> subprocess.CompletedProcess[str]:
        """Until `script` and all that it left running in the background has ended. AssertionError if that hangs."""
        command = self._box.command(script, root=root, only=tuple(TOOLS.split()))
        command["env"] |= {"PATH": command["env"]["PATH"] + path}
        alive, ours = os.pipe()

        def ended(_pid: int) -> int:
            os.close(ours)
            return alive

        return self._talk({**command, "pass_fds": [ours]}, ended)

    def _status(self, line: str) -> int:
        who, method, url, out = line.split("\t")
        if who == "sleep":
            self._sleep(float(method))
            return 0
        program, seconds = who.split(" ")
        asked = Asked(method, url, Path(out), float(seconds))
        try:
            body = self._answer(asked)
            if asked.out != Path("/dev/null"):
                (self._box.work / asked.out).write_bytes(body)
        except Failed as failed:
            return Failed.STATUS[str(failed)][program == "curl"]
        except OSError:
            return Failed.STATUS["write"][program == "curl"]
        return 0


class CmdLine(Line):
    """Runs commands by cmd.exe of Wine's; `does` says what each call of a fake on `machine` does, and its status."""

    def __init__(self, machine: Machine, does: Callable[[Call], int]) -> None:
        super().__init__()
        self._machine, self._does = machine, does

    def run(self, line: str, *, system: str = "") -> subprocess.CompletedProcess[str]:
        """Start `machine` (from the drive `system`) and have it run this line of a batch file, until that, but not what it has started in
        the background, has ended. AssertionError if it hangs."""
        script = f"@echo off\r\n{line}\r\nexit /b %errorlevel%\r\n"
        return self._talk(self._machine.command(script, at=self._machine.home, system=system), os.pidfd_open)

    def _status(self, line: str) -> int:
        call = self._machine.calls()[-1]
        assert call.name == line, "one program at a time"
        return self._does(call)
