"""What ESXi's loader, installer and first boot are given. There is no validator for any of it: it is read here as VMware documents it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pxed.errors import InvalidRequest
from pxed.oses.catalog import Catalog
from pxed.oses.esxi import ESXI, PORTS, RELEASES
from pxed.testing import walk
from pxed.workflow.recipe import Notification
from pxed.workflow.replay import Done, Failed
from tests.oses.families import CASES, RESOURCES, sample
from tests.oses.samples import SECRET, URLS, FakeNode, verifies

CATALOG = Catalog(resources=RESOURCES)
EVERY = pytest.mark.parametrize(("release", "case"), [(release, case) for release in RELEASES for case in CASES])

COMMANDS = {
    "vmaccepteula", "accepteula", "clearpart", "install", "rootpw", "keyboard", "network", "reboot", "include", "%include", "serialnum"
}  # fmt: skip
SWITCHES = {
    "clearpart": {"--alldrives", "--firstdisk", "--drives", "--overwritevmfs"},
    "install": {
        "--disk", "--firstdisk", "--overwritevmfs", "--preservevmfs", "--novmfsondisk", "--forceunsupportedinstall"
    },
    "rootpw": {"--iscrypted"},
    "network": {"--bootproto", "--device", "--ip", "--netmask", "--gateway", "--nameserver", "--vlanid", "--hostname"},
    "reboot": {"--noeject"},
}  # fmt: skip
"""Of "Installation and Upgrade Script Commands"."""

HDD = "mpx.vmhba1:C0:T1:L0"
LUN = "naa.60003ff44dc75adc8f57a3e3a8e5ea5b"


@cache
def rendered(release: str, case: str) -> dict[str, str]:
    return CATALOG.preview(CATALOG.prepare("esxi", release, sample("esxi", case)), FakeNode(name="rack 1 ü"), URLS)


def files(release: str = "8", **options: Any) -> dict[str, str]:
    return CATALOG.preview(CATALOG.prepare("esxi", release, {"rootPassword": SECRET, **options}), FakeNode(), URLS)


def script(text: str) -> tuple[dict[str, list[str]], dict[str, str]]:
    """ks.cfg > (command > its words, section > its shell text), as the installer reads it."""
    commands: dict[str, list[str]] = {}
    sections: dict[str, str] = {}
    section = None
    for line in text.splitlines():
        if line.startswith("%") and not line.startswith("%include"):
            section = line.split()[0]
            sections[section] = ""
        elif section is not None:
            sections[section] += line + "\n"
        elif words := shlex.split(line, comments=True):
            assert words[0] not in commands, line
            commands[words[0]] = words[1:]
    return commands, sections


@EVERY
def test_ks_cfg_has_commands_and_options_that_the_installer_knows(release: str, case: str) -> None:
    commands, sections = script(rendered(release, case)["ks.cfg"])
    assert set(commands) <= COMMANDS
    for name, words in commands.items():
        if name in SWITCHES:
            assert {word.split("=")[0] for word in words if word.startswith("--")} <= SWITCHES[name]
    assert {"vmaccepteula", "rootpw", "network", "reboot"} <= set(commands)
    assert ("install" in commands) != ("%include" in commands)
    assert set(sections) == {"%pre", "%post", "%firstboot"}
    assert all(len(text.strip().splitlines()) == 1 for text in sections.values())


@EVERY
def test_the_root_hash_verifies(release: str, case: str) -> None:
    flag, hashed = script(rendered(release, case)["ks.cfg"])[0]["rootpw"]
    assert flag == "--iscrypted"
    assert verifies(str(sample("esxi", case)["rootPassword"]), hashed)


@EVERY
def test_boot_cfg_is_the_mediums_with_our_tree_and_answers(release: str, case: str) -> None:
    lines = dict(line.split("=", 1) for line in rendered(release, case)["boot.cfg"].splitlines() if line)
    assert lines["prefix"] == URLS.repo(f"esxi-{release[0]}")
    assert lines["kernel"] == "b.b00"
    assert lines["modules"] == "jumpstrt.gz --- useropts.gz --- k.b00 --- s.v00"
    words = lines["kernelopt"].split()
    assert {"runweasel", f"ks={URLS.answer('ks.cfg')}"} <= set(words)
    assert "cdromBoot" not in words
    serial = {"com2_baud=115200", "com2_Port=0x2f8", "tty2Port=com2", "gdbPort=none", "logPort=com2", "debugLogToSerial=1"}
    assert (serial <= set(words)) == (case != "minimal")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_warn_of(case: str, tmp_path: Path) -> None:
    for release in ("8", "6.0"):
        for name, text in rendered(release, case).items():
            if name.endswith(".sh"):
                (tmp_path / f"{release}-{name}").write_text(text)
    run = subprocess.run(
        ["shellcheck", "-s", "sh", "--severity=warning", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout, run.returncode) == ("", 0)


def test_bios_and_uefi_start_the_mediums_own_loader() -> None:
    boot = rendered("8", "minimal")["boot.ipxe"]
    tree, config = URLS.repo("esxi-8"), URLS.answer("boot.cfg")
    words = f"-c {config} -e BOOTIF=01-${{netX/mac:hexhyp}}"
    assert boot.startswith("#!ipxe\n")
    assert f"\nimgfetch --name mboot.c32 {tree}/mboot.c32 || goto again\nimgexec mboot.c32 {words} || goto failed\n" in boot
    assert f"\nkernel --name bootx64.efi {tree}/efi/boot/bootx64.efi {words} || goto again\nboot || goto failed\n" in boot
    assert boot.index("imgexec probe.c32 || goto nocomboot") < boot.index("imgexec mboot.c32")
    assert "built without COMBOOT" in boot
    assert "status=fail&message=This+iPXE+cannot+start+mboot.c32" in boot


def test_mboot_gives_up_after_an_error_instead_of_standing_there_for_ever() -> None:
    """By its command line, which holds before it has boot.cfg, where that is known to have the option; by boot.cfg everywhere."""
    for release, spoken in (("8", True), ("7", True), ("6.7", False), ("6.0", False)):
        made = rendered(release, "minimal")
        assert made["boot.ipxe"].count("/boot.cfg -e BOOTIF") == 2 * spoken
        assert "\nerrtimeout=30\n" in made["boot.cfg"]


def test_the_nic_that_was_chosen_is_the_installers_on_either_firmware() -> None:
    boot = files("8", installInterface="52:54:00:AA:BB:CC")["boot.ipxe"]
    assert boot.count(" BOOTIF=01-52-54-00-aa-bb-cc ||") == 2


# the medium


def test_without_its_medium_an_install_is_refused_when_it_is_created() -> None:
    for options in ({}, {"repo": "http://mirror.example.com/esxi"}, {"repo": "other"}):
        with pytest.raises(InvalidRequest, match=r"its BOOT\.CFG: add the image") as caught:
            CATALOG.prepare("esxi", "8", {"rootPassword": SECRET, **options}) if options else Catalog().prepare(
                "esxi", "8", {"rootPassword": SECRET}
            )
        assert caught.value.field == "options.repo"


def test_a_medium_of_another_release_is_refused() -> None:
    from pxed.oses.family import Resources

    medium = {**RESOURCES.media("esxi-6"), "version": "6.7.0"}
    catalog = Catalog(resources=Resources(media=lambda _: medium))
    with pytest.raises(InvalidRequest, match=r"holds ESXi 6\.7\.0, not 6\.5"):
        catalog.prepare("esxi", "6.5", {"rootPassword": SECRET})
    assert catalog.prepare("esxi", "6", {"rootPassword": SECRET}).release == "6.7"


# options


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rootPassword": None}, "a password, or rootPasswordHash"),
        ({"users": [{"name": "a", "uid": 1000}]}, "the user a without uid"),
        ({"users": [{"name": "a", "passwordHash": "$y$j9T$" + "a" * 40}]}, "begin with"),
        ({"installDisk": "/dev/sda"}, "as ESXi names it"),
        ({"clearDisk": "some"}, "alldrives"),
        ({"scripts": {"post": ["x"]}}, "scripts.firstboot"),
        ({"keyboard": "xx"}, "a keyboard that ESXi has"),
        ({"packages": ["vim"]}, "ESXi has no packages"),
        ({"installPartitions": []}, "divides its disk itself"),
        ({"timezone": "UTC"}, "in UTC"),
    ],
)
def test_what_esxi_cannot_do_is_refused_by_name(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        files(**options)


@pytest.mark.parametrize(
    ("options", "clear", "install"),
    [
        ({}, ["--firstdisk", "--overwritevmfs"], ["--firstdisk", "--overwritevmfs"]),
        ({"installDisk": "firstdisk=local"}, ["--firstdisk=local", "--overwritevmfs"], ["--firstdisk=local", "--overwritevmfs"]),
        (
            {"installDisk": HDD, "vmfs": "none"},
            [f"--drives={HDD}", "--overwritevmfs"],
            [f"--disk={HDD}", "--overwritevmfs", "--novmfsondisk"],
        ),
        ({"installDisk": f"/vmfs/devices/disks/{LUN}", "vmfs": "preserve"}, None, [f"--disk={LUN}", "--preservevmfs"]),
        ({"clearDisk": "alldrives"}, ["--alldrives", "--overwritevmfs"], ["--firstdisk", "--overwritevmfs"]),
    ],
)
def test_disks_by_esxis_own_names(options: dict[str, Any], clear: list[str] | None, install: list[str]) -> None:
    commands = script(files(**options)["ks.cfg"])[0]
    assert commands.get("clearpart") == clear
    assert commands["install"] == install


def test_the_first_device_is_the_installers_nic() -> None:
    words = script(rendered("8", "full")["ks.cfg"])[0]["network"]
    assert words == [
        "--bootproto=static", "--device=vmnic0", "--ip=10.0.2.50", "--netmask=255.255.255.0", "--gateway=10.0.2.2", "--nameserver=10.0.2.3",
        "--vlanid=104", "--hostname=esx1.example.com",
    ]  # fmt: skip
    assert script(rendered("8", "minimal")["ks.cfg"])[0]["network"] == ["--bootproto=dhcp"]


def test_a_second_gateway_needs_esxi_6_5() -> None:
    devices = [{"device": "vmnic0"}, {"device": "vmnic1", "ipv4": {"ipAddr": "10.1.0.2", "prefixlen": 24, "gateway": "10.1.0.1"}}]
    assert "'-g' '10.1.0.1'" in files("6.5", networkDevices=devices)["firstboot.sh"]
    with pytest.raises(InvalidRequest, match="one gateway"):
        files("6.0", networkDevices=devices)


# recipe


def test_a_first_boot_that_secure_boot_forbids_is_proven_by_its_ports() -> None:
    recipe = ESXI.recipe
    silent = {"booted": "'booted' did not come"}
    seen = Notification("configured", proof=f"TCP port {PORTS[0]} answers")
    assert isinstance(walk(recipe, {**silent, "configured": seen}).outcome, Done)
    assert isinstance(walk(recipe, silent).outcome, Failed)


def test_trouble_of_the_first_boot_fails_the_install_if_that_was_asked() -> None:
    told = Notification("booted", message="scripts.firstboot 1 ended with status 3", data={"trouble": "1"})
    assert walk(ESXI.recipe, {"booted": told}).outcome == Failed("scripts.firstboot 1 ended with status 3")
