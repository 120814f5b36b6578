"""Operators' templates are rendered in a process of their own: whatever they do, the appliance goes on.

`bounded` counts what a template does, but counts nothing while Python is inside one long operation, and all threads of the appliance would
wait for that. So a thread asks this process and waits; the process has a limit of its own for time and memory, set with the kernel, and one
that was ended is started again for the next file.

Between the two: pickles of (family, template, context) one way, a line of JSON per answer the other way.
"""

from __future__ import annotations

import io
import json
import pickle
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from subprocess import Popen
from threading import Lock
from types import FunctionType, MethodType
from typing import Any

from pydantic import BaseModel

from pxed import process
from pxed.oses.bounded import BoundedRenderer
from pxed.oses.family import Family, Render
from pxed.oses.render import TemplateProblem

LIMIT = 5.0
"""Seconds for one file, however busy the host is; what `bounded` can count it ends long before."""
MEMORY = 1 << 30
"""Bytes of that process's address space."""

Templates = Mapping[str, Mapping[str, str]]
"""Family > path > text."""


class Apart:
    """Renders `templates` in a process that is started when it is first needed. Blocking; safe from several threads, one of which is served
    at a time."""

    def __init__(self, templates: Templates, *, limit: float = LIMIT) -> None:
        self._templates = {family: dict(each) for family, each in templates.items()}
        self._limit = limit
        self._lock = Lock()
        self._process: Popen[bytes] | None = None
        self._stopped = False

    def of(self, family: Family) -> Render:
        """What renders the templates of `family`."""
        return partial(self.render, family.name)

    def render(self, family: str, template: str, context: Mapping[str, Any]) -> str:
        """As `Renderer.render`."""
        asked = _pickled((family, template, dict(context)))
        with self._lock:
            line = self._ask(asked)
            if not line.endswith(b"\n"):
                raise TemplateProblem(f"{template}: {self._ended()}")
        answer = json.loads(line)
        if "problem" in answer:
            raise TemplateProblem(answer["problem"])
        text: str = answer["text"]
        return text

    def stop(self) -> None:
        """End the process, also under somebody who waits for it. May be called twice."""
        self._stopped = True
        if (running := self._process) is not None:
            running.kill()

    def _ask(self, asked: bytes) -> bytes:
        """A line, or less of one if the process has ended."""
        try:
            running = self._running()
            assert running.stdin is not None
            assert running.stdout is not None
            running.stdin.write(asked)
            running.stdin.flush()
            return running.stdout.readline()
        except OSError:
            return b""

    def _running(self) -> Popen[bytes]:
        """OSError if there is none and none can be started."""
        if self._process is not None and self._process.poll() is not None:
            self._close()
        if self._process is None:
            if self._stopped:
                raise ProcessLookupError
            started = self._process = process.start("pxed.oses.apart")
            assert started.stdin is not None
            started.stdin.write(_pickled((self._templates, self._limit)))
        return self._process

    def _ended(self) -> str:
        """Why there is no answer, in words."""
        status = self._close()
        if self._stopped:
            return "pxed is stopping"
        if status == -signal.SIGALRM:
            return f"it takes longer than {self._limit:g} s"
        return f"the process that renders it could not be started, or has ended (status {status})"

    def _close(self) -> int | None:
        ended, self._process = self._process, None
        if ended is None:
            return None
        with ended:  # closes the pipes and waits
            ended.kill()
        return ended.returncode


class _Pickler(pickle.Pickler):
    """What a template can read of a context. Functions are left out: the sandbox would call none of them. An option model that was made for
    an operator's family (`own_build.defaulted`) goes as the one that it was made from."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, BaseModel):
            return _empty, (_importable(type(value)),), value.__getstate__()
        if isinstance(value, partial) or _is_local(value):
            return _left_out, ()
        return NotImplemented


def _pickled(value: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue()


def _is_local(value: Any) -> bool:
    return (isinstance(value, FunctionType) and "<" in value.__qualname__) or (
        isinstance(value, MethodType) and not isinstance(value.__self__, type)
    )


def _importable(model: type) -> type:
    found: type = next(each for each in model.__mro__ if getattr(sys.modules[each.__module__], each.__qualname__, None) is each)
    return found


def _empty(model: Any) -> Any:
    return model.__new__(model)


def _left_out() -> None:
    return None


# ---- in the other process


def main() -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the appliance, whose end is ours
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    templates, limit = pickle.load(requests)  # noqa: S301 - the appliance writes it
    renderers = {family: BoundedRenderer(each) for family, each in templates.items()}
    while (asked := _next(requests)) is not None:
        family, template, context = asked
        signal.setitimer(signal.ITIMER_REAL, limit)
        answer = _answer(renderers[family].render, template, context)
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(json.dumps(answer).encode("ascii") + b"\n")
        answers.flush()


def _next(requests: Any) -> tuple[str, str, dict[str, Any]] | None:
    try:
        asked: tuple[str, str, dict[str, Any]] = pickle.load(requests)  # noqa: S301 - the appliance writes it
    except EOFError:
        return None
    return asked


def _answer(render: Callable[[str, Mapping[str, Any]], str], template: str, context: Mapping[str, Any]) -> dict[str, str]:
    try:
        return {"text": render(template, context)}
    except TemplateProblem as problem:
        return {"problem": str(problem)}


if __name__ == "__main__":
    main()
