"""Cases 102, 104, 105, 107 on real wires: beside real DHCP servers, a second pxed, restarts and a flood."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dhcp import whole
from tests.dhcp.decode import Answer
from tests.dhcp.leasing import LeaseClient, LeaseServer, Pxed, missing
from tests.dhcp.netns import OTHER, SERVER, Segment, inside, needs_root
from tests.lab.process import eventually, run

pytestmark = [needs_root, pytest.mark.slow]


@pytest.fixture
def segment() -> Iterator[Segment]:
    with Segment() as made:
        yield made


@pytest.mark.parametrize("place", ["another host", "this host"])
@pytest.mark.parametrize("server", ["dnsmasq", "dnsmasq-bound", "dhcpd", "kea"])
def test_case_104_offers_leases_and_renewals_beside_a_dhcp_server(segment: Segment, tmp_path: Path, server: str, place: str) -> None:
    """With pxed up, killed and started again. On another host pxed binds port 67; on this one it listens raw, beside the server."""
    if package := missing(server):
        pytest.skip(f"{server} is not installed (apt install {package})")
    here = place == "this host"
    lease_server = LeaseServer(server, segment.server if here else segment.other, tmp_path)
    client = LeaseClient(segment.client)
    pxed = Pxed(segment.server, tmp_path, client.mac)
    assert pxed.raw is here
    leases, boots = _both(client)
    assert leases[54] == (SERVER if here else OTHER)
    assert (boots.yiaddr, boots.boot_file, boots[54]) == ("0.0.0.0", "snponly.efi", SERVER)
    ack = client.lease(leases)
    assert client.renews(ack), "with pxed up"
    pxed.kill()
    assert client.renews(ack), "with pxed killed"
    pxed = Pxed(segment.server, tmp_path, client.mac)
    assert client.renews(ack), "with pxed started again"
    _both(client)
    assert client.renews(ack)
    told = client.boot_server(SERVER, ack.yiaddr)
    assert told is not None
    assert told.boot_file == "snponly.efi"
    assert pxed.told("dhcp.problem") == [], "a server that only leases is no problem"
    lease_server.stop()


def _both(client: LeaseClient) -> tuple[Answer, Answer]:
    """The lease's OFFER and the boot's OFFER to one DISCOVER; there are exactly these two."""
    offers = client.discover(wanted=2, more_within=0.7)
    (leases,) = [offer for offer in offers if offer.yiaddr != "0.0.0.0"]
    (boots,) = [offer for offer in offers if offer.yiaddr == "0.0.0.0"]
    return leases, boots


@pytest.mark.parametrize("server", ["dnsmasq-bound", "dhcpd"])
def test_a_dhcp_server_that_starts_after_pxed_gets_its_port(segment: Segment, tmp_path: Path, server: str) -> None:
    if package := missing(server):
        pytest.skip(f"{server} is not installed (apt install {package})")
    client = LeaseClient(segment.client)
    pxed = Pxed(segment.server, tmp_path, client.mac)
    assert not pxed.raw
    LeaseServer(server, segment.server, tmp_path)
    leases, _ = _both(client)
    ack = client.lease(leases)
    assert client.renews(ack)


def test_case_105_a_second_pxed_on_the_wire_is_shown(segment: Segment, tmp_path: Path) -> None:
    client = LeaseClient(segment.client)
    ours = Pxed(segment.server, tmp_path, client.mac)
    Pxed(segment.other, tmp_path, client.mac)
    assert sorted(offer[54] for offer in client.discover()) == [SERVER, OTHER]
    (problem,) = eventually("the warning", lambda: ours.told("dhcp.problem"), within=20.0)
    assert f"Another proxy-DHCP server, {OTHER}, answers network boots on eth0 (boot file snponly.efi)" in problem["text"]
    (rival,) = eventually("the node's own line", lambda: ours.told("dhcp.rival"), within=20.0)
    assert f"another proxy-DHCP server, {OTHER}, offers it a boot (boot file snponly.efi)" in rival["text"]
    assert sorted(offer[54] for offer in client.discover()) == [SERVER, OTHER]
    eventually("both have told both offers", lambda: len(ours.told("dhcp.offer")) == 2, within=20.0)
    time.sleep(0.3)  # what must not come has had its time
    assert (len(ours.told("dhcp.problem")), len(ours.told("dhcp.rival"))) == (1, 1), "once, not for every packet"


def test_case_107_a_restart_between_the_offer_and_4011_is_not_noticed(segment: Segment, tmp_path: Path) -> None:
    client = LeaseClient(segment.client)
    LeaseServer("dnsmasq", segment.other, tmp_path)
    pxed = Pxed(segment.server, tmp_path, client.mac)
    leases, boots = _both(client)
    ack = client.lease(leases)
    pxed.stop()
    assert client.boot_server(boots[54], ack.yiaddr, seconds=0.3) is None
    Pxed(segment.server, tmp_path, client.mac)
    told = client.boot_server(boots[54], ack.yiaddr)
    assert told is not None
    assert told.boot_file == "snponly.efi"


def test_case_107b_a_sighup_between_the_offer_and_4011_is_not_noticed_but_by_what_it_is_for(segment: Segment, tmp_path: Path) -> None:
    """All of pxed. It lives on, answers, and has looked at the boot programs at once instead of within half a minute."""
    client = LeaseClient(segment.client)
    pxed = whole.started(segment.server, tmp_path, {client.mac: {}})
    try:
        (offer,) = client.discover(wanted=1)
        run("ip", "-n", segment.client, "address", "add", "10.93.0.2/24", "brd", "+", "dev", "eth0")
        (pxed.state / "tftproot" / "ipxe.efi").rename(pxed.state / "tftproot" / "other.efi")
        pxed.hang_up()
        told = client.boot_server(offer[54], "10.93.0.2")
        assert told is not None
        assert told.boot_file == offer.boot_file
        eventually("another look", lambda: "other.efi" in pxed.api("GET", "health")["services"]["boot_programs"], within=15.0)
        assert pxed.running
    finally:
        pxed.stop()


def test_case_102_http_answers_while_empty_datagrams_flood_port_67(segment: Segment, tmp_path: Path) -> None:
    """10 000 a second: HTTP's 99th percentile stays under a quarter of a second, or on a busy host under twice what it is without."""
    client = LeaseClient(segment.client)
    run("ip", "-n", segment.client, "address", "add", "10.93.0.2/24", "dev", "eth0")
    Pxed(segment.server, tmp_path, client.mac, "--http", "8080")
    stop = threading.Event()
    sent = [0]

    def flood() -> None:
        with inside(segment.client):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        started = time.monotonic()
        with sock:
            while not stop.is_set():
                for _ in range(50):
                    sock.sendto(b"", (SERVER, 67))
                sent[0] += 50
                time.sleep(max(0.0, started + sent[0] / 10_000 - time.monotonic()))

    quiet = _p99_of_http(segment, lambda count: count >= 100)
    thread = threading.Thread(target=flood)
    thread.start()
    try:
        flooded = _p99_of_http(segment, lambda count: count >= 100 and sent[0] > 15_000)
    finally:
        stop.set()
        thread.join()
    quiet = max(quiet, _p99_of_http(segment, lambda count: count >= 100))  # on a busy host one quiet moment says little
    print(f"{sent[0]} datagrams, p99 {quiet * 1000:.1f} ms without, {flooded * 1000:.1f} ms with them")
    assert sent[0] > 15_000
    assert flooded < max(0.25, 2 * quiet)
    assert client.discover(wanted=1)


def _p99_of_http(segment: Segment, enough: Callable[[int], bool]) -> float:
    """The 99th percentile (s) of requests one after the other, until there are `enough` of them (or half a minute is over)."""
    times: list[float] = []
    deadline = time.monotonic() + 30.0
    while not enough(len(times)) and time.monotonic() < deadline:
        begun = time.monotonic()
        with inside(segment.client):
            connection = http.client.HTTPConnection(SERVER, 8080, timeout=30.0)
            connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello\n"
        connection.close()
        times.append(time.monotonic() - begun)
        time.sleep(0.01)
    return sorted(times)[len(times) * 99 // 100]
