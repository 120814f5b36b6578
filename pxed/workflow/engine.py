"""The engine: every install, and the verbs by which the other rooms touch them.

    engine = Engine(store=store, inventory=inventory, timeline=timeline, recipes=catalog.recipes, clock=reactor, now=time.time)
    await engine.start()                                  # after inventory.load(): resumes what was running
    install = await engine.create(node.id, family="debian", release="12", recipe="debian", options={...})
    await engine.deliver(install.token, "installed")      # the node calls back: committed before this returns
    await engine.stop()                                   # not a cancel

Every change is committed first and visible after. While the database is away verbs raise StorageUnavailable and running installs wait.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pxed.errors import Conflict, NotFound, StorageUnavailable
from pxed.node.inventory import Inventory
from pxed.node.mask import mask
from pxed.node.model import SILENT, Boot, Event
from pxed.node.timeline import Timeline, printable
from pxed.store import Store
from pxed.workflow import journal
from pxed.workflow.evidence import Probe, blind
from pxed.workflow.install import Install, Installer, State, row_of
from pxed.workflow.installs import Installs
from pxed.workflow.journal import Entry, NotRunning
from pxed.workflow.notices import LOADER, LONGEST_MESSAGE, called_back, inbox_row, parked, restarted, shown, told
from pxed.workflow.progress import Progress
from pxed.workflow.recipe import Recipe, RecipeBook
from pxed.workflow.run import Run, done_words, leave

PROFILE = 2
"""Percent when a node has its boot profile."""
FORGET_AT_ONCE = 500
"""Installs: one transaction that nobody waits for long."""
_ASKS_AGAIN = frozenset({"dhcp.silent", "http.localboot"})
"""Events that only a machine's restart can cause: it asks for something to boot, and is left to its disk."""


class Engine:
    """`now` gives UTC seconds, `clock` delays; `new_id` and `new_token` give what they say (a token is a secret).

    `lost` says why an install can't go on although its recipe is there (its system is no longer among those that can be installed), or "".
    `probe` looks for an installed system that may be unable to call back. An install keeps `most_notifications`: a node that calls back in
    a loop can't fill the disk.
    """

    log = Logger()

    def __init__(
        self,
        *,
        store: Store,
        inventory: Inventory,
        timeline: Timeline,
        recipes: RecipeBook,
        clock: IReactorTime,
        now: Callable[[], float],
        new_id: Callable[[], str] = lambda: secrets.token_hex(5),
        new_token: Callable[[], str] = lambda: secrets.token_urlsafe(24),
        most_notifications: int = 1000,
        probe: Probe = blind,
        lost: Callable[[Install], str] = lambda _install: "",
    ) -> None:
        self._store = store
        self._inventory = inventory
        self._timeline = timeline
        self._recipes = recipes
        self._clock = clock
        self._now = now
        self._new_id = new_id
        self._new_token = new_token
        self._most = most_notifications
        self._probe = probe
        self._lost = lost
        self._installs = Installs()
        self._runs: dict[str, Run] = {}
        self._progress = Progress(store, now)
        self._stopped = False
        timeline.subscribe(self._heard)

    async def start(self) -> None:
        """Read every install and go on with those that run. Once, after `inventory.load`. StorageUnavailable.

        An install that this pxed can't go on with is parked, and no other notices.
        """
        running = []
        for install, entries in await self._store.read(journal.load_installs):
            self._installs.add(install)
            if install.state == "running":
                running.append((install, entries))
        await self._disarm_strays()
        resumed = [Deferred.fromCoroutine(self._resume(install, entries)) for install, entries in running]
        for each in resumed:
            await each

    async def stop(self) -> None:
        """Seal every node, then drop the coroutines: installs stay `running` and go on at the next start. May be called twice."""
        self._stopped = True
        runs, self._runs = list(self._runs.values()), {}
        for run in runs:
            run.seal()
        try:
            await self._progress.flush()
        except StorageUnavailable:
            self.log.warn("The last progress of the installs could not be stored")

    # what the operator asks

    async def create(self, node_id: str, *, family: str, release: str, recipe: str, options: dict[str, Any]) -> Install:
        """Arm a node: when this returns its first step is committed, unless the database went away. `options` are validated and hold
        no plain secret. NotFound (node, recipe), Conflict (an install runs on the node), StorageUnavailable."""
        return await self._create(node_id, family, release, recipe, options, retry_of=None)

    async def cancel(self, install_id: str) -> Install:
        """End a running or parked install; its node is left alone. Again: no error. NotFound, Conflict, StorageUnavailable."""
        install = self.get(install_id)
        if install.state == "cancelled":
            return install
        reason = "Cancelled by the operator"
        await self._end(install, "cancelled", reason, of=("running", "parked"))
        self._drop(install)
        self._record(install, "install.cancelled", reason)
        return install

    async def retry(self, install_id: str) -> Install:
        """A new install of the same node, system and options from the beginning, by the recipe's latest version. It replaces a parked
        one, and one whose node was restarted while its installer was at work. NotFound (install, node, recipe), Conflict (it or another
        one runs on the node), StorageUnavailable."""
        old = self.get(install_id)
        if old.state == "running" and old.installer != "gone":
            raise Conflict(f"Install {install_id} is running; cancel it first")
        install = await self._create(old.node_id, old.family, old.release, old.recipe, old.options, retry_of=old)
        self._record(old, "install.retried", f"Retried as install {install.id}")
        return install

    async def restart(self, install_id: str) -> Install:
        """Let a parked install go on where it stopped (after an upgrade mended its recipe). NotFound, Conflict, StorageUnavailable."""
        self._check_open()
        install = self.get(install_id)
        recipe = self._recipe_of(install)
        if install.state != "parked" or recipe is None:
            why = f"is {install.state}, not parked" if recipe else "needs a version of its recipe that this pxed does not have"
            raise Conflict(f"Install {install_id} {why}")
        if lost := self._lost(install):
            raise Conflict(f"Install {install_id} cannot go on: {lost}")
        boots = (Boot("installer", install_id), Boot("disk", install_id), SILENT)
        assignments = {boot.kind: self._inventory.assignment(install.node_id, boot) for boot in boots}
        assign = {kind: assignment.store for kind, assignment in assignments.items()}
        entries = await self._write_unless_ended(install, partial(journal.unpark, install_id=install_id, assign=assign))
        assignments[journal.last_boot(entries)].show()
        install.state, install.reason = "running", ""
        self._record(install, "install.retried", "Goes on where it was parked")
        await self._run(install, recipe, entries)
        return install

    async def forget_old(self, before: float) -> int:
        """Forget the installs that ended before this time (UTC seconds), oldest first and `FORGET_AT_ONCE` at most; how many that were.
        The last one of a node that is still known stays: it says what is on its disk. StorageUnavailable."""
        old = self._installs.ended(before, lambda node_id: self._inventory.get(node_id) is not None)[:FORGET_AT_ONCE]
        if not old:
            return 0
        for each in old:
            self._installs.hide(each)  # before its row goes: from now on its node gets NotFound
        try:
            await self._store.write(partial(journal.forget, install_ids=[each.id for each in old]))
        except StorageUnavailable:
            for each in old:
                self._installs.add(each)
            raise
        for each in old:
            self._installs.drop(each)
        return len(old)

    # what the node says

    async def deliver(
        self,
        token: str,
        phase: str | None,
        *,
        status: str = "ok",
        message: str = "",
        data: dict[str, Any] | None = None,
        source: str = "",
    ) -> Install:
        """A notification; when this returns it is stored. `phase` None counts as the next one awaited.

        Early ones wait, duplicates change nothing, late ones are acknowledged; status "fail" ends the install with `message`.
        NotFound (token), InvalidRequest (phase, status, data), Conflict (a loop), StorageUnavailable.
        """
        self._check_open()
        install = self.by_token(token)
        row = inbox_row(phase, status, message, data, source, self._now())
        recipe = self._recipe_of(install)
        milestone = recipe.milestone(phase) if recipe is not None and status == "ok" else None
        last = recipe.milestones[-1].phase if recipe is not None and recipe.milestones else None
        proof = f"{called_back(last or '')}, after its deadline"
        works = status == "ok" and LOADER not in row["data"]
        op = partial(journal.deliver, install_id=install.id, notification=row, milestone=milestone, most=self._most)
        arrival = await self._store.write(partial(op, last_phase=last, proof=proof, works=works and not install.begun))
        remark = "again" if arrival.duplicate else "late" if arrival.proved else ""
        remark = remark or ("" if arrival.state == "running" else f"the install is {arrival.state} already")
        self._record(install, "notification", told(phase, status, row["message"], remark), {"phase": phase, "status": status})
        if milestone is not None and not remark and install.advance(milestone.percent, stage=milestone.text):
            self._record(install, "install.progress", milestone.text)
        if works and not arrival.duplicate and arrival.state in ("running", "parked"):
            install.saw("working")
        if arrival.proved:
            install.end("done", "", row["at"])
            install.proof = proof
            self._record(install, "install.done", done_words(install, row["at"]), {"proof": proof})
        run = self._runs.get(install.id)
        if run is not None:
            run.wake()
        return install

    def served(self, install_id: str) -> None:
        """The node was given the boot profile. NotFound; ignored once it ended."""
        install = self.get(install_id)
        if install.state == "running":
            self._saw(install, "served")
            self._advance(install, PROFILE, "boot profile fetched")

    def progress(self, install_id: str, percent: int, text: str) -> None:
        """What the installer says of itself: `percent` 0-100 never goes down. Stored lazily. NotFound; ignored once it ended."""
        install = self.get(install_id)
        if install.state == "running":
            self._advance(install, percent, mask(printable(text))[:LONGEST_MESSAGE])
            self.works(install_id)

    def fetched(self, install_id: str, size: int) -> int:
        """The node has fetched `size` more bytes of packages; how many that makes. Stored lazily. NotFound; ignored once it ended."""
        install = self.get(install_id)
        if install.state == "running":
            install.fetched += size
            self._progress.changed(install)
        return install.fetched

    def fetched_before(self, install_id: str) -> int:
        """Bytes of packages of the last install of the same system that was done and fetched any here, 0 for none. NotFound."""
        return self._installs.fetched_before(install_id)

    def works(self, install_id: str) -> None:
        """The installer has done something that nobody else does: from now on its node is not given it again. Before its profile was
        given out that can't be, and is still about what the node booted before. NotFound; ignored once it ended."""
        install = self.get(install_id)
        if install.state == "running" and install.installer == "served":
            self._saw(install, "working")

    # what everybody reads

    def get(self, install_id: str) -> Install:
        """By id. NotFound."""
        return self._installs.get(install_id)

    def by_token(self, token: str) -> Install:
        """By the secret its node was given, ended ones too. NotFound."""
        return self._installs.by_token(token)

    def all(self, *, node: str | None = None) -> list[Install]:
        """Every install (of a node), oldest first."""
        return self._installs.all(node=node)

    async def steps(self, install_id: str) -> list[dict[str, Any]]:
        """The journal for people (`notices.shown`). NotFound, StorageUnavailable."""
        self.get(install_id)
        return [shown(entry) for entry in await self._store.read(lambda c: journal.load(c, install_id))]

    # inside

    async def _create(
        self, node_id: str, family: str, release: str, recipe_name: str, options: dict[str, Any], *, retry_of: Install | None
    ) -> Install:
        self._check_open()
        node = self._inventory.get(node_id)
        if node is None:
            raise NotFound(f"There is no node {node_id[:80]!r}")
        try:
            recipe = self._recipes.latest(recipe_name)
        except KeyError:
            raise NotFound(f"There is no recipe {recipe_name!r}") from None
        install = Install(
            self._new_id(), node_id, family, release, recipe.name, recipe.version, options, self._new_token(), self._now(),
            retry_of=retry_of.id if retry_of else None,
        )  # fmt: skip
        replaced = retry_of if retry_of is not None and retry_of.state in ("parked", "running") else None
        reason = "" if replaced is None else replaced.reason or f"Cancelled by the operator, who installs again ({install.id})"
        op = partial(journal.create, install=row_of(install), instead_of=replaced.id if replaced else None, reason=reason)
        await self._write_unless_ended(replaced or install, op)
        self._installs.add(install)
        if replaced is not None:
            replaced.end("cancelled", reason, install.created_at)
            self._drop(replaced)
        self._record(install, "install.created", f"{node.label} is to be installed with {family} {release}")
        await self._run(install, recipe, [])
        return install

    async def _write_unless_ended(self, install: Install, op: Callable[[Connection], Any]) -> Any:
        try:
            return await self._store.write(op)
        except IntegrityError:
            other = next((each.id for each in self.all(node=install.node_id) if each.state == "running"), "another one")
            raise Conflict(f"An install ({other}) is running on this node already; cancel it first") from None
        except NotRunning:
            raise Conflict(f"Install {install.id} is {install.state} already") from None

    async def _resume(self, install: Install, entries: list[Entry]) -> None:
        recipe, reason = self._recipe_of(install), self._lost(install)
        if recipe is not None and not reason:
            await self._run(install, recipe, entries)
            return
        if recipe is None:
            reason = f"This pxed does not have version {install.recipe_version} of the recipe {install.recipe}"
        await self._end(install, "parked", reason)
        self._record(install, "install.parked", parked(reason))

    async def _end(self, install: Install, state: State, reason: str, of: tuple[State, ...] = ("running",)) -> None:
        """It ends in `state`, or is parked, unless its own state is none `of` these; its node boots what that leaves. Conflict,
        StorageUnavailable."""
        at, assignment = self._now(), leave(self._inventory, install, state)
        finish = partial(journal.finish, install_id=install.id, state=state, reason=reason, at=at, assign=assignment.store, of=of)
        await self._write_unless_ended(install, finish)
        assignment.show()
        install.end(state, reason, at)

    async def _run(self, install: Install, recipe: Recipe, entries: list[Entry]) -> None:
        """Start its run; return when that waits for the node, or for the database, or is over."""
        run = self._runs[install.id] = Run(
            install,
            recipe,
            entries,
            store=self._store,
            inventory=self._inventory,
            timeline=self._timeline,
            clock=self._clock,
            now=self._now,
            probe=self._probe,
            ended=self._drop,
        )
        await run.begin()

    def _drop(self, install: Install) -> None:
        run = self._runs.pop(install.id, None)
        if run is not None:
            run.seal()

    async def _disarm_strays(self) -> None:
        """A node never boots for an install that does not run: there is none by our own doing, but a database can be restored."""
        for node in self._inventory.all():
            install = self._installs.find(node.boot.install or "")
            if node.boot.install is not None and (install is None or install.state != "running"):
                self.log.warn("Node {node} booted for install {install}, which does not run", node=node.id, install=node.boot.install)
                await self._inventory.assign(node.id, SILENT)

    def _recipe_of(self, install: Install) -> Recipe | None:
        try:
            return self._recipes.get(install.recipe, install.recipe_version)
        except KeyError:
            return None

    def _check_open(self) -> None:
        if self._stopped:
            raise StorageUnavailable("pxed is stopping; try again in a moment")

    def _advance(self, install: Install, percent: int, text: str) -> None:
        reached = max(install.percent, min(100, max(0, int(percent))))
        if install.advance(reached, text=text):
            self._record(install, "install.progress", install.progress_text or f"{reached} %")
            self._progress.changed(install)

    def _saw(self, install: Install, what: Installer) -> None:
        if install.saw(what):
            if install.begun:
                self._inventory.hold(install.node_id, install.id)
            self._progress.changed(install)

    def _heard(self, event: Event) -> None:
        """A node whose installer was at work boots from the network again: that installer has ended, finished or not."""
        node = self._inventory.get(event.node or "") if event.kind in _ASKS_AGAIN else None
        install = self._installs.find(node.boot.install or "") if node is not None else None
        if node is None or install is None or install.state != "running" or install.installer != "working":
            return
        if node.boot.kind == "silent":
            self._saw(install, "gone")
            self._record(install, "install.rebooted", restarted(node.label))

    def _record(self, install: Install, kind: str, text: str, data: dict[str, Any] | None = None) -> None:
        facts = {"state": install.state, "percent": install.percent, **(data or {})}
        self._timeline.record(kind, text, node=install.node_id, install=install.id, data=facts)
