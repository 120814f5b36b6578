"""How many files and connections this process may have open at once: each client of TFTP and HTTP needs one."""

from __future__ import annotations

import resource

WANTED = 65536


def raise_limit(wanted: int = WANTED) -> int:
    """Raise it as far as is wanted and allowed; what it is then. Linux starts programs with 1024 of what they may have, for the sake of
    those that call select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
