"""Options, nodes and URLs that the tests of this room share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pxed.oses.catalog import Prepared, Urls

TOKEN = "Tok-en_0123456789abcdefghijklmnopqrstuvwxyzAB"
URLS = Urls("http://10.0.2.2:8080", TOKEN)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGp7uYlqvXw4T6V7kY0mXo5l1lK9f3cC0m0l3p5b1q2r me@example.com"
SECRET = "s3cret '\"$(touch /tmp/pwned)\\"

HOSTILE = [
    "'; touch pwned; '",
    '"$(touch pwned)"`touch pwned`',
    "]]></x> && || ; # ${net0/mac} %s %n \\",
    "Zeile eins\nZeile zwei\tTab\r\n",
    "Übergröße 漢字 \U0001f600",
    "-n -e \\c \\0 \\x41",
    "x" * 65_000,
    "PXED\nEOF\n",
    "{{ 7 * 7 }}{% raw %}",
]
"""Strings that break out of every careless quoting; each is a legal shell command text."""

HOSTILE_ARGUMENTS = "a.q=\"x;y z\" b.x='y' c.z=$(touch pwned) d.w=`touch pwned` e.v=%s\\ f.u=]]>&amp;<b>{{7*7}}"
"""The same among kernel arguments, which are words of visible ASCII (those with a dot belong to modules: Debian counts the others)."""

HOSTILE_TARGET = "a.q=x#y:z@! b.u=]](7*7)[[%s c.v=~^+?/,"
"""The same without what would be lost on the way to the installed system's boot loader."""

HOSTILE_PASSWORD = "'; :(){ :|:& };: #]]>$(touch pwned)\"`ü漢"
HOSTILE_NAME = "]]>$(touch pwned)`'\"\\ %s ü漢"
"""Somebody's full name."""


@dataclass
class FakeNode:
    """A node as this room sees it."""

    macs: tuple[str, ...] = ("52:54:00:12:34:56",)
    name: str | None = None
    arch: int | None = 0
    firmware: str | None = "bios"
    localboot: str | None = None

    @property
    def mac(self) -> str:
        return self.macs[0]


@dataclass
class FakeInstall:
    """An install as this room sees it."""

    family: str
    release: str
    options: dict[str, Any]
    id: str = "i1"
    token: str = TOKEN


def verifies(password: str, crypted: str) -> bool:
    """Whether `crypted` is a hash of `password`, by passlib (imported after pxed, which silences its warning)."""
    from passlib.hash import sha512_crypt

    return bool(sha512_crypt.verify(password, crypted))


def install_of(prepared: Prepared) -> FakeInstall:
    return FakeInstall(prepared.family, prepared.release, prepared.options)


MINIMAL: dict[str, Any] = {}

FULL: dict[str, Any] = {
    "hostname": "web1",
    "domain": "example.com",
    "rootPassword": SECRET,
    "rootSshKey": KEY,
    "users": [
        {"name": "ann", "password": SECRET, "uid": 1010, "sshKey": KEY, "groups": ["adm", "www-data"], "sudo": True, "gecos": "Ann O'Nym"},
        {"name": "bot.2", "sshKeys": [KEY, KEY.replace("me@", "you@")], "sudo": True, "shell": "/bin/sh"},
    ],
    "locale": "de_DE.UTF-8",
    "keyboard": "de",
    "timezone": "Europe/Berlin",
    "ntp": "ntp1.example.com, 10.0.2.3",
    "dnsServers": ["10.0.2.3", "2001:db8::53"],
    "dnsSearch": "example.com",
    "networkDevices": [
        {"device": "eth0", "ipv4": {"ipAddr": "10.0.2.50", "netmask": "255.255.255.0", "gateway": "10.0.2.2", "mtu": 9000}},
        {"device": "52-54-00-AA-BB-CC", "ipv6": {"ipAddr": "2001:db8::5", "prefixlen": 64}},
        {"device": "eth2", "ipv4": {"ipAddr": "10.9.0.5", "netmask": "255.255.0.0", "gateway": "10.9.0.1", "vlanIds": [104, 105]}},
        {"device": "eth3"},
    ],
    "installDisk": {"serial": "WD-123"},
    "installPartitions": [
        {"mountPoint": "/boot", "size": "500", "fsType": "ext3"},
        {"mountPoint": "swap", "size": "2G"},
        {"mountPoint": "/", "size": "auto", "fsType": "xfs", "label": "root"},
    ],
    "packages": ["vim", "htop"],
    "scripts": {"post": ["echo post"], "firstboot": ["echo first"]},
    "proxy": "http://user:pr0xysecret@10.0.2.3:3128",
    "comport": "com1",
    "kargs": {"quiet": "", "net.ifnames": "0"},
    "targetKernelArgs": "mitigations=off",
    "repo": "http://mirror.example.com:81/debian",
    "updates": "security",
    "preseedExtra": ["d-i debian-installer/allow_unauthenticated boolean true"],
}


def hostile() -> dict[str, Any]:
    """Everything that may hold free text, hostile."""
    return {
        **{name: value for name, value in FULL.items() if name != "rootSshKey"},
        "rootPassword": "a]]>'\"${x}$(y)`z`\\ü漢",
        "scripts": {"post": HOSTILE, "firstboot": HOSTILE},
        "kargs": HOSTILE_ARGUMENTS,
        "targetKernelArgs": HOSTILE_TARGET,
        "users": [{"name": "ann", "password": HOSTILE_PASSWORD, "gecos": HOSTILE_NAME}],
        "rootSshKeys": [KEY.split(" me@")[0] + " $(touch pwned)'\"`;&|ü"],
    }
