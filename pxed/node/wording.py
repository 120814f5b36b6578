"""Times in words, for sentences that people read. Pure."""

from __future__ import annotations

_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def lasting(seconds: float) -> str:
    """``7200`` > ``2 hours``, ``5400`` > ``90 minutes``, ``45`` > ``45 seconds``: the largest unit that says it well."""
    whole = max(0, round(seconds))
    for name, size in _UNITS:
        if whole >= 2 * size or whole == size:
            count = round(whole / size)
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    return f"{whole} seconds"
