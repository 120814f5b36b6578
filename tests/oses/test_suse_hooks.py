"""AutoYaST's scripts run for real, and an installer is walked through its files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pxed.oses.catalog import Urls
from tests.oses.families import sample
from tests.oses.samples import HOSTILE, KEY, SECRET, TOKEN, URLS, FakeNode, verifies
from tests.oses.sandbox import Sandbox
from tests.oses.test_suse import CATALOG, EVERY_RELEASE, case_files, files, machine, scripts

# pre.sh


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"disk": {"serial": "nobody"}}, "no disk of this machine fits the option disk it has: sda"),
        ({"networkDevices": [{"device": "52:54:00:00:00:99"}]}, "this machine has no network interface 52:54:00:00:00:99"),
    ],
)
def test_what_the_machine_lacks_ends_the_install_before_anything_is_touched(tmp_path: Path, options: Any, words: str) -> None:
    box = machine(tmp_path)
    written = files("leap", "15", **options)
    (box.root / "tmp/profile/autoinst.xml").write_text(written["autoinst.xml"])
    assert box.run(written["pre.sh"]).returncode == 1
    (phase, status, message) = box.told()[-1]
    assert (phase, status) == ("installed", "fail")
    assert message.startswith(words)
    assert not (box.root / "tmp/profile/modified.xml").exists()


# post.sh


def post(folder: Path, family: str, release: str, *, refuse: int = 0, run: bool = False, **options: Any) -> Sandbox:
    box = machine(folder, refuse=refuse, run=run)
    box.hook(files(family, release, **options), "post.sh")
    return box


@pytest.mark.slow
@EVERY_RELEASE
def test_post_makes_accounts_and_a_first_boot_that_waits_for_stage_2(tmp_path: Path, family: str, release: str) -> None:
    box = post(tmp_path, family, release, **sample(family, "full"))
    runs = [call.arguments[1:] for call in box.calls("chroot")]
    assert ("useradd", "-m", "-U", "-d", "/home/ann", "-s", "/bin/bash", "-c", "Ann O'Nym", "-u", "1010", "ann") in runs
    (ann,) = [run for run in runs if run[0] == "usermod" and run[-1] == "ann"]
    assert verifies(SECRET, ann[2])
    assert box.target("/root/.ssh/authorized_keys") == KEY + "\n"
    assert box.target("/etc/sudoers.d/pxed-ann") == "ann ALL=(ALL:ALL) ALL\n"
    assert box.target("/etc/sudoers.d/pxed-own-ann") == "Defaults:ann !targetpw\n"
    assert box.mode("/etc/sudoers.d/pxed-own-ann") == 0o440
    assert box.target("/usr/local/lib/pxed/firstboot") == files(family, release, **sample(family, "full"))["firstboot.sh"]
    assert "After=YaST2-Second-Stage.service" in box.target("/etc/systemd/system/pxed-firstboot.service.d/stage2.conf")
    assert (box.root / "target/etc/systemd/system/multi-user.target.wants/pxed-firstboot.service").is_symlink()
    assert box.told() == [("installed", "ok", "YaST has finished stage 1")]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("visudo"), reason="visudo is not installed")
def test_sudo_takes_the_rules(tmp_path: Path) -> None:
    box = post(tmp_path, "leap", "15", **sample("leap", "full"))
    for file in sorted((box.root / "target/etc/sudoers.d").iterdir()):
        subprocess.run(["visudo", "-c", "-f", file], check=True, capture_output=True, timeout=30)


@pytest.mark.slow
def test_hostile_commands_arrive_unchanged(tmp_path: Path) -> None:
    box = post(tmp_path, "sles", "15", **sample("sles", "hostile"))
    assert box.scripts == [command + "\n" for command in HOSTILE]


@pytest.mark.slow
def test_a_command_that_fails_is_told_or_fails_the_install(tmp_path: Path) -> None:
    for number, (choice, status) in enumerate((("report", "ok"), ("fail", "fail"))):
        box = post(tmp_path / str(number), "leap", "15", run=True, scripts={"post": ["exit 3"]}, onScriptFailure=choice)
        assert box.told() == [("installed", status, " scripts.post 1 ended with status 3.")]


def test_an_appliance_that_does_not_answer_fails_the_install(tmp_path: Path) -> None:
    assert post(tmp_path, "leap", "15", refuse=7).told() == [("installed", "fail", "the installer could not fetch firstboot.sh")]


# The installer, walked through its files


@EVERY_RELEASE
def test_an_installer_that_follows_its_files_gets_to_its_end(tmp_path: Path, family: str, release: str) -> None:
    """linuxrc reads the profile that the kernel's line names; YaST runs the scripts' own lines, which fetch and run ours."""
    written = case_files(family, release, "full")
    (address,) = re.findall(r"autoyast=(\S+)", written["boot.ipxe"])
    assert urlsplit(address).path == f"/i/{TOKEN}/autoinst.xml"
    box = machine(tmp_path, refuse=1)
    box.serve(written)
    (box.root / "tmp/profile/autoinst.xml").write_text(written[address.rsplit("/", 1)[1]])
    for stage in ("pre-scripts", "chroot-scripts"):
        (script,) = scripts(written)[stage]
        assert script["interpreter"] == "shell"
        assert script.get("chrooted", False) == (stage == "chroot-scripts")
        ended = box.run(script["source"].replace("/tmp/pxed-", f"{tmp_path}/pxed-"))
        assert (ended.returncode, ended.stderr) == (0, "")
    assert [each[:2] for each in box.told()] == [("started", "ok"), ("installed", "ok")]
    assert (box.root / "tmp/profile/modified.xml").exists()


def test_the_address_of_the_install_is_in_no_log_line() -> None:
    for name, text in case_files("sles", "15", "full").items():
        if name.endswith(".sh"):
            assert not [line for line in text.splitlines() if "logger" in line and TOKEN in line]


def test_a_log_host_on_another_port_is_not_named() -> None:
    """linuxrc has no way to say the port: its lines would go to whatever listens on 514 of this host."""
    urls = Urls(URLS.base, URLS.token, syslog_port=5514)
    assert "loghost" not in CATALOG.preview(CATALOG.prepare("leap", "15", {}), FakeNode(), urls)["boot.ipxe"]
    assert "loghost" in CATALOG.preview(CATALOG.prepare("leap", "15", {}), FakeNode(), URLS)["boot.ipxe"]
