"""An install: one run of a recipe on a node, as everybody sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

State = Literal["running", "done", "unproven", "failed", "cancelled", "parked"]
Installer = Literal["armed", "served", "working", "gone"]
"""What was seen of the installer since its node was told to boot it: nothing yet; that it was given to the node; that it works, so that the
disk may hold a finished system at any time, and it is not given to the node again; that the node boots from the network once more, so that
it has ended, whether it had finished or not."""
INSTALLERS: tuple[Installer, ...] = get_args(Installer)
"""In their order."""

ARMED = "Waits for the node's next network boot"
"""The stage of an install of which nothing has arrived yet."""
DONE = "Done"
"""The stage of an install that is done; one that failed keeps the stage where it stopped."""
INSTALLED = "installed"
"""The phase by which an installer says that it has finished, in every recipe."""


@dataclass(slots=True)
class Install:
    """Times are UTC seconds; `percent` 0-100 never goes down; `deadline` is when the present await fails, if one is open.

    `stage` is the text of the last milestone, `progress_text` what the installer said since; `reason` why it ended or was parked.
    `unproven`: its installer said `installed`, or was at work when the node restarted; the node boots its disk, and the first boot was
    never seen; a late word makes it done.
    `proof` says what showed that a `done` one is done, `last_lines` what the node's log said last before one failed.
    `fetched`: bytes of packages that its node has fetched here.
    Only the engine writes it. `repr` shows neither token nor options.
    """

    id: str
    node_id: str
    family: str
    release: str
    recipe: str
    recipe_version: int
    options: dict[str, Any] = field(repr=False)
    token: str = field(repr=False)
    created_at: float
    state: State = "running"
    stage: str = ARMED
    reason: str = ""
    percent: int = 0
    progress_text: str = ""
    finished_at: float | None = None
    deadline: float | None = None
    retry_of: str | None = None
    proof: str = ""
    last_lines: list[str] = field(default_factory=list)
    installer: Installer = "armed"
    fetched: int = 0

    @property
    def begun(self) -> bool:
        """Whether its installer has been seen at work: the node is not given it again."""
        return self.installer in ("working", "gone")

    def saw(self, what: Installer) -> bool:
        """The installer has come as far as `what`, if it had not before. Whether anything changed."""
        if INSTALLERS.index(what) <= INSTALLERS.index(self.installer):
            return False
        self.installer = what
        return True

    def advance(self, percent: int, *, stage: str | None = None, text: str = "") -> bool:
        """A milestone (`stage`) or progress arrived. What would go back changes nothing. Whether anything changed."""
        if percent < self.percent:
            return False
        before = (self.percent, self.stage, self.progress_text)
        self.percent, self.progress_text = percent, text
        self.stage = self.stage if stage is None else stage
        return before != (self.percent, self.stage, self.progress_text)

    def end(self, state: State, reason: str, at: float) -> None:
        """It ended in `state`, or was parked."""
        self.state, self.reason, self.deadline = state, reason, None
        if state != "parked":
            self.finished_at = at
        if state == "done":
            self.percent, self.stage, self.progress_text = 100, DONE, ""
            self.reason, self.last_lines = "", []


STORED = tuple(name for name in Install.__dataclass_fields__ if name != "deadline")
"""The fields that are columns; the deadline is the journal's."""


def row_of(install: Install) -> dict[str, Any]:
    """Its columns."""
    return {name: getattr(install, name) for name in STORED}
