"""Alpine: the archive as tar unpacks it, the answers as setup-alpine reads them, the scripts run by busybox; a node walked through."""

from __future__ import annotations

import functools
import io
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pxed.errors import InvalidRequest
from pxed.oses.alpine import ALPINE
from pxed.oses.catalog import Catalog
from pxed.scripted import ScriptedNode
from tests.oses.families import CASES, sample
from tests.oses.samples import HOSTILE, KEY, SECRET, TOKEN, URLS, FakeInstall, FakeNode, verifies
from tests.oses.sandbox import FAKES, Sandbox

CATALOG = Catalog()
RELEASES = list(ALPINE.releases)
EVERY = [(release, case) for release in RELEASES for case in CASES]
BY_SERIAL: dict[str, Any] = {"installDisk": {"serial": "WD-123"}}
STARTER = "etc/local.d/pxed-install.start"
NEEDS_BUSYBOX = pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed")


@functools.cache
def _files(release: str, options: str) -> dict[str, str]:
    return CATALOG.preview(CATALOG.prepare("alpine", release, json.loads(options)), FakeNode(), URLS)


def files(release: str = "3.22", **options: Any) -> dict[str, str]:
    return _files(release, json.dumps(options))


def archive(**options: Any) -> dict[str, tuple[tarfile.TarInfo, str]]:
    """Path > what the apkovl holds there, as tar itself reads it."""
    prepared = CATALOG.prepare("alpine", None, options)
    body = CATALOG.file(FakeInstall("alpine", prepared.release, prepared.options), FakeNode(), URLS, "pxed.apkovl.tar.gz").body
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as packed:
        found = {}
        for entry in packed.getmembers():
            inside = packed.extractfile(entry) if entry.isfile() else None
            found[entry.name] = (entry, inside.read().decode() if inside is not None else "")
    return found


def kernel_line(**options: Any) -> str:
    (line,) = [line for line in files(**options)["boot.ipxe"].splitlines() if line.startswith("kernel ")]
    return line


@pytest.mark.slow
@pytest.mark.parametrize(("release", "case"), EVERY)
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_warn_of(release: str, case: str, tmp_path: Path) -> None:
    options = sample("alpine", case)
    for name, text in files(release, **options).items():
        if name.endswith(".sh"):
            (tmp_path / name).write_text(text)
    (tmp_path / "start.sh").write_text(archive(**options)[STARTER][1])
    run = subprocess.run(
        ["shellcheck", "-s", "dash", "--severity=warning", *sorted(tmp_path.iterdir())],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (run.stdout, run.returncode) == ("", 0)


def test_the_archive_starts_the_installer_once_and_holds_no_secret() -> None:
    found = archive(**sample("alpine", "full"))
    assert set(found) == {"etc/.default_boot_services", "etc/hostname", STARTER, "etc/runlevels/default/local"}
    entry, text = found[STARTER]
    assert (entry.mode, entry.uid, entry.gid) == (0o755, 0, 0)
    assert text.startswith("#!/bin/sh\n")
    service = found["etc/runlevels/default/local"][0]
    assert (service.issym(), service.linkname) == (True, "/etc/init.d/local")
    assert SECRET not in text
    install = FakeInstall("alpine", "3.22", CATALOG.prepare("alpine", "3.22", {}).options)
    first, second = (CATALOG.file(install, FakeNode(), URLS, "pxed.apkovl.tar.gz").body for _ in range(2))
    assert first == second


def test_the_system_in_memory_is_started_as_its_makers_say() -> None:
    tree = URLS.repo("alpine-3.22")
    line = kernel_line(comport="com1", kargs={"debug_init": ""}, targetKernelArgs="mitigations=off")
    assert f"{tree}/boot/vmlinuz-lts initrd=initramfs-lts ip=dhcp modules=loop,squashfs,sd-mod,usb-storage alpine_repo={tree}/apks" in line
    assert f" modloop={tree}/boot/modloop-lts apkovl={URLS.answer('pxed.apkovl.tar.gz')} console=tty0 console=ttyS0,115200n8" in line
    assert line.rstrip().split(" BOOTIF=")[0].endswith(" debug_init mitigations=off")
    virt = files("3.20", flavour="virt")["boot.ipxe"]
    assert f"{URLS.repo('alpine-3.20')}/boot/initramfs-virt" in virt
    arm = CATALOG.preview(CATALOG.prepare("alpine", None, {}), FakeNode(arch=11), URLS)
    assert URLS.repo("alpine-3.22-aarch64") in arm["boot.ipxe"]
    assert " BOOTIF=01-52-54-00-aa-bb-cc" in kernel_line(installInterface="52:54:00:aa:bb:cc")


@pytest.mark.parametrize(("release", "case"), EVERY)
def test_setup_alpine_has_an_answer_to_everything_it_asks(release: str, case: str, tmp_path: Path) -> None:
    """The questions and what may be answered are those of the manual pages of setup-alpine and the programs that it runs."""
    options = sample("alpine", case)
    (tmp_path / "answers").write_text(files(release, **options)["answers.sh"])
    asked = ("KEYMAP", "HOSTNAME", "DEVD", "INTERFACES", "TIMEZONE", "PROXY", "APKREPOS", "USER", "SSHD", "NTP", "DISK", "LBU", "APKCACHE")
    script = "pxed_nic=eth5 pxed_disk=/dev/vda; . ./answers; " + "; ".join(f'printf "%s\\0" "${name}OPTS"' for name in asked)
    run = subprocess.run(["sh", "-eu", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    given = dict(zip(asked, run.stdout.split("\0"), strict=False))
    assert all(given.values())
    assert "auto eth5\niface eth5 inet dhcp\n" in given["INTERFACES"]
    assert given["DISK"] == ("-m sys /dev/vda" if case == "minimal" else "-m sys -L /dev/vda")
    assert (given["SSHD"], given["NTP"], given["PROXY"]) == ("openssh", "busybox", "none")
    assert given["USER"] == given["LBU"] == given["APKCACHE"] == "none"
    if case == "full":
        assert (given["KEYMAP"], given["HOSTNAME"], given["TIMEZONE"]) == ("de de", "web1", "Europe/Berlin")
        assert given["APKREPOS"].split()[0] == "http://mirror.example.com:81/alpine/apks"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"locale": "de_DE.UTF-8"}, "options.locale"),
        ({"installPartitions": [{"mountPoint": "/", "size": "auto"}]}, "options.installPartitions"),
        ({"layout": "custom"}, "options.layout"),
        ({"keyboard": "jp"}, "options.keyboard"),
        ({"proxy": "http://10.0.2.3:3128"}, "options.proxy"),
        ({"installInterface": "eth1"}, "options.installInterface"),
        ({"dnsSearch": "example.com"}, "options.dnsServers"),
        ({"after": "halt"}, "options.after"),
        ({"remoteLogging": True}, "options.remoteLogging"),
        ({"bonds": []}, "options.bonds"),
        ({"selinux": "enforcing"}, "options.selinux"),
    ],
)
def test_what_alpine_cannot_do_is_refused_by_name(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        CATALOG.prepare("alpine", None, options)
    assert refused.value.field == field


# the scripts and the walk

SETUP_ALPINE = """
shift 2
( . "$1"; printf '%s\\n' "$DISKOPTS" "$ERASE_DISKS" "$KERNELOPTS" "$ROOTFS" "$INTERFACESOPTS" >"$CALLS/../asked" )
mkdir -p "$PXED_ROOT/mnt"
for each in etc/network root home; do mkdir -p "$PXED_ROOT/disk/$each"; done
cp -R "$PXED_ROOT/etc/local.d" "$PXED_ROOT/disk/etc/"
echo 3.22.1 >"$PXED_ROOT/disk/etc/alpine-release"
printf 'root:x:0:0:root:/root:/bin/sh\\n' >"$PXED_ROOT/disk/etc/passwd"
echo 'Installation is complete. Please reboot.'
"""
MOUNT = """
[ "$1" = /dev/sda3 ] || exit 1
rmdir "$2" && ln -s "$PXED_ROOT/disk" "$2"
"""


def machine(folder: Path, *, refuse: int = 0, run: bool = False, **options: Any) -> Sandbox:
    """The system in memory as the initramfs leaves it: the archive is laid over it."""
    box = Sandbox(folder, shell="busybox sh", refuse=refuse, run=run)
    box.serve(files(**options))
    for name in ("proc", "var/log", "etc/apk", "dev"):
        (box.root / name).mkdir(parents=True, exist_ok=True)
    (box.root / "proc/cmdline").write_text(kernel_line(**options))
    for path, (entry, text) in archive(**options).items():
        if entry.isfile():
            (box.root / path).parent.mkdir(parents=True, exist_ok=True)
            (box.root / path).write_text(text)
    box.disk("sda", gigabytes=500)
    (box.root / "sys/block/sda/device/vpd_pg80").parent.mkdir(exist_ok=True)
    (box.root / "sys/block/sda/device/vpd_pg80").write_bytes(b"\x00\x80\x00\x14      WD-123        ")
    box.disk("vda", gigabytes=40, serial="virt-1")
    box.net("eth7", "52:54:00:aa:bb:cc")
    box.fake("readlink", 'echo "$2"\n')
    box.fake("setsid", "")
    box.fake("ip", "echo '10.0.2.2 via 10.0.2.1 dev eth5 src 10.0.2.15 uid 0'\n")
    box.fake("timeout", 'shift\n"$@"\n')
    box.fake("setup-alpine", SETUP_ALPINE)
    box.fake("mount", MOUNT)
    box.fake("umount", "")
    box.fake("chroot", "target=$1; shift\n" + FAKES["in-target"].replace("target=$PXED_ROOT/target\n", ""))
    for name in ("apk", "sync", "reboot", "poweroff"):
        box.fake(name, "")
    return box


def starter(**options: Any) -> str:
    """The archive's service, made to wait for what it starts in the background."""
    return archive(**options)[STARTER][1].replace("exit 0", "{ wait; exit 0; }")


def installed(box: Sandbox, **options: Any) -> subprocess.CompletedProcess[str]:
    """What the system in memory does, from the archive's service on. The device names of the machine are put where the shell looks."""
    assert box.run(starter(**options)).returncode == 0
    (started,) = box.calls("setsid")
    script = Path(started.arguments[1]).read_text()
    (box.root / "dev").mkdir(exist_ok=True)
    return box.run(script.replace('"$parts"[0-9]*', '"$parts"1 "$parts"2 "$parts"3'))


@NEEDS_BUSYBOX
def test_a_node_installs_itself_and_its_first_boot_says_so(tmp_path: Path) -> None:
    """Every word that the scripts say is said to a pxed that was killed just before."""
    options: dict[str, Any] = {**BY_SERIAL, "hostname": "web1", "scripts": {"firstboot": ['echo ran >>"$PXED_ROOT/ran"']}}
    box = machine(tmp_path, **options)
    ended = installed(box, **options)
    assert (ended.returncode, ended.stderr) == (0, "")
    disks, erased, words, filesystem, *interfaces = (tmp_path / "asked").read_text().splitlines()
    assert (disks, erased, words, filesystem) == ("-m sys /dev/sda", "/dev/sda", "quiet", "ext4")
    assert "iface eth5 inet dhcp" in interfaces
    assert (box.root / "etc/apk/repositories").read_text() == f"{URLS.repo('alpine-3.22')}/apks\n"
    assert [call.arguments for call in box.calls("reboot")] == [()]
    # The disk's own boot.
    disk = box.root / "disk"
    assert not (disk / STARTER).exists()
    starter = (disk / "etc/local.d/pxed-firstboot.start").read_text()
    assert "sh /usr/local/lib/pxed/firstboot && rm -f /etc/local.d/pxed-firstboot.start )" in starter
    assert ("rc-update", "add", "local", "default") in [call.arguments[1:] for call in box.calls("chroot")]
    (box.root / "usr/local").mkdir(parents=True)
    shutil.move(disk / "usr/local/lib", box.root / "usr/local/lib")
    box.fake("wget", 'case "$*" in *--no-proxy*) exit 1 ;; esac\n' + FAKES["wget"])  # busybox's own knows no such option
    assert box.run((box.root / "usr/local/lib/pxed/firstboot").read_text(), only=()).returncode == 0
    assert (box.root / "ran").read_text() == "ran\n"
    said = [each for place, each in enumerate(box.told()) if each not in box.told()[:place]]
    assert [(phase, status) for phase, status, _ in said] == [("started", "ok"), ("installed", "ok"), ("booted", "ok")]
    node = ScriptedNode(ALPINE.recipe)
    for phase, status, message in said:
        node.kill()
        node.say(phase, status, message)
        node.check()
        assert node.boots.kind == ("silent" if phase == "started" else "disk")
    assert node.state == "done"


@pytest.mark.slow
@NEEDS_BUSYBOX
def test_the_installed_system_never_starts_the_installer(tmp_path: Path) -> None:
    """Twice: the service has removed itself before /etc is copied, and post.sh removes what was copied all the same."""
    box = machine(tmp_path, **BY_SERIAL)
    box.fake("setup-alpine", SETUP_ALPINE + 'echo x >"$PXED_ROOT/disk/etc/local.d/pxed-install.start"\n')
    assert installed(box, **BY_SERIAL).returncode == 0
    assert not (box.root / STARTER).exists()
    assert not (box.root / "disk" / STARTER).exists()
    # And on a system that was started from its disk the service does nothing.
    (box.root / "proc/cmdline").write_text("root=UUID=1 modules=sd-mod quiet rootfstype=ext4\n")
    assert box.run(starter(**BY_SERIAL)).returncode == 0
    assert len(box.calls("setsid")) == 1


@pytest.mark.slow
@NEEDS_BUSYBOX
def test_without_a_disk_that_fits_nothing_is_erased(tmp_path: Path) -> None:
    options: dict[str, Any] = {"installDisk": {"serial": "other"}}
    box = machine(tmp_path, **options)
    assert installed(box, **options).returncode == 1
    phase, status, text = box.told()[-1]
    assert (phase, status) == ("installed", "fail")
    assert "no disk of this machine fits the option disk it has: sda 500 GB" in text
    assert not box.calls("setup-alpine") + box.calls("reboot")


@pytest.mark.slow
@NEEDS_BUSYBOX
@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("setup-alpine", "echo 'ERROR: unable to select packages:'\necho '  linux-lts (no such package)'\n", "linux-lts no such package"),
        ("setup-alpine", "exit 143\n", "setup-alpine has not finished status 143"),
        ("apk", "echo 'ERROR: http://x: network error' >&2\nexit 1\n", "apk could not add the packages: ERROR: http://x: network error"),
        ("mount", "exit 1\n", "the new system is on none of the partitions of /dev/sda"),
    ],
)
def test_a_failing_installer_is_quoted_and_nothing_restarts(name: str, body: str, words: str, tmp_path: Path) -> None:
    box = machine(tmp_path, **BY_SERIAL)
    box.fake(name, body)
    assert installed(box, **BY_SERIAL).returncode == 1
    phase, status, text = box.told()[-1]
    assert (phase, status) == ("installed", "fail")
    assert words in " ".join(text.split())
    assert not box.calls("reboot")


@pytest.mark.slow
@NEEDS_BUSYBOX
def test_an_appliance_that_is_away_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    box = machine(tmp_path, refuse=7, **BY_SERIAL)
    assert installed(box, **BY_SERIAL).returncode == 0
    assert box.told()[-1] == ("installed", "ok", "setup-alpine has finished")


@pytest.mark.slow
@NEEDS_BUSYBOX
def test_the_new_system_gets_its_name_network_accounts_and_services(tmp_path: Path) -> None:
    options = {**sample("alpine", "full"), "layout": "plain", "after": "poweroff"}
    del options["scripts"]
    box = machine(tmp_path, **options)
    assert installed(box, **options).returncode == 0
    disk = box.root / "disk"
    assert (disk / "etc/hostname").read_text() == "web1\n"
    assert "127.0.1.1 web1.example.com web1\n" in (disk / "etc/hosts").read_text()
    network = (disk / "etc/network/interfaces").read_text()
    assert "source" not in network
    assert "auto eth7\niface eth7 inet6 static\n    address 2001:db8::5/64\n" in network
    assert "iface eth2.104 inet static\n" in network
    assert (disk / "etc/resolv.conf").read_text() == "search example.com\nnameserver 10.0.2.3\nnameserver 2001:db8::53\n"
    assert (disk / "etc/udhcpc/udhcpc.conf").read_text() == 'RESOLV_CONF="no"\n'
    assert (disk / "etc/conf.d/ntpd").read_text() == 'NTPD_OPTS="-N -p ntp1.example.com -p 10.0.2.3"\n'
    asked = [call.arguments[1:] for call in box.calls("chroot")]
    hashes = {each[-1]: each[2] for each in asked if each[:2] == ("usermod", "-p")}
    assert verifies(SECRET, hashes["root"])
    assert verifies(SECRET, hashes["ann"])
    assert ("rc-update", "add", "docker", "default") in asked
    assert ("rc-update", "del", "acpid") in asked
    assert (disk / "home/ann/.ssh/authorized_keys").read_text() == KEY + "\n"
    (added,) = box.calls("apk")
    assert added.arguments[2:] == ("vim", "htop", "shadow", "bash", "sudo", "tzdata")
    assert (tmp_path / "asked").read_text().splitlines()[2:4] == ["quiet console=tty0 console=ttyS0,115200n8 mitigations=off", "xfs"]
    assert box.calls("poweroff")
    assert not box.calls("reboot")
    assert CATALOG.prepare("alpine", None, {"after": "poweroff"}).recipe == "alpine-off"


@pytest.mark.slow
@NEEDS_BUSYBOX
def test_root_is_locked_if_nobody_may_be_root(tmp_path: Path) -> None:
    """setup-alpine -e leaves an empty password."""
    box = machine(tmp_path, **BY_SERIAL)
    assert installed(box, **BY_SERIAL).returncode == 0
    assert ("usermod", "-p", "!", "root") in [call.arguments[1:] for call in box.calls("chroot")]
    box.fake("chroot", '[ "$2" = usermod ] && exit 1\nexit 0\n')
    (box.root / "mnt").unlink()
    (box.root / "mnt").symlink_to("disk")
    assert box.run(files(**BY_SERIAL)["post.sh"]).returncode == 1
    assert box.told()[-1] == ("installed", "fail", "could not lock the account of root")


@pytest.mark.slow
@NEEDS_BUSYBOX
def test_hostile_commands_arrive_unchanged(tmp_path: Path) -> None:
    options = {**sample("alpine", "hostile"), "layout": "plain"}
    box = machine(tmp_path, **options)
    assert installed(box, **options).returncode == 0
    assert box.scripts == [command + "\n" for command in HOSTILE]
    assert not box.pwned()


def test_grub_can_start_it_too_and_the_address_of_the_install_is_in_no_log_line() -> None:
    prepared = CATALOG.prepare("alpine", None, sample("alpine", "full"))
    script = CATALOG.grub(FakeInstall("alpine", prepared.release, prepared.options), FakeNode(), URLS, "52:54:00:12:34:56")
    assert re.search(r"'apkovl=http://[^']*\.apkovl\.tar\.gz'", script)
    for name, text in files(**sample("alpine", "full")).items():
        assert not [line for line in text.splitlines() if "logger" in line and TOKEN in line], name
