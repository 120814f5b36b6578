"""File names of clients > open files below the TFTP root. Blocking: called in a thread. This module decides what may be read.

The rule: a name cannot leave the root. Backslashes are slashes, leading ones mean nothing, ``..`` is refused. Links that stay
inside are followed. A link that leads *out* is followed only if all of this is true: it is the last part of the name, root or the
owner of the TFTP root made it, and it ends at a regular file that everyone on this host may read. So links to boot programs
of the host's packages work (``snponly.efi`` > ``/usr/lib/ipxe/snponly.efi``), and no link, whoever made it, gives away a file that is
not public on the host already: TFTP knows no passwords.
"""

from __future__ import annotations

import errno
import os
import stat

from pxed.tftp.events import NotServed, Problem

_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR, errno.ENXIO})


def normalise(name: bytes) -> str:
    """``\\boot\\\\x.efi``, ``/boot/x.efi`` > ``boot/x.efi``. NotServed(ACCESS) for ``..``, NotServed(NOT_FOUND) if nothing is left.

    Trailing 0xFF bytes are dropped: PXE ROMs that take option 67 for a NUL-terminated string ask for the end mark as well.
    """
    parts = [part for part in name.rstrip(b"\xff").replace(b"\\", b"/").split(b"/") if part not in (b"", b".")]
    if b".." in parts or b"\x00" in name:
        raise NotServed(Problem.ACCESS, "the name leaves the root")
    if not parts:
        raise NotServed(Problem.NOT_FOUND)
    return os.fsdecode(b"/".join(parts))


def open_below(root: str, name: str) -> tuple[int, os.stat_result]:
    """Open what `normalise` gave, for reading; the caller owns the descriptor. NotServed(NOT_FOUND | ACCESS | READ) otherwise.

    What is checked is the file that was opened, not the name: whoever swaps a directory in between gains nothing.
    """
    top = os.path.realpath(root)
    path = os.path.join(top, name)
    try:
        fd = os.open(os.path.realpath(path, strict=True), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW)
    except OSError as error:
        raise _problem(error) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise NotServed(Problem.NOT_FOUND, "not a regular file")
        if not _inside(os.readlink(f"/proc/self/fd/{fd}"), top) and not _public_link(path, top, status):
            raise NotServed(Problem.ACCESS, "a link leaves the root, see docs/tftp.md")
    except OSError as error:
        os.close(fd)
        raise _problem(error) from error
    except NotServed:
        os.close(fd)
        raise
    return fd, status


def _inside(path: str, top: str) -> bool:
    return path.startswith(top.rstrip("/") + "/")


def _public_link(path: str, top: str, target: os.stat_result) -> bool:
    parent, last = os.path.split(path)
    parent = os.path.realpath(parent)
    link = os.lstat(os.path.join(parent, last))
    return (
        (parent == top or _inside(parent, top))
        and stat.S_ISLNK(link.st_mode)
        and link.st_uid in (0, os.stat(top).st_uid)
        and bool(target.st_mode & stat.S_IROTH)
    )


def _problem(error: OSError) -> NotServed:
    if error.errno in _MISSING:
        return NotServed(Problem.NOT_FOUND)
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotServed(Problem.ACCESS, "the file may not be read by this process")
    return NotServed(Problem.READ, f"errno {error.errno}")
