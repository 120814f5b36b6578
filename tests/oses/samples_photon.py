"""Requests for Photon: everything at once, and everything that may hold free text, hostile. All of it can be had from every release."""

from __future__ import annotations

from typing import Any

from tests.oses import samples

MINIMAL: dict[str, Any] = {"installDisk": "/dev/sda"}
_OTHERS = ("preseedExtra", "repo", "updates", "locale", "keyboard", "proxy", "installDisk", "installPartitions")

EXTRA: dict[str, Any] = {
    "installDisk": "/dev/sda",
    "installType": "full",
    "layout": "lvm",
    "installPartitions": [
        {"mountPoint": "/boot", "size": "500", "fsType": "ext3"},
        {"mountPoint": "swap", "size": "2G"},
        {"mountPoint": "/var/log", "size": "4G"},
        {"mountPoint": "/", "size": "auto"},
    ],
    "enableServices": ["docker", "sshd.service"],
    "disableServices": "iptables",
    "repo": "http://mirror.example.com:81/photon",
}
FULL: dict[str, Any] = {**{name: value for name, value in samples.FULL.items() if name not in _OTHERS}, **EXTRA}
HOSTILE: dict[str, Any] = {
    **{name: value for name, value in samples.hostile().items() if name not in _OTHERS},
    **EXTRA,
    "targetKernelArgs": samples.HOSTILE_ARGUMENTS.replace("'", "").replace("\\", ""),
}
"""GRUB's configuration can't hold quotes and backslashes among the arguments: refused."""
