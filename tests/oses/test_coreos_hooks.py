"""Flatcar and Fedora CoreOS: the hook run for real; a node walked through an install."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.oses.families import sample
from tests.oses.samples import HOSTILE, URLS
from tests.oses.sandbox import Sandbox
from tests.oses.test_coreos import BOTH, CATALOG, DISK, config, contents, files, kernel_line


def machine(folder: Path, family: str, *, ends: int = 0, refuse: int = 0, **options: Any) -> Sandbox:
    """A machine with two disks; its installer keeps the config it was given, says something and ends with `ends`."""
    box = Sandbox(folder, refuse=refuse)
    box.serve(files(family, **options))
    box.disk("sda", gigabytes=500, udev="ID_SERIAL_SHORT=WD-123\n")
    box.disk("nvme0n1", gigabytes=40)
    box.fake("readlink", 'echo "$2"\n')
    box.fake("sync", "")
    box.fake("systemctl", "")
    keep = """
previous=
for each in "$@"; do
	case $previous in -i | --ignition-file) cp "$each" "$CALLS/../config" ;; esac
	previous=$each
done
"""
    for program in ("flatcar-install", "coreos-installer"):
        box.fake(program, f"{keep}printf 'reading\\r50%%\\n\\nno such image\\n' >&2\nexit {ends}\n")
    return box


def walked(box: Sandbox, family: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """What the live system does: from the kernel's command line to live.ign, from there to the unit and the hook it runs."""
    found = re.search(r" ignition\.config\.url=(\S+)", kernel_line(family, **options))
    assert found is not None
    live = json.loads((box.www / found[1].rsplit("/", 1)[1]).read_text())
    (hook,) = live["storage"]["files"]
    (unit,) = live["systemd"]["units"]
    assert unit["enabled"]
    assert f"ExecStart=/bin/sh {hook['path']}\n" in unit["contents"]
    assert hook["contents"]["source"] == URLS.answer("install.sh")
    return box.run((box.www / "install.sh").read_text())


@BOTH
def test_a_node_installs_itself_and_its_first_boot_says_so(family: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {**DISK, "hostname": "web1", "scripts": {"firstboot": ['echo ran >>"$PXED_ROOT/ran"']}}
    box = machine(tmp_path, family, **options)
    assert walked(box, family, **options).returncode == 0
    assert [(phase, status) for phase, status, _ in box.told()] == [("started", "ok"), ("installed", "ok")]
    program = "flatcar-install" if family == "flatcar" else "coreos-installer"
    (call,) = box.calls(program)
    config_file = str(box.root / "run/pxed/target.ign")
    assert call.arguments == (
        ("-d", "/dev/sda", "-o", "", "-b", f"{URLS.base}/repo", "-V", "flatcar", "-i", config_file)
        if family == "flatcar"
        else ("install", "--ignition-file", config_file, "/dev/sda")
    )
    assert [each.arguments for each in box.calls("systemctl")] == [("reboot",)]
    # The disk's own boot: what was written is what Ignition applies.
    target = json.loads((tmp_path / "config").read_text())
    assert target == config(family, **options)
    (unit,) = target["systemd"]["units"]
    home = "/opt/pxed" if family == "flatcar" else "/usr/local/lib/pxed"
    assert f"ExecStart=/bin/sh {home}/firstboot\n" in unit["contents"]
    for path, text in contents(target).items():
        (box.root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (box.root / path[1:]).write_text(text)
    box.fake("curl", "exit 7\n")
    assert box.run((box.root / home[1:] / "firstboot").read_text()).returncode == 0
    assert (box.root / "ran").read_text() == "ran\n"
    assert box.told()[-1] == ("booted", "ok", "the installed system runs")
    assert not (box.root / home[1:]).exists()


@BOTH
def test_volumes_and_arrays_that_the_live_system_found_on_the_disk_are_let_go_before_it_is_written(family: str, tmp_path: Path) -> None:
    """coreos-installer refuses a disk in use ("found busy partitions"), flatcar-install writes it and then trips over it."""
    box = machine(tmp_path, family, **DISK)
    for array, member in (("md126", "nvme0n1p1"), ("md127", "sda3"), ("md127", "sda4")):
        (box.root / "sys/block" / array / "slaves" / member).mkdir(parents=True)
    box.fake("pvs", 'printf "  /dev/sda2 old\n  /dev/sdaa1 other\n  /dev/md127 raid\n  /dev/md126 more\n  /dev/sda5\n"\n')
    box.fake("vgchange", "")
    box.fake("mdadm", "")
    for program in ("flatcar-install", "coreos-installer"):
        box.fake(program, 'ls "$CALLS" | grep -q "[.]mdadm$"\n')
    assert walked(box, family, **DISK).returncode == 0
    assert [call.arguments for call in box.calls("vgchange")] == [("-an", "old"), ("-an", "raid")]
    assert [call.arguments for call in box.calls("mdadm")] == [("--stop", "/dev/md127")]


@pytest.mark.slow
@BOTH
def test_an_appliance_that_is_away_for_a_moment_is_asked_again(family: str, tmp_path: Path) -> None:
    box = machine(tmp_path, family, refuse=5, **DISK)
    assert walked(box, family, **DISK).returncode == 0
    assert box.told()[-1] == ("installed", "ok", "The image is on /dev/sda")


@BOTH
def test_without_a_disk_that_fits_nothing_is_written(family: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"installDisk": {"serial": "other"}}
    box = machine(tmp_path, family, **options)
    assert walked(box, family, **options).returncode == 1
    phase, status, text = box.told()[-1]
    assert (phase, status) == ("installed", "fail")
    assert "no disk of this machine fits the option disk" in text
    assert not box.calls("flatcar-install") + box.calls("coreos-installer") + box.calls("systemctl")


@pytest.mark.slow
@BOTH
def test_an_installer_that_fails_is_quoted_and_nothing_restarts(family: str, tmp_path: Path) -> None:
    box = machine(tmp_path, family, ends=3, **DISK)
    assert walked(box, family, **DISK).returncode == 1
    program = "flatcar-install" if family == "flatcar" else "coreos-installer"
    phase, status, text = box.told()[-1]
    assert (phase, status, text.strip()) == ("installed", "fail", f"{program} ended with status 3: reading 50% no such image")
    assert not box.calls("systemctl")


@pytest.mark.slow
@BOTH
def test_a_config_that_cannot_be_fetched_ends_the_install_before_the_disk_is_touched(family: str, tmp_path: Path) -> None:
    box = machine(tmp_path, family, **DISK)
    (box.www / "target.ign").unlink()
    assert box.run(files(family, **DISK)["install.sh"]).returncode == 1
    assert box.told()[-1] == ("installed", "fail", "the live system could not fetch target.ign")
    assert not box.calls("flatcar-install") + box.calls("coreos-installer")


@pytest.mark.slow
@BOTH
def test_a_node_that_is_to_be_switched_off_is(family: str, tmp_path: Path) -> None:
    box = machine(tmp_path, family, after="poweroff", **DISK)
    assert walked(box, family, after="poweroff", **DISK).returncode == 0
    assert [each.arguments for each in box.calls("systemctl")] == [("poweroff",)]
    assert CATALOG.prepare(family, None, {"after": "poweroff"}).recipe == "coreos-off"


@pytest.mark.slow
@BOTH
def test_hostile_commands_arrive_unchanged(family: str, tmp_path: Path) -> None:
    inside = contents(config(family, **sample(family, "hostile")))
    script = next(text for path, text in inside.items() if path.endswith("/firstboot"))
    box = Sandbox(tmp_path)
    (box.root / "opt/pxed").mkdir(parents=True)
    (box.root / "usr/local/lib/pxed").mkdir(parents=True)
    box.fake("curl", "exit 0\n")
    probe = script.replace('if sh "$home/command" </dev/null; then', 'cp "$home/command" "$root/got.$1"; if true; then')
    assert probe != script
    assert box.run(probe).returncode == 0
    got = [(box.root / f"got.{number}").read_bytes().decode() for number in range(1, len(HOSTILE) + 1)]
    assert got == [command + "\n" for command in HOSTILE]
    assert not box.pwned()
