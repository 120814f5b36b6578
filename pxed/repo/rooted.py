"""A name that a client sent > a file below a root directory, or nothing. One rule for TFTP and HTTP. Blocking: call it in a thread.

The rule. A name has ``/`` as separator; leading and doubled slashes and ``.`` do not count; ``..``, NUL and backslashes are refused,
whatever they would lead to. What is left is followed through symbolic links:

* ends inside the root: served, if it is a regular file;
* ends outside the root: served only if the *last* part of the name is the link (no directory ever leads out), and the operator made it:
  link and target belong to root, to this process or to the root directory's owner, the target is a regular file that everybody on this
  host may read and that neither group nor others may write, and others can't write the directory that holds the link.

So `pxed bootloaders` may link ``ipxe.efi`` to the host package's file, while a link to ``/etc`` or to ``/etc/shadow`` shows nothing.
Host packages link within themselves (``/usr/lib/ipxe/x.efi > y.efi``): only link one and the final target are judged.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pxed.errors import NotFound


class OutsideRoot(NotFound):
    """The name tries to leave the root, by ``..`` or by a link that the rule above does not allow (TFTP: error 2, HTTP: 404)."""


def resolve(root: Path, name: str) -> Path:
    """The real path of the regular file that `name` stands for. NotFound if there is none, OutsideRoot (a NotFound) if it is refused.

    `name` is already percent-decoded. Nothing in the messages tells more than the name itself.
    """
    parts = parts_of(name)
    base = os.path.realpath(root)
    try:
        real = os.path.realpath(os.path.join(base, *parts))
        info = os.stat(real)
    except (OSError, ValueError):  # ValueError: lone surrogates
        raise NotFound(f"no file {_shown(name)}") from None
    if not stat.S_ISREG(info.st_mode):
        raise NotFound(f"no file {_shown(name)}")
    if not real.startswith(base.rstrip("/") + "/") and not _operator_linked(base, parts, info):
        raise OutsideRoot(f"{_shown(name)} leads out of its root")
    return Path(real)


def spelled(root: Path, name: str) -> str:
    """`name` in the case in which the directories below `root` have it. NotFound if `name` is refused; `resolve` judges the rest."""
    done: list[str] = []
    for part in parts_of(name):
        here = os.path.join(root, *done)
        try:
            there = [part] if os.path.lexists(os.path.join(here, part)) else os.listdir(here)
        except (OSError, ValueError):
            there = []
        done.append(next((each for each in there if each.lower() == part.lower()), part))
    return "/".join(done)


def open_regular(path: Path) -> tuple[int, os.stat_result]:
    """Open a resolved path for reading: (descriptor, fstat of it). NotFound if it has gone or is no regular file by now.

    Never hangs on a FIFO that took the file's place, never follows a link that did.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise NotFound(f"can't open {path.name!r}") from None
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        os.close(fd)
        raise NotFound(f"{path.name!r} is no regular file")
    return fd, info


def parts_of(name: str) -> list[str]:
    if "\0" in name or "\\" in name:
        raise OutsideRoot(f"{_shown(name)} is no file name")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise OutsideRoot(f"{_shown(name)} leads out of its root")
    if not parts or name.endswith("/"):
        raise NotFound(f"no file {_shown(name)}")
    return parts


def _operator_linked(base: str, parts: list[str], target: os.stat_result) -> bool:
    holder = os.path.realpath(os.path.join(base, *parts[:-1]))
    if holder != base and not holder.startswith(base.rstrip("/") + "/"):
        return False
    try:
        link = os.lstat(os.path.join(holder, parts[-1]))
        directory = os.stat(holder)
        trusted = {0, os.geteuid(), os.stat(base).st_uid}
    except OSError:
        return False
    return (
        stat.S_ISLNK(link.st_mode)
        and link.st_uid in trusted
        and target.st_uid in trusted
        and not target.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        and bool(target.st_mode & stat.S_IROTH)
        and not directory.st_mode & stat.S_IWOTH
    )


def _shown(name: str) -> str:
    return repr(name if len(name) <= 120 else name[:117] + "...")
