"""What this host is like, read from the kernel: interfaces, routes, capabilities, who holds a port. Linux only; reads, never changes.

Sources: netdevice(7) (SIOCGIFADDR ...), proc(5) (/proc/net/udp, /proc/net/route, CapEff), capabilities(7).
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

Protocol = Literal["udp", "tcp"]

CAP_NET_BIND_SERVICE = 10
CAP_NET_RAW = 13

_SIOCGIFFLAGS, _SIOCGIFADDR, _SIOCGIFNETMASK, _SIOCGIFHWADDR = 0x8913, 0x8915, 0x891B, 0x8927
_IFF_UP, _IFF_LOOPBACK, _IFF_POINTOPOINT, _IFF_RUNNING = 0x1, 0x8, 0x10, 0x40
_ARPHRD_ETHER = 1


@dataclass(frozen=True, slots=True)
class Interface:
    """`address` is the first IPv4 address or None; `carrier`: up with a link; `ethernet`: machines can network-boot there."""

    name: str
    address: IPv4Address | None
    prefix: int
    up: bool
    carrier: bool
    loopback: bool
    ethernet: bool


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a port open; `pid` None when it can't be seen (another user's, or another namespace's)."""

    pid: int | None
    name: str
    is_pxed: bool = False

    def __str__(self) -> str:
        return self.name if self.pid is None else f"{self.name} (pid {self.pid})"


def interfaces() -> list[Interface]:
    """All of this network namespace, in the kernel's order."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return [_interface(sock.fileno(), name) for _, name in socket.if_nameindex()]


def _interface(fd: int, name: str) -> Interface:
    flags = _ask(fd, _SIOCGIFFLAGS, name)
    number = struct.unpack_from("H", flags, 16)[0] if flags else 0
    address = _ask(fd, _SIOCGIFADDR, name)
    mask = _ask(fd, _SIOCGIFNETMASK, name)
    hardware = _ask(fd, _SIOCGIFHWADDR, name)
    return Interface(
        name,
        IPv4Address(address[20:24]) if address else None,
        int.from_bytes(mask[20:24], "big").bit_count() if mask else 0,
        bool(number & _IFF_UP),
        bool(number & _IFF_RUNNING),
        bool(number & _IFF_LOOPBACK),
        bool(hardware and struct.unpack_from("H", hardware, 16)[0] == _ARPHRD_ETHER and not number & (_IFF_LOOPBACK | _IFF_POINTOPOINT)),
    )


def _ask(fd: int, request: int, name: str) -> bytes:
    """One ``struct ifreq``; empty when the interface has no such thing or is gone."""
    try:
        return fcntl.ioctl(fd, request, struct.pack("16s24x", name.encode()[:15]))
    except OSError:
        return b""


def default_routes(proc: Path = Path("/proc")) -> list[tuple[str, IPv4Address]]:
    """(interface, gateway) of each IPv4 default route."""
    found = []
    for line in _lines(proc / "net" / "route")[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] == "00000000" and fields[7] == "00000000":
            found.append((fields[0], IPv4Address(struct.pack("=I", int(fields[2], 16)))))
    return found


def has_capability(number: int, proc: Path = Path("/proc")) -> bool:
    """Whether this process has the capability now (root has all of them, unless a container took them)."""
    for line in _lines(proc / "self" / "status"):
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return os.geteuid() == 0


def unprivileged_from(proc: Path = Path("/proc")) -> int:
    """The first port that needs no privilege; 1024 unless the host was told otherwise."""
    lines = _lines(proc / "sys" / "net" / "ipv4" / "ip_unprivileged_port_start")
    return int(lines[0]) if lines and lines[0].strip().isdigit() else 1024


def port_error(protocol: Protocol, port: int) -> int:
    """0 if the port can be bound on all addresses, else the errno. Binds as the appliance does, and lets go at once."""
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as sock:
        if protocol == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("0.0.0.0", port))
            if protocol == "tcp":
                sock.listen(1)
        except OSError as e:
            return e.errno or errno.EIO
    return 0


def holders(protocol: Protocol, port: int, proc: Path = Path("/proc")) -> list[Holder]:
    """Who has the port open, on whatever address. Other users' processes are named only to root."""
    inodes = set(_inodes(protocol, port, proc))
    if not inodes:
        return []
    found = [_holder(pid, proc) for pid in _owners(inodes, proc)]
    return found or [Holder(None, "a process that can't be seen from here")]


def _inodes(protocol: Protocol, port: int, proc: Path) -> Iterator[str]:
    for table in (protocol, f"{protocol}6"):
        for line in _lines(proc / "net" / table)[1:]:
            fields = line.split()
            listening = protocol == "udp" or (len(fields) > 3 and fields[3] == "0A")
            if len(fields) > 9 and listening and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _owners(inodes: set[str], proc: Path) -> list[int]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    found = []
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                if any(os.readlink(fd) in wanted for fd in (entry / "fd").iterdir()):
                    found.append(int(entry.name))
            except OSError:
                continue
    return sorted(found)


def _holder(pid: int, proc: Path) -> Holder:
    try:
        words = [word.decode("utf-8", "replace") for word in (proc / str(pid) / "cmdline").read_bytes().split(b"\0") if word]
    except OSError:
        words = []
    name = (_lines(proc / str(pid) / "comm") or ["unknown"])[0]
    return Holder(pid, "pxed" if _is_pxed(words) else name, _is_pxed(words))


def _is_pxed(words: list[str]) -> bool:
    """``pxed up``, ``python -m pxed up`` and ``twistd -n pxed`` all have the word itself among their arguments."""
    return any(word == "pxed" or word.endswith("/bin/pxed") for word in words[:8])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def unit_of(pid: int, proc: Path = Path("/proc")) -> str | None:
    """The systemd unit that a process belongs to, from its control group; None outside systemd."""
    for line in _lines(proc / str(pid) / "cgroup"):
        last = line.rpartition("/")[2]
        if last.endswith(".service"):
            return last
    return None
