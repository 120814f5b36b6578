"""One pass of a recipe, from its first line, without I/O: answers in, steps out.

    script = Script(recipe.run)
    outcome = script.start()              # a Step, Done, Failed or Broken
    outcome = script.answer({"ok": None})

The recipe is a plain coroutine and nobody but this class resumes it, so rule 1 is enforced where it counts: what a recipe awaits is
exactly the one step it just made of its node. Everything else (a Deferred, two steps at once, a step never awaited, a phase awaited
twice, another exception than InstallFailed) makes it Broken. Answers are JSON: ``{"ok": null}`` for a boot,
``{"ok": {"phase", "status", "message", "data", "at"}}`` for a notification (with ``"proof"`` if pxed found it out itself),
``{"failed": "sentence"}`` for InstallFailed (with ``"missed": true`` if it was a deadline).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import asdict, dataclass
from typing import Any, cast

from pxed.workflow.recipe import BootVerb, InstallFailed, Notification, RecipeNode

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BootStep:
    """`node.boot(what)`"""

    what: BootVerb

    @property
    def name(self) -> str:
        """As the journal holds it."""
        return f"boot({self.what!r})"


@dataclass(frozen=True, slots=True)
class AwaitStep:
    """`node.notification(phase, within=seconds)`, or with `ports` `node.evidence(phase, ports=ports, within=seconds)`"""

    phase: str
    within: float
    ports: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """As the journal holds it."""
        if self.ports:
            return f"evidence({self.phase!r}, ports={self.ports!r}, within={self.within!r})"
        return f"notification({self.phase!r}, within={self.within!r})"


@dataclass(frozen=True, slots=True)
class Done:
    """The recipe returned."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The recipe ended with InstallFailed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The recipe did what no recipe may do; `error` is its exception, if it raised one."""

    reason: str
    error: BaseException | None = None


Step = BootStep | AwaitStep
Outcome = Step | Done | Failed | Broken


def notified(notification: Notification) -> Answer:
    """The answer that holds `notification`."""
    said = {**asdict(notification), "data": dict(notification.data)}
    if not notification.proof:
        del said["proof"]
    return {"ok": said}


class Script:
    """One run of one recipe. Never resumed again once it is closed, done, failed or broken."""

    def __init__(self, run: Callable[[RecipeNode], Awaitable[None]]) -> None:
        self._run = run
        self._coroutine: Coroutine[Any, Any, None] | None = None
        self._made: list[_Pending] = []
        self._phases: set[str] = set()
        self._boots: BootVerb | None = None
        self._closed = False
        self.after_close: list[str] = []
        """Steps asked for while the coroutine was being dropped: a `finally` or `with` around an await. None of them happened."""

    def start(self) -> Outcome:
        """Run to the first step. Once."""
        self._coroutine = cast("Coroutine[Any, Any, None]", self._run(_Face(self)))
        return self._resume(lambda coroutine: coroutine.send(None))

    def answer(self, answer: Answer) -> Outcome:
        """Answer the step that was asked last, run to the next."""
        if "failed" in answer:
            return self._resume(lambda coroutine: coroutine.throw(InstallFailed(answer["failed"])))
        value = Notification(**answer["ok"]) if answer["ok"] is not None else None
        return self._resume(lambda coroutine: coroutine.send(_Reply(value)))

    def close(self) -> None:
        """Drop the coroutine where it stands; its node is sealed first, so that nothing it does on its way out is a step."""
        self._closed = True
        if self._coroutine is not None:
            try:
                self._coroutine.close()
            except BaseException as error:
                if not isinstance(error, RuleBroken):
                    self.after_close.append(f"{type(error).__name__}: {error}")

    def make(self, step: Step) -> _Pending:
        """The awaitable of a step the recipe asks for."""
        if self._closed:
            self.after_close.append(step.name)
            raise RuleBroken("is being dropped and can't await any more")
        if isinstance(step, AwaitStep):
            if step.phase in self._phases:
                raise RuleBroken(f"awaits the phase {step.phase!r} twice; each reboot needs a phase of its own")
            if step.ports and self._boots != "disk":
                raise RuleBroken(f"looks for evidence of {step.phase!r} although the node does not boot its disk; the installer may answer")
            self._phases.add(step.phase)
        else:
            self._boots = step.what
        pending = _Pending(step)
        self._made.append(pending)
        return pending

    def _resume(self, send: Callable[[Coroutine[Any, Any, None]], Any]) -> Outcome:
        assert self._coroutine is not None
        outcome: Outcome | None = None
        asked: Any = None
        try:
            asked = send(self._coroutine)
        except StopIteration:
            outcome = Done()
        except InstallFailed as failure:
            outcome = Failed(str(failure))
        except RuleBroken as broken:
            outcome = Broken(str(broken))
        except Exception as error:
            outcome = Broken(f"raised {type(error).__name__}: {error}", error)
        made, self._made = self._made, []
        return self._judge(outcome, asked, made)

    def _judge(self, outcome: Outcome | None, asked: Any, made: list[_Pending]) -> Outcome:
        if isinstance(outcome, Broken):
            return outcome
        missed = [pending.step.name for pending in made if pending is not asked]
        if missed:
            return Broken(f"did not await {', '.join(missed)} before it went on; a recipe awaits one step at a time")
        if outcome is not None:
            return outcome
        if not isinstance(asked, _Pending):
            return Broken(f"awaits something that is not its node's: {type(asked).__name__}")
        if not made:
            return Broken(f"awaits {asked.step.name} a second time")
        return asked.step


class RuleBroken(BaseException):
    """The recipe broke a rule. No `Exception`, so that no recipe catches it."""


class _Reply:
    """What only `Script` sends into a recipe."""

    def __init__(self, value: Notification | None) -> None:
        self.value = value


class _Pending:
    """A step that waits to be awaited."""

    def __init__(self, step: Step) -> None:
        self.step = step

    def __await__(self) -> Generator[Any, Any, Any]:
        reply = yield self
        if not isinstance(reply, _Reply):
            raise RuleBroken(f"hands {self.step.name} to something else than its own await")
        return reply.value


class _Face:
    """The node as the recipe sees it."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def boot(self, what: BootVerb) -> Awaitable[None]:
        if what not in ("installer", "disk"):
            raise RuleBroken(f"asks for boot({what!r}); a node boots 'installer' or 'disk'")
        return self._script.make(BootStep(what))

    def notification(self, phase: str, *, within: float) -> Awaitable[Notification]:
        return self._script.make(AwaitStep(phase, _seconds(phase, within)))

    def evidence(self, phase: str, *, ports: tuple[int, ...], within: float) -> Awaitable[Notification]:
        if not (isinstance(ports, tuple) and ports and all(type(port) is int and 0 < port < 65536 for port in ports)):
            raise RuleBroken(f"looks for evidence of {phase!r} on the ports {ports!r}; it must be a tuple of TCP ports")
        return self._script.make(AwaitStep(phase, _seconds(phase, within), ports))


def _seconds(phase: str, within: float) -> float:
    if not (isinstance(within, (int, float)) and math.isfinite(within) and within > 0):
        raise RuleBroken(f"awaits {phase!r} within {within!r}; it must be a number of seconds above 0")
    return float(within)
