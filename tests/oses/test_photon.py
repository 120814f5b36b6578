"""Photon: kickstarts read as its three installers read them."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pxed.errors import InvalidRequest
from pxed.oses.catalog import Catalog
from pxed.oses.photon import PHOTON
from tests.oses.families import CASES, sample
from tests.oses.samples import KEY, URLS, FakeInstall, FakeNode, verifies
from tests.oses.sandbox import FAKES, Sandbox

CATALOG = Catalog()
RELEASES = list(PHOTON.releases)
EVERY_RELEASE = pytest.mark.parametrize("release", RELEASES)
EVERY = [(release, case) for release in RELEASES for case in CASES]
SDA: dict[str, Any] = {"installDisk": "/dev/sda"}

_KEYS3 = frozenset(
    re.findall(
        r"\w+",
        """additional_files additional_packages additional_rpms_path arch autopartition bootmode disk eject_cdrom hostname
        install_linux_esx live log_level ostree packages packagelist_file partition_type partitions network password postinstall
        postinstallscripts public_key photon_docker_image release_version search_path setup_grub_script shadow_password type ui
        linux_flavor""",
    )
)
KEYS = {"3": _KEYS3, "4": _KEYS3, "5": _KEYS3 - {"install_linux_esx"} | {"preinstall", "preinstallscripts"}}
"""What each installer knows; anything else ends it. Read in the installers' own sources (`known_keys`)."""


class InstallerEnded(Exception):
    """What Photon's installer would have said."""


@functools.cache
def _files(release: str, options: str, arch: int) -> dict[str, str]:
    return CATALOG.preview(CATALOG.prepare("photon", release, json.loads(options)), FakeNode(arch=arch), URLS)


def files(release: str = "5", *, arch: int = 0, **options: Any) -> dict[str, str]:
    return _files(release, json.dumps(options), arch)


def kickstart(release: str = "5", **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files(release, **options)["ks.json"])
    return found


def kernel_line(release: str = "5", **options: Any) -> str:
    (line,) = [line for line in files(release, **options)["boot.ipxe"].splitlines() if line.startswith("kernel ")]
    return line


def checked(release: str, config: dict[str, Any]) -> None:
    """What the installers refuse. InstallerEnded."""
    if unknown := config.keys() - KEYS[release]:
        raise InstallerEnded(f"Unknown install_config keys: {unknown}")
    if not str(config.get("disk", "")).startswith("/dev/"):
        raise InstallerEnded("No disk configured")
    if "linux" not in config["packages"] and "packagelist_file" not in config:
        raise InstallerEnded("Attempting to install more than one linux flavor")
    parts = config.get("partitions", [{"mountpoint": "/", "size": 0, "filesystem": "ext4"}])
    points = [part["mountpoint"] for part in parts if "mountpoint" in part]
    if "/" not in points or len(points) != len(set(points)):
        raise InstallerEnded("There is no partition assigned to root '/'")
    if sum(part["size"] == 0 for part in parts) > 1 or not all(isinstance(part["size"], int) for part in parts):
        raise InstallerEnded("more than one extensible partition")
    if any(part.get("mountpoint") == "/boot" and "lvm" in part for part in parts):
        raise InstallerEnded("/boot on LVM is not supported")
    if any("mountpoint" not in part and part["filesystem"] != "swap" for part in parts):
        raise InstallerEnded("mountpoint")


def machine(folder: Path, release: str = "5", *, refuse: int = 0, run: bool = False, **options: Any) -> Sandbox:
    """A machine that has booted Photon's installer; the new system's folders are also at /, as they are in its chroot."""
    box = Sandbox(folder, shell="bash", refuse=refuse, run=run)
    box.serve(files(release, **options))
    box.disk("sda", gigabytes=500, udev="ID_SERIAL_SHORT=WD-123\n")
    box.disk("nvme0n1", gigabytes=40)
    for name in ("etc", "root", "home", "usr", "boot"):
        (box.root / "target" / name).mkdir(exist_ok=True)
        (box.root / name).symlink_to(f"target/{name}")
    (box.root / "usr/share/zoneinfo/Europe").mkdir(parents=True)
    for zone in ("UTC", "Europe/Berlin"):
        (box.root / "usr/share/zoneinfo" / zone).write_text("")
    (box.root / "boot/grub2").mkdir()
    (box.root / "boot/grub2/grub.cfg").write_text(GRUB_CFG)
    box.fake("readlink", 'echo "$2"\n')
    box.fake("setsid", "")
    box.fake("pvs", "")
    box.fake("vgchange", "")
    box.fake("chroot", "shift\n" + FAKES["in-target"])
    box.fake("curl", FAKES["wget"].replace('"$1" = -O', '"$1" = -o'))
    return box


GRUB_CFG = """\
set default=0
insmod part_gpt
load_env -f /boot/photon.cfg

menuentry "Photon" {
  linux /boot/$photon_linux root=$rootpartition $photon_cmdline $systemd_cmdline
  if [ -f /boot/$photon_initrd ]; then
    initrd /boot/$photon_initrd
  fi
}
"""


def installer(box: Sandbox, release: str, line: str) -> dict[str, Any]:
    """What Photon's installer does, from the kernel's command line to the end; returns its configuration. InstallerEnded."""
    words = dict(word.split("=", 1) for word in line.split() if "=" in word)
    if words["ks"].startswith("http://") and words.get("insecure_installation") != "1":
        raise InstallerEnded("Refusing to download kick start configuration from non-https URLs")
    config: dict[str, Any] = json.loads((box.www / words["ks"].rsplit("/", 1)[1]).read_text())
    if "preinstall" in config:
        _preinstall(box, config)
    checked(release, config)
    log = script(box, "postinstall", config["postinstall"], "source {}").stdout
    (box.root / "var/log").mkdir(parents=True)
    (box.root / "var/log/installer.log").write_text(log)
    return config


def script(box: Sandbox, name: str, lines: list[str], command: str) -> subprocess.CompletedProcess[str]:
    """One script of a kickstart, as bash has it from the installer."""
    at = box.root / "tmp" / name
    at.write_text("\n".join(lines).replace(" /tmp/", f" {box.root}/tmp/").replace(" /root/", f" {box.root}/root/"))
    return box.run(command.format(at))


def _preinstall(box: Sandbox, config: dict[str, Any]) -> None:
    ended = script(box, "preinstall", config["preinstall"], "bash -c 'set -a && source {} && env -0'")
    given = dict(line.partition("=")[::2] for line in ended.stdout.split("\0") if line)
    for place in (config, config["password"]):
        for name, value in place.items():
            if isinstance(value, str) and value.startswith("$") and not value.startswith("$$"):
                if value[1:] not in given:
                    raise InstallerEnded(f"Install configuration has dynamic value={value} for key={name}")
                place[name] = given[value[1:]]


@pytest.mark.slow
@pytest.mark.parametrize(("release", "case"), EVERY)
def test_each_installer_takes_its_kickstart_and_nothing_else_begins_with_a_dollar(tmp_path: Path, release: str, case: str) -> None:
    options = sample("photon", case)
    box = machine(tmp_path, release, **options)
    config = installer(box, release, kernel_line(release, **options))
    assert config["disk"] == "/dev/sda"
    if case == "minimal":
        assert config["password"]["text"] == "*"
    else:
        assert verifies(options["rootPassword"], config["password"]["text"])
    assert box.told()[-1][:2] == ("installed", "ok")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"preinstall": ["true"]}, "Unknown install_config keys"),
        ({"disk": "$pxed_disk"}, "No disk"),
        ({"partitions": [{"mountpoint": "/boot", "size": 0, "filesystem": "ext4"}]}, "root"),
    ],
)
def test_the_check_can_refuse(change: dict[str, Any], why: str) -> None:
    with pytest.raises(InstallerEnded, match=why):
        checked("4", {**kickstart("4", **SDA), **change})


@pytest.mark.slow
@EVERY_RELEASE
@pytest.mark.parametrize("case", CASES)
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_warn_of(release: str, case: str, tmp_path: Path) -> None:
    for name, text in files(release, **sample("photon", case)).items():
        if name.endswith(".sh"):
            (tmp_path / name).write_text(text)
    (tmp_path / "preinstall.sh").write_text("\n".join(kickstart("5", **sample("photon", case))["preinstall"]))
    run = subprocess.run(
        ["shellcheck", "-s", "bash", "-e", "SC1091,SC2034", "--severity=warning", *sorted(tmp_path.iterdir())],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (run.stdout, run.returncode) == ("", 0)


def test_the_installer_is_started_as_its_makers_say_and_on_one_console() -> None:
    tree = URLS.repo("photon-5")
    line = kernel_line(comport="com1", kargs={"quiet": ""}, targetKernelArgs="mitigations=off")
    assert f"{tree}/isolinux/vmlinuz initrd=initrd.img root=/dev/ram0 loglevel=3 repos={tree}/RPMS repo={tree}/RPMS ks=" in line
    assert f" ks={URLS.answer('ks.json')} insecure_installation=1 console=ttyS0,115200n8 quiet mitigations=off BOOTIF=" in line
    assert line.count("console=") == 1  # with two, /sys/.../console/active names neither of the terminals that the installer waits for
    assert "console=" not in kernel_line()
    assert URLS.repo("photon-5-aarch64") in files(arch=11)["boot.ipxe"]


@EVERY_RELEASE
def test_who_cannot_say_that_it_has_started_has_its_boot_script_say_so(release: str) -> None:
    script = files(release, **SDA)["boot.ipxe"]
    told = f"imgfetch --name told {URLS.notify('started')}?status=ok&loader=1&message="
    prepared = CATALOG.prepare("photon", release, SDA)
    grub = CATALOG.grub(FakeInstall("photon", prepared.release, prepared.options), FakeNode(), URLS, "52:54:00:12:34:56")
    if release == "5":
        assert told not in script
        assert "status=ok" not in grub
        return
    lines = script.splitlines()
    place = next(place for place, line in enumerate(lines) if line.startswith(told))
    # What is fetched must be gone again: iPXE hands every image it has to the kernel as an initrd.
    assert lines[place + 1 : place + 3] == ["imgfree told ||", "boot || goto failed"]
    assert re.search(r"cat '\(http,[^)]*\)/i/[^']*/notify/started\?status=ok&loader=1&message=[^']*'\n\s*boot\n", grub)


@pytest.mark.parametrize("release", ["4", "3"])
def test_an_installer_that_cannot_look_for_a_disk_must_be_told_its_path(release: str) -> None:
    for options in ({}, {"installDisk": {"serial": "WD-123"}}, {"installDisk": 0}, {"installDisk": "largest"}):
        with pytest.raises(InvalidRequest, match="expected a path like /dev/sda") as refused:
            CATALOG.prepare("photon", release, options)
        assert refused.value.field == "options.disk"
    assert kickstart(release, installDisk="sdb")["disk"] == "/dev/sdb"


@pytest.mark.parametrize(
    ("release", "options", "field"),
    [
        ("5", {"locale": "de_DE.UTF-8"}, "options.locale"),
        ("5", {"keyboard": "de"}, "options.keyboard"),
        ("5", {"proxy": "http://10.0.2.3:3128"}, "options.proxy"),
        ("5", {"after": "poweroff"}, "options.after"),
        ("5", {"remoteLogging": True}, "options.remoteLogging"),
        ("5", {"installInterface": "eth0"}, "options.installInterface"),
        ("5", {"bonds": []}, "options.bonds"),
        ("5", {"packages": ["vim", "linux-esx"]}, "options.packages.1"),
        ("5", {"installPartitions": [{"mountPoint": "/", "size": "auto", "fsType": "ext2"}]}, "options.installPartitions.0.fsType"),
        ("4", {**SDA, "installPartitions": [{"mountPoint": "/", "size": "auto", "fsType": "xfs"}]}, "options.installPartitions.0.fsType"),
        ("5", {"installPartitions": [{"mountPoint": "/", "size": "auto", "label": "root"}]}, "options.installPartitions.0.label"),
        ("5", {"installType": "server"}, "options.installType"),
    ],
)
def test_what_photon_cannot_do_is_refused_by_name(release: str, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        CATALOG.prepare("photon", release, options)
    assert refused.value.field == field


def test_partitions_are_in_mib_and_volumes_have_a_group_of_their_own() -> None:
    assert "partitions" not in kickstart()
    parts = kickstart(**sample("photon", "full"))["partitions"]
    group = parts[3]["lvm"]["vg_name"]
    assert re.fullmatch(r"photon-[0-9a-f]{6}", group)
    assert parts == [
        {"mountpoint": "/boot", "size": 476, "filesystem": "ext3"},
        {"size": 1907, "filesystem": "swap"},
        {"mountpoint": "/var/log", "size": 3814, "filesystem": "ext4", "lvm": {"vg_name": group, "lv_name": "var_log2"}},
        {"mountpoint": "/", "size": 0, "filesystem": "ext4", "lvm": {"vg_name": group, "lv_name": "root3"}},
    ]
    boot, rest = kickstart(layout="lvm")["partitions"]
    assert (boot["mountpoint"], "lvm" in boot, rest["mountpoint"], rest["size"], "lvm" in rest) == ("/boot", False, "/", 0, True)


def test_packages_keys_and_a_name() -> None:
    found = kickstart(hostname="web1", domain="example.com", rootSshKeys=[KEY, KEY], packages=["vim"], users=[{"name": "a", "sudo": True}])
    assert found["packages"] == ["minimal", "linux", "initramfs", "vim", "curl", "sudo"]
    assert found["public_key"] == f"{KEY}\n{KEY}"
    assert found["hostname"] == "web1.example.com"
    full = kickstart(installType="full")
    assert (full["packagelist_file"], full["packages"]) == ("packages_developer.json", ["curl"])
    assert "public_key" not in full
