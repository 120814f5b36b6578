"""Flatcar and Fedora CoreOS: every config read by ignition-validate, every value where it belongs (test_coreos_hooks.py: the hook)."""

from __future__ import annotations

import base64
import functools
import json
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

from pxed.errors import InvalidRequest
from pxed.oses.catalog import Catalog
from pxed.oses.coreos import FAMILIES
from pxed.oses.netfiles import KEYFILES, NETWORKD
from tests.oses.families import CASES, sample
from tests.oses.samples import KEY, SECRET, TOKEN, URLS, FakeInstall, FakeNode, verifies

CATALOG = Catalog()
BOTH = pytest.mark.parametrize("family", [family.name for family in FAMILIES])
EVERY = [(family.name, release, case) for family in FAMILIES for release in family.releases for case in CASES]
DISK: dict[str, Any] = {"installDisk": {"serial": "WD-123"}}


@functools.cache
def _files(family: str, release: str | None, options: str) -> dict[str, str]:
    return CATALOG.preview(CATALOG.prepare(family, release, json.loads(options)), FakeNode(), URLS)


def files(family: str, release: str | None = None, **options: Any) -> dict[str, str]:
    return _files(family, release, json.dumps(options))


def config(family: str, name: str = "target.ign", **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files(family, **options)[name])
    return found


def contents(found: dict[str, Any]) -> dict[str, str]:
    """Path > text of every file that is inside a config."""
    return {
        each["path"]: base64.b64decode(each["contents"]["source"].removeprefix("data:;base64,")).decode()
        for each in found["storage"]["files"]
        if each["contents"]["source"].startswith("data:")
    }


def validated(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "config.ign").write_text(text)
    return subprocess.run(["ignition-validate", folder / "config.ign"], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(("family", "release", "case"), EVERY)
@pytest.mark.skipif(not shutil.which("ignition-validate"), reason="ignition is not installed")
def test_ignition_itself_has_no_word_against_any_config(family: str, release: str, case: str, tmp_path: Path) -> None:
    written = files(family, release, **sample(family, case))
    for name in ("live.ign", "target.ign"):
        run = validated(written[name], tmp_path)
        assert (run.returncode, run.stdout + run.stderr) == (0, ""), name


@pytest.mark.skipif(not shutil.which("ignition-validate"), reason="ignition is not installed")
@pytest.mark.parametrize(
    "wrong",
    [
        {"ignition": {"version": "3.3.0"}, "passwd": {"users": [{"name": "a"}, {"name": "a"}]}},
        {"ignition": {"version": "3.3.0"}, "storage": {"files": [{"path": "relative"}]}},
        {"ignition": {"version": "3.3.0"}, "kernelArgs": ["a"]},
    ],
)
def test_ignition_itself_can_refuse(wrong: dict[str, Any], tmp_path: Path) -> None:
    run = validated(json.dumps(wrong), tmp_path)
    assert run.returncode or run.stdout


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("case", CASES)
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_warn_of_in_the_hook_and_the_first_boot(family: str, case: str, tmp_path: Path) -> None:
    inside = contents(config(family, **sample(family, case)))
    (tmp_path / "install.sh").write_text(files(family, **sample(family, case))["install.sh"])
    (tmp_path / "firstboot.sh").write_text(next(text for path, text in inside.items() if path.endswith("/firstboot")))
    scripts = sorted(tmp_path.iterdir())
    run = subprocess.run(
        ["shellcheck", "-s", "sh", "--severity=warning", *scripts], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.stdout, run.returncode) == ("", 0)


def kernel_line(family: str, **options: Any) -> str:
    (line,) = [line for line in files(family, **options)["boot.ipxe"].splitlines() if line.startswith("kernel ")]
    return line


def test_the_live_system_is_started_as_its_makers_say() -> None:
    tree = URLS.repo("flatcar")
    assert f"{tree}/flatcar_production_pxe.vmlinuz initrd=flatcar_production_pxe_image.cpio.gz flatcar.first_boot=1" in kernel_line(
        "flatcar"
    )
    assert f" ignition.config.url={URLS.answer('live.ign')} " in kernel_line("flatcar")
    tree = URLS.repo("fcos")
    line = kernel_line("fcos", kargs={"quiet": ""}, targetKernelArgs="mitigations=off", comport="com1")
    assert f"{tree}/images/pxeboot/vmlinuz initrd=initrd.img coreos.live.rootfs_url={tree}/images/pxeboot/rootfs.img ip=dhcp" in line
    assert f" ignition.firstboot ignition.platform.id=metal ignition.config.url={URLS.answer('live.ign')} " in line
    assert " console=tty0 console=ttyS0,115200n8 quiet mitigations=off BOOTIF=" in line
    assert " ip=ens3:dhcp " in kernel_line("fcos", installInterface="ens3")
    assert " BOOTIF=01-52-54-00-aa-bb-cc" in kernel_line("fcos", installInterface="52:54:00:aa:bb:cc")


def test_channels_and_machines_have_repositories_of_their_own() -> None:
    for family, release, named in (("flatcar", "current", "flatcar"), ("flatcar", "beta", "flatcar-beta"), ("fcos", "next", "fcos-next")):
        prepared = CATALOG.prepare(family, release, {})
        assert CATALOG.needs(prepared) == named
        assert f"{URLS.repo(named)}/" in CATALOG.preview(prepared, FakeNode(), URLS)["boot.ipxe"]
    arm = CATALOG.preview(CATALOG.prepare("fcos", None, {}), FakeNode(arch=11), URLS)
    assert f"{URLS.repo('fcos-aarch64')}/images/pxeboot/vmlinuz" in arm["boot.ipxe"]


@BOTH
def test_accounts_have_their_hashes_keys_and_groups(family: str) -> None:
    found = config(family, **sample(family, "full"))
    users = {user["name"]: user for user in found["passwd"]["users"]}
    assert set(users) == {"root", "core", "ann", "bot.2"}
    assert verifies(SECRET, users["root"]["passwordHash"])
    assert verifies(SECRET, users["ann"]["passwordHash"])
    assert (users["ann"]["uid"], users["ann"]["gecos"], users["ann"]["groups"]) == (1010, "Ann O'Nym", ["adm", "www-data"])
    assert "passwordHash" not in users["bot.2"]
    assert users["core"]["sshAuthorizedKeys"] == [KEY]
    assert found["passwd"]["groups"] == [{"name": "www-data"}]
    inside = contents(found)
    assert inside["/etc/sudoers.d/pxed-ann"] == "ann ALL=(ALL:ALL) ALL\n"
    assert inside["/etc/sudoers.d/pxed-bot_2"] == "bot.2 ALL=(ALL:ALL) NOPASSWD: ALL\n"
    assert [each["mode"] for each in found["storage"]["files"] if "sudoers" in each["path"]] == [0o440, 0o440]


def test_a_user_core_of_ones_own_keeps_the_keys_of_both_options() -> None:
    other = KEY.replace("me@", "you@")
    options: dict[str, Any] = {"users": [{"name": "core", "sshKeys": [KEY, KEY]}], "coreSshKeys": [KEY, other]}
    (core,) = config("fcos", **options)["passwd"]["users"]
    assert core["sshAuthorizedKeys"] == [KEY, other]
    (ann,) = config("fcos", users=[{"name": "ann", "sshKeys": [KEY, KEY]}])["passwd"]["users"]
    assert ann["sshAuthorizedKeys"] == [KEY]  # a key twice makes the config invalid


@BOTH
def test_name_clock_name_servers_services_and_a_config_of_ones_own(family: str) -> None:
    found = config(family, **sample(family, "full"))
    inside = contents(found)
    assert inside["/etc/hostname"] == "web1.example.com\n"
    assert inside["/etc/systemd/resolved.conf.d/pxed.conf"] == "[Resolve]\nDNS=10.0.2.3 2001:db8::53\nDomains=example.com ~.\n"
    if family == "flatcar":
        assert inside["/etc/systemd/timesyncd.conf.d/pxed.conf"] == "[Time]\nNTP=ntp1.example.com 10.0.2.3\n"
    else:
        assert inside["/etc/chrony.conf"].startswith("server ntp1.example.com iburst\nserver 10.0.2.3 iburst\ndriftfile ")
    (clock,) = found["storage"]["links"]
    assert (clock["path"], clock["target"]) == ("/etc/localtime", "../usr/share/zoneinfo/Europe/Berlin")
    assert {unit["name"]: unit["enabled"] for unit in found["systemd"]["units"]} == {
        "docker.service": True,
        "systemd-timesyncd.service": True,
        "update-engine.service": False,
        "locksmithd.service": False,
        "pxed-firstboot.service": True,
    }
    assert found["ignition"]["config"]["merge"] == [{"source": "http://mirror.example.com/mine.ign"}]
    assert found["kernelArguments"]["shouldExist"] == ["console=tty0", "console=ttyS0,115200n8", "mitigations=off"]


def sections(text: str) -> dict[str, dict[str, str]]:
    """An INI file in which no key stands twice in a section (ConfigParser raises if one does)."""
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


NETWORK: dict[str, Any] = {"networkDevices": sample("flatcar", "full")["networkDevices"]}
NETWORK["networkDevices"].append({"device": "52:54:00:aa:bb:dd", "ipv4": {"ipAddr": "10.7.0.5", "prefixlen": 24, "vlanIds": [7]}})


def test_networkd_gets_static_addresses_vlans_and_matches_by_mac() -> None:
    inside = {path.removeprefix(NETWORKD + "/"): text for path, text in contents(config("flatcar", **NETWORK)).items() if NETWORKD in path}
    assert sections(inside["20-pxed-eth0.network"]) == {
        "Match": {"Name": "eth0"},
        "Link": {"MTUBytes": "9000"},
        "Network": {"DHCP": "no", "Address": "10.0.2.50/24"},
        "Route": {"Gateway": "10.0.2.2"},
    }
    assert sections(inside["20-pxed-nic1.network"]) == {
        "Match": {"MACAddress": "52:54:00:aa:bb:cc"},
        "Network": {"DHCP": "no", "Address": "2001:db8::5/64"},
    }
    assert "VLAN=eth2.104\nVLAN=eth2.105\n" in inside["20-pxed-eth2.network"]
    assert sections(inside["10-pxed-eth2.104.netdev"]) == {"NetDev": {"Name": "eth2.104", "Kind": "vlan"}, "VLAN": {"Id": "104"}}
    assert sections(inside["10-pxed-eth2.104.network"])["Route"] == {"Gateway": "10.9.0.1"}
    assert "Route" not in sections(inside["10-pxed-eth2.105.network"])
    assert sections(inside["20-pxed-eth3.network"])["Network"] == {"DHCP": "ipv4"}
    # A VLAN has its parent's MAC address: what matches it by name must be found first.
    names = sorted(inside)
    assert names.index("10-pxed-nic4.7.network") < names.index("20-pxed-nic4.network")


def test_networkmanager_gets_the_same_and_nobody_else_may_read_it() -> None:
    found = config("fcos", **NETWORK)
    assert {each["mode"] for each in found["storage"]["files"] if KEYFILES in each["path"]} == {0o600}
    inside = {path.removeprefix(KEYFILES + "/pxed-"): sections(text) for path, text in contents(found).items() if KEYFILES in path}
    assert inside["eth0.nmconnection"] == {
        "connection": {"id": "pxed-eth0", "type": "ethernet", "interface-name": "eth0"},
        "ethernet": {"mtu": "9000"},
        "ipv4": {"method": "manual", "address1": "10.0.2.50/24", "gateway": "10.0.2.2"},
        "ipv6": {"method": "auto"},
    }
    assert inside["nic1.nmconnection"] == {
        "connection": {"id": "pxed-nic1", "type": "ethernet"},
        "ethernet": {"mac-address": "52:54:00:aa:bb:cc"},
        "ipv4": {"method": "disabled"},
        "ipv6": {"method": "manual", "address1": "2001:db8::5/64"},
    }
    assert inside["eth2.104.nmconnection"]["vlan"] == {"id": "104", "parent": "eth2"}
    assert inside["nic4.7.nmconnection"]["vlan"] == {"id": "7"}
    assert inside["nic4.7.nmconnection"]["ethernet"] == {"mac-address": "52:54:00:aa:bb:dd"}
    assert inside["eth3.nmconnection"]["ipv4"] == {"method": "auto"}


@BOTH
@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"packages": ["vim"]}, "options.packages"),
        ({"installPartitions": [{"mountPoint": "/", "size": "auto"}]}, "options.installPartitions"),
        ({"layout": "lvm"}, "options.layout"),
        ({"locale": "de_DE.UTF-8"}, "options.locale"),
        ({"proxy": "http://10.0.2.3:3128"}, "options.proxy"),
        ({"remoteLogging": True}, "options.remoteLogging"),
        ({"postInstallCommands": ["true"]}, "options.postInstallCommands"),
        ({"scripts": {"post": ["true"]}}, "options.scripts.post"),
        ({"bonds": []}, "options.bonds"),
        ({"after": "halt"}, "options.after"),
    ],
)
def test_what_an_image_cannot_do_is_refused_by_name(family: str, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        CATALOG.prepare(family, None, options)
    assert refused.value.field == field


def test_flatcar_refuses_an_interface_and_a_tree_that_it_cannot_use() -> None:
    for options, field in (({"installInterface": "eth0"}, "options.installInterface"), ({"repo": "http://mirror"}, "options.repo")):
        with pytest.raises(InvalidRequest) as refused:
            CATALOG.prepare("flatcar", None, options)
        assert refused.value.field == field


@BOTH
def test_grub_can_start_it_too_and_the_address_of_the_install_is_in_no_log_line(family: str) -> None:
    prepared = CATALOG.prepare(family, None, sample(family, "full"))
    script = CATALOG.grub(FakeInstall(family, prepared.release, prepared.options), FakeNode(), URLS, "52:54:00:12:34:56")
    assert "/live.ign" in script
    hook = files(family, **sample(family, "full"))["install.sh"]
    assert not [line for line in hook.splitlines() if "logger" in line and TOKEN in line]
