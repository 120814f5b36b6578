"""The hooks of Red Hat's family, run for real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.oses.families import sample
from tests.oses.samples import HOSTILE, KEY, SECRET, TOKEN, verifies
from tests.oses.sandbox import Sandbox
from tests.oses.test_redhat import RELEASES, case_files, files, machine

# pre.sh


@pytest.mark.slow
@pytest.mark.parametrize(
    ("disk", "device"), [(None, "sda"), ({"serial": "wd-123"}, "sda"), ("smallest", "vda"), ("/dev/disk/by-id/x", "disk/by-id/x")]
)
def test_the_disk_is_chosen_on_the_node(tmp_path: Path, disk: Any, device: str) -> None:
    box = machine(tmp_path)
    assert box.run(files("alma", "9", **({"disk": disk} if disk else {}))["pre.sh"]).returncode == 0
    assert f"ignoredisk --only-use={device}\n" in (box.root / "tmp/pxed-disk.ks").read_text()
    assert box.told() == [("started", "ok", "anaconda has read its kickstart")]


def test_no_disk_ends_the_install_before_anything_is_touched(tmp_path: Path) -> None:
    box = machine(tmp_path)
    assert box.run(files("alma", "9", disk={"serial": "nobody"})["pre.sh"]).returncode == 1
    assert [each[:2] for each in box.told()] == [("started", "ok"), ("installed", "fail")]
    assert not (box.root / "tmp/pxed-disk.ks").exists()
    assert "%pre --erroronfail" in files("alma", "9")["ks.cfg"]


# post.sh


def post(folder: Path, family: str, release: str, *, refuse: int = 0, run: bool = False, **options: Any) -> Sandbox:
    box = machine(folder, refuse=refuse, run=run)
    box.hook(files(family, release, **options), "post.sh")
    return box


@pytest.mark.slow
@pytest.mark.parametrize(("family", "release"), RELEASES)
def test_post_makes_accounts_and_the_first_boot(tmp_path: Path, family: str, release: str) -> None:
    box = post(tmp_path, family, release, **sample(family, "full"))
    runs = [call.arguments[1:] for call in box.calls("chroot")]
    assert ("useradd", "-m", "-U", "-d", "/home/ann", "-s", "/bin/bash", "-c", "Ann O'Nym", "-u", "1010", "ann") in runs
    (ann,) = [run for run in runs if run[0] == "usermod" and run[-1] == "ann"]
    assert verifies(SECRET, ann[2])
    assert box.target("/root/.ssh/authorized_keys") == KEY + "\n"
    assert box.target("/usr/local/lib/pxed/firstboot") == files(family, release, **sample(family, "full"))["firstboot.sh"]
    assert (box.root / "target/etc/systemd/system/pxed-firstboot.service").exists() == (release != "6")
    assert (box.root / "target/etc/rc.d/rc3.d/S99pxed-firstboot").exists() == (release == "6")
    assert [run for run in runs if "update" in run] == [("yum" if release in ("6", "7") else "dnf", "-y", "update", "--security")]
    assert box.told() == [("installed", "ok", "anaconda has finished")]


@pytest.mark.slow
def test_what_the_old_network_commands_lack_is_written_into_their_files(tmp_path: Path) -> None:
    box = machine(tmp_path)
    scripts = box.root / "target/etc/sysconfig/network-scripts"
    scripts.mkdir(parents=True)
    for name in ("ifcfg-eth0", "ifcfg-lo"):
        (scripts / name).write_text("DEVICE=x\n")
    (box.root / "target/etc/ntp.conf").write_text("driftfile x\nserver 0.centos.pool.ntp.org iburst\n")
    written = files("centos", "6", **sample("centos", "full"))
    box.serve(written)
    box.run(written["post.sh"])
    assert (scripts / "ifcfg-eth0").read_text() == 'DEVICE=x\nDOMAIN="example.com"\n'
    assert (scripts / "ifcfg-lo").read_text() == "DEVICE=x\n"
    assert (box.root / "target/etc/ntp.conf").read_text() == "driftfile x\nserver ntp1.example.com iburst\nserver 10.0.2.3 iburst\n"


@pytest.mark.slow
def test_hostile_commands_arrive_unchanged(tmp_path: Path) -> None:
    box = post(tmp_path, "rocky", "9", **sample("rocky", "hostile"))
    assert box.scripts == [command + "\n" for command in HOSTILE]


def test_an_appliance_that_does_not_answer_fails_the_install(tmp_path: Path) -> None:
    assert post(tmp_path, "rocky", "9", refuse=7).told() == [("installed", "fail", "the installer could not fetch firstboot.sh")]


def test_labels_are_set_if_the_system_has_any(tmp_path: Path) -> None:
    box = machine(tmp_path)
    contexts = box.root / "target/etc/selinux/targeted/contexts/files"
    contexts.mkdir(parents=True)
    (contexts / "file_contexts").write_text("")
    box.serve(files("rocky", "9"))
    box.run(files("rocky", "9")["post.sh"])
    assert ("setfiles", "-F", "/etc/selinux/targeted/contexts/files/file_contexts", "/usr/local/lib/pxed") in [
        call.arguments[1:] for call in box.calls("chroot")
    ]


# failed.sh, firstboot-init.sh


def test_a_failure_is_told_in_anacondas_own_words(tmp_path: Path) -> None:
    for number, (file, text, told) in enumerate(
        [
            (
                "anaconda-tb-x1",
                "anaconda 34.25\nTraceback (most recent call first):\n  File x\nOSError: No space left\n",
                "OSError: No space left",
            ),
            ("packaging.log", "10:01 INF x: y\n10:02 ERR packaging: no package vim\n10:03 INF z\n", "10:02 ERR packaging: no package vim"),
            ("nothing", "", "its logs do not say why"),
        ]
    ):
        box = machine(tmp_path / str(number))
        (box.root / "tmp" / file).write_text(text)
        assert box.run(files("rocky", "9")["failed.sh"]).returncode == 0
        assert box.told() == [("installed", "fail", f"anaconda has failed: {told}")]


@pytest.mark.parametrize("ended", [0, 1])
def test_the_sysv_script_removes_itself_once_the_appliance_knows(tmp_path: Path, ended: int) -> None:
    box = machine(tmp_path)
    for folder in ("usr/local/lib/pxed", "etc/rc.d/init.d", "etc/rc.d/rc3.d"):
        (box.root / folder).mkdir(parents=True)
    (box.root / "usr/local/lib/pxed/firstboot").write_text(f"exit {ended}\n")
    (box.root / "etc/rc.d/init.d/pxed-firstboot").write_text("")
    (box.root / "etc/rc.d/rc3.d/S99pxed-firstboot").symlink_to("../init.d/pxed-firstboot")
    script = files("centos", "6")["firstboot-init.sh"].replace("</dev/null >/dev/null 2>&1 &", "</dev/null")
    assert box.run(f"set -- start\n{script}").returncode == 0
    assert (box.root / "etc/rc.d/init.d/pxed-firstboot").exists() == bool(ended)
    assert (box.root / "etc/rc.d/rc3.d/S99pxed-firstboot").is_symlink() == bool(ended)


def test_the_address_of_the_install_is_in_no_log_line() -> None:
    for name, text in case_files("rocky", "9", "full").items():
        if name.endswith(".sh"):
            assert not [line for line in text.splitlines() if "logger" in line and TOKEN in line]
