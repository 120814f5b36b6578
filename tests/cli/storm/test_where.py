"""What ends on this host and what may not be asked, on a made-up /sys and /proc."""

from __future__ import annotations

from pathlib import Path

import pytest

from pxed.cli.storm.where import ends_here, objection
from pxed.errors import HostProblem

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t016433C6\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t006433C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
lab0\t00005DCB\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t07005DCB\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
"""
"""Default by 198.51.100.1; 198.51.100.0/24 on eth0; 203.93.0.0/16 on lab0, but 203.93.0.7 on eth0. (The kernel's byte order.)"""


def _interface(sys: Path, name: str, *, kind: str = "", hardware: bool = False, number: str = "1", below: tuple[str, ...] = ()) -> None:
    """As the kernel shows it: a link to the device's place, with what is below it as ``lower_NAME``."""
    place = sys / "devices" / ("pci0000:00/net" if hardware else "virtual/net") / name
    place.mkdir(parents=True)
    (place / "type").write_text(f"{number}\n")
    (place / "uevent").write_text((f"DEVTYPE={kind}\n" if kind else "") + f"INTERFACE={name}\n")
    for each in below:
        (place / f"lower_{each}").symlink_to(place.parent)
    (sys / "net").mkdir(exist_ok=True)
    (sys / "net" / name).symlink_to(place)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    _interface(tmp_path, "eth0", hardware=True)
    _interface(tmp_path, "lo", number="772")
    _interface(tmp_path, "veth0")
    _interface(tmp_path, "tap0")
    _interface(tmp_path, "lab0", kind="bridge", below=("veth0", "tap0"))
    _interface(tmp_path, "br0", kind="bridge", below=("veth0", "eth0"))
    _interface(tmp_path, "eth0.7", kind="vlan", below=("eth0",))
    _interface(tmp_path, "lab0.7", kind="vlan", below=("lab0",))
    _interface(tmp_path, "macvlan0", kind="macvlan")
    _interface(tmp_path, "vxlan0", kind="vxlan")
    _interface(tmp_path, "br1", kind="bridge", below=("vxlan0",))
    _interface(tmp_path, "wg0", kind="wireguard", number="65534")
    _interface(tmp_path, "tun0", number="65534")
    (tmp_path / "proc" / "net").mkdir(parents=True)
    (tmp_path / "proc" / "net" / "route").write_text(ROUTES)
    return tmp_path


@pytest.mark.parametrize("name", ["lo", "veth0", "tap0", "lab0", "lab0.7"])
def test_what_has_nothing_but_software_below_it_ends_here(host: Path, name: str) -> None:
    assert ends_here(name, host / "net")


@pytest.mark.parametrize("name", ["eth0", "br0", "eth0.7", "macvlan0", "vxlan0", "br1", "wg0", "tun0"])
def test_hardware_and_tunnels_and_what_leads_to_one_do_not(host: Path, name: str) -> None:
    """A macvlan whose parent can't be seen is in a container: the parent is the host's card."""
    assert not ends_here(name, host / "net")


def test_this_hosts_own_loopback_ends_here_and_what_is_not_there_is_said() -> None:
    assert ends_here("lo")
    with pytest.raises(HostProblem, match="no interface nosuch0"):
        ends_here("nosuch0")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("203.93.44.1", ""),
        ("127.0.0.9", ""),
        ("203.93.0.7", "203.93.0.7 is behind eth0, outside this host"),
        ("198.51.100.9", "198.51.100.9 is behind eth0, outside this host"),
        ("192.0.2.1", "192.0.2.1 is behind a gateway"),
        ("mirror.example", "'mirror.example' is no IPv4 address"),
        ("", "'' is no IPv4 address"),
    ],
)
def test_only_neighbours_on_a_wire_of_this_host_may_be_asked(host: Path, address: str, why: str) -> None:
    assert objection(address, proc=host / "proc", sys=host / "net") == why


def test_without_a_route_there_is_nobody_to_ask(host: Path) -> None:
    (host / "proc" / "net" / "route").write_text(ROUTES.splitlines()[0] + "\n")
    assert objection("203.93.44.1", proc=host / "proc", sys=host / "net") == "there is no route to 203.93.44.1"


def test_a_storm_that_may_go_elsewhere_asks_anybody_but_no_name_server(host: Path) -> None:
    how = {"elsewhere": True, "proc": host / "proc", "sys": host / "net"}
    assert objection("192.0.2.1", **how) == ""  # type: ignore[arg-type]
    assert "no IPv4 address" in objection("mirror.example", **how)  # type: ignore[arg-type]
