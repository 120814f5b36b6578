"""Shipped fakes, for pxed's own tests and for those of whoever writes a recipe, a door or a plugin.

appliance = MemoryAppliance(RecipeBook((recipe,)))        # store, timeline, inventory, engine; everything synchronous
install = result_of(appliance.arm("52:54:00:00:00:01", "debian"))
result_of(appliance.engine.deliver(install.token, "started"))
appliance.clock.advance(2 * HOUR)                          # deadlines
appliance = appliance.restart()                            # kill -9, and start again on the same database

assert walk(recipe).steps == ["boot('installer')", ...]    # a recipe alone, and every rule it has to keep
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from pxed.errors import StorageUnavailable
from pxed.node.inventory import Inventory
from pxed.node.timeline import Timeline
from pxed.store import Store
from pxed.store.batch import Job
from pxed.store.database import Database, engine_for
from pxed.store.writer import commit_or_fail
from pxed.workflow.engine import Engine
from pxed.workflow.evidence import Look
from pxed.workflow.install import Install
from pxed.workflow.recipe import Notification, Recipe, RecipeBook
from pxed.workflow.replay import Answer, AwaitStep, BootStep, Broken, Outcome, Script, notified

T = TypeVar("T")

NOON = 1_750_000_000.0
"""When the clocks of these fakes start: UTC seconds, some time in June 2025."""


def result_of(awaitable: Awaitable[T]) -> T:
    """The result of something that has nothing left to wait for, or its exception. AssertionError if it still waits."""
    outcome: list[Any] = []

    async def wait() -> T:
        return await awaitable

    deferred = awaitable if isinstance(awaitable, Deferred) else Deferred.fromCoroutine(wait())
    deferred.addBoth(outcome.append)
    assert outcome, "still waits"
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return cast("T", outcome[0])


class MemoryStore(Store):
    """A store whose thread is the caller's: every operation is committed before `write` returns, one per commit.

    `broken`: a sentence makes everything fail with StorageUnavailable, None mends it. `held`: a list collects what is asked
    until `release`. `again` is what a new process finds; from then on nothing this one asks happens.
    """

    def __init__(self, database: Database | None = None, *, url: str = "sqlite://") -> None:
        super().__init__(url, reactor=None)
        self._database = database or _migrated(url)
        self._accepting = self.healthy = True
        self.broken: str | None = None
        self.held: list[Job] | None = None

    async def open(self) -> None:
        """It is open already."""

    async def close(self) -> None:
        self._accepting = self.healthy = False
        self.problem = "the database is closed"

    def again(self) -> MemoryStore:
        self._accepting = self.healthy = False
        return MemoryStore(self._database)

    def release(self, *, and_hold: bool = False) -> None:
        """Commit what was held, in one batch; hold no more, or `and_hold` what is asked from now on."""
        held, self.held = self.held or [], [] if and_hold else None
        self._commit(held)

    def _ask(self, job: Job) -> Deferred[Any]:
        if not self._accepting:
            return fail(StorageUnavailable(self.problem or "another process has the database now"))
        self._waiting += 1
        if self.held is not None:
            self.held.append(job)
        else:
            self._commit([job])
        return job.done

    def _commit(self, jobs: list[Job]) -> None:
        if not self._accepting or not jobs:
            return
        problem = StorageUnavailable(self.broken) if self.broken else commit_or_fail(self._database, jobs)
        if self.broken:
            for job in jobs:
                job.outcome = Failure(problem)
        self._settle(jobs, problem)


def _migrated(url: str) -> Database:
    if url != "sqlite://":
        database = Database(url)
        database.upgrade()
        return database
    _shared.setdefault("engine", engine_for(url))
    database = Database(url, engine=_shared["engine"])
    raw: Any = database.connection().connection.dbapi_connection
    if "empty" in _shared:
        raw.deserialize(_shared["empty"])
    else:
        database.upgrade()
        _shared["empty"] = raw.serialize()
    return database


_shared: dict[str, Any] = {}
"""What stores in memory have in common, because making it takes longer than most tests: ``engine`` with the statements it has compiled,
``empty``, the bytes of a database after its migrations."""


def memory_timeline(clock: Clock | None = None) -> Timeline:
    """A timeline without a store; its time stands still unless `clock` goes on."""
    return Timeline(now=(clock or Clock()).seconds)


def memory_inventory(*macs: str, clock: Clock | None = None, timeline: Timeline | None = None) -> Inventory:
    """An inventory without a store that has seen `macs`."""
    inventory = Inventory(now=(clock or Clock()).seconds, timeline=timeline)
    for mac in macs:
        inventory.seen(mac)
    return inventory


class Ports:
    """The TCP ports that answer at the address of every node: set `open` as you like. `looks` counts how often somebody looked."""

    def __init__(self, *open_: int, address: str = "192.0.2.9") -> None:
        self.open = set(open_)
        self.address = address
        self.looks = 0

    async def look(self, _install: Install, ports: tuple[int, ...]) -> Look:
        """The engine's probe."""
        self.looks += 1
        asked = frozenset((self.address, port) for port in ports)
        return Look(asked, frozenset(each for each in asked if each[1] in self.open))


class MemoryAppliance:
    """The durable core on a database in memory, started; `clock` is both its clock and its time (it begins at `NOON`)."""

    def __init__(
        self,
        recipes: RecipeBook,
        *,
        store: MemoryStore | None = None,
        clock: Clock | None = None,
        most_notifications: int = 1000,
        ports: Ports | None = None,
        lost: Callable[[Install], str] = lambda _install: "",
    ) -> None:
        self.recipes = recipes
        self.ports = ports or Ports()
        self.store = store or MemoryStore()
        self.clock = clock or _clock_at(NOON)
        now = self.clock.seconds
        self.timeline = Timeline(now=now, store=self.store)
        self.inventory = Inventory(now=now, store=self.store, timeline=self.timeline)
        self.engine = Engine(
            store=self.store,
            inventory=self.inventory,
            timeline=self.timeline,
            recipes=recipes,
            clock=self.clock,
            now=now,
            most_notifications=most_notifications,
            probe=self.ports.look,
            lost=lost,
        )
        result_of(self.timeline.load())
        result_of(self.inventory.load())
        result_of(self.engine.start())

    async def arm(self, mac: str, recipe: str, **options: Any) -> Install:
        """Install something on the node of `mac` by `recipe`."""
        node = self.inventory.seen(mac)
        return await self.engine.create(node.id, family=recipe, release="1", recipe=recipe, options=options)

    def restart(
        self,
        *,
        recipes: RecipeBook | None = None,
        down: float = 0.0,
        cleanly: bool = False,
        lost: Callable[[Install], str] = lambda _install: "",
    ) -> MemoryAppliance:
        """What is there after a kill -9 (or after `stop`, if `cleanly`) and a new start `down` seconds later."""
        if cleanly:
            result_of(self.engine.stop())
        store = self.store.again()
        clock = _clock_at(self.clock.seconds() + down)
        return MemoryAppliance(recipes or self.recipes, store=store, clock=clock, ports=self.ports, lost=lost)


def _clock_at(seconds: float) -> Clock:
    clock = Clock()
    clock.advance(seconds)
    return clock


# recipes


@dataclass
class Walk:
    """How a recipe went: the names of its steps, their answers, and how it ended. `journal` is the form of `tests/journals/`."""

    steps: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    outcome: Outcome | None = None
    asked: list[BootStep | AwaitStep] = field(default_factory=list)

    @property
    def journal(self) -> list[dict[str, Any]]:
        return [{"step": step, "answer": answer} for step, answer in zip(self.steps, self.answers, strict=True)]


def walk(recipe: Recipe, answers: Mapping[str, str | Notification] | None = None, *, most: int = 200) -> Walk:
    """Step `recipe` with a node that does all it is awaited to do, and check every rule of recipes on the way.

    `answers`: phase > what comes instead: a Notification, or the sentence of a failure. AssertionError says which rule is broken.
    """
    check_source(recipe.run)
    walked = Walk()
    script = Script(recipe.run)
    try:
        outcome = script.start()
        while isinstance(outcome, (BootStep, AwaitStep)):
            assert len(walked.steps) < most, f"{recipe.name} asks for more than {most} steps"
            _check_drop(recipe, walked)
            walked.asked.append(outcome)
            walked.steps.append(outcome.name)
            walked.answers.append(_answer_to(outcome, answers or {}))
            outcome = script.answer(walked.answers[-1])
    finally:
        script.close()
    assert not isinstance(outcome, Broken), f"{recipe.name} {outcome.reason}"
    walked.outcome = outcome
    return walked


def replay_recorded(recipe: Recipe, journal: Sequence[Mapping[str, Any]]) -> Outcome:
    """Replay a recorded journal: the outcome behind its last answer. AssertionError if `recipe` no longer asks for the same steps."""
    script = Script(recipe.run)
    outcome = script.start()
    for position, entry in enumerate(journal):
        name = getattr(outcome, "name", outcome)
        assert name == entry["step"], (
            f"position {position} is {entry['step']} in the journal; {recipe.name} {recipe.version} asks for {name}"
        )
        outcome = script.answer(entry["answer"])
    return outcome


def check_source(run: Callable[..., Any]) -> None:
    """The rules that show in the source of a recipe: awaits of its node only; no `finally`, `with` or `async for` around one; none of
    the modules that make two runs differ. AssertionError says line and rule."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(run)))
    function = tree.body[0]
    assert isinstance(function, ast.AsyncFunctionDef), "a recipe is an `async def`"
    node_name = function.args.args[0].arg
    for part in ast.walk(function):
        where = f"line {getattr(part, 'lineno', '?')} of {run.__name__}:"
        if isinstance(part, ast.Await):
            assert _is_verb(part.value, node_name), f"{where} awaits something that is not its node's"
        if isinstance(part, (ast.AsyncWith, ast.AsyncFor)) or (isinstance(part, ast.With) and _awaits(part.body)):
            raise AssertionError(f"{where} `with` or `async for` around an await")
        if isinstance(part, ast.Try) and part.finalbody:
            assert not _awaits([part]), f"{where} `finally` around an await"
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            source = getattr(run.__globals__.get(part.id), "__name__", "")
            assert source not in _NOT_DETERMINISTIC, f"{where} uses {source}"


_NOT_DETERMINISTIC = {"time", "random", "secrets", "datetime", "os", "uuid", "asyncio", "threading", "gather", "gatherResults", "open"}


def _is_verb(value: ast.expr, node_name: str) -> bool:
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and isinstance(value.func.value, ast.Name)
        and value.func.value.id == node_name
    )


def _awaits(parts: Sequence[ast.AST]) -> bool:
    return any(isinstance(inner, ast.Await) for part in parts for inner in ast.walk(part))


def _answer_to(step: BootStep | AwaitStep, answers: Mapping[str, str | Notification]) -> Answer:
    if isinstance(step, BootStep):
        return {"ok": None}
    answer = answers.get(step.phase, Notification(step.phase, at=NOON))
    return {"failed": answer} if isinstance(answer, str) else notified(answer)


def _check_drop(recipe: Recipe, walked: Walk) -> None:
    """Drop a second run of `recipe` where this one stands: it must not ask for anything on its way out."""
    script = Script(recipe.run)
    script.start()
    for answer in walked.answers:
        script.answer(answer)
    script.close()
    assert not script.after_close, f"{recipe.name} still asks for {script.after_close[0]} when it is dropped at step {len(walked.answers)}"
