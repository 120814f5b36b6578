"""Two network namespaces and a cable, for tests that need real sockets. Removed with everything inside when the test ends."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from contextlib import suppress

import pytest

from tests.lab.network import inside
from tests.lab.process import run

__all__ = ["CLIENT", "OTHER", "SERVER", "Cable", "Segment", "inside", "needs_root"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes network namespaces")
SERVER, CLIENT = "10.93.0.1", "10.93.0.2"
OTHER = "10.93.0.3"
_numbers = itertools.count()


class Cable:
    """Namespaces `server` (eth0, 10.93.0.1/24) and `client` (eth0, no address); a context manager."""

    def __init__(self) -> None:
        stem = f"pxdhcp{os.getpid()}n{next(_numbers)}"
        self.server, self.client = f"{stem}s", f"{stem}c"

    def __enter__(self) -> Cable:
        try:
            for name in (self.server, self.client):
                run("ip", "netns", "add", name)
                run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", self.server, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.client)
            run("ip", "-n", self.server, "address", "add", f"{SERVER}/24", "brd", "+", "dev", "eth0")
            for name in (self.server, self.client):
                run("ip", "-n", name, "link", "set", "eth0", "up")
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *unused: object) -> None:
        self.remove()

    def address(self, text: str) -> None:
        """Give the client this address (/24), as the only one."""
        run("ip", "-n", self.client, "address", "flush", "dev", "eth0", "scope", "global")
        run("ip", "-n", self.client, "address", "add", f"{text}/24", "brd", "+", "dev", "eth0")

    def mac(self) -> str:
        """The client's own MAC address."""
        return run("ip", "-n", self.client, "-brief", "link", "show", "eth0").split()[2]

    def remove(self) -> None:
        for name in (self.server, self.client):
            _delete(name)


class Segment:
    """Three hosts on a switch: `server` (10.93.0.1), `other` (10.93.0.3), `client` (no address), each with an eth0; a context manager."""

    def __init__(self) -> None:
        stem = f"pxdhcp{os.getpid()}n{next(_numbers)}"
        self.switch, self.server, self.other, self.client = (stem + role for role in "wsoc")

    def __enter__(self) -> Segment:
        try:
            for name in (self.switch, self.server, self.other, self.client):
                run("ip", "netns", "add", name)
                run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
            run("ip", "-n", self.switch, "link", "set", "br0", "up")
            for port, (name, address) in enumerate(((self.server, SERVER), (self.other, OTHER), (self.client, ""))):
                run("ip", "-n", self.switch, "link", "add", f"port{port}", "type", "veth", "peer", "name", "eth0", "netns", name)
                run("ip", "-n", self.switch, "link", "set", f"port{port}", "master", "br0", "up")
                if address:
                    run("ip", "-n", name, "address", "add", f"{address}/24", "brd", "+", "dev", "eth0")
                run("ip", "-n", name, "link", "set", "eth0", "up")
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *unused: object) -> None:
        self.remove()

    def remove(self) -> None:
        for name in (self.switch, self.server, self.other, self.client):
            _delete(name)


def _delete(name: str) -> None:
    """End what runs in a namespace of ours, then drop it; its links go with it."""
    if not os.path.exists(f"/run/netns/{name}"):
        return
    for pid in run("ip", "netns", "pids", name).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "delete", name], check=False)
