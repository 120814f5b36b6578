"""What can be asked of openSUSE Leap."""

from __future__ import annotations

from typing import Any

from tests.oses import samples

OTHERS = ("preseedExtra", "repo", "updates")
EXTRA: dict[str, Any] = {
    "repo": "suse-tree",
    "patterns": "base, lamp_server",
    "kvm": True,
    "firewall": True,
    "enableServices": ["rsyslog"],
    "disableServices": ["postfix", "cups.service"],
}
FULL: dict[str, Any] = {**{name: value for name, value in samples.FULL.items() if name not in OTHERS}, **EXTRA}
HOSTILE: dict[str, Any] = {
    **{name: value for name, value in samples.hostile().items() if name not in OTHERS},
    **EXTRA,
    "kargs": samples.HOSTILE_TARGET,
}
