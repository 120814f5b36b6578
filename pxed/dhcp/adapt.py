"""Offers that learn: a client that does not follow one shape of offer is given the next one its class has.

Which shape a firmware takes can't be asked, only tried: some boot from an offer without option 43 alone, some only with it, and some
ignore every proxy. An exchange is one DISCOVER with its repetitions; it was *followed* when the client came to port 4011, downloaded
something or arrived as iPXE. Not followed, the next exchange gets the next shape; within an exchange more than `PATIENCE` repetitions do
the same (four are what firmware sends to be sure). What worked stays, by MAC address and vendor class. A client for which every shape was
in vain is reported once, because then only the site's own DHCP server can help it. Time is monotonic seconds. No Twisted.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pxed.dhcp.client import ClientClass

PATIENCE = 4
SAME_EXCHANGE = 10.0
"""A DISCOVER with another xid but this soon (s) is a repetition all the same: some ROMs count xid up."""
_MOST = 65536
_MOST_CLASSES = 8
_STAGE = {"ipxe": 1, "ipxe-http": 2}
"""Stages of one boot: firmware, an iPXE that needs another one, an iPXE that fetches its profile."""


@dataclass(slots=True)
class _Attempt:
    """What was tried with one MAC address, vendor class and client class.

    `at` counts shapes, `offers` those of this exchange, `tried` the shapes that were in vain since one worked.
    """

    xid: int
    last: float
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


class Adaptation:
    """Memory of what each client follows; newest 65536 MAC addresses."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clients: OrderedDict[str, dict[tuple[str, str], _Attempt]] = OrderedDict()

    def advise(self, mac: str, vendor_class: str, kind: ClientClass, xid: int, shapes: Sequence[str]) -> Advice:
        """Which of `shapes` (usual one first) to offer to this DISCOVER. Call once for each that is going to be answered."""
        now = self._seconds()
        attempts = self._clients.get(mac)
        if attempts is None:
            if len(self._clients) >= _MOST:
                self._clients.popitem(last=False)
            attempts = self._clients[mac] = {}
        attempt = attempts.get((vendor_class, kind))
        if attempt is None:
            if len(attempts) >= _MOST_CLASSES:
                attempts.clear()
            attempts[vendor_class, kind] = _Attempt(xid, now)
            self._runs(attempts, kind)
            return Advice(shapes[0])
        fresh = xid != attempt.xid and now - attempt.last >= SAME_EXCHANGE
        if not fresh:
            attempt.offers += 1
            in_vain = attempt.offers > PATIENCE and not attempt.followed
        else:
            attempt.offers = 1
            in_vain = not attempt.followed
            attempt.followed = False
            self._runs(attempts, kind)
        attempt.xid, attempt.last = xid, now
        changed, gave_up = self._next_shape(attempt, len(shapes)) if in_vain else (False, False)
        return Advice(shapes[attempt.at % len(shapes)], fresh, gave_up, changed)

    @staticmethod
    def _next_shape(attempt: _Attempt, shapes: int) -> tuple[bool, bool]:
        attempt.at += 1
        attempt.tried += 1
        attempt.offers = 1
        gave_up = attempt.tried >= max(shapes, 2) and not attempt.reported
        attempt.reported = attempt.reported or gave_up
        return shapes > 1, gave_up

    @staticmethod
    def _runs(attempts: dict[tuple[str, str], _Attempt], kind: ClientClass) -> None:
        """A client of `kind` asks, so the program that this MAC was offered at an earlier stage has been followed."""
        if len(attempts) == 1:
            return
        for (_, other), attempt in attempts.items():
            if _STAGE.get(other, 0) < _STAGE.get(kind, 0):
                _worked(attempt)

    def followed(self, mac: str) -> None:
        """The client came to port 4011 or downloaded something: the newest offer to this MAC worked."""
        attempts = self._clients.get(mac)
        if attempts:
            _worked(max(attempts.values(), key=lambda attempt: attempt.last))

    def current(self, mac: str, vendor_class: str, kind: ClientClass, shapes: Sequence[str]) -> str:
        """The shape it was last offered, without counting this as an offer; the usual one for a stranger."""
        attempt = self._clients.get(mac, {}).get((vendor_class, kind))
        return shapes[attempt.at % len(shapes)] if attempt else shapes[0]

    def forget(self, mac: str) -> None:
        """Begin with the usual shape again."""
        self._clients.pop(mac, None)


def _worked(attempt: _Attempt) -> None:
    attempt.followed = True
    attempt.tried = 0
    attempt.reported = False
