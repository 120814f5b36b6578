"""Windows: a medium's facts, and the least, the most and the worst that can be asked."""

from __future__ import annotations

from typing import Any

from tests.oses.samples import HOSTILE as HOSTILE_COMMANDS
from tests.oses.samples import HOSTILE_PASSWORD

PASSWORD = "S3cret '\"%PATH%&<x>^|!"
SHARE_PASSWORD = "sh4re 'P%TEMP%&<x>^|!)("


def _medium(release: str, title: str, images: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "family": "windows",
        "release": release,
        "arch": "x86_64",
        "title": title,
        "facts": {
            "installer": "windows-setup",
            "image": "sources/install.wim",
            "language": "en-US",
            "editions": [{"index": number, "name": name, "edition": edition} for number, (name, edition) in enumerate(images, 1)],
        },
    }


def _server(year: str, name: str) -> dict[str, Any]:
    images = [
        (f"{name} SERVERSTANDARDCORE", "ServerStandard"),
        (f"{name} SERVERSTANDARD", "ServerStandard"),
        (f"{name} SERVERDATACENTERCORE", "ServerDatacenter"),
        (f"{name} SERVERDATACENTER", "ServerDatacenter"),
    ]
    return _medium(year, name, images)


MEDIA = {
    **{f"windows-{year}": _server(year, f"Windows Server {year}") for year in ("2016", "2019", "2022", "2025")},
    "windows-2012r2": _server("2012r2", "Windows Server 2012 R2"),
    **{
        f"windows-{number}": _medium(
            number, f"Windows {number}", [(f"Windows {number} Home", "Core"), (f"Windows {number} Pro", "Professional")]
        )
        for number in ("10", "11")
    },
}

MINIMAL: dict[str, Any] = {"username": "ann", "password": PASSWORD}

FULL: dict[str, Any] = {
    "hostname": "WIN-1",
    "domain": "example.com",
    "rootPassword": PASSWORD + "r",
    "username": "onrack",
    "password": PASSWORD,
    "users": [{"name": "ann", "password": PASSWORD + "a", "sudo": True, "gecos": "Ann O'Nym", "groups": ["Remote Desktop Users"]}],
    "locale": "de_AT.UTF-8",
    "keyboard": "de",
    "timezone": "Europe/Vienna",
    "ntp": "ntp1.example.com, 10.0.2.3",
    "dnsServers": ["10.0.2.3", "2001:db8::53"],
    "dnsSearch": "example.com",
    "networkDevices": [
        {"device": "52-54-00-AA-BB-CC", "ipv4": {"ipAddr": "10.0.2.50", "netmask": "255.255.255.0", "gateway": "10.0.2.2"}},
        {"device": "Ethernet", "ipv6": {"ipAddr": "2001:db8::5", "prefixlen": 64, "gateway": "2001:db8::1"}},
        {"device": "Ethernet2"},
    ],
    "installDisk": 1,
    "edition": 2,
    "productkey": "abcde-12345-ABCDE-12345-abcde",
    "firewallDisable": True,
    "remoteDesktop": True,
    "smbRepo": "\\\\10.0.2.4\\windows\\2022 R2",
    "smbUser": "EXAMPLE\\reader",
    "smbPassword": SHARE_PASSWORD,
    "scripts": {"post": ["dir W:\\"], "firstboot": ["echo first", "ver\nexit /b 3"]},
}

HOSTILE: dict[str, Any] = {
    **{name: value for name, value in FULL.items() if name not in ("installDisk", "smbRepo", "smbUser", "smbPassword")},
    "rootPassword": "aA1]]>'\"${x}$(y)`z`\\ü漢&amp;",
    "password": "<![CDATA[aA1]]>%x%&|^$(x)ü漢",
    "users": [{"name": "eve", "password": HOSTILE_PASSWORD + "aA1", "gecos": "]]><b>&\"'$(x) %s ü漢"}],
    "disk": {"model": "WDC #1 =x/y:z@+"},
    "scripts": {"post": HOSTILE_COMMANDS, "firstboot": HOSTILE_COMMANDS},
    "onScriptFailure": "fail",
    "after": "poweroff",
}
