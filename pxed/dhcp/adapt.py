"""Offers that learn: a client that does not follow one shape of offer is given the next one its class has.

Which shape a firmware takes can't be asked, only tried: some boot from an offer without option 43 alone, some only with it, and some
ignore every proxy. An exchange is one DISCOVER with its repetitions; it was *followed* when the client came to port 4011, downloaded
something or arrived as iPXE. Not followed, the next exchange gets the next shape; within an exchange more than `PATIENCE` repetitions do
the same (four are what firmware sends to be sure). What worked stays, by MAC address and vendor class; and if the usual shape has worked
for no machine of a vendor class but another one has, the next machine of that class begins with that one. A client for which every shape
was in vain is reported once, because then only the site's own DHCP server can help it. Time is monotonic seconds. No Twisted.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from pxed.dhcp.client import ClientClass

PATIENCE = 4
SAME_XID = 60.0
"""A DISCOVER with the same xid but so much later (s) is another boot: some ROMs make their xid of their MAC address. Nobody waits so
long between two repetitions (PXE 2.1: at most 32 s)."""
SAME_EXCHANGE = 10.0
"""A DISCOVER with another xid but this soon (s) is a repetition all the same: some ROMs count xid up."""
_MOST = 65536
_MOST_CLASSES = 8
_MOST_HABITS = 4096
_STAGE = {"ipxe": 1, "ipxe-http": 2}
"""Stages of one boot: firmware, an iPXE that needs another one, an iPXE that fetches its profile."""


@dataclass(slots=True)
class _Attempt:
    """What was tried with one MAC address, vendor class and client class (`kind`).

    `at` counts shapes, `offers` those of this exchange, `tried` the shapes that were in vain since one worked. `shape`: the last offered.
    """

    vendor_class: str
    kind: ClientClass
    xid: int
    last: float
    shape: str
    at: int = 0
    offers: int = 1
    tried: int = 0
    followed: bool = False
    reported: bool = False


class Advice(NamedTuple):
    """`shape`: the name of the shape to offer now. `fresh`: a new exchange. `changed`: another shape than last time; `gave_up`: every
    shape was in vain, said once."""

    shape: str
    fresh: bool = True
    gave_up: bool = False
    changed: bool = False


_advice = lru_cache(maxsize=256)(Advice)


class Adaptation:
    """Memory of what each client follows; newest 65536 MAC addresses. `worked(mac, kind, shape)` is told what a client followed."""

    def __init__(
        self, seconds: Callable[[], float] = time.monotonic, *, worked: Callable[[str, str, str], None] = lambda _mac, _kind, _shape: None
    ) -> None:
        self._seconds = seconds
        self._tell = worked
        self._clients: OrderedDict[str, list[_Attempt]] = OrderedDict()
        self._habits: OrderedDict[tuple[str, str], dict[str, None]] = OrderedDict()
        self.ignoring: dict[str, tuple[str, ...]] = {}
        """MAC address > the shapes that were all in vain."""

    def habit(self, vendor_class: str, kind: ClientClass, usual: str) -> str:
        """The shape that a machine never met before begins with: `usual`, unless only others have worked for its vendor class."""
        worked = self._habits.get((vendor_class, kind))
        return usual if not worked or usual in worked else next(reversed(worked))

    def advise(
        self, mac: str, vendor_class: str, kind: ClientClass, xid: int, shapes: Sequence[str], first: Callable[[], str] | None = None
    ) -> Advice:
        """Which of `shapes` to offer to this DISCOVER. Call once for each that is going to be answered.

        A client that is not remembered begins with what `first` gives if that is one of them, else with the first of them.
        """
        now = self._seconds()
        attempts = self._clients.get(mac)
        if attempts is None:
            if len(self._clients) >= _MOST:
                self.ignoring.pop(self._clients.popitem(last=False)[0], None)
            attempts = self._clients[mac] = []
        attempt = _attempt_of(attempts, vendor_class, kind)
        if attempt is None:
            if len(attempts) >= _MOST_CLASSES:
                attempts.clear()
            begins = first() if first is not None else shapes[0]
            at = shapes.index(begins) if begins in shapes else 0
            attempts.append(_Attempt(vendor_class, kind, xid, now, shapes[at], at))
            self._runs(mac, attempts, kind)
            return _advice(shapes[at])
        fresh = now - attempt.last >= (SAME_EXCHANGE if xid != attempt.xid else SAME_XID)
        if not fresh:
            attempt.offers += 1
            in_vain = attempt.offers > PATIENCE and not attempt.followed
        else:
            attempt.offers = 1
            in_vain = not attempt.followed
            attempt.followed = False
            self._runs(mac, attempts, kind)
        attempt.xid, attempt.last = xid, now
        changed, gave_up = self._next_shape(attempt, len(shapes)) if in_vain else (False, False)
        if gave_up:
            self.ignoring[mac] = tuple(shapes)
        attempt.shape = shapes[attempt.at % len(shapes)]
        return _advice(attempt.shape, fresh, gave_up, changed)

    @staticmethod
    def _next_shape(attempt: _Attempt, shapes: int) -> tuple[bool, bool]:
        attempt.at += 1
        attempt.tried += 1
        attempt.offers = 1
        gave_up = attempt.tried >= max(shapes, 2) and not attempt.reported
        attempt.reported = attempt.reported or gave_up
        return shapes > 1, gave_up

    def _runs(self, mac: str, attempts: list[_Attempt], kind: ClientClass) -> None:
        """A client of `kind` asks, so the program that this MAC was offered at an earlier stage has been followed."""
        for attempt in attempts:
            if not attempt.followed and _STAGE.get(attempt.kind, 0) < _STAGE.get(kind, 0):
                self._worked(mac, attempt)

    def followed(self, mac: str) -> None:
        """The client came to port 4011 or downloaded something: the newest offer to this MAC worked."""
        attempts = self._clients.get(mac)
        if attempts:
            newest = attempts[0] if len(attempts) == 1 else max(attempts, key=_last)
            if not newest.followed:
                self._worked(mac, newest)

    def current(self, mac: str, vendor_class: str, kind: ClientClass, shapes: Sequence[str]) -> str:
        """The shape it was last offered, without counting this as an offer; the usual one for a stranger."""
        attempt = _attempt_of(self._clients.get(mac, []), vendor_class, kind)
        return shapes[attempt.at % len(shapes)] if attempt else shapes[0]

    def _worked(self, mac: str, attempt: _Attempt) -> None:
        """To be called of an attempt that was not followed before."""
        attempt.followed = True
        attempt.tried = 0
        attempt.reported = False
        self.ignoring.pop(mac, None)
        habit = self._habits.setdefault((attempt.vendor_class, attempt.kind), {})
        habit.pop(attempt.shape, None)
        habit[attempt.shape] = None
        if len(self._habits) > _MOST_HABITS:
            self._habits.popitem(last=False)
        self._tell(mac, attempt.kind, attempt.shape)


def _attempt_of(attempts: list[_Attempt], vendor_class: str, kind: ClientClass) -> _Attempt | None:
    for attempt in attempts:
        if attempt.kind == kind and attempt.vendor_class == vendor_class:
            return attempt
    return None


_last = attrgetter("last")
