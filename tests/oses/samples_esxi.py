"""ESXi: a medium's BOOT.CFG, and the least, the most and the worst that can be asked."""

from __future__ import annotations

from typing import Any

from tests.oses.samples import HOSTILE as HOSTILE_COMMANDS
from tests.oses.samples import HOSTILE_ARGUMENTS, HOSTILE_NAME, HOSTILE_PASSWORD, KEY, SECRET

BOOT_CFG = """\
bootstate=0
title=Loading ESXi installer
timeout=5
prefix=
kernel=/b.b00
kernelopt=runweasel cdromBoot
modules=/jumpstrt.gz --- /useropts.gz --- /k.b00 --- /s.v00
build=8.0.3-0.0.24022510
updated=0
"""

MEDIA = {f"esxi-{number}": {"family": "esxi", "facts": {"installer": "esxi", "boot_cfg": BOOT_CFG}} for number in (6, 7, 8)}

MINIMAL: dict[str, Any] = {"rootPassword": SECRET}

FULL: dict[str, Any] = {
    "rootPassword": SECRET,
    "hostname": "esx1",
    "domain": "example.com",
    "rootSshKey": KEY,
    "users": [
        {"name": "ann", "password": SECRET, "sshKey": KEY, "sudo": True, "gecos": "Ann O'Nym"},
        {"name": "eve", "password": SECRET},
    ],
    "keyboard": "de",
    "ntp": "ntp1.example.com, 10.0.2.3",
    "dnsServers": ["10.0.2.3", "2001:db8::53"],
    "dnsSearch": "example.com",
    "networkDevices": [
        {"device": "vmnic0", "ipv4": {"ipAddr": "10.0.2.50", "netmask": "255.255.255.0", "gateway": "10.0.2.2", "vlanIds": [104]}},
        {
            "device": "52-54-00-AA-BB-CC",
            "esxSwitchName": "vSwitchData",
            "ipv4": {"ipAddr": "10.9.0.5", "netmask": "255.255.0.0", "mtu": 9000},
            "ipv6": {"ipAddr": "2001:db8::5", "netmask": "ffff.ffff.ffff.ffff.0.0.0.0", "gateway": "2001:db8::1"},
        },
        {"device": "vmnic2"},
    ],
    "switchDevices": [{"switchName": "vSwitchData", "uplinks": ["vmnic3", "52:54:00:AA:BB:CC"], "failoverPolicy": "iphash"}],
    "installDisk": {"serial": "S24BNXAG805065R"},
    "clearDisk": "alldrives",
    "postInstallCommands": ["echo first", "esxcli system version get"],
    "comport": "com2",
    "gdbPort": "none",
    "kargs": {"allowLegacyCPU": "true", "quiet": ""},
}

HOSTILE: dict[str, Any] = {
    **{name: value for name, value in FULL.items() if name not in ("rootSshKey", "postInstallCommands")},
    "kargs": HOSTILE_ARGUMENTS,
    "rootPassword": "a]]>'\"${x}$(y)`z`\\ü漢",
    "scripts": {"firstboot": HOSTILE_COMMANDS},
    "users": [{"name": "ann", "password": HOSTILE_PASSWORD, "gecos": HOSTILE_NAME}],
    "rootSshKeys": [KEY.split(" me@")[0] + " $(touch pwned)'\"`;&|ü"],
    "onScriptFailure": "fail",
}
