"""Requests for Alpine: everything at once, and everything that may hold free text, hostile."""

from __future__ import annotations

from typing import Any

from tests.oses import samples

_OTHERS = ("preseedExtra", "repo", "updates", "locale", "installPartitions", "proxy", "layout")

EXTRA: dict[str, Any] = {
    "repo": "http://mirror.example.com:81/alpine",
    "layout": "lvm",
    "filesystem": "xfs",
    "flavour": "virt",
    "apkRepos": ["http://mirror.example.com/alpine/v3.22/main", "http://mirror.example.com/alpine/v3.22/community"],
    "enableServices": ["docker"],
    "disableServices": "acpid",
}
FULL: dict[str, Any] = {**{name: value for name, value in samples.FULL.items() if name not in _OTHERS}, **EXTRA}
HOSTILE: dict[str, Any] = {**{name: value for name, value in samples.hostile().items() if name not in _OTHERS}, **EXTRA}
