"""Every transaction of the workflow: journal, inbox and the install's row. Each function runs in the writer's thread.

What must not come apart stands in one function: a step and the boot it assigns, an answer and the notification that gave it, an end
and the boot it leaves. All of them refuse (`NotRunning`) once the install's row says that it ended, so that a step that was on its
way when the operator cancelled changes nothing. All may run twice: what the journal holds is returned, not written again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from pxed.errors import Conflict
from pxed.node.model import BootKind
from pxed.store.schema import inbox, installs, journal
from pxed.workflow.install import DONE, INSTALLED, INSTALLERS, STORED, Install, Installer, State
from pxed.workflow.recipe import Milestone, Notification
from pxed.workflow.replay import Answer, AwaitStep, BootStep, Step, notified

Assign = Callable[[Connection], None]

# Statements of every notification and step, built once: building one takes longer than running it, and holds up the reactor's thread.
_STATE = select(installs.c.state).where(installs.c.id == bindparam("of")).with_for_update()
_AT = select(journal).where(journal.c.install_id == bindparam("of"), journal.c.position == bindparam("at_position"))
_OPEN_STEPS = select(journal.c.step).where(journal.c.install_id == bindparam("of"), journal.c.answer.is_(None))
_REACH = insert(journal)
_ANSWER = (
    update(journal)
    .where(journal.c.install_id == bindparam("of"), journal.c.position == bindparam("at_position"))
    .values(answer=bindparam("answer"), answered_at=bindparam("answered_at"))
)
_PUT = insert(inbox)
_COUNT = select(func.count()).where(inbox.c.install_id == bindparam("of"))
_CAME_BEFORE = select(inbox.c.id).where(
    inbox.c.install_id == bindparam("of"),
    func.coalesce(inbox.c.counted_as, inbox.c.phase) == bindparam("wanted"),
    inbox.c.status == "ok",
)
_ANSWERS = (  # what answers an await: a failure first ("fail" sorts before "ok"), then the oldest that fits
    select(inbox)
    .where(inbox.c.install_id == bindparam("of"), inbox.c.position.is_(None), ~inbox.c.duplicate)
    .where(or_(inbox.c.status == "fail", inbox.c.phase == bindparam("wanted"), inbox.c.phase.is_(None)))
    .order_by(inbox.c.status, inbox.c.id)
    .limit(1)
)
_LATER = (
    select(inbox)
    .where(inbox.c.install_id == bindparam("of"), inbox.c.status == "ok", inbox.c.phase.in_(bindparam("later", expanding=True)))
    .order_by(inbox.c.id)
    .limit(1)
)
_USE = update(inbox).where(inbox.c.id == bindparam("key")).values(position=bindparam("at_position"), counted_as=bindparam("wanted"))
_ADVANCE = update(installs).where(installs.c.id == bindparam("of"), installs.c.percent <= bindparam("percent"))
_PROGRESS = _ADVANCE.values(percent=bindparam("percent"), progress_text=bindparam("progress_text"))
_FETCHED = (
    update(installs).where(installs.c.id == bindparam("of"), installs.c.fetched < bindparam("bytes")).values(fetched=bindparam("bytes"))
)
_MILESTONE = _ADVANCE.values(percent=bindparam("percent"), stage=bindparam("stage"), progress_text="")
_SAW = {
    what: update(installs)
    .where(installs.c.id == bindparam("of"), or_(*(installs.c.installer == before for before in INSTALLERS[:index])))
    .values(installer=what)
    for index, what in enumerate(INSTALLERS)
    if index
}
"""Without IN, so that one statement takes many installs."""
_ARM = update(installs).where(installs.c.id == bindparam("of")).values(installer="armed")


class Reached(NamedTuple):
    """How far an install is: what its installer said of itself, the bytes of packages its node has fetched, and what was seen of it."""

    install_id: str
    percent: int
    text: str
    fetched: int
    installer: Installer


class NotRunning(Exception):
    """The install's row says that it ended or was parked."""


class Mismatch(Exception):
    """The journal holds another step at this position."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One position of the journal. `answer` is None while it waits."""

    position: int
    step: str
    reached_at: float
    deadline: float | None
    answer: Answer | None
    answered_at: float | None


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the journal of an install, the step that the recipe asks for there, the milestone that step reaches, and the phases
    that come after it: they imply it."""

    install_id: str
    position: int
    step: Step
    milestone: Milestone | None = None
    later: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrival:
    """What became of a notification: the install's state then, whether its phase had come before, and whether it proved an install
    that was unproven until then."""

    state: State
    duplicate: bool
    proved: bool = False


# installs


def create(connection: Connection, install: Mapping[str, Any], *, instead_of: str | None = None, reason: str = "") -> None:
    """A new install; the parked or running one it replaces ends with it, for this `reason`. NotRunning if that has ended, IntegrityError
    if the node has another running one."""
    if instead_of is not None:
        open_one = (installs.c.id == instead_of) & installs.c.state.in_(("parked", "running"))
        ended = {"state": "cancelled", "reason": reason, "finished_at": install["created_at"]}
        if not connection.execute(update(installs).where(open_one).values(**ended)).rowcount:
            raise NotRunning(instead_of)
    connection.execute(insert(installs).values(**install))


def load_installs(connection: Connection) -> list[tuple[Install, list[Entry]]]:
    """Every install, oldest first, with the journal of those that run."""
    found = []
    for row in connection.execute(select(installs).order_by(installs.c.created_at, installs.c.id)).mappings().all():
        install = Install(**{name: row[name] for name in STORED})
        found.append((install, load(connection, install.id) if install.state == "running" else []))
    return found


def finish(
    connection: Connection,
    install_id: str,
    state: State,
    reason: str,
    at: float,
    assign: Assign,
    of: tuple[State, ...] = ("running",),
    *,
    proof: str = "",
    last_lines: Sequence[str] = (),
) -> None:
    """The install ends, or is parked, and its node boots what that leaves. NotRunning unless its state is one `of` these."""
    values: dict[str, Any] = {"state": state, "reason": reason, "proof": proof, "last_lines": list(last_lines)}
    if state != "parked":
        values["finished_at"] = at
    if state == "done":
        values |= {"percent": 100, "stage": DONE, "progress_text": ""}
    ended = connection.execute(update(installs).where(installs.c.id == install_id, installs.c.state.in_(of)).values(**values))
    if not ended.rowcount:
        raise NotRunning(install_id)
    assign(connection)


def forget(connection: Connection, install_ids: Sequence[str]) -> None:
    """These installs go, with journal and inbox, unless one runs or is parked."""
    ended = installs.c.state.not_in(("running", "parked"))
    connection.execute(delete(installs).where(installs.c.id.in_(install_ids), ended))


def unpark(connection: Connection, install_id: str, assign: Mapping[BootKind, Assign]) -> list[Entry]:
    """A parked install runs again and its node boots what its journal assigned last; the journal.

    NotRunning if it isn't parked, IntegrityError if another one runs on its node.
    """
    parked = (installs.c.id == install_id) & (installs.c.state == "parked")
    if not connection.execute(update(installs).where(parked).values(state="running", reason="")).rowcount:
        raise NotRunning(install_id)
    entries = load(connection, install_id)
    assign[last_boot(entries)](connection)
    return entries


def progress(connection: Connection, reached: Sequence[Reached]) -> None:
    """How far installs are, unless that would go back. Many at a time: in a boot storm all of them get somewhere at once."""
    connection.execute(_PROGRESS, [{"of": each.install_id, "percent": each.percent, "progress_text": each.text} for each in reached])
    if fetched := [{"of": each.install_id, "bytes": each.fetched} for each in reached if each.fetched]:
        connection.execute(_FETCHED, fetched)
    for what, statement in _SAW.items():
        if seen := [{"of": each.install_id} for each in reached if each.installer == what]:
            connection.execute(statement, seen)


def _advance(connection: Connection, install_id: str, milestone: Milestone) -> None:
    connection.execute(_MILESTONE, {"of": install_id, "percent": milestone.percent, "stage": milestone.text})


# journal


def load(connection: Connection, install_id: str) -> list[Entry]:
    """The journal of an install, in order."""
    rows = connection.execute(select(journal).where(journal.c.install_id == install_id).order_by(journal.c.position))
    return [_entry(row) for row in rows]


def boot(connection: Connection, place: Place, at: float, assign: Assign) -> Entry:
    """The node boots this from now on: journaled and assigned in one transaction. NotRunning, Mismatch."""
    _require_running(connection, place)
    entry = _at(connection, place)
    if entry is None:
        assign(connection)
        if place.step == BootStep("installer"):
            connection.execute(_ARM, {"of": place.install_id})
        entry = _reach(connection, place, Entry(place.position, place.step.name, at, None, {"ok": None}, at))
    return entry


def reach(connection: Connection, place: Place, within: float, at: float) -> Entry:
    """An await is reached: its deadline is fixed, and what came early answers it. NotRunning, Mismatch."""
    _require_running(connection, place)
    if _at(connection, place) is None:
        _reach(connection, place, Entry(place.position, place.step.name, at, at + within, None, None))
    return settle(connection, place, at)


def settle(connection: Connection, place: Place, at: float) -> Entry:
    """Answer an open await from the inbox, if there is something: a failure first, then the oldest that fits, then what implies it.
    NotRunning, Mismatch."""
    _require_running(connection, place)
    entry = _at(connection, place)
    if not isinstance(place.step, AwaitStep) or entry is None:
        raise Mismatch(f"position {place.position} is no await that was reached")
    if entry.answer is not None:
        return entry
    phase = place.step.phase
    row = connection.execute(_ANSWERS, {"of": place.install_id, "wanted": phase}).first()
    if row is None:
        return _implied(connection, place, phase, at) or entry
    connection.execute(_USE, {"key": row.id, "at_position": place.position, "wanted": row.phase or phase})
    if row.status == "fail":
        return _answer(connection, place, {"failed": _own_words(row.message, row.phase or phase)}, at)
    if place.milestone is not None:
        _advance(connection, place.install_id, place.milestone)
    return _answer(connection, place, notified(Notification(phase, "ok", row.message, row.data, row.at)), at)


def _implied(connection: Connection, place: Place, phase: str, at: float) -> Entry | None:
    """The await of `phase` answered because a later phase has come, which goes on waiting for its own await; None if none has."""
    row = connection.execute(_LATER, {"of": place.install_id, "later": place.later}).first() if place.later else None
    if row is None:
        return None
    if place.milestone is not None:
        _advance(connection, place.install_id, place.milestone)
    return _answer(connection, place, notified(Notification(phase, "ok", f"was not heard, but {row.phase!r} was", {}, row.at)), at)


def expire(connection: Connection, place: Place, at: float, sentence: str) -> Entry:
    """The deadline has passed: what came in time still counts, else the await is answered with `sentence`. NotRunning, Mismatch."""
    entry = settle(connection, place, at)
    return _answer(connection, place, {"failed": sentence, "missed": True}, at) if entry.answer is None else entry


def found(connection: Connection, place: Place, at: float, evidence: Notification) -> Entry:
    """pxed saw itself what is awaited: it counts as if the node had said it, unless the node was faster. NotRunning, Mismatch."""
    entry = settle(connection, place, at)
    if entry.answer is not None:
        return entry
    row = {"phase": evidence.phase, "status": "ok", "message": evidence.proof, "data": dict(evidence.data), "source": "pxed", "at": at}
    used = {"counted_as": evidence.phase, "duplicate": False, "position": place.position}
    connection.execute(_PUT, {"install_id": place.install_id, **row, **used})
    if place.milestone is not None:
        _advance(connection, place.install_id, place.milestone)
    return _answer(connection, place, notified(evidence), at)


def last_boot(entries: Sequence[Entry]) -> BootKind:
    """What the last boot step of a journal assigned; silence if there is none."""
    kinds: dict[str, BootKind] = {BootStep("installer").name: "installer", BootStep("disk").name: "disk"}
    return next((kinds[entry.step] for entry in reversed(entries) if entry.step in kinds), "silent")


def awaits_first_boot(entries: Sequence[Entry]) -> bool:
    """Whether the deadline that was missed last, and nothing else, keeps an install from being done: its installer said `installed`, and
    the node was sent to its disk and not back."""
    if not entries or not (entries[-1].answer or {}).get("missed") or last_boot(entries) != "disk":
        return False
    return any(((entry.answer or {}).get("ok") or {}).get("phase") == INSTALLED for entry in entries)


# inbox


def deliver(
    connection: Connection,
    install_id: str,
    notification: Mapping[str, Any],
    milestone: Milestone | None,
    most: int,
    *,
    last_phase: str | None = None,
    proof: str = "",
    works: bool = False,
) -> Arrival:
    """Put a notification into the inbox: columns `phase` (or None), `status`, `message`, `data`, `source`, `at`.

    An unproven install is done when the `last_phase` of its recipe comes after all (a plain notification counts as that); `proof` says so.
    `works`: it shows that the installer works, unless it is told again.
    Beyond `most` of them what would change nothing is not stored, and what might is refused (Conflict) unless it is awaited.
    """
    state: State = connection.scalars(_STATE, {"of": install_id}).one()
    phase = notification["phase"]
    duplicate = notification["status"] == "ok" and phase is not None and _came_before(connection, install_id, phase)
    proved = state == "unproven" and notification["status"] == "ok" and last_phase is not None and phase in (last_phase, None)
    if (
        proved
        or (connection.scalar(_COUNT, {"of": install_id}) or 0) < most
        or (state == "running" and _awaited(connection, install_id, notification))
    ):
        connection.execute(_PUT, {"install_id": install_id, "duplicate": duplicate, **notification})
    elif state == "running" and not duplicate:
        raise Conflict(f"This install has sent more than {most} notifications, and {phase!r} is not awaited now")
    if milestone is not None and not duplicate and state == "running":
        _advance(connection, install_id, milestone)
    if works and not duplicate and state in ("running", "parked"):
        connection.execute(_SAW["working"], {"of": install_id})
    if proved:
        finish(connection, install_id, "done", "", notification["at"], lambda _connection: None, of=("unproven",), proof=proof)
    return Arrival("done" if proved else state, duplicate, proved)


def _came_before(connection: Connection, install_id: str, phase: str) -> bool:
    return connection.execute(_CAME_BEFORE, {"of": install_id, "wanted": phase}).first() is not None


def _awaited(connection: Connection, install_id: str, notification: Mapping[str, Any]) -> bool:
    """Whether a notification answers the await that is open."""
    anything = notification["status"] == "fail" or notification["phase"] is None
    steps = connection.scalars(_OPEN_STEPS, {"of": install_id}).all()
    return any(anything or step.startswith(f"{verb}({notification['phase']!r},") for step in steps for verb in ("notification", "evidence"))


def _own_words(message: str, phase: str) -> str:
    return message.strip() or f"The node reported that {phase!r} failed, without a word why"


def _require_running(connection: Connection, place: Place) -> None:
    if connection.scalar(_STATE, {"of": place.install_id}) != "running":
        raise NotRunning(place.install_id)


def _at(connection: Connection, place: Place) -> Entry | None:
    row = connection.execute(_AT, {"of": place.install_id, "at_position": place.position}).first()
    if row is not None and row.step != place.step.name:
        raise Mismatch(f"position {place.position} is {row.step} in the journal, but the recipe asks for {place.step.name}")
    return _entry(row) if row is not None else None


def _reach(connection: Connection, place: Place, entry: Entry) -> Entry:
    connection.execute(_REACH, {"install_id": place.install_id, **asdict(entry)})
    return entry


def _answer(connection: Connection, place: Place, answer: Answer, at: float) -> Entry:
    key = {"of": place.install_id, "at_position": place.position}
    connection.execute(_ANSWER, {**key, "answer": answer, "answered_at": at})
    return _entry(connection.execute(_AT, key).one())


def _entry(row: Any) -> Entry:
    return Entry(row.position, row.step, row.reached_at, row.deadline, row.answer, row.answered_at)
