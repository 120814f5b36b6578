"""Requests for Ubuntu 18.04, whose installer is Debian's: what Debian takes, and bonds."""

from __future__ import annotations

from typing import Any

from tests.oses import samples
from tests.oses.samples_ubuntu import EXTRA

_BONDS = {"bonds": EXTRA["bonds"]}
FULL: dict[str, Any] = {**samples.FULL, **_BONDS}
HOSTILE: dict[str, Any] = {**samples.hostile(), **_BONDS}

MEDIA = {
    "ubuntu-18.04": {"family": "ubuntu", "release": "18.04", "facts": {"installer": "d-i"}},
    "live": {"family": "ubuntu", "release": "18.04", "facts": {"installer": "subiquity"}},
    "archive": {"family": "ubuntu", "release": "", "facts": {"installer": "d-i"}},
}
