"""What can be asked of SLES."""

from __future__ import annotations

from typing import Any

from tests.oses import samples
from tests.oses.samples_leap import EXTRA, OTHERS

FULL: dict[str, Any] = {**{name: value for name, value in samples.FULL.items() if name not in OTHERS}, **EXTRA}
HOSTILE: dict[str, Any] = {
    **{name: value for name, value in samples.hostile().items() if name not in OTHERS},
    **EXTRA,
    "kargs": samples.HOSTILE_TARGET,
}
