"""What must be right before the appliance starts: privileges, interfaces, ports, state directory, boot programs.

Shared by `pxed up` (which refuses to start on a ``fail``) and `pxed doctor`. Reads; `link_programs` is the only one that writes.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread

from pxed.cli import host
from pxed.cli.findings import Finding
from pxed.cli.host import Holder, Interface, Protocol
from pxed.config import Settings
from pxed.errors import ConfigError, HostProblem, StorageUnavailable
from pxed.oses.own import with_own
from pxed.repo.aptsource import debian_mirror
from pxed.repo.bootprograms import MACHINE_OF, BootPrograms

Ports = Sequence[tuple[str, Protocol, int]]

_FEW_BYTES = 200 << 20
_ENOUGH_BYTES = 2 << 30
PATIENCE = 2.0
"""Seconds that a file system has for an answer."""


def port_list(settings: Settings) -> Ports:
    """(what for, protocol, number) of every port that is bound."""
    ports = settings.ports
    always: Ports = (
        ("DHCP", "udp", ports.dhcp),
        ("PXE", "udp", ports.pxe),
        ("TFTP", "udp", ports.tftp),
        ("HTTP", "tcp", ports.http),
        ("syslog", "udp", ports.syslog),
    )
    return (*always, ("syslog", "tcp", ports.syslog)) if settings.syslog.tcp else always


def privileges(settings: Settings, *, has: Callable[[int], bool] = host.has_capability) -> list[Finding]:
    """Whether this process may bind the ports below the host's first unprivileged one."""
    low = dict.fromkeys(number for _, _, number in port_list(settings) if number < host.unprivileged_from())
    if low and not has(host.CAP_NET_BIND_SERVICE):
        return [
            Finding(
                "privileges", "fail", f"Ports {', '.join(map(str, low))} may be opened by root only", "Run it as root: sudo pxed up ..."
            )
        ]
    if settings.dhcp.socket == "raw" and not has(host.CAP_NET_RAW):
        return [Finding("privileges", "fail", "A raw DHCP socket may be opened by root only", "Run it as root: sudo pxed up ...")]
    return [Finding("privileges", "ok", "The appliance's ports may be opened by this user")]


def interfaces(settings: Settings, present: Sequence[Interface]) -> list[Finding]:
    """Of each interface that is served: it exists, is up, has an IPv4 address and a link."""
    by_name = {each.name: each for each in present}
    if not settings.interfaces:
        return [_usable(each) for each in served(settings, present)] or [
            Finding("interfaces", "fail", "No interface has an IPv4 address", "Give one: ip address add 10.0.0.1/24 dev IF")
        ]
    found = []
    for name in settings.interfaces:
        if name in by_name:
            found.append(_usable(by_name[name]))
        else:
            names = ", ".join(sorted(each.name for each in present if not each.loopback)) or "none but lo"
            found.append(Finding("interfaces", "fail", f"There is no interface {name}", f"This host has: {names}"))
    return found


def served(settings: Settings, present: Sequence[Interface]) -> list[Interface]:
    """The interfaces that are named in the settings, else every Ethernet one with an IPv4 address."""
    if settings.interfaces:
        return [each for each in present if each.name in settings.interfaces]
    return [each for each in present if each.ethernet and each.address is not None]


def _usable(each: Interface) -> Finding:
    if not each.up:
        return Finding("interfaces", "fail", f"Interface {each.name} is down", f"ip link set {each.name} up")
    if each.address is None:
        text = f"Interface {each.name} has no IPv4 address, so machines could not reach this host"
        return Finding("interfaces", "fail", text, f"ip address add 10.0.0.1/24 dev {each.name} (an address of that network that is free)")
    if not each.carrier:
        return Finding("interfaces", "warn", f"Interface {each.name} has no link", "Check cable, switch port and VLAN")
    return Finding("interfaces", "ok", f"Interface {each.name} is up with {each.address}/{each.prefix}")


def ports(
    settings: Settings,
    *,
    running_is_fine: bool = False,
    error: Callable[[Protocol, int], int] = host.port_error,
    holders: Callable[[Protocol, int], list[Holder]] = host.holders,
) -> list[Finding]:
    """Of each port: free, or held by whom. UDP 67 beside another DHCP server is no fault unless `dhcp.socket` says ``bound``.

    `running_is_fine`: an appliance that holds them already is ``ok`` (doctor), else ``fail`` (a second one can't start).
    """
    found = []
    for what, protocol, number in port_list(settings):
        name = f"{protocol.upper()} port {number} ({what})"
        code = error(protocol, number)
        if code == 0:
            found.append(Finding("ports", "ok", f"{name} is free"))
        elif code == errno.EADDRINUSE:
            found.append(_held(settings, what, name, holders(protocol, number), running_is_fine))
        elif code not in (errno.EACCES, errno.EPERM):
            found.append(Finding("ports", "fail", f"{name} can't be opened: {os.strerror(code)}"))
    return found


def _held(settings: Settings, what: str, name: str, by: Sequence[Holder], running_is_fine: bool) -> Finding:
    who = ", ".join(map(str, by)) or "a process that can't be seen from here"
    if by and all(each.is_pxed for each in by) and running_is_fine:
        return Finding("ports", "ok", f"{name} is held by the appliance itself, {who}")
    if any(each.is_pxed for each in by):
        return Finding("ports", "fail", f"{name} is held by {who}: an appliance runs on this host already", "Look at it with pxed health")
    if what == "DHCP" and settings.dhcp.socket != "bound":
        return Finding(
            "ports", "warn", f"{name} is held by {who}: pxed listens beside it with a raw socket", "Nothing to do; it needs CAP_NET_RAW"
        )
    stop = "; ".join(_stop(each) for each in by)
    other = {"HTTP": ", or choose another port with --http-port", "syslog": ", or choose another port with --syslog-port"}.get(what, "")
    return Finding("ports", "fail", f"{name} is held by {who}", f"{stop}{other}" if stop else "")


def _stop(each: Holder) -> str:
    unit = host.unit_of(each.pid) if each.pid is not None else None
    if unit:
        return f"Stop it: systemctl disable --now {unit}"
    return f"Stop it: kill {each.pid}" if each.pid is not None else "Find it: ss -lnup; ss -lntp"


def free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


def state_directory(path: Path, *, free: Callable[[Path], int] = free_bytes) -> list[Finding]:
    """Whether the state directory (or the nearest directory above it that exists) can be written, and how much room it has."""
    here = next((each for each in (path, *path.parents) if each.exists()), Path("/"))
    if not here.is_dir():
        return [Finding("state", "fail", f"{here} is a file where the state directory {path} should be", "Give another --state-dir")]
    if not os.access(here, os.W_OK | os.X_OK):
        return [
            Finding(
                "state", "fail", f"The state directory {path} can't be written", "Run as root, or give --state-dir a directory of yours"
            )
        ]
    left = free(here)
    room = f"{left >> 20} MiB free"
    if left < _FEW_BYTES:
        return [Finding("state", "fail", f"The state directory {path} is nearly full: {room}", "Make room, or give another --state-dir")]
    if left < _ENOUGH_BYTES:
        return [
            Finding("state", "warn", f"The state directory {path} has little room for cached packages: {room}", "Make room (2 GiB or more)")
        ]
    return [Finding("state", "ok", f"The state directory {path} can be written, {room}")]


def database(settings: Settings) -> list[Finding]:
    """Whether the database that the configuration names answers; nothing if it names none."""
    if settings.database is None:
        return []
    from pxed.store.database import look  # half of what the command would take to start

    mend = "Mend `database` in the configuration (docs/database.md)"
    try:
        return [Finding("database", "ok", f"{look(settings.database_url)} can be used")]
    except HostProblem as e:
        return [Finding("database", "fail", e.problem, e.remedy)]
    except ConfigError as e:
        return [Finding("database", "fail", str(e), mend)]
    except StorageUnavailable as e:
        return [Finding("database", "fail", f"The database that the configuration names can't be opened: {e}", mend)]


def own_oses(settings: Settings) -> list[Finding]:
    """Whether the operator's own releases and families can be read; nothing if there are none."""
    try:
        own = with_own(settings.own_oses, must_exist=settings.os_dir is not None)
    except ConfigError as wrong:
        return [Finding("own systems", "fail", str(wrong), f"Mend the file, then: pxed os check {settings.own_oses}")]
    names = [f"{family.name} {release.name}" for family, release in own.added()]
    return [Finding("own systems", "ok", f"{len(names)} releases of your own: {', '.join(names[:20])}")] if names else []


def repositories(settings: Settings, *, mirror: Callable[[], str | None] = debian_mirror) -> list[Finding]:
    """Of each layer that the configuration names and that is not there: what nodes will miss, as a ``warn``."""
    found = []
    for repository in settings.repository:
        for layer in repository.layers:
            if layer == "apt" and mirror() is None:
                text = f"This host's apt names no Debian mirror, so the repository {repository.name} has nothing of it"
                found.append(Finding("repositories", "warn", text, f"Name one: --repository {repository.name}=http://MIRROR/debian"))
            elif layer.startswith("/") and not _is_there(Path(layer)):
                text = f"There is nothing at {layer}, where the repository {repository.name} has its files"
                found.append(Finding("repositories", "warn", text, "Put it there and restart pxed, or name another path"))
    return found


def _is_there(path: Path) -> bool:
    """Whether `path` exists; also if its file system has not answered for `PATIENCE` seconds: a dead file server holds nothing up."""
    seen: list[bool] = []
    looking = Thread(target=lambda: seen.append(path.exists()), daemon=True)
    looking.start()
    looking.join(PATIENCE)
    return seen[0] if seen else True


def boot_programs(root: Path, programs: BootPrograms) -> list[Finding]:
    """That any firmware is given one at all (``fail`` if not), and for which there is none (``warn``)."""
    if not any(programs.pick(code) for code in MACHINE_OF):
        return [Finding("boot programs", "fail", f"There is no boot program in {root}", "apt install ipxe && pxed bootloaders")]
    found = [
        Finding("boot programs", "ok", f"{picked.path} for architecture {code}")
        for code in (0, 7, 11, 6, 27, 39, 10)
        if (picked := programs.pick(code)) is not None
    ]
    found += [Finding("boot programs", "warn", complaint) for complaint in programs.complaints()]
    return found + [
        Finding("boot programs", "warn", f"None for {missing.name} (architecture {missing.arch})", missing.remedy)
        for missing in programs.missing()
    ]


def quirks(settings: Settings, programs: BootPrograms) -> list[Finding]:
    """The operator's quirks that name a boot program which no machine of theirs can be given: it is given the usual one."""
    return [
        Finding(
            "quirks",
            "warn",
            f"The quirk {quirk.name!r} can't give its boot program: {objection}",
            "pxed bootloaders --list shows what there is",
        )
        for quirk in settings.dhcp.quirks
        if quirk.boot_program is not None
        for objection in {programs.objection(quirk.boot_program, arch): None for arch in quirk.arch or (None,)}
        if objection
    ]
