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
from tests.oses.sandbox import Sandbox

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

DISKS = """\
mpx.vmhba32:C0:T0:L0:
   Display Name: Local USB Direct-Access (mpx.vmhba32:C0:T0:L0)
   Size: 15000
   Device Type: Direct-Access
   Model: Cruzer
   Is Local: true
   Is Removable: true
   Is SSD: false
   Is Pseudo: false
   Is USB: true
naa.60003ff44dc75adc8f57a3e3a8e5ea5b:
   Size: 4000000
   Device Type: Direct-Access
   Model: LUN 7
   Is Local: false
   Is Removable: false
   Is SSD: false
   Is Pseudo: false
   Is USB: false
t10.ATA_____Samsung_SSD_850_EVO___________S24BNXAG805065R_____:
   Size: 238475
   Device Type: Direct-Access
   Model: Samsung SSD 850
   Is Local: true
   Is Removable: false
   Is SSD: true
   Is Pseudo: false
   Is USB: false
   Other UIDs: vml.01000000005332344e
mpx.vmhba1:C0:T1:L0:
   Size: 953869
   Device Type: Direct-Access
   Model: WDC WD10EZEX
   Is Local: true
   Is Removable: false
   Is SSD: false
   Is Pseudo: false
   Is USB: false
   Other UIDs: vml.010000000057442d313233
mpx.vmhba0:C0:T0:L0:
   Size: 0
   Device Type: CD-ROM
   Model: DVD
   Is Local: true
   Is Removable: true
"""
SSD = "t10.ATA_____Samsung_SSD_850_EVO___________S24BNXAG805065R_____"
HDD = "mpx.vmhba1:C0:T1:L0"
LUN = "naa.60003ff44dc75adc8f57a3e3a8e5ea5b"

NICS = """\
Name    PCI Device    Driver  Admin Status  Link Status  Speed  Duplex  MAC Address         MTU  Description
vmnic0  0000:02:00.0  ntg3    Up            Up            1000  Full    52:54:00:12:34:56  1500  Broadcom
vmnic1  0000:02:00.1  ntg3    Up            Up            1000  Full    52:54:00:AA:BB:CC  1500  Broadcom
"""
SWITCH_LIST = """\
vSwitch0
   Name: vSwitch0
   Uplinks: vmnic1, vmnic0
   Portgroups: VM Network, Management Network
"""


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
    assert (
        f"\nimgfetch --name mboot.c32 {tree}/mboot.c32 || goto again\nimgexec mboot.c32 -c {config} BOOTIF=01-${{netX/mac:hexhyp}} ||"
        in boot
    )
    assert f"\nkernel --name bootx64.efi {tree}/efi/boot/bootx64.efi -c {config} || goto again\nboot || goto failed\n" in boot
    assert boot.index("imgexec probe.c32 || goto nocomboot") < boot.index("imgexec mboot.c32")
    assert "built without COMBOOT" in boot
    assert "status=fail&message=This+iPXE+cannot+start+mboot.c32" in boot


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
        ({"rootPassword": None}, "rootPassword or rootPasswordHash"),
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


# hooks


def sandbox(tmp_path: Path, **settings: Any) -> Sandbox:
    """A machine whose shell and tools are busybox's, as on ESXi."""
    made = Sandbox(tmp_path, shell="busybox sh", **settings)
    (made.root / "etc/rc.local.d").mkdir(parents=True)
    (made.root / "sbin").mkdir()
    (made.root / "sbin/auto-backup.sh").write_text("#!/bin/sh\n")
    (made.root / "sbin/auto-backup.sh").chmod(0o755)
    (made.root / "etc/rc.local.d/local.sh").write_text("#!/bin/sh\n# local configuration options\nexit 0\n")
    (made.root / "etc/shadow").write_text("root:x:1:0:99999:7:::\n")
    made.fake("localcli", f"case $* in *'device list'*) cat <<'END'\n{DISKS}END\n;; esac\n")
    made.fake(
        "esxcli",
        f"""case $* in
"network nic list") cat <<'END'
{NICS}END
;;
"network vswitch standard list") cat <<'END'
{SWITCH_LIST}END
;;
"system account add"*)
	shift 3
	while [ $# -gt 0 ]; do if [ "$1" = -i ]; then echo "$2:x:2:0:99999:7:::" >>"$PXED_ROOT/etc/shadow"; fi; shift; done ;;
*ruleset*) ;;
*"$BREAKS"*) echo "no such thing" >&2; exit 1 ;;
esac
""".replace("$BREAKS", "vmk9"),
    )
    for name in ("vim-cmd", "reboot", "chkconfig"):
        made.fake(name, "")
    return made


needs_busybox = pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed")


@needs_busybox
@pytest.mark.parametrize(
    ("disk", "chosen"),
    [
        ({"serial": "S24BNXAG805065R"}, SSD),
        ({"serial": "WD-123"}, HDD),
        ({"wwn": "0x60003FF44DC75ADC8F57A3E3A8E5EA5B"}, LUN),
        ({"model": "wd10"}, HDD),
        ({"size": "ssd"}, SSD),
        ({"size": "largest"}, LUN),
        ({"size": "smallest"}, SSD),
        ({"size": "first"}, SSD),
        ({"index": 1}, HDD),
        ({"index": 2}, LUN),
    ],
)
def test_a_disk_is_chosen_on_the_node(tmp_path: Path, disk: dict[str, Any], chosen: str) -> None:
    box = sandbox(tmp_path)
    made = files(installDisk=disk)
    assert box.run(made["pre.sh"]).returncode == 0
    commands = script((box.root / "tmp/pxed-disk.cfg").read_text())[0]
    assert commands == {"clearpart": [f"--drives={chosen}", "--overwritevmfs"], "install": [f"--disk={chosen}", "--overwritevmfs"]}
    assert [(phase, status) for phase, status, _ in box.told()] == [("started", "ok")]


@needs_busybox
def test_no_disk_that_fits_ends_the_install_with_a_list(tmp_path: Path) -> None:
    box = sandbox(tmp_path)
    assert box.run(files(installDisk={"serial": "nope"})["pre.sh"]).returncode == 1
    phase, status, message = box.told()[-1]
    assert (phase, status) == ("installed", "fail")
    assert "mpx.vmhba1" in message
    assert not (box.root / "tmp/pxed-disk.cfg").exists()


@needs_busybox
def test_the_first_boot_sets_up_all_that_was_asked_and_restarts(tmp_path: Path) -> None:
    box = sandbox(tmp_path)
    made = rendered("8", "full")
    box.serve({"local.sh": made["local.sh"]})
    assert box.run(made["firstboot.sh"]).returncode == 0
    asked = [call.arguments for call in box.calls("esxcli")]
    assert ("network", "vswitch", "standard", "uplink", "remove", "-u", "vmnic1", "-v", "vSwitch0") in asked
    assert ("network", "vswitch", "standard", "uplink", "add", "-u", "vmnic1", "-v", "vSwitchData") in asked
    assert ("system", "ntp", "set", "-s", "ntp1.example.com", "-s", "10.0.2.3", "-e", "true") in asked
    assert ("system", "permission", "set", "-i", "ann", "-r", "Admin") in asked
    shadow = dict(line.split(":", 2)[:2] for line in (box.root / "etc/shadow").read_text().splitlines())
    assert verifies(SECRET, shadow["ann"])
    assert shadow["root"] == "x"
    assert SECRET not in str(asked)
    assert (box.root / "etc/ssh/keys-ann/authorized_keys").read_text().startswith("ssh-ed25519 ")
    assert box.told()[-1][:2] == ("configured", "ok")
    assert [call.arguments for call in box.calls("reboot")] == [("-d", "10")]


@needs_busybox
@pytest.mark.parametrize("fails", [False, True])
def test_the_next_boot_reports_and_local_sh_is_as_it_was(tmp_path: Path, fails: bool) -> None:
    box = sandbox(tmp_path)
    made = files(scripts={"firstboot": ["exit 3" if fails else "true"]}, onScriptFailure="fail")
    box.serve({"local.sh": made["local.sh"]})
    box.run(made["firstboot.sh"])
    local = box.root / "etc/rc.local.d/local.sh"
    assert "# pxed begin" in local.read_text()
    box.run(
        local.read_text() + "\nwait\n" if "exit 0" not in local.read_text() else local.read_text().replace("\nexit 0\n", "\nwait\nexit 0\n")
    )
    assert local.read_text() == "#!/bin/sh\n# local configuration options\nexit 0\n"
    (url,) = [call.url for call in box.calls("wget") if "/notify/booted" in call.url]
    assert ("trouble=1" in url) == fails
    assert ("scripts.firstboot" in url) == fails


@needs_busybox
def test_hostile_commands_arrive_byte_for_byte_and_break_nothing(tmp_path: Path) -> None:
    box = sandbox(tmp_path)
    made = rendered("8", "hostile")
    box.serve({"local.sh": made["local.sh"]})
    for name in ("pre.sh", "post.sh", "firstboot.sh"):
        box.run(made[name].replace('sh "$root/tmp/pxed-command"', 'cat "$root/tmp/pxed-command" >>"$root/tmp/seen"'))
    seen = (box.root / "tmp/seen").read_bytes().decode()
    assert seen == "".join(command + "\n" for command in sample("esxi", "hostile")["scripts"]["firstboot"])
    assert box.pwned() == []


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
