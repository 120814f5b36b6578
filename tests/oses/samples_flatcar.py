"""Requests for Flatcar: everything at once, and everything that may hold free text, hostile."""

from __future__ import annotations

from typing import Any

from tests.oses import samples

_OTHERS = (
    *("preseedExtra", "repo", "updates", "locale", "keyboard", "installPartitions", "packages", "proxy", "scripts"),
    "layout",
)

EXTRA: dict[str, Any] = {
    "repo": "http://mirror.example.com:81/flatcar/current",
    "coreSshKeys": [samples.KEY],
    "ignitionScriptUri": "http://mirror.example.com/mine.ign",
    "enableServices": ["docker", "systemd-timesyncd.service"],
    "disableServices": "update-engine locksmithd",
}
FULL: dict[str, Any] = {
    **{name: value for name, value in samples.FULL.items() if name not in _OTHERS},
    **EXTRA,
    "scripts": {"firstboot": ["echo first"]},
}
HOSTILE: dict[str, Any] = {
    **{name: value for name, value in samples.hostile().items() if name not in _OTHERS},
    **EXTRA,
    "scripts": {"firstboot": samples.HOSTILE},
}
