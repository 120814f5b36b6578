"""What can be asked of Red Hat's family, for every one of its six names."""

from __future__ import annotations

from typing import Any

from tests.oses import samples

FULL: dict[str, Any] = {
    **{name: value for name, value in samples.FULL.items() if name not in ("preseedExtra", "packages")},
    "packages": ["vim-enhanced", "tmux", "-plymouth"][:2],
    "groups": "core, ^minimal-environment",
    "kvm": True,
    "bonds": [
        {
            "name": "bond0",
            "nics": ["eth4", "eth5"],
            "options": "miimon=100 lacp_rate=1",
            "ipv4": {"ipAddr": "10.7.0.5", "netmask": "255.255.255.0"},
        }
    ],
    "selinux": "permissive",
    "firewall": True,
    "enableServices": ["rsyslog"],
    "disableServices": ["cups", "postfix"],
    "extraRepos": [{"name": "epel", "url": "https://mirror.example.com/epel/"}],
    "repo": "http://mirror.example.com:81/el",
}

HOSTILE: dict[str, Any] = {
    **FULL,
    **{
        name: value
        for name, value in samples.hostile().items()
        if name in ("rootPassword", "scripts", "users", "rootSshKeys", "kargs", "targetKernelArgs")
    },
}
del HOSTILE["rootSshKey"]
