"""Photon's scripts run for real, and an installer is walked through its files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pxed.oses.photon import PHOTON
from pxed.scripted import ScriptedNode
from tests.oses.families import sample
from tests.oses.samples import HOSTILE, SECRET, TOKEN, verifies
from tests.oses.sandbox import FAKES, Sandbox
from tests.oses.test_photon import EVERY_RELEASE, GRUB_CFG, SDA, InstallerEnded, files, installer, kernel_line, machine

BY_SERIAL: dict[str, Any] = {"installDisk": {"serial": "WD-123"}}


# the scripts and the walk


@EVERY_RELEASE
def test_a_node_installs_itself_and_its_first_boot_says_so(release: str, tmp_path: Path) -> None:
    """Every word that the scripts say is said to a pxed that was killed just before."""
    options: dict[str, Any] = {**(BY_SERIAL if release == "5" else SDA), "scripts": {"firstboot": ['echo ran >>"$PXED_ROOT/ran"']}}
    box = machine(tmp_path, release, **options)
    node = ScriptedNode(PHOTON.recipe)
    if release != "5":
        node.kill()
        node.say("started")  # by the boot script
    config = installer(box, release, kernel_line(release, **options))
    assert config["disk"] == "/dev/sda"
    assert (box.root / "etc/systemd/system/multi-user.target.wants/pxed-firstboot.service").is_symlink()
    home = box.root / "usr/local/lib/pxed"
    assert box.run((home / "firstboot").read_text()).returncode == 0
    said = [*box.told(), *curled(box)]
    assert [phase for phase, _, _ in said] == [*(["started"] if release == "5" else []), "installed", "booted"]
    for phase, status, message in said:
        node.kill()
        node.say(phase, status, message)
        node.check()
        assert node.boots.kind == ("silent" if phase == "started" else "disk")
    assert node.state == "done"
    assert (box.root / "ran").read_text() == "ran\n"
    assert not home.exists()


def curled(box: Sandbox) -> list[tuple[str, str, str]]:
    found = [re.search(r"/notify/(\w+)\?status=(\w+)&message=(\S*)", call.url) for call in box.calls("curl")]
    return [(each[1], each[2], each[3].replace("+", " ")) for each in found if each]


@pytest.mark.slow
def test_the_disk_is_chosen_on_the_node_and_a_former_systems_volumes_are_let_go(tmp_path: Path) -> None:
    box = machine(tmp_path, **BY_SERIAL)
    box.fake("pvs", 'printf "  /dev/sda2 old\\n  /dev/sdaa1 other\\n  /dev/sdb1 more\\n  /dev/sda3\\n"\n')
    installer(box, "5", kernel_line(**BY_SERIAL))
    assert [call.arguments for call in box.calls("vgchange")] == [("-an", "old")]
    (watch,) = box.calls("setsid")
    assert watch.arguments[:2] == ("sh", f"{box.root}/tmp/pxed-watch.sh")
    assert watch.arguments[2].isdigit()


@pytest.mark.slow
def test_a_namespace_of_nvme_is_not_taken_for_a_partition_of_another(tmp_path: Path) -> None:
    options: dict[str, Any] = {"installDisk": {"size": "smallest"}}
    box = machine(tmp_path, **options)
    box.fake("pvs", 'printf "/dev/nvme0n1p2 old\\n/dev/nvme0n12p1 other\\n/dev/nvme0n12 whole\\n"\n')
    assert installer(box, "5", kernel_line(**options))["disk"] == "/dev/nvme0n1"
    assert [call.arguments for call in box.calls("vgchange")] == [("-an", "old")]


def test_without_a_disk_that_fits_the_installer_ends_and_says_so(tmp_path: Path) -> None:
    options: dict[str, Any] = {"installDisk": {"serial": "other"}}
    box = machine(tmp_path, **options)
    with pytest.raises(InstallerEnded, match=r"dynamic value=\$pxed_"):
        installer(box, "5", kernel_line(**options))
    phase, status, text = box.told()[-1]
    assert (phase, status) == ("installed", "fail")
    assert "no disk of this machine fits the option disk it has: nvme0n1" in text
    assert not box.calls("setsid") + box.calls("vgchange")


@pytest.mark.slow
def test_an_appliance_that_is_away_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    box = machine(tmp_path, refuse=0, **BY_SERIAL)
    box.fake("wget", FAKES["wget"].replace("$REFUSE", "5"))
    installer(box, "5", kernel_line(**BY_SERIAL))
    assert box.told()[-1][:2] == ("installed", "ok")
    assert len(box.calls("setsid")) == 1


def ended_pid() -> int:
    ended = subprocess.Popen(["true"])
    ended.wait()
    return ended.pid


LOGS = {
    "a disk that cannot be cleared": (
        "2026-01-01 10:00:00,000 - Executing: m_preinstall\n"
        "2026-01-01 10:00:01,000 - Exception('Failed clearing disk /dev/sda')\n"
        "Traceback (most recent call last):\n  File installer.py\nException: Failed clearing disk /dev/sda\n",
        "Photon s installer has failed: Exception Failed clearing disk /dev/sda Exception: Failed clearing disk /dev/sda",
    ),
    "a configuration that is refused": (
        "2026-01-01 10:00:01,000 - Unknown install_config keys: services\n",
        "Photon s installer has ended without finishing: Unknown install_config keys: services",
    ),
    "packages that are not there": (
        "2026-01-01 10:00:01,000 - Error(1011) : No matching packages\n2026-01-01 10:00:01,100 - Failed to install some packages\n"
        "2026-01-01 10:00:01,200 - Exception('Installer failed')\nTraceback (most recent call last):\nException: Installer failed\n",
        "Photon s installer has failed: Error 1011 : No matching packages Failed to install some packages",
    ),
    "a failure after our last word": (
        "2026-01-01 10:00:00,000 - pxed: the system is installed\n\nTraceback (most recent call last):\nAssertionError: machine-id\n",
        "Photon s installer has failed: AssertionError: machine-id",
    ),
    "nothing that sounds like a failure": (
        "2026-01-01 10:00:00,000 - Executing: m_locale\n",
        "Photon s installer has ended without finishing: 2026-01-01 10:00:00,000 - Executing: m_locale",
    ),
}


@pytest.mark.parametrize("case", LOGS)
def test_a_failing_installer_is_quoted(case: str, tmp_path: Path) -> None:
    box = machine(tmp_path)
    (box.root / "var/log").mkdir(parents=True)
    (box.root / "var/log/installer.log").write_text(LOGS[case][0])
    assert box.run(f"set -- {ended_pid()}\n{files()['watch.sh']}").returncode == 0
    ((phase, status, text),) = box.told()
    assert (phase, status) == ("installed", "fail")
    assert " ".join(text.split()) == LOGS[case][1]


@pytest.mark.slow
def test_an_installer_that_has_finished_is_left_in_peace(tmp_path: Path) -> None:
    box = machine(tmp_path, **BY_SERIAL)
    installer(box, "5", kernel_line(**BY_SERIAL))
    before = len(box.told())
    assert box.run(f"set -- {ended_pid()}\n{files()['watch.sh']}").returncode == 0
    assert len(box.told()) == before


@pytest.mark.slow
def test_the_new_system_gets_its_network_clock_accounts_and_services(tmp_path: Path) -> None:
    options = {name: value for name, value in sample("photon", "full").items() if name != "scripts"}
    box = machine(tmp_path, **options)
    installer(box, "5", kernel_line(**options))
    assert "Address=10.0.2.50/24" in box.target("/etc/systemd/network/20-pxed-eth0.network")
    assert box.target("/etc/systemd/resolved.conf.d/pxed.conf") == "[Resolve]\nDNS=10.0.2.3 2001:db8::53\nDomains=example.com ~.\n"
    assert box.target("/etc/systemd/timesyncd.conf.d/pxed.conf") == "[Time]\nNTP=ntp1.example.com 10.0.2.3\n"
    assert str((box.root / "target/etc/localtime").readlink()) == "../usr/share/zoneinfo/Europe/Berlin"
    assert box.target("/etc/sudoers.d/pxed-ann") == "ann ALL=(ALL:ALL) ALL\n"
    assert box.mode("/etc/sudoers.d/pxed-ann") == 0o440
    asked = [call.arguments[1:] for call in box.calls("chroot")]
    assert ("systemctl", "enable", "docker") in asked
    assert ("systemctl", "disable", "iptables") in asked
    (hash_of_ann,) = [each[2] for each in asked if each[0] == "usermod" and each[-1] == "ann"]
    assert verifies(SECRET, hash_of_ann)
    assert box.told()[-1][2].rstrip() == "the Photon installer has finished"


@pytest.mark.slow
def test_kernel_arguments_are_added_to_the_menu_entry_and_to_nothing_else(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        **BY_SERIAL,
        "comport": "com1",
        "targetKernelArgs": 'mitigations=off a&b=|\\1$x "two words"'.replace("\\", "/"),
    }
    box = machine(tmp_path, **options)
    installer(box, "5", kernel_line(**options))
    added = " 'console=tty0' 'console=ttyS0,115200n8' 'mitigations=off' 'a&b=|/1$x' 'two words'"
    assert box.target("/boot/grub2/grub.cfg") == GRUB_CFG.replace("$systemd_cmdline\n", f"$systemd_cmdline{added}\n")


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["report", "fail"])
def test_what_a_failing_command_does_is_the_operators_choice(policy: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {**BY_SERIAL, "scripts": {"post": ["exit 7"]}, "onScriptFailure": policy}
    box = machine(tmp_path, run=True, **options)
    box.fake("chroot", f"shift\n{FAKES['in-target']}exit 7\n")
    installer(box, "5", kernel_line(**options))
    phase, status, text = box.told()[-1]
    assert (phase, status) == ("installed", "ok" if policy == "report" else "fail")
    assert "scripts.post 1 ended with status 7" in text


@pytest.mark.slow
@EVERY_RELEASE
def test_hostile_commands_arrive_unchanged(release: str, tmp_path: Path) -> None:
    options = sample("photon", "hostile")
    box = machine(tmp_path, release, **options)
    installer(box, release, kernel_line(release, **options))
    assert box.scripts == [command + "\n" for command in HOSTILE]
    assert not box.pwned()


def test_the_address_of_the_install_is_in_no_log_line() -> None:
    for name, text in files(**sample("photon", "full")).items():
        assert not [line for line in text.splitlines() if "logger" in line and TOKEN in line], name
