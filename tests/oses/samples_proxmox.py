"""Proxmox VE: media, and the least, the most and the worst that can be asked."""

from __future__ import annotations

from typing import Any

from tests.oses import samples

IMAGE_BYTES = 1_500_000_256
MEDIA = {
    f"proxmox-{release}": {
        "family": "proxmox",
        "version": f"{release}.1",
        "facts": {"installer": "proxmox-auto-installer", "prepared": True, "image_bytes": IMAGE_BYTES},
    }
    for release in (8, 9)
}

MINIMAL: dict[str, Any] = {"hostname": "pve1", "installDisk": "/dev/sda"}
FULL: dict[str, Any] = {
    "hostname": "pve1",
    "domain": "example.com",
    "country": "at",
    "mailto": "ops@example.com",
    "rootPassword": samples.SECRET,
    "rootSshKey": samples.KEY,
    "users": [{"name": "ann", "password": samples.SECRET, "uid": 1010, "sshKey": samples.KEY, "groups": ["adm"], "gecos": "Ann O'Nym"}],
    "keyboard": "gb",
    "timezone": "Europe/Vienna",
    "ntp": "ntp1.example.com, 10.0.2.3",
    "dnsServers": ["10.0.2.3", "10.0.2.4"],
    "dnsSearch": "example.com",
    "networkDevices": [{"device": "52-54-00-AA-BB-CC", "ipv4": {"ipAddr": "10.0.2.50", "netmask": "255.255.255.0", "gateway": "10.0.2.2"}}],
    "installDisk": {"serial": "WD-123"},
    "filesystem": "zfs",
    "scripts": {"firstboot": ["echo first"]},
    "comport": "com1",
    "kargs": {"nomodeset": ""},
}
HOSTILE: dict[str, Any] = {
    **FULL,
    **{name: value for name, value in samples.hostile().items() if name in ("rootPassword", "users", "rootSshKeys", "kargs")},
    "scripts": {"firstboot": samples.HOSTILE},
}
del HOSTILE["rootSshKey"]
