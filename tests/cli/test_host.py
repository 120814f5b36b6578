"""What is read from the kernel, against the real one where that is quick and against made-up /proc trees elsewhere."""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import IPv4Address
from pathlib import Path

from pxed.cli import host

UDP = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
ROUTES = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
    "eth0\t00000000\t0102000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    "eth0\t0002000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
)


def a_proc(root: Path, *, words: list[str], port: int = 69, inode: int = 4711) -> Path:
    """A /proc with one process 77 that holds a UDP port."""
    (root / "net").mkdir(parents=True)
    line = f"  0: 00000000:{port:04X} 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 {inode} 2 0000 0\n"
    (root / "net" / "udp").write_text(UDP + line)
    (root / "77" / "fd").mkdir(parents=True)
    (root / "77" / "fd" / "5").symlink_to(f"socket:[{inode}]")
    (root / "77" / "fd" / "6").symlink_to("/dev/null")
    (root / "77" / "cmdline").write_bytes(b"\0".join(word.encode() for word in words) + b"\0")
    (root / "77" / "comm").write_text(words[0].rpartition("/")[2][:15] + "\n")
    (root / "77" / "cgroup").write_text("0::/system.slice/tftpd-hpa.service\n")
    return root


def test_loopback_is_seen_as_what_it_is() -> None:
    lo = next(each for each in host.interfaces() if each.name == "lo")
    assert (lo.loopback, lo.ethernet) == (True, False)


def test_a_port_that_is_held_is_told_with_the_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        assert host.port_error("tcp", port) == errno.EADDRINUSE
        assert [each.pid for each in host.holders("tcp", port)] == [os.getpid()]
    assert host.port_error("tcp", port) == 0
    assert host.holders("tcp", port) == []


def test_a_connection_to_elsewhere_holds_no_port_of_ours() -> None:
    """Only listening TCP sockets count; a client's own end has the port number of nobody's service."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert host.holders("tcp", client.getsockname()[1]) == []


def test_udp_ports_too() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        assert host.port_error("udp", port) == errno.EADDRINUSE
        assert [each.pid for each in host.holders("udp", port)] == [os.getpid()]


def test_a_holder_has_its_name_and_its_unit(tmp_path: Path) -> None:
    proc = a_proc(tmp_path, words=["/usr/sbin/in.tftpd", "--listen"])
    assert [str(each) for each in host.holders("udp", 69, proc)] == ["in.tftpd (pid 77)"]
    assert host.unit_of(77, proc) == "tftpd-hpa.service"
    assert host.unit_of(78, proc) is None


def test_an_appliance_is_known_however_it_was_started(tmp_path: Path) -> None:
    for number, words in enumerate(
        [
            ["/usr/bin/python3", "/venv/bin/twistd", "-n", "pxed", "-i", "eth1"],
            ["/venv/bin/python", "/venv/bin/pxed", "up"],
            ["python3", "-m", "pxed", "up"],
        ]
    ):
        assert host.holders("udp", 69, a_proc(tmp_path / str(number), words=words))[0].is_pxed
    assert not host.holders("udp", 69, a_proc(tmp_path / "other", words=["dnsmasq", "--conf=/etc/pxed.conf"]))[0].is_pxed


def test_a_holder_that_can_not_be_seen_is_still_one(tmp_path: Path) -> None:
    proc = a_proc(tmp_path, words=["x"])
    (proc / "77" / "fd" / "5").unlink()
    assert [each.pid for each in host.holders("udp", 69, proc)] == [None]


def test_default_routes(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "route").write_text(ROUTES)
    assert host.default_routes(tmp_path) == [("eth0", IPv4Address("10.0.2.1"))]
    assert host.default_routes(tmp_path / "absent") == []


def test_capabilities_are_those_in_effect(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text("Name:\tx\nCapEff:\t0000000000000400\n")
    assert host.has_capability(host.CAP_NET_BIND_SERVICE, tmp_path)
    assert not host.has_capability(host.CAP_NET_RAW, tmp_path)


def test_the_first_free_port_for_everybody_is_the_hosts_own(tmp_path: Path) -> None:
    assert host.unprivileged_from(tmp_path) == 1024
    (tmp_path / "sys/net/ipv4").mkdir(parents=True)
    (tmp_path / "sys/net/ipv4/ip_unprivileged_port_start").write_text("0\n")
    assert host.unprivileged_from(tmp_path) == 0
