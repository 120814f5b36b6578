"""`pxed bench` as it is typed, against a whole appliance on real wires: what it boots, what it shows, where it does not go."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dhcp import whole
from tests.dhcp.netns import SERVER, Cable, needs_root
from tests.lab.appliance import ROOT, Appliance
from tests.lab.process import run

pytestmark = [needs_root, pytest.mark.slow]

NODES = 12
FAKE = "10.93.8.0/24"
FAR = "203.0.113.9"


def mac(number: int) -> str:
    return f"02:70:78:00:00:{number:02x}"


@pytest.fixture(scope="module")
def wires() -> Iterator[Cable]:
    """The client's end has room for the fake nodes, and a way out: an interface `out0` with the default route."""
    with Cable() as cable:
        for name, address in ((cable.server, f"{SERVER}/16"), (cable.client, "10.93.0.2/16")):
            run("ip", "-n", name, "address", "flush", "dev", "eth0", "scope", "global")
            run("ip", "-n", name, "address", "add", address, "brd", "+", "dev", "eth0")
        run("ip", "-n", cable.client, "route", "add", "local", FAKE, "dev", "eth0")
        run("ip", "-n", cable.client, "link", "add", "out0", "type", "veth", "peer", "name", "out0", "netns", cable.server)
        run("ip", "-n", cable.client, "link", "set", "out0", "addrgenmode", "none")  # IPv6 would be heard there
        run("ip", "-n", cable.client, "address", "add", "198.51.100.2/24", "dev", "out0")
        for name in (cable.server, cable.client):
            run("ip", "-n", name, "link", "set", "out0", "up")
        run("ip", "-n", cable.client, "route", "add", "default", "via", "198.51.100.1", "dev", "out0")
        yield cable


@pytest.fixture(scope="module")
def armed(wires: Cable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """A pxed with `NODES` nodes armed, and one more whose initial RAM disk is on a server far away."""
    nodes = {mac(number): {"repo": f"http://{FAR}/debian"} if number == NODES else {} for number in range(NODES + 1)}
    pxed = whole.started(wires.server, tmp_path_factory.mktemp("storm"), nodes, config="[tftp]\nper_client = 100\n")
    yield pxed
    pxed.stop()


@pytest.fixture
def appliance(armed: Appliance) -> Appliance:
    """The same one, with its guard against boot loops (three profiles without a callback) appeased."""
    for number in range(NODES + 1):
        armed.api("POST", f"nodes/{mac(number)}/release")
    return armed


def argv(wires: Cable, *words: str) -> list[str]:
    return ["ip", "netns", "exec", wires.client, sys.executable, "-m", "pxed", "bench", "-i", "eth0", "--addresses", FAKE, *words]


def sent_out(wires: Cable) -> int:
    """Packets that left by the way out."""
    links: list[dict[str, Any]] = json.loads(run("ip", "-n", wires.client, "-s", "-j", "link", "show", "out0"))
    return int(links[0]["stats64"]["tx"]["packets"])


def test_every_armed_node_boots_through_real_packets_and_is_on_its_timeline(wires: Cable, appliance: Appliance) -> None:
    done = subprocess.run(argv(wires, "--nodes", str(NODES), "--json"), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert (told["nodes"], told["passed"], told["failures"]) == (NODES, NODES, {})
    assert {name: phase["passed"] for name, phase in told["phases"].items()} == dict.fromkeys(
        ("offer", "pxe", "tftp", "ipxe-offer", "profile", "initrd"), NODES
    )
    program = (appliance.state / "tftproot" / "snponly.efi").stat().st_size
    assert told["bytes"] > NODES * (program + whole.INITRD)
    for number in range(NODES):
        kinds = [event["kind"] for event in appliance.events(mac(number))]
        for kind in ("dhcp.offer", "dhcp.ack", "tftp.sent", "http.profile"):
            assert kind in kinds, number


@pytest.mark.parametrize("limit", ["-S -n 40", "-n 40"])
def test_the_limit_of_open_files_is_raised_or_said(wires: Cable, appliance: Appliance, limit: str) -> None:
    """40 are too few for a hundred nodes at once. Where the hard limit allows more the storm takes more."""
    words = ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", *argv(wires, "--nodes", str(NODES), "--at-once", "100", "--json")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    if limit.startswith("-S"):
        assert json.loads(done.stdout)["passed"] == NODES, done.stderr
        return
    assert done.returncode == 2
    assert "this storm needs 164 open files, and a program may have 40" in done.stderr
    assert "Traceback" not in done.stderr


def test_on_a_terminal_there_is_a_bar_while_it_goes_and_a_summary_at_the_end(wires: Cable, appliance: Appliance) -> None:
    """One that nobody armed keeps the bar up until its time is over: exit status 1 and the sentence why."""
    keeper, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    words = argv(wires, "--nodes", str(NODES + 2), "--seconds", "20")
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=terminal, text=True) as child:
        os.close(terminal)
        shown = b""
        while True:
            try:
                shown += os.read(keeper, 65536)
            except OSError:  # the last one has closed it
                break
        os.close(keeper)
        assert child.stdout is not None
        summary = child.stdout.read()
    assert child.returncode == 1, summary
    assert b"booting" in shown
    counts = {int(number) for number in re.findall(rb"(\d+)/%d\b" % (NODES + 2), shown)}
    assert len(counts) > 1, shown[-2000:]
    assert max(counts) == NODES + 2
    lines = summary.splitlines()
    assert [word in lines[0] for word in ("phase", "nodes", "half within", "99 % within", "slowest")] == [True] * 5
    assert f"{NODES} of {NODES + 2} nodes in " in summary
    assert "1 x no answer in phase offer" in summary or "1 x the storm's own time was up" in summary
    assert f"1 x not asked in phase initrd: {FAR} is behind a gateway" in summary


def test_a_node_that_is_sent_to_another_network_does_not_go_there(wires: Cable, appliance: Appliance) -> None:
    """Its profile's initial RAM disk is outside. Fails when nodes ask whatever server a profile names."""
    before = sent_out(wires)
    words = argv(wires, "--nodes", str(NODES + 1), "--seconds", "20", "--json")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert json.loads(done.stdout)["failures"] == {f"not asked in phase initrd: {FAR} is behind a gateway": 1}
    assert sent_out(wires) == before


def test_said_twice_that_it_is_meant_it_does(wires: Cable, appliance: Appliance) -> None:
    before = sent_out(wires)
    run("ip", "-n", wires.client, "neighbour", "replace", "198.51.100.1", "lladdr", "02:00:00:00:00:01", "dev", "out0")
    words = argv(wires, "--nodes", str(NODES + 1), "--seconds", "20", "--elsewhere", "--i-run-that-network", "--json")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    told = json.loads(done.stdout)
    assert (done.returncode, told["passed"], sum(told["failures"].values())) == (1, NODES, 1), told
    assert told["seconds"] < 60, "bounded, whatever does not answer"
    assert sent_out(wires) > before
