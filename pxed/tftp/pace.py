"""When to send again: round-trip estimate, time-out and probe of one transfer. Times in seconds. Pure.

Four times the smoothed round trip, at least 250 ms (firmware that draws on a serial console is slow), 1 s before the first sample,
doubled with each time-out (RFC 1123 section 4.2.3.2 wants that). Long before it comes one probe, as TCP's tail loss probe (RFC 8985
section 7): after two round trips. A client that asked for ``timeout`` gets exactly that interval (RFC 2349): no doubling, no probe.
"""

from __future__ import annotations

FIRST_RTO = 1.0
RTO_FLOOR = 0.25
RTO_CEILING = 4.0
PROBE_FLOOR = 0.02


class Pace:
    """`rto`: the time-out. `wait`: what comes first after a transmission, a probe or (where equal) the time-out."""

    __slots__ = ("_at_floor", "_calm", "_fixed", "_probe_floor", "rto", "srtt", "wait")

    def __init__(self, timeout: float | None = None) -> None:
        self._fixed = timeout is not None
        self._probe_floor = PROBE_FLOOR
        self._calm = min(PROBE_FLOOR / 2, RTO_FLOOR / 4)  # below this round trip both floors decide
        self._at_floor = self._fixed
        self.rto = self.wait = FIRST_RTO if timeout is None else timeout
        self.srtt = 0.0

    def sample(self, elapsed: float) -> None:
        """A round trip in which nothing was sent twice (Karn)."""
        self.srtt = srtt = self.srtt + (elapsed - self.srtt) * 0.125 if self.srtt else elapsed
        if self._at_floor and srtt <= self._calm:
            return
        if self._fixed:
            return
        self._at_floor = srtt <= self._calm
        rto = 4 * srtt
        self.rto = rto = rto if rto > RTO_FLOOR else RTO_FLOOR
        wait = 2 * srtt
        if wait < self._probe_floor:
            wait = self._probe_floor
        self.wait = wait if wait < rto else rto

    def timed_out(self) -> None:
        """Twice as patient from here, until the next sample."""
        if not self._fixed:
            self._at_floor = False
            self.rto = self.wait = min(2 * self.rto, RTO_CEILING)

    def progressed(self) -> None:
        """The client went on, but what it got had been sent twice: no round trip is known, so `rto` stays; but probes may come again."""
        if not self._fixed:
            self.wait = min(max(2 * self.srtt or RTO_FLOOR, self._probe_floor), self.rto)

    def probed_early(self) -> None:
        """The client had what was probed for: it is slower than its average. Probe later, in the end not at all."""
        self._probe_floor = min(2 * self._probe_floor, RTO_CEILING)
        self._at_floor = self._fixed
        if not self._fixed:  # now: a flight that was probed gives no sample, so none would ever raise it
            self.wait = min(max(self.wait, self._probe_floor), self.rto)

    @property
    def probes(self) -> bool:
        """Whether a probe comes before the time-out."""
        return self.wait < self.rto
