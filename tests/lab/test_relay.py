"""The one way out gives the Debian archive, and nothing else."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.lab.network import APPLIANCE, Network, inside
from tests.lab.relay import Relay
from tests.lab.upstream import upstream

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Relay, Network]]:
    with Network() as network:
        running = Relay(upstream(), namespace=network.appliance, log=tmp_path_factory.mktemp("relay") / "log")
        yield running, network
        running.stop()


def _ask(relay: tuple[Relay, Network], method: str, path: str) -> tuple[int, int, bytes]:
    """(status, Content-Length, body), asked from the appliance's namespace."""
    running, network = relay
    with inside(network.appliance), closing(http.client.HTTPConnection("127.0.0.1", urlsplit(running.url).port, timeout=60)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, int(response.headers.get("Content-Length") or 0), response.read()


def test_it_gives_files_of_the_archive(relay: tuple[Relay, Network]) -> None:
    """GET brings all bytes, HEAD only their number. Fails when the body is cut short."""
    path = urlsplit(relay[0].url).path + "/dists/bookworm/Release"
    status, length, body = _ask(relay, "GET", path)
    assert (status, length) == (200, len(body))
    assert b"Codename: bookworm" in body
    assert _ask(relay, "HEAD", path) == (200, length, b"")
    assert _ask(relay, "GET", path + ".no-such")[0] == 404


@pytest.mark.parametrize("path", ["/", "/other/file", "http://198.51.100.1/debian/x", "{root}/../etc/passwd", "{root}x/dists"])
def test_it_gives_nothing_else(relay: tuple[Relay, Network], path: str) -> None:
    """Other paths and other hosts are refused unasked. Fails when the path is handed on as it came."""
    root = urlsplit(relay[0].url).path
    assert _ask(relay, "GET", path.format(root=root))[0] == 403


def test_machines_cannot_reach_it(relay: tuple[Relay, Network]) -> None:
    """It listens on the appliance's loopback only. Fails when it listens on every address."""
    running, network = relay
    port = urlsplit(running.url).port or 0
    with inside(network.dhcp), socket.socket() as machine:
        machine.settimeout(5)
        with pytest.raises(OSError, match="refused"):
            machine.connect((APPLIANCE, port))


def test_it_says_so_when_the_mirror_is_away(relay: tuple[Relay, Network]) -> None:
    """504 in words, at once; never a hanging client."""
    network = relay[1]
    dead = Relay(type(upstream())(urlsplit("http://127.0.0.1:9/debian"), None), namespace=network.appliance, log=Path("/dev/null"))
    try:
        assert _ask((dead, network), "GET", "/debian/dists/x")[0] == 504
    finally:
        dead.stop()
