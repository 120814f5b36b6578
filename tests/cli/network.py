"""A network of two hosts, each a namespace of this kernel: ``here`` (the one looked at) and ``there`` (the site's DHCP server)."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import pytest

_CLONE_NEWNET = 0x40000000
ROOT = Path(__file__).parents[2]


def require(*programs: str) -> None:
    """Skip, with the reason, where namespaces or programs are lacking."""
    if os.geteuid() != 0:
        pytest.skip("needs root for network namespaces")
    lacking = [name for name in programs if which(name) is None]
    if lacking:
        pytest.skip(f"needs {', '.join(lacking)} (apt install iproute2 dnsmasq-base)")


class Network:
    """`in_` gives the prefix of a command in one of the namespaces; interface names are ``here0`` and ``there0``."""

    def __init__(self) -> None:
        self.here, self.there = f"pxclih{os.getpid()}", f"pxclit{os.getpid()}"
        self._processes: list[subprocess.Popen[bytes]] = []

    def build(self) -> None:
        for name in (self.here, self.there):
            self.ip("netns", "add", name)
        self.ip("link", "add", "here0", "netns", self.here, "type", "veth", "peer", "name", "there0", "netns", self.there)
        for name, interface, address in ((self.here, "here0", "10.77.0.1/24"), (self.there, "there0", "10.77.0.2/24")):
            self.ip("-n", name, "address", "add", address, "dev", interface)
            self.ip("-n", name, "link", "set", interface, "up")
            self.ip("-n", name, "link", "set", "lo", "up")

    def ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    def start(self, namespace: str, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["ip", "netns", "exec", namespace, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._processes.append(process)
        return process

    def dnsmasq(self, *options: str, namespace: str | None = None, interface: str = "there0", port: int = 67) -> None:
        """A real dnsmasq that answers at once; returns when its port is open."""
        where = namespace or self.there
        base = ["dnsmasq", "--keep-in-foreground", "--port=0", "--conf-file=/dev/null", "--no-ping", "--pid-file=", "--leasefile-ro"]
        self.start(where, *base, f"--interface={interface}", "--bind-dynamic", *options)
        self.wait_for_udp(where, port)

    def wait_for_udp(self, namespace: str, port: int) -> None:
        for _ in range(600):
            listed = subprocess.run(["ip", "netns", "exec", namespace, "cat", "/proc/net/udp"], capture_output=True, text=True, check=True)
            if f":{port:04X} " in listed.stdout:
                return
            time.sleep(0.05)
        raise AssertionError(f"nothing opened UDP port {port} in {namespace}")

    @contextmanager
    def inside(self, namespace: str) -> Iterator[None]:
        """This thread's network is the namespace's, as are the processes that it starts."""
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        other = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            _setns(other)
            yield
        finally:
            _setns(own)
            os.close(own)
            os.close(other)

    def pxed(self, *words: str, user: int | None = None, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """``python -m pxed <words>`` in ``here``."""
        command = ["ip", "netns", "exec", self.here, *_as_user(user), sys.executable, "-m", "pxed", *words]
        return subprocess.run(
            command, cwd=ROOT, env={**os.environ, **(environ or {})}, capture_output=True, text=True, timeout=60, check=False
        )

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        for name in (self.here, self.there):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _setns(fd: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(fd, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def as_nobody() -> Iterator[None]:
    """This process has no privileges for a while."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def _as_user(user: int | None) -> Sequence[str]:
    return () if user is None else ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")


@contextmanager
def network(*programs: str) -> Iterator[Network]:
    """Two hosts for as long as the context lasts; a test that also needs `programs` is skipped where those are lacking."""
    require("ip", *programs)
    net = Network()
    try:
        try:
            net.build()
        except subprocess.CalledProcessError as e:
            pytest.skip(f"can't make network namespaces here: {e.stderr.decode().strip()}")
        yield net
    finally:
        net.close()
