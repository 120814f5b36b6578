"""The wires: three network namespaces, one switch, no way out.

::

    pxlab<pid>-sw    br0 --- tap0, tap1 ...      the switch and the machines
                      |  \\
    pxlab<pid>-dhcp  eth0  \\        10.77.0.2   somebody else's DHCP server
    pxlab<pid>-pxed       eth0      10.77.0.1   the appliance

Nothing connects them to the host's network. Whatever must cross (the mirror, the API's client, the wire tap) does so by a socket that was
opened inside a namespace (`inside`) and is used from outside it.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from tests.lab.process import LabProblem, alive, run

CLONE_NEWNET = 0x40000000
PREFIX = "pxlab"
APPLIANCE = "10.77.0.1"
DHCP_SERVER = "10.77.0.2"
POOL = ("10.77.0.100", "10.77.0.199")

_libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """A context manager; what it made is gone after ``with``. Machines plug in with `tap`."""

    def __init__(self, *, label: str = "") -> None:
        stem = f"{PREFIX}{os.getpid()}{label}"
        self.switch, self.dhcp, self.appliance = (f"{stem}-{role}" for role in ("sw", "dhcp", "pxed"))
        self._taps = 0

    def __enter__(self) -> Network:
        sweep()
        try:
            self._build()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.remove()

    def _build(self) -> None:
        for name in (self.switch, self.dhcp, self.appliance):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
        run("ip", "-n", self.switch, "link", "set", "br0", "up")
        self._plug(self.dhcp, "dhcp0", DHCP_SERVER)
        self._plug(self.appliance, "pxed0", APPLIANCE)

    def _plug(self, name: str, port: str, address: str) -> None:
        """A veth pair between the switch's `port` and `name`'s eth0. Both ends are born in their namespaces, never on the host."""
        run("ip", "-n", self.switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "-n", self.switch, "link", "set", port, "master", "br0", "up")
        run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")

    def tap(self) -> str:
        """A new port of the switch for one machine; returns its name in the switch's namespace."""
        name = f"tap{self._taps}"
        self._taps += 1
        run("ip", "-n", self.switch, "tuntap", "add", name, "mode", "tap")
        run("ip", "-n", self.switch, "link", "set", name, "master", "br0", "up")
        return name

    def remove(self) -> None:
        for name in (self.switch, self.dhcp, self.appliance):
            _delete(name)


def sweep() -> list[str]:
    """Remove the namespaces of labs whose process is dead, with whatever still runs inside. Returns their names."""
    stale = []
    for name in _names():
        owner = re.match(rf"{PREFIX}(\d+)", name)
        if owner and not alive(int(owner[1])):
            _delete(name)
            stale.append(name)
    return stale


@contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread is in the namespace `name` for the length of the ``with``; sockets opened there stay there. setns(2)."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        away = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            _enter(away)
        finally:
            os.close(away)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(home)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        raise LabProblem(f"setns: {os.strerror(ctypes.get_errno())}")


def _names() -> list[str]:
    folder = Path("/run/netns")
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def _delete(name: str) -> None:
    """Everything in the lab's namespace is the lab's: end it, then drop the namespace (veth and tap go with it)."""
    if name not in _names():
        return
    for pid in run("ip", "netns", "pids", name).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    run("ip", "netns", "delete", name)
