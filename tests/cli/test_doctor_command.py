"""`pxed doctor` against real DHCP servers and a real firewall, in namespaces of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pxed.cli import probe
from pxed.errors import HostProblem
from tests.cli.fake import Appliance, an_error, run
from tests.cli.network import Network, as_nobody, network, require
from tests.repo.images import X64, bios, ipxe

RANGE = "--dhcp-range=10.77.0.100,10.77.0.120,1h"


HOLD = "import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', {port})); time.sleep(60)"


@pytest.fixture
def net() -> Iterator[Network]:
    with network("dnsmasq") as net:
        yield net


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "tftproot").mkdir()
    (tmp_path / "tftproot" / "snponly.efi").write_bytes(ipxe(X64))
    (tmp_path / "tftproot" / "undionly.kpxe").write_bytes(bios())
    return tmp_path


def doctor(net: Network, state: Path, *words: str) -> dict[str, Any]:
    with net.inside(net.here):
        done = run("doctor", "-i", "here0", "--wait", "2", "--json", *words, state_dir=state)
    tree: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == (1 if tree["result"] == "fail" else 0)
    return tree


def texts(tree: dict[str, Any], check: str) -> list[tuple[str, str]]:
    return [(f["level"], f["text"]) for f in tree["findings"] if f["check"] == check]


@pytest.mark.slow
def test_a_host_beside_a_plain_dhcp_server_is_ready(net: Network, state: Path) -> None:
    net.dnsmasq(RANGE)
    tree = doctor(net, state)
    assert tree["result"] == "warn", tree  # no default route, no appliance, no programs for other architectures
    assert texts(tree, "dhcp") == [("ok", "DHCP server 10.77.0.2 leases addresses on here0")]
    assert texts(tree, "interfaces") == [("ok", "Interface here0 is up with 10.77.0.1/24")]
    assert [level for level, _ in texts(tree, "ports")] == ["ok"] * 6
    assert ("ok", "snponly.efi for architecture 7") in texts(tree, "boot programs")
    assert texts(tree, "appliance")[0][0] == "warn"


@pytest.fixture
def third(net: Network) -> Iterator[str]:
    """A third host, 10.77.0.3 on ``third0``, on one switch with the other two; ``there`` has its address on ``switch0`` then."""
    name, there = f"{net.there}b", net.there
    net.ip("netns", "add", name)
    net.ip("-n", there, "link", "add", "switch0", "type", "bridge")
    net.ip("-n", there, "link", "add", "port3", "type", "veth", "peer", "name", "third0", "netns", name)
    net.ip("-n", there, "address", "flush", "dev", "there0")
    net.ip("-n", there, "address", "add", "10.77.0.2/24", "dev", "switch0")
    for port in ("there0", "port3"):
        net.ip("-n", there, "link", "set", port, "master", "switch0")
        net.ip("-n", there, "link", "set", port, "up")
    net.ip("-n", there, "link", "set", "switch0", "up")
    net.ip("-n", name, "address", "add", "10.77.0.3/24", "dev", "third0")
    net.ip("-n", name, "link", "set", "third0", "up")
    yield name
    net.ip("netns", "delete", name)


@pytest.mark.slow
def test_boot_files_from_the_dhcp_server_and_a_foreign_proxy_are_both_seen(net: Network, third: str, state: Path) -> None:
    """One server leases and hands out a file, the other is a proxy: what pxed would have to live with."""
    net.dnsmasq(RANGE, "--dhcp-boot=lpxelinux.0,site,10.77.0.9", interface="switch0")
    proxy = ["--dhcp-range=10.77.0.0,proxy", "--pxe-service=X86-64_EFI,other,other.efi", "--pxe-service=x86PC,other,other.0"]
    net.dnsmasq(*proxy, namespace=third, interface="third0")
    found = texts(doctor(net, state), "dhcp")
    assert ("ok", "DHCP server 10.77.0.2 leases addresses on here0") in found
    assert any(level == "warn" and "10.77.0.2 on here0 hands out a boot file itself: lpxelinux.0" in text for level, text in found), found
    assert any(level == "warn" and "A foreign PXE server (proxy DHCP) answers on here0 at 10.77.0.3" in text for level, text in found), (
        found
    )


@pytest.mark.slow
def test_an_empty_network_a_busy_port_and_a_shut_firewall_are_fails_with_remedies(net: Network, state: Path) -> None:
    require("nft")
    holder = net.start(net.here, sys.executable, "-c", HOLD.format(port=69))
    net.wait_for_udp(net.here, 69)
    rules = "add table inet f; add chain inet f in { type filter hook input priority 0; policy drop; }"
    net.start(net.here, "nft", rules).wait()
    tree = doctor(net, state)
    assert tree["result"] == "fail"
    assert texts(tree, "dhcp")[0][0] == "fail"
    busy = [f for f in tree["findings"] if f["check"] == "ports" and f["level"] == "fail"]
    assert [f["text"].endswith(f"(pid {holder.pid})") for f in busy] == [True]
    assert busy[0]["text"].startswith("UDP port 69 (TFTP) is held by ")
    assert busy[0]["remedy"].startswith("Stop it: ")
    shut = next(f for f in tree["findings"] if f["check"] == "firewall")
    assert "seems to drop udp 67, udp 4011, udp 69, tcp 80, udp 514, tcp 514 on here0" in shut["text"]
    assert shut["remedy"].startswith("nft insert rule inet f in iifname here0 udp dport")


def test_a_probe_needs_root_and_says_so(net: Network) -> None:
    with net.inside(net.here), as_nobody():
        done = run("doctor", "-i", "here0", "--wait", "0.2", state_dir=Path("/nonexistent"))
    assert done.exit_code == 1
    assert "warn dhcp          A DHCP probe may be sent by root only" in done.stdout
    assert "fail privileges    Ports 67, 69, 80, 514 may be opened by root only" in done.stdout


def test_the_text_has_a_line_per_finding_and_the_remedy_below(appliance: Appliance) -> None:
    appliance.api.routes["GET", "health"] = (200, {"status": "ok", "version": "0.1.0"})
    result = appliance.pxed("doctor", "--no-probe", "-i", "no-such0")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    at = lines.index("fail interfaces    There is no interface no-such0")
    assert lines[at + 1].strip().startswith("> This host has:")
    assert "ok   appliance     The appliance answers: ok, version 0.1.0" in lines
    assert lines[-1].endswith(" fail")


def test_an_appliance_that_is_unwell_or_strange_is_a_finding(appliance: Appliance) -> None:
    for answer, says in (
        ((200, {"status": "failing", "version": "0.1.0"}), "fail appliance     The appliance answers: failing"),
        ((503, an_error("The store is closed")), "fail appliance     The store is closed"),
    ):
        appliance.api.routes["GET", "health"] = answer
        assert says in appliance.pxed("doctor", "--no-probe").stdout
    appliance.api.token = "another"
    assert "warn appliance     The appliance at" in appliance.pxed("doctor", "--no-probe").stdout


def test_what_the_appliance_knows_of_its_network_is_told_with_what_mends_it(appliance: Appliance) -> None:
    """Machines that follow no offer, with the very lines for the site's DHCP server; foreign servers; machines in quarantine."""
    dhcp = {
        "ignoring": [{"node": "9f3c", "label": "web1", "mac": "52:54:00:12:34:56", "shapes": ["binl", "pxe10"]}],
        "neighbours": [
            {"address": "10.0.0.7", "interface": "eth1", "kind": "proxy", "boot_file": "pxelinux.0"},
            {"address": "10.0.0.254", "interface": "eth1", "kind": "lease", "boot_file": ""},
        ],
        "refused": {"77aa": {"label": "web2", "reason": "quarantined", "text": "it fetched its boot profile 3 times", "left": None}},
    }
    text = "host pxed-525400123456 {\n  next-server 10.0.0.1;\n}\n"
    lines = {"lines": [{"server": "ISC dhcpd", "file": "/etc/dhcp/dhcpd.conf", "text": text}]}
    appliance.api.routes["GET", "health"] = (200, {"status": "ok", "version": "0.1", "services": {"dhcp": dhcp}})
    appliance.api.routes["GET", "nodes/9f3c/dhcp"] = (200, lines)
    out = appliance.pxed("doctor", "--no-probe").stdout
    assert "web1 follows no proxy offer (tried: binl, pxe10)" in out
    assert "                     # ISC dhcpd: /etc/dhcp/dhcpd.conf\n                     host pxed-525400123456 {\n" in out
    assert "another proxy-DHCP server, 10.0.0.7 on eth1 (pxelinux.0)" in out
    assert "10.0.0.254" not in out, "who only leases is nobody's trouble"
    assert "web2 gets no offers (quarantined): it fetched its boot profile 3 times" in out
    assert "> pxed node release web2" in out
    found = json.loads(appliance.pxed("doctor", "--no-probe", "--json").stdout)["findings"]
    (offers,) = [each for each in found if each["check"] == "offers"]
    assert offers["detail"] == f"# ISC dhcpd: /etc/dhcp/dhcpd.conf\n{text}".rstrip("\n")


@pytest.mark.parametrize("dhcp", [None, [], {"ignoring": 5, "neighbours": [7], "refused": []}, {"ignoring": [{}], "refused": {"x": 1}}])
def test_an_appliance_of_another_version_is_no_traceback(appliance: Appliance, dhcp: Any) -> None:
    appliance.api.routes["GET", "health"] = (200, {"status": "ok", "version": "9", "services": {"dhcp": dhcp}})
    assert "The appliance answers" in appliance.pxed("doctor", "--no-probe").stdout


def test_a_bad_configuration_is_status_2(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("interfaces = 3\n")
    result = run("doctor", "-c", str(tmp_path / "bad.toml"), state_dir=tmp_path)
    assert result.exit_code == 2
    assert "bad.toml: interfaces" in result.stderr


def test_a_probe_on_an_interface_that_vanished_is_a_host_problem() -> None:
    require()
    with pytest.raises(HostProblem, match="Can't send a DHCP probe on gone0"):
        probe.ask(["gone0"], wait=0.1)
