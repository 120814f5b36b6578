"""Requests for Ubuntu: everything at once, and everything that may hold free text, hostile."""

from __future__ import annotations

from typing import Any

from tests.oses import samples

_OTHERS = ("preseedExtra", "repo", "updates")

EXTRA: dict[str, Any] = {
    "updates": "all",
    "mirror": "http://mirror.example.com/ubuntu",
    "isoUrl": "http://mirror.example.com:81/ubuntu.iso",
    "repo": "http://mirror.example.com:81/ubuntu",
    "bonds": [
        {
            "name": "bond0",
            "nics": ["eth4", "52:54:00:AA:BB:CD"],
            "mode": "802.3ad",
            "options": "miimon=100 lacp_rate=1",
            "ipv4": {"ipAddr": "10.8.0.5", "prefixlen": 24},
            "bondvlaninterfaces": [{"vlanid": 201, "ipv4": {"ipAddr": "10.21.0.5", "prefixlen": 24}}, {"vlanid": 202}],
        }
    ],
}
FULL: dict[str, Any] = {**{name: value for name, value in samples.FULL.items() if name not in _OTHERS}, **EXTRA}
HOSTILE: dict[str, Any] = {**{name: value for name, value in samples.hostile().items() if name not in _OTHERS}, **EXTRA}
