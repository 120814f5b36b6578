"""What a Linux that is configured by Ignition is given, as an Ignition config of version 3.3.0 (mappings, ready for JSON). Pure.

3.3.0 is what Flatcar since 3185 and Fedora CoreOS since 34 read. Every file's content is inside (``data:`` URLs, RFC 2397): the installed
system needs no network to become what it shall be.
Source: Ignition's configuration specification v3.3.0. Trap: a path, unit, user or group that is named twice makes the config invalid.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from pxed.oses.accounts import User

VERSION = "3.3.0"
EXISTING_GROUPS = frozenset({"adm", "core", "docker", "root", "sudo", "systemd-journal", "wheel"})
"""Groups that both systems have; older Ignitions fail to create what exists."""


def file(path: str, text: str, mode: int = 0o644) -> dict[str, Any]:
    """One entry of ``storage.files``: it replaces what the image has at that path."""
    encoded = base64.b64encode(text.encode()).decode()
    return {"path": path, "mode": mode, "overwrite": True, "contents": {"source": f"data:;base64,{encoded}"}}


def fetched(path: str, url: str, mode: int = 0o700) -> dict[str, Any]:
    """The same for a file that Ignition fetches; it tries until it has it."""
    return {"path": path, "mode": mode, "overwrite": True, "contents": {"source": url}}


def link(path: str, target: str) -> dict[str, Any]:
    """One entry of ``storage.links``, symbolic."""
    return {"path": path, "target": target, "overwrite": True, "hard": False}


def units(enabled: Sequence[str], disabled: Sequence[str], own: Mapping[str, str]) -> list[dict[str, Any]]:
    """``systemd.units``: services to switch on and off (the later list wins), and `own` units (name > text), which are enabled."""
    switched = {**dict.fromkeys(map(_unit, enabled), True), **dict.fromkeys(map(_unit, disabled), False)}
    plain = [{"name": name, "enabled": on} for name, on in switched.items() if name not in own]
    return [*plain, *({"name": name, "enabled": True, "contents": text} for name, text in own.items())]


def accounts(users: Sequence[User], root_hash: str | None, root_keys: Sequence[str], core_keys: Sequence[str]) -> dict[str, Any]:
    """``passwd``. The user core exists already, others are made; without a password nobody logs in by one."""
    made = {user.name: _user(user) for user in users}
    if root_hash or root_keys:
        made["root"] = {"name": "root", **_credentials(root_hash, root_keys)}
    if core_keys:
        core = made.setdefault("core", {"name": "core"})
        core["sshAuthorizedKeys"] = list(dict.fromkeys([*core.get("sshAuthorizedKeys", []), *core_keys]))
    groups = dict.fromkeys(group for user in users for group in user.groups if group not in EXISTING_GROUPS)
    return {"users": list(made.values()), "groups": [{"name": group} for group in groups]}


def sudoers(users: Sequence[User]) -> list[dict[str, Any]]:
    """``storage.files`` for those who may become root: with their password if they have one."""
    return [
        file(
            f"/etc/sudoers.d/pxed-{user.name.replace('.', '_')}",
            f"{user.name} ALL=(ALL:ALL) {'ALL' if user.passwordHash else 'NOPASSWD: ALL'}\n",
            0o440,
        )
        for user in users
        if user.sudo
    ]


def _unit(name: str) -> str:
    return name if name.endswith((".service", ".socket", ".timer", ".target", ".path", ".mount")) else f"{name}.service"


def _user(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        **_credentials(user.passwordHash, user.sshKeys),
        **({"uid": user.uid} if user.uid is not None else {}),
        **({"gecos": user.gecos} if user.gecos else {}),
        **({"groups": list(dict.fromkeys(user.groups))} if user.groups else {}),
        "shell": user.shell,
    }


def _credentials(password_hash: str | None, keys: Sequence[str]) -> dict[str, Any]:
    """Without keys and hash nothing; a key that is given twice is written once."""
    return {
        **({"passwordHash": password_hash} if password_hash else {}),
        **({"sshAuthorizedKeys": list(dict.fromkeys(keys))} if keys else {}),
    }
