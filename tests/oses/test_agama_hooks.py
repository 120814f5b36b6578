"""Agama's hooks run for real, and an installer is walked through its files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.oses.families import CASES, sample
from tests.oses.samples import HOSTILE, KEY, SECRET, TOKEN, verifies
from tests.oses.sandbox import FAKES, Sandbox
from tests.oses.test_agama import LVM, case_files, files, profile


def machine(folder: Path, *, refuse: int = 0, run: bool = False) -> Sandbox:
    """A machine in the hands of Agama's live system, whose target is below /mnt."""
    box = Sandbox(folder, refuse=refuse, run=run)
    box.disk("sda", gigabytes=500, udev="ID_SERIAL_SHORT=WD-123\n")
    box.disk("vda", gigabytes=40)
    (box.root / "mnt").symlink_to("target")
    (box.root / "run/pxed").mkdir(parents=True)
    (box.root / "proc/self").mkdir(parents=True)
    (box.root / "proc/self/cgroup").write_text("0::/system.slice/agama-autoinstall.service\n")
    box.fake("chroot", "shift\n" + FAKES["in-target"])
    for name in ("systemd-run", "systemctl", "journalctl"):
        box.fake(name, "")
    return box


# prepare.sh


def prepare(folder: Path, *, refuse: int = 0, **options: Any) -> tuple[Sandbox, int]:
    box = machine(folder, refuse=refuse)
    written = files("leap", **options)
    box.serve(written)
    ended = box.run(written["prepare.sh"])
    assert ended.stderr == ""
    return box, ended.returncode


def profile_of(box: Sandbox) -> Path:
    return box.root / "run/pxed/autoinst.json"


@pytest.mark.slow
@pytest.mark.parametrize("case", [*CASES, "lvm"])
def test_the_disk_is_put_into_the_profile_on_the_node_and_nothing_else_changes(tmp_path: Path, case: str) -> None:
    options = LVM if case == "lvm" else sample("leap", case)
    box, status = prepare(tmp_path, **options)
    assert status == 0
    assert box.told() == [("started", "ok", "Agama runs")]
    found, before = json.loads(profile_of(box).read_text()), json.loads(files("leap", **options)["profile.json"])
    assert found["storage"]["drives"][0].pop("search") == "/dev/sda"
    assert before["storage"]["drives"][0].pop("search") == "/dev/pxed-disk"
    assert found == before


@pytest.mark.slow
def test_what_goes_on_beside_agama_is_started_before_there_is_a_profile(tmp_path: Path) -> None:
    box, _ = prepare(tmp_path)
    log, watch = (call.arguments for call in box.calls("systemd-run"))
    assert log[-1] == "journalctl -f -n 200 -o cat -u 'agama*' | logger -n 10.0.2.2 -P 514 -d -t agama"
    assert watch[2:] == ("--unit=pxed-watch", "sh", f"{box.root}/run/pxed/watch.sh", "agama-autoinstall.service")
    (box, _) = prepare(tmp_path / "quiet", remoteLogging=False)
    assert len(box.calls("systemd-run")) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "refuse", "message"),
    [
        ({"disk": {"serial": "nobody"}}, 0, "no disk of this machine fits the option disk it has: sda"),
        ({}, 14, "the installer could not fetch say.sh"),
    ],
)
def test_without_a_disk_or_a_hook_there_is_no_profile_and_so_no_installation(
    tmp_path: Path, options: dict[str, Any], refuse: int, message: str
) -> None:
    box, status = prepare(tmp_path, refuse=refuse, **options)
    assert status == 1
    (phase, said, text) = box.told()[-1]
    assert (phase, said) == ("installed", "fail")
    assert text.startswith(message)
    assert [call.arguments for call in box.calls("systemctl")] == [("reboot",)]
    assert not profile_of(box).exists()


# watch.sh


def watch(folder: Path, states: str, *, finished: bool = False) -> Sandbox:
    box = machine(folder)
    (folder / "states").write_text(states)
    box.fake("systemctl", f"sed -n 1p {folder}/states\nsed -i 1d {folder}/states\n")
    box.fake("journalctl", "printf 'No disk.\\nGave up.\\n'\n")
    if finished:
        (box.root / "run/pxed/finished").touch()
    ended = box.run(files("sles")["watch.sh"].replace("unit=$1", "unit=agama-autoinstall.service"))
    assert (ended.returncode, ended.stderr) == (0, "")
    return box


def test_an_agama_that_ends_without_our_last_script_has_failed_and_says_why(tmp_path: Path) -> None:
    box = watch(tmp_path / "a", "start-pre\nrunning\nrunning\nfailed\n")
    assert box.told() == [("installed", "fail", "Agama has stopped without installing: No disk. Gave up. ")]
    assert len(box.calls("systemctl")) == 4
    assert watch(tmp_path / "b", "dead\n", finished=True).told() == []


# post.sh


def post(folder: Path, family: str = "leap", *, refuse: int = 0, run: bool = False, **options: Any) -> Sandbox:
    box = machine(folder, refuse=refuse, run=run)
    (box.root / "target/usr/bin").mkdir(parents=True)
    (box.root / "target/usr/bin/firewall-offline-cmd").touch()
    (box.root / "target/usr/lib/systemd/system").mkdir(parents=True)
    (box.root / "target/usr/lib/systemd/system/firewalld.service").touch()
    (box.root / "target/etc/NetworkManager/system-connections").mkdir(parents=True)
    (box.root / "target/etc/NetworkManager/system-connections/installer.nmconnection").touch()
    written = files(family, **options)
    box.serve(written)
    ended = box.run(written["post.sh"])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert box.pwned() == []
    return box


def runs(box: Sandbox) -> list[tuple[str, ...]]:
    return [call.arguments[1:] for call in box.calls("chroot")]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sles", "leap"])
def test_post_makes_network_clock_accounts_and_a_first_boot(tmp_path: Path, family: str) -> None:
    box = post(tmp_path, family, **sample(family, "full"))
    names = sorted(path.name for path in (box.root / "target/etc/NetworkManager/system-connections").iterdir())
    assert names == [f"pxed-{name}.nmconnection" for name in ("eth0", "eth2.104", "eth2.105", "eth2", "eth3", "nic1")]
    assert box.mode("/etc/NetworkManager/system-connections/pxed-eth0.nmconnection") == 0o600
    assert "mac-address=52:54:00:aa:bb:cc\n" in box.target("/etc/NetworkManager/system-connections/pxed-nic1.nmconnection")
    dns = box.target("/etc/NetworkManager/conf.d/pxed-dns.conf")
    assert dns == "[global-dns]\nsearches=example.com\n\n[global-dns-domain-*]\nservers=10.0.2.3,2001:db8::53\n"
    assert box.target("/etc/chrony.d/pxed.conf") == "server ntp1.example.com iburst\nserver 10.0.2.3 iburst\n"
    assert 'HTTP_PROXY="http://user:pr0xysecret@10.0.2.3:3128"\n' in box.target("/etc/sysconfig/proxy")
    assert box.mode("/etc/sysconfig/proxy") == 0o600
    ran = runs(box)
    switched = [run[1:] for run in ran if run[0] == "systemctl"]
    assert switched == [
        *(("enable", name) for name in ("sshd", "chronyd", "firewalld", "rsyslog")),
        *(("disable", name) for name in ("postfix", "cups.service")),
    ]
    assert ("firewall-offline-cmd", "--add-service=ssh") in ran
    assert ("useradd", "-m", "-U", "-d", "/home/ann", "-s", "/bin/bash", "-c", "Ann O'Nym", "-u", "1010", "ann") in ran
    (root,) = [run for run in ran if run[0] == "usermod" and run[-1] == "root"]
    assert verifies(SECRET, root[2])
    assert box.target("/root/.ssh/authorized_keys") == KEY + "\n"
    assert box.target("/etc/sudoers.d/pxed-own-ann") == "Defaults:ann !targetpw\n"
    assert box.target("/usr/local/lib/pxed/firstboot") == files(family, **sample(family, "full"))["firstboot.sh"]
    assert (box.root / "target/etc/systemd/system/multi-user.target.wants/pxed-firstboot.service").is_symlink()
    assert box.told() == [("installed", "ok", "Agama has installed the system")]


def test_without_network_devices_the_installers_own_connection_stays(tmp_path: Path) -> None:
    box = post(tmp_path, disableServices=["sshd"])
    assert (box.root / "target/etc/NetworkManager/system-connections/installer.nmconnection").exists()
    assert [run for run in runs(box) if run[0] in ("systemctl", "firewall-offline-cmd")] == [("systemctl", "disable", "sshd")]


def test_the_firewall_can_be_switched_off(tmp_path: Path) -> None:
    assert ("systemctl", "disable", "firewalld") in runs(post(tmp_path, firewall=False))


def test_labels_are_set_where_the_system_has_a_policy(tmp_path: Path) -> None:
    contexts = "etc/selinux/targeted/contexts/files"
    box = machine(tmp_path)
    (box.root / "target" / contexts).mkdir(parents=True)
    (box.root / "target" / contexts / "file_contexts").touch()
    written = files("sles")
    box.serve(written)
    assert box.run(written["post.sh"]).returncode == 0
    labelled = [run[-1] for run in runs(box) if run[0] == "setfiles"]
    assert {"/usr/local/lib/pxed", "/etc/systemd/system", "/root"} <= set(labelled)


@pytest.mark.slow
def test_hostile_commands_arrive_unchanged(tmp_path: Path) -> None:
    assert post(tmp_path, "sles", **sample("sles", "hostile")).scripts == [command + "\n" for command in HOSTILE]


@pytest.mark.slow
def test_a_command_that_fails_is_told_or_fails_the_install(tmp_path: Path) -> None:
    for number, (choice, status) in enumerate((("report", "ok"), ("fail", "fail"))):
        box = post(tmp_path / str(number), run=True, scripts={"post": ["exit 3"]}, onScriptFailure=choice)
        assert box.told() == [("installed", status, " scripts.post 1 ended with status 3.")]


def test_an_appliance_that_does_not_answer_fails_the_install(tmp_path: Path) -> None:
    assert post(tmp_path, refuse=7).told() == [("installed", "fail", "the installer could not fetch firstboot.sh")]


# The installer, walked through its files


@pytest.mark.parametrize("family", ["sles", "leap"])
def test_an_installer_that_follows_its_files_gets_to_its_end(tmp_path: Path, family: str) -> None:
    """Agama runs inst.script, reads what inst.auto names, and runs the scripts in it; each of them fetches and runs ours."""
    written = case_files(family, "full")
    (script,) = re.findall(r"inst\.script=(\S+)", written["boot.ipxe"])
    assert urlsplit(script).path == f"/i/{TOKEN}/prepare.sh"
    (auto,) = re.findall(r"inst\.auto=file://(\S+)", written["boot.ipxe"])
    box = machine(tmp_path, refuse=1)
    box.serve(written)
    assert box.run(written[script.rsplit("/", 1)[1]]).returncode == 0
    found = profile((box.root / auto.lstrip("/")).read_text())
    assert found.storage.drives[0].search == "/dev/sda"
    for each in (*found.scripts.postPartitioning, *found.scripts.post):
        ended = box.run(each.content.replace("/run/pxed", f"{box.root}/run/pxed"))
        assert (ended.returncode, ended.stderr) == (0, "")
    assert [told[:2] for told in box.told()] == [("started", "ok"), ("started", "ok"), ("installed", "ok")]  # the first was refused
    progress = [call.url for call in box.calls("wget") if "/progress?" in call.url]
    assert [re.findall(r"percent=(\d+)", url)[0] for url in progress] == ["10", "20", "85", "95"]
    assert (box.root / "run/pxed/finished").exists()


def test_the_address_of_the_install_is_in_no_log_line() -> None:
    for name, text in case_files("sles", "full").items():
        if name.endswith(".sh"):
            assert not [line for line in text.splitlines() if "logger" in line and TOKEN in line]
