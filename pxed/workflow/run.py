"""One install on its way: the script on one side, its journal on the other. `_go` is its whole life, as one straight line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from math import inf
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pxed.errors import NotFound, StorageUnavailable
from pxed.node.inventory import Assignment, Inventory
from pxed.node.model import FREQUENT, SILENT, Boot, Event
from pxed.node.timeline import Timeline
from pxed.node.wording import lasting
from pxed.store import Store
from pxed.workflow import journal
from pxed.workflow.evidence import NOTHING, Look, Probe, Vigil, spelled
from pxed.workflow.gate import Gate
from pxed.workflow.install import Install, State
from pxed.workflow.journal import Entry, Mismatch, NotRunning, Place
from pxed.workflow.notices import LONGEST_IN_EVENT, ending, parked, proof_of
from pxed.workflow.recipe import Milestone, Notification, Recipe
from pxed.workflow.replay import AwaitStep, BootStep, Broken, Failed, Outcome, Script, Step

GRACE = 60.0
"""Seconds after pxed started before a deadline that passed while it was down fails an install: a node's retry may be on its way."""

LAST_LINES = 5
"""Lines of the node's log that are kept beside the reason of an install that failed."""
LONGEST_LINE = 300

_FROM_THE_NODE = ("dhcp.", "tftp.", "http.", "notification", "syslog")


class Run:
    """The run of one install, after `entries` of its journal. `ended` is called once when it is over, unless it was sealed."""

    log = Logger()

    def __init__(
        self,
        install: Install,
        recipe: Recipe,
        entries: Sequence[Entry] = (),
        *,
        store: Store,
        inventory: Inventory,
        timeline: Timeline,
        clock: IReactorTime,
        now: Callable[[], float],
        probe: Probe,
        ended: Callable[[Install], None],
    ) -> None:
        self.install = install
        self._recipe = recipe
        self._entries = list(entries)
        self._inventory = inventory
        self._timeline = timeline
        self._now = now
        self._probe = probe
        self._looking: Deferred[Look] | None = None
        self._ended = ended
        self._gate = Gate(store=store, clock=clock)
        self._script = Script(recipe.run)
        self._began = now()
        self._lived: list[Entry] = []

    def begin(self) -> Deferred[None]:
        """Replay what the journal holds, then go on. Once. Fires when the run waits for its node (or for the database), or is over."""
        rested = self._gate.rested()
        self._inventory.hold(self.install.node_id, self.install.id)  # what a former pxed acknowledged may not be dealt with yet
        Deferred.fromCoroutine(self._go()).addErrback(self._fault)
        return rested

    def wake(self) -> None:
        """There may be something in the inbox. Until that is dealt with the node is not offered the installer: it may be done with it."""
        self._inventory.hold(self.install.node_id, self.install.id)
        self._gate.wake()

    def seal(self) -> None:
        """Nothing of this run happens any more; its install is not touched. May be called twice."""
        self._gate.seal()
        if self._looking is not None:
            self._looking.cancel()
        self._script.close()

    async def _go(self) -> None:
        outcome: Outcome = self._script.start()
        position = 0
        try:
            while isinstance(outcome, (BootStep, AwaitStep)):
                entry = await self._step(position, outcome)
                assert entry.answer is not None
                self._lived.append(entry)
                outcome = self._script.answer(entry.answer)
                position += 1
            if position < len(self._entries):
                raise Mismatch(f"it ends before {self._entries[position].step}, which the journal holds at position {position}")
        except Mismatch as mismatch:
            outcome = Broken(f"no longer fits this install: {mismatch}")
        await self._end(outcome)

    # steps

    async def _step(self, position: int, step: Step) -> Entry:
        """The answered entry of one step: from the journal, or lived through. Mismatch."""
        entry = self._entries[position] if position < len(self._entries) else None
        if entry is not None and entry.step != step.name:
            raise Mismatch(f"position {position} is {entry.step} in the journal, but the recipe asks for {step.name}")
        if entry is not None and entry.answer is not None:
            return entry
        if isinstance(step, BootStep):
            return await self._boot(Place(self.install.id, position, step), step)
        place = Place(self.install.id, position, step, self._recipe.milestone(step.phase), self._recipe.after(step.phase))
        entry = await self._notified(place, step, entry)
        self.install.deadline = None
        if place.milestone is not None and "ok" in (entry.answer or {}):
            self._reached(place.milestone)
        return entry

    async def _boot(self, place: Place, step: BootStep) -> Entry:
        assignment = self._inventory.assignment(self.install.node_id, Boot(step.what, self.install.id))
        if step.what == "installer":
            self.install.installer = "armed"
        entry = await self._gate.durably(partial(journal.boot, place=place, at=self._now(), assign=assignment.store))
        assignment.show()
        self._record("install.step", "Boots its own disk from now on" if step.what == "disk" else "Boots the installer from now on")
        return entry

    async def _notified(self, place: Place, step: AwaitStep, entry: Entry | None) -> Entry:
        """Wait until the await at `place` is answered; `entry` is its open row if a pxed before us reached it."""
        grace = 0.0 if entry is None else self._began + GRACE
        vigil = await self._vigil(entry) if step.ports else None
        self._gate.news = entry is not None
        if entry is None:
            entry = await self._gate.durably(partial(journal.reach, place=place, within=step.within, at=self._now()))
            if entry.answer is None:
                looks = " and looks for it itself" if step.ports else ""
                self._record("install.step", f"Waits for {step.phase!r}{looks}, at most {lasting(step.within)}")
        while entry.answer is None:
            at = self._now()
            self.install.deadline = due = max(entry.deadline or 0.0, grace)
            if self._gate.news:
                self._gate.news = False
                entry = await self._gate.durably(partial(journal.settle, place=place, at=at))
            elif at < due:
                # In the grace after it the node may still speak, but not be installed again; nor ever once its installer has begun.
                if at < (entry.deadline or 0.0) and not self.install.begun:
                    self._inventory.release(self.install.node_id)
                await self._gate.sleep(min(due - at, vigil.pause if vigil is not None else inf))
                if vigil is not None and not self._gate.news:
                    entry = await self._look(place, step, entry, vigil)
            else:
                sentence = await self._missed(step)
                entry = await self._gate.durably(partial(journal.expire, place=place, at=at, sentence=sentence))
        return entry

    async def _missed(self, step: AwaitStep) -> str:
        """Why the install fails: what was awaited, how long, and what was last seen of the node."""
        missed = f"{step.phase!r} was awaited for {lasting(step.within)} and did not come"
        seen = [e for e in await self._story() if e.kind.startswith(_FROM_THE_NODE)]
        if not seen:
            return f"{missed}; nothing was seen of the node since the install was created"
        return f"{missed}; last seen {lasting(self._now() - seen[-1].at)} before: {seen[-1].text}"

    async def _story(self, but: Collection[str] = ()) -> list[Event]:
        """The newest events of this install and of its node since, `but` none of these kinds; nothing while the database is away."""
        node = self.install.node_id
        try:
            history = await self._gate.through(lambda: Deferred.fromCoroutine(self._timeline.history(node=node, but=but)))
        except StorageUnavailable:
            return []
        return [e for e in history if e.at >= self.install.created_at and e.install in (None, self.install.id)]

    # evidence

    async def _vigil(self, entry: Entry | None) -> Vigil:
        """What was silent already, if a pxed before us has looked."""
        return Vigil() if entry is None else Vigil(await self._story(FREQUENT), entry.reached_at)

    async def _look(self, place: Place, step: AwaitStep, entry: Entry, vigil: Vigil) -> Entry:
        """Look once; the answered entry if that proves what is awaited."""
        look = await self._gate.through(lambda: self._see(step.ports))
        proof = vigil.take(look)
        for text, data in vigil.news(look):
            self._record("install.probe", text, data)
        if proof is None:
            return entry
        address, port = proof
        sentence = f"{spelled([proof])} answers, where nothing answered before"
        at = self._now()
        evidence = Notification(step.phase, data={"address": address, "port": port}, at=at, proof=sentence)
        entry = await self._gate.durably(partial(journal.found, place=place, at=at, evidence=evidence))
        if (entry.answer or {}).get("ok", {}).get("proof"):
            self._record("install.evidence", f"{step.phase!r} is proven: {sentence}", {"address": address, "port": port})
        return entry

    def _see(self, ports: tuple[int, ...]) -> Deferred[Look]:
        async def see() -> Look:
            return await self._probe(self.install, ports)

        def failed(failure: Failure) -> Look:
            if not self._gate.sealed:
                self.log.failure("Evidence for install {install} could not be looked for", failure, install=self.install.id)
            return NOTHING

        self._looking = Deferred.fromCoroutine(see()).addErrback(failed)
        return self._looking

    def _reached(self, milestone: Milestone) -> None:
        if self.install.advance(milestone.percent, stage=milestone.text):
            self._record("install.progress", milestone.text)

    # the end

    async def _end(self, outcome: Outcome) -> None:
        if isinstance(outcome, Broken):
            failure = Failure(outcome.error) if outcome.error is not None else None
            self.log.error("Install {install} is parked: {reason}", install=self.install.id, reason=outcome.reason, log_failure=failure)
            await self._finish("parked", f"The recipe {self._recipe.name} version {self._recipe.version} {outcome.reason}")
        elif isinstance(outcome, Failed):
            last = (self._lived[-1].answer if self._lived else None) or {}
            missed = bool(last.get("missed")) and outcome.reason == last["failed"]
            unproven = missed and (self.install.installer == "gone" or journal.awaits_first_boot(self._lived))
            await self._finish("unproven" if unproven else "failed", outcome.reason)
        else:
            await self._finish("done", "", proof=proof_of(self._lived))

    async def _finish(self, state: State, reason: str, *, proof: str = "") -> None:
        lines = [e.text[:LONGEST_LINE] for e in await self._story() if e.kind == "syslog"] if state in ("failed", "unproven") else []
        at, assignment = self._now(), leave(self._inventory, self.install, state)
        finish = partial(journal.finish, install_id=self.install.id, state=state, reason=reason, at=at, assign=assignment.store)
        await self._gate.durably(partial(finish, proof=proof, last_lines=lines[-LAST_LINES:]))
        assignment.show()
        self.install.end(state, reason, at)
        self.install.proof, self.install.last_lines = proof, lines[-LAST_LINES:]
        self.seal()
        self._ended(self.install)
        self._record(f"install.{state}", self._last_words(state, reason), {"proof": proof} if proof else None)

    def _last_words(self, state: State, reason: str) -> str:
        if state == "done":
            return done_words(self.install, self._now())
        if state == "unproven":
            finished = journal.awaits_first_boot(self._lived)
            what = "installer has finished" if finished else "node was restarted while its installer was at work"
            return f"Unproven: the {what}, and the installed system was not seen to boot: {reason}"
        if state == "failed":
            return f"Failed: {ending(reason, LONGEST_IN_EVENT)}"
        return parked(reason)

    def _record(self, kind: str, text: str, more: dict[str, Any] | None = None) -> None:
        data = {"state": self.install.state, "percent": self.install.percent, **(more or {})}
        self._timeline.record(kind, text, node=self.install.node_id, install=self.install.id, data=data)

    def _fault(self, failure: Failure) -> None:
        """The operator was faster; or a fault of ours, or the node is gone: park it, no other install notices."""
        if failure.check(NotRunning):
            self.seal()
            return
        if not failure.check(NotFound):
            self.log.failure("Install {install} met a fault in pxed", failure, install=self.install.id)
        broken = Broken(f"could not go on: {failure.getErrorMessage()}")
        Deferred.fromCoroutine(self._end(broken)).addErrback(self._lost)

    def _lost(self, failure: Failure) -> None:
        if not failure.check(NotRunning):
            self.log.failure("Install {install} could not even be parked", failure, install=self.install.id)
        self.seal()


def done_words(install: Install, at: float) -> str:
    return f"Done after {lasting(at - install.created_at)}: {install.proof}"


def leave(inventory: Inventory, install: Install, state: State) -> Assignment:
    """What its node boots once `install` is in `state`, if it boots for this install until then.

    Done or unproven: its disk. Else silence, so that a node never installs again by itself; a parked one that boots its disk keeps that.
    """
    node = inventory.get(install.node_id)
    if node is None:
        return Assignment(lambda _connection: None, lambda: None)
    disk = state in ("done", "unproven") or (state == "parked" and node.boot.kind == "disk")
    return inventory.assignment(node.id, Boot("disk") if disk else SILENT, held_by=install.id)
