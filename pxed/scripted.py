"""A node that does what its recipe awaits, for tests: any recipe of any family, from the first boot to the last, on an appliance in memory.

    node = ScriptedNode(recipe)
    for each in node.awaits:
        node.kill()                          # pxed, not the node
        node.say(each.phase)
        node.check()                         # state, boot and journal are as planned
    assert node.state == "done"

What should come out is told by a `Plan`, a model of the rules of docs/recipes.md that knows no database, no clock and no restart.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pxed.node.model import SILENT, Boot, BootKind
from pxed.testing import MemoryAppliance, MemoryStore, Ports, result_of, walk
from pxed.workflow.evidence import LOOK_EVERY
from pxed.workflow.install import Install
from pxed.workflow.recipe import Recipe, RecipeBook
from pxed.workflow.replay import AwaitStep, BootStep

MAC = "52:54:00:00:00:01"


@dataclass
class Plan:
    """What a recipe asks for if its node does everything that is awaited, and how far it has come."""

    steps: list[BootStep | AwaitStep]
    order: tuple[str, ...] = ()
    """The phases of the recipe's milestones: a later one implies those before it."""
    state: str = "running"
    answered: list[str] = field(default_factory=list)
    waiting: list[str | None] = field(default_factory=list)
    """What was said and has not been awaited yet."""
    begun: bool = False
    """Whether the node has said something since it was sent to its installer."""

    @property
    def awaits(self) -> list[AwaitStep]:
        return [step for step in self.steps if isinstance(step, AwaitStep)]

    def say(self, phase: str | None, status: str = "ok") -> None:
        """The node says this."""
        if self.state != "running":
            return
        if status == "fail":
            self.state = "failed"
        elif phase is None or (phase not in self.answered and phase not in self.waiting):
            self.waiting.append(phase)
            self.begun = True
            self._go_on()

    def miss(self) -> None:
        """The deadline of the present await passes."""
        if self.state == "running":
            self.state = "unproven" if "installed" in self.answered and self._assigned() == "disk" else "failed"

    def boot(self, install: str) -> Boot:
        """What the node must boot now."""
        if self.state == "running":
            assigned = self._assigned()
            return Boot("silent" if assigned == "installer" and self.begun else assigned, install)
        return Boot("disk") if self.state in ("done", "unproven") else SILENT

    def _go_on(self) -> None:
        while self.state == "running":
            awaited = self.awaits[len(self.answered)].phase
            said = next((each for each in self.waiting if each in (awaited, None)), "")
            if said != "":
                self.waiting.remove(said)
            elif not self._implied(awaited):
                return
            self.answered.append(awaited)
            behind = self.steps.index(self.awaits[len(self.answered) - 1]) + 1
            if BootStep("installer") in self.steps[behind : behind + 1]:
                self.begun = False
            if len(self.answered) == len(self.awaits):
                self.state = "done"

    def _implied(self, phase: str) -> bool:
        return phase in self.order and any(each in self.order[self.order.index(phase) + 1 :] for each in self.waiting)

    def _assigned(self) -> BootKind:
        """The last boot before the present await."""
        boot: BootKind = "silent"
        awaits = 0
        for step in self.steps:
            if isinstance(step, BootStep):
                boot = step.what
            elif awaits == len(self.answered):
                break
            else:
                awaits += 1
        return boot


class ScriptedNode:
    """One install by `recipe`, on an appliance that may be killed at any time; `plan` hears all that the appliance hears."""

    def __init__(self, recipe: Recipe, *, store: MemoryStore | None = None) -> None:
        self.recipe = recipe
        self.plan = Plan(walk(recipe).asked, tuple(each.phase for each in recipe.milestones))
        self.appliance = MemoryAppliance(RecipeBook((recipe,)), store=store, ports=Ports())
        self.install_id = result_of(self.appliance.arm(MAC, recipe.name)).id

    @property
    def install(self) -> Install:
        return self.appliance.engine.get(self.install_id)

    @property
    def state(self) -> str:
        return self.install.state

    @property
    def boots(self) -> Boot:
        """What the node boots now, in memory."""
        node = self.appliance.inventory.by_mac(MAC)
        assert node is not None
        return node.boot

    @property
    def awaits(self) -> list[AwaitStep]:
        return self.plan.awaits

    @property
    def awaited(self) -> AwaitStep:
        """What is awaited now."""
        return self.awaits[len(self.plan.answered)]

    def say(self, phase: str | None, status: str = "ok", message: str = "") -> None:
        """The node calls back, and is acknowledged."""
        result_of(self.appliance.engine.deliver(self.install.token, phase, status=status, message=message))
        self.plan.say(phase, status)

    def kill(self, *, cleanly: bool = False, down: float = 0.0) -> None:
        """pxed is killed (or stopped), and started again `down` seconds later."""
        self.appliance = self.appliance.restart(cleanly=cleanly, down=down)

    def wait_too_long(self) -> None:
        """Nothing is said until the present await's deadline has passed."""
        self.appliance.clock.advance(self.awaited.within + 60)
        self.plan.miss()

    def open_port(self) -> None:
        """The installed system comes up without a word, and one of the ports that its recipe looks at answers."""
        for ports in ((), self.awaited.ports[:1]):
            self.appliance.ports.open = set(ports)
            self.appliance.clock.advance(LOOK_EVERY)
        self.plan.say(self.awaited.phase)

    def check(self) -> None:
        """AssertionError unless state and boot are as planned, and the journal has each position once."""
        assert self.state == self.plan.state, f"{self.install.recipe}: {self.install.reason}"
        assert self.boots == self.plan.boot(self.install_id)
        steps = result_of(self.appliance.engine.steps(self.install_id))
        assert [step["position"] for step in steps] == list(range(len(steps)))
        assert [step["step"] for step in steps] == [step.name for step in self.plan.steps[: len(steps)]]
