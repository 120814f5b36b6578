"""What facts mean: who answers DHCP, secrets, routes, randomness."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from pxed.cli import diagnosis
from pxed.cli.findings import Finding
from pxed.cli.probe import Offer

OURS = IPv4Address("10.0.0.1")


def an_offer(server: str = "10.0.0.254", **more: Any) -> Offer:
    given: dict[str, Any] = {
        "interface": "eth1", "lease": IPv4Address("10.0.0.50"), "vendor_class": "", "file": "", "next_server": None, "arch": 7, **more,
    }  # fmt: skip
    return Offer(server=IPv4Address(server), **given)


def dhcp(*offers: Offer, named: bool = True) -> list[Finding]:
    return diagnosis.dhcp("eth1", offers, own=OURS, wait=5.0, named=named)


def test_one_server_that_only_leases_is_just_right() -> None:
    assert dhcp(an_offer(), an_offer(arch=0)) == [Finding("dhcp", "ok", "DHCP server 10.0.0.254 leases addresses on eth1")]


def test_no_server_means_that_machines_get_no_address() -> None:
    found = dhcp()
    assert [f.level for f in found] == ["fail"]
    assert "No DHCP server answered on eth1 within 5 s" in found[0].text
    assert "--wait 10" in found[0].remedy
    assert dhcp(named=False)[0].level == "warn"


def test_two_servers_are_named() -> None:
    assert "2 DHCP servers answer on eth1: 10.0.0.9, 10.0.0.254" in dhcp(an_offer(), an_offer("10.0.0.9"))[0].text


def test_a_server_that_hands_out_boot_files_competes() -> None:
    found = dhcp(an_offer(file="pxelinux.0", arch=0), an_offer(file="boot.efi", arch=7))
    assert [f.level for f in found] == ["ok", "warn"]
    assert "hands out a boot file itself: pxelinux.0 for BIOS, boot.efi for UEFI" in found[1].text
    assert "options 60, 66, 67 out of the configuration of 10.0.0.254" in found[1].remedy


def test_a_foreign_proxy_is_told_and_our_own_is_not_foreign() -> None:
    proxy = {"lease": None, "vendor_class": "PXEClient"}
    found = dhcp(an_offer(), an_offer("10.0.0.7", file="snponly.efi", **proxy), an_offer(str(OURS), **proxy))
    assert [f.level for f in found] == ["ok", "ok", "warn"]
    assert "A foreign PXE server (proxy DHCP) answers on eth1 at 10.0.0.7: snponly.efi for UEFI" in found[2].text
    assert "own proxy offer" in found[1].text


@pytest.fixture
def state(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    (tmp_path / "api.token").write_text("x" * 43)
    (tmp_path / "api.token").chmod(0o600)
    return tmp_path


def secrets(state: Path) -> list[tuple[str, str]]:
    return [(f.level, f.remedy) for f in diagnosis.secrets(state, state / "api.token")]


def test_secrets_that_are_kept_well(state: Path) -> None:
    assert secrets(state) == [("ok", "")]
    (state / "api.token").unlink()
    assert secrets(state) == [("ok", "")]


def test_a_token_that_others_can_read_must_be_replaced(state: Path) -> None:
    (state / "api.token").chmod(0o640)
    level, remedy = secrets(state)[0]
    assert level == "fail"
    assert remedy.startswith(f"chmod 600 {state / 'api.token'}; then replace the token")


def test_a_short_token_and_an_open_state_directory(state: Path) -> None:
    (state / "api.token").write_text("short\n")
    assert secrets(state)[0][0] == "fail"
    assert "5 characters" in diagnosis.secrets(state, state / "api.token")[0].text
    (state / "api.token").write_text("x" * 43)
    state.chmod(0o755)
    assert secrets(state) == [("warn", f"chmod 700 {state}")]
    (state / "api.token").unlink()
    assert secrets(state) == [("ok", ""), ("warn", f"chmod 700 {state}")], "open before the first start, too"


def test_a_state_directory_that_is_still_to_be_made_is_no_fault(tmp_path: Path) -> None:
    assert secrets(tmp_path / "pxed") == [("ok", "")]


def test_what_can_t_be_looked_at_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (finding,) = diagnosis.secrets(tmp_path, tmp_path / "file" / "api.token")
    assert (finding.level, finding.text) == ("warn", f"{tmp_path / 'file' / 'api.token'} can't be looked at: Not a directory")


def test_routes_and_randomness(tmp_path: Path) -> None:
    assert diagnosis.routes([])[0].level == "warn"
    assert diagnosis.routes([("eth0", IPv4Address("10.0.2.1"))])[0].text == "Default route via 10.0.2.1 on eth0"
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    for text, levels in (("256", ["ok"]), ("12", ["warn"]), ("what", [])):
        (tmp_path / "sys/kernel/random/entropy_avail").write_text(text)
        assert [f.level for f in diagnosis.entropy(tmp_path)] == levels
