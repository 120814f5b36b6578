"""ESXi's hooks, run for real by the shell and the tools that it has: busybox's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.oses.families import sample
from tests.oses.samples import SECRET, verifies
from tests.oses.sandbox import Sandbox
from tests.oses.test_esxi import files, rendered, script

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
t10.NVMe____WDC2D1____2D2D000_Q_R_S:
   Size: 1000000
   Device Type: Direct-Access
   Model: WDC-1
   Is Local: false
   Is Removable: false
   Is SSD: true
   Is Pseudo: false
   Is USB: false
   Other UIDs: vml.0100000000574456422d3132
mpx.vmhba0:C0:T0:L0:
   Size: 0
   Device Type: CD-ROM
   Model: DVD
   Is Local: true
   Is Removable: true
"""
SSD = "t10.ATA_____Samsung_SSD_850_EVO___________S24BNXAG805065R_____"
NEW = "t10.NVMe____WDC2D1____2D2D000_Q_R_S"
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


def sandbox(tmp_path: Path, **settings: Any) -> Sandbox:
    """A machine whose shell and tools are busybox's, as on ESXi."""
    made = Sandbox(tmp_path, shell="busybox sh", **settings)
    equip(made)
    return made


def equip(made: Sandbox) -> None:
    """ESXi's files and commands, and its disks."""
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


needs_busybox = pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed")


@pytest.mark.slow
@needs_busybox
@pytest.mark.parametrize(
    ("disk", "chosen"),
    [
        ({"serial": "S24BNXAG805065R"}, SSD),
        ({"serial": "WD-123"}, HDD),
        ({"wwn": "0x60003FF44DC75ADC8F57A3E3A8E5EA5B"}, LUN),
        ({"wwn": "60003ff44dc75adc"}, LUN),
        ({"serial": "2d-000"}, NEW),
        ({"serial": "Q.R S"}, NEW),
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


@pytest.mark.slow
@needs_busybox
@pytest.mark.parametrize(
    "disk", [{"serial": "1"}, {"serial": "24BNXAG"}, {"serial": "WD"}, {"wwn": "e5"}, "60003", {"serial": "S24BNXAG805065"}]
)
def test_a_few_letters_of_a_name_are_not_its_disk(tmp_path: Path, disk: Any) -> None:
    """They may be in the name of any: the machine would lose a disk that nobody meant."""
    box = sandbox(tmp_path)
    assert box.run(files(installDisk=disk)["pre.sh"]).returncode == 1
    assert not (box.root / "tmp/pxed-disk.cfg").exists()
    assert box.told()[-1][:2] == ("installed", "fail")


@needs_busybox
def test_a_serial_number_that_two_disks_may_have_chooses_neither(tmp_path: Path) -> None:
    box = sandbox(tmp_path)
    box.fake("localcli", f"cat <<'END'\n{DISKS.replace('Samsung_SSD_850_EVO', 'WDC2D1')}END\n")
    assert box.run(files(installDisk={"serial": "WDC-1"})["pre.sh"]).returncode == 1
    assert "more than one disk" in box.told()[-1][2]


@needs_busybox
def test_no_disk_that_fits_ends_the_install_with_a_list(tmp_path: Path) -> None:
    box = sandbox(tmp_path)
    assert box.run(files(installDisk={"serial": "nope"})["pre.sh"]).returncode == 1
    phase, status, message = box.told()[-1]
    assert (phase, status) == ("installed", "fail")
    assert "mpx.vmhba1" in message
    assert not (box.root / "tmp/pxed-disk.cfg").exists()


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
