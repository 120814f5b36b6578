"""What keeps the appliance from starting: each finding, with its remedy."""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from pxed.cli import preflight
from pxed.cli.findings import Finding, worst
from pxed.cli.host import Holder, Interface
from pxed.config import Settings, load
from pxed.repo.bootprograms import scan
from tests.repo.images import IA32, ipxe, pe


def settings(**more: Any) -> Settings:
    return load(None, more)


def an_interface(name: str = "eth1", **more: Any) -> Interface:
    given: dict[str, Any] = {
        "address": IPv4Address("10.0.0.1"), "prefix": 24, "up": True, "carrier": True, "loopback": False, "ethernet": True, **more,
    }  # fmt: skip
    return Interface(name, **given)


LO = Interface("lo", IPv4Address("127.0.0.1"), 8, True, True, True, False)


def test_low_ports_need_root_and_high_ones_do_not() -> None:
    finding = preflight.privileges(settings(), has=lambda _: False)[0]
    assert finding.level == "fail"
    assert finding.text == "Ports 67, 69, 80, 514 may be opened by root only"
    assert "sudo pxed up" in finding.remedy
    high = {"dhcp": 6067, "pxe": 6011, "tftp": 6069, "http": 6080, "syslog": 6514}
    assert preflight.privileges(settings(ports=high), has=lambda _: False)[0].level == "ok"
    assert preflight.privileges(settings(ports=high, dhcp={"socket": "raw"}), has=lambda _: False)[0].level == "fail"
    assert preflight.privileges(settings(), has=lambda _: True)[0].level == "ok"


@pytest.mark.parametrize(
    ("present", "level", "says"),
    [
        (an_interface(), "ok", "is up with 10.0.0.1/24"),
        (an_interface(up=False), "fail", "is down"),
        (an_interface(address=None), "fail", "has no IPv4 address"),
        (an_interface(carrier=False), "warn", "has no link"),
        (an_interface("eth7"), "fail", "There is no interface eth1"),
    ],
)
def test_an_interface_must_exist_be_up_and_have_an_address(present: Interface, level: str, says: str) -> None:
    finding = preflight.interfaces(settings(interfaces=["eth1"]), [LO, present])[0]
    assert finding.level == level
    assert says in finding.text
    assert finding.remedy or level == "ok"


def test_a_wrong_interface_names_those_there_are() -> None:
    assert preflight.interfaces(settings(interfaces=["eth9"]), [LO, an_interface()])[0].remedy == "This host has: eth1"
    assert preflight.interfaces(settings(interfaces=["eth9"]), [LO])[0].remedy == "This host has: none but lo"


def test_without_a_name_every_ethernet_interface_with_an_address_is_served() -> None:
    tunnel = an_interface("tun0", ethernet=False)
    bare = an_interface("eth2", address=None)
    assert preflight.served(settings(), [LO, an_interface(), tunnel, bare]) == [an_interface()]
    assert preflight.interfaces(settings(), [LO, bare])[0].text == "No interface has an IPv4 address"


def ports(number: int, holder: Holder | None, code: int = errno.EADDRINUSE, *, running_is_fine: bool = False, **more: Any) -> Finding:
    """What is found when just this port is not free."""
    found = preflight.ports(
        settings(**more),
        running_is_fine=running_is_fine,
        error=lambda protocol, port: code if port == number and (protocol == "udp" or port == 80) else 0,
        holders=lambda _protocol, _port: [holder] if holder else [],
    )
    bad = [each for each in found if "is free" not in each.text]
    assert len(bad) == 1
    return bad[0]


def test_a_busy_port_names_who_holds_it_and_how_to_stop_that() -> None:
    finding = ports(69, Holder(77, "in.tftpd"))
    assert (finding.level, finding.text) == ("fail", "UDP port 69 (TFTP) is held by in.tftpd (pid 77)")
    assert finding.remedy == "Stop it: kill 77"
    assert ports(80, Holder(78, "nginx")).remedy == "Stop it: kill 78, or choose another port with --http-port"
    assert ports(514, Holder(None, "a process that can't be seen from here")).remedy.endswith("or choose another port with --syslog-port")


def test_syslogs_tcp_port_is_looked_at_unless_it_is_turned_off() -> None:
    """A real listener: rsyslog with imtcp, or rsh of old, on the host."""
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        number = holder.getsockname()[1]
        wanted = {"dhcp": 6067, "pxe": 6011, "tftp": 6069, "http": 6080, "syslog": number}
        busy = [each for each in preflight.ports(settings(ports=wanted)) if f" {number} " in each.text]
        assert [(each.level, each.text.partition(" is ")[0]) for each in busy] == [
            ("ok", f"UDP port {number} (syslog)"),
            ("fail", f"TCP port {number} (syslog)"),
        ]
        assert busy[1].remedy.endswith("or choose another port with --syslog-port")
        without = preflight.ports(settings(ports=wanted, syslog={"tcp": False}))
        assert [each.level for each in without if f" {number} " in each.text] == ["ok"]


def test_a_dhcp_server_on_this_host_is_no_obstacle_unless_the_socket_must_be_bound() -> None:
    assert ports(67, Holder(79, "dnsmasq")).level == "warn"
    assert ports(67, Holder(79, "dnsmasq"), dhcp={"socket": "bound"}).level == "fail"
    assert ports(4011, Holder(79, "dnsmasq")).level == "fail"


def test_an_appliance_that_runs_already_is_good_for_doctor_and_bad_for_up() -> None:
    pxed = Holder(80, "pxed", True)
    assert ports(67, pxed).level == "fail"
    assert "an appliance runs on this host already" in ports(69, pxed).text
    assert ports(69, pxed, running_is_fine=True).level == "ok"


def test_other_errors_are_told_and_missing_privileges_are_told_once() -> None:
    assert ports(80, None, errno.EADDRNOTAVAIL).text == "TCP port 80 (HTTP) can't be opened: Cannot assign requested address"
    found = preflight.ports(settings(), error=lambda _protocol, _port: errno.EACCES, holders=lambda _protocol, _port: [])
    assert found == []


def test_the_state_directory_may_be_new_full_or_a_file(tmp_path: Path) -> None:
    assert preflight.state_directory(tmp_path / "a" / "b", free=lambda _: 3 << 30)[0].level == "ok"
    (tmp_path / "file").write_text("")
    assert preflight.state_directory(tmp_path / "file")[0].text.endswith(f"where the state directory {tmp_path / 'file'} should be")
    assert preflight.state_directory(tmp_path / "file" / "below")[0].level == "fail"
    for left, level in ((100 << 20, "fail"), (1 << 30, "warn"), (3 << 30, "ok")):
        assert preflight.state_directory(tmp_path, free=lambda _, left=left: left)[0].level == level  # type: ignore[misc]


def test_boot_programs_are_told_per_architecture(tmp_path: Path) -> None:
    nothing = preflight.boot_programs(tmp_path, scan(tmp_path))
    assert [(f.level, f.remedy) for f in nothing] == [("fail", "apt install ipxe && pxed bootloaders")]
    (tmp_path / "grub.efi").write_bytes(pe(IA32, text=b"Free Software Foundation,grub"))
    assert preflight.boot_programs(tmp_path, scan(tmp_path))[0].level == "fail"
    (tmp_path / "ipxe.efi").write_bytes(ipxe(IA32))
    found = preflight.boot_programs(tmp_path, scan(tmp_path))
    assert found[0] == Finding("boot programs", "ok", "ipxe.efi for architecture 6")
    assert [f.level for f in found[1:]] == ["warn"] * 6
    assert all(f.remedy for f in found[1:])


def test_a_quirk_whose_boot_program_nobody_can_be_given_is_named(tmp_path: Path) -> None:
    """It gives way to the usual one, which nobody would notice: a misspelt name, another machine's program, a chain that is not there."""
    (tmp_path / "ipxe.efi").write_bytes(ipxe(IA32))
    tables: list[dict[str, Any]] = [
        {"name": "good", "arch": 6, "boot_program": "ipxe.efi"},
        {"name": "any", "mac": "52:54", "boot_program": "ipxe.efi"},
        {"name": "shape", "arch": 7, "shape": "pxe10"},
        {"name": "misspelt", "mac": "52:54", "boot_program": "ipxr.efi"},
        {"name": "x64", "arch": [6, 7], "boot_program": "ipxe.efi"},
        {"name": "secure", "arch": [7, 11], "boot_program": "shim-grub"},
    ]
    found = preflight.quirks(load(None, {"dhcp": {"quirks": tables}}), scan(tmp_path))
    assert [(each.level, each.text) for each in found] == [
        ("warn", "The quirk 'misspelt' can't give its boot program: there is no boot program 'ipxr.efi' here"),
        ("warn", "The quirk 'x64' can't give its boot program: ipxe.efi is here for i386, not for x86_64 UEFI"),
        ("warn", "The quirk 'secure' can't give its boot program: nothing here makes up the chain shim-grub"),
    ]


def test_the_worst_finding_decides() -> None:
    ok, warn, fail = (Finding("x", level, "") for level in ("ok", "warn", "fail"))
    assert (worst([]), worst([ok]), worst([ok, warn]), worst([warn, fail, ok])) == ("ok", "ok", "warn", "fail")


def test_layers_that_are_not_there_are_named_with_their_repository(tmp_path: Path) -> None:
    repository = [
        {"name": "debian", "layers": ["apt", "http://mirror.example/debian"]},
        {"name": "iso", "layers": [str(tmp_path), "/nope"]},
    ]
    findings = preflight.repositories(settings(repository=repository), mirror=lambda: None)
    assert [(each.level, each.text) for each in findings] == [
        ("warn", "This host's apt names no Debian mirror, so the repository debian has nothing of it"),
        ("warn", "There is nothing at /nope, where the repository iso has its files"),
    ]
    assert "--repository debian=http://MIRROR/debian" in findings[0].remedy
    assert preflight.repositories(settings(), mirror=lambda: "http://mirror.example/debian") == []
