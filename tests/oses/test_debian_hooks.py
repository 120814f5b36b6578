"""The hooks run for real, in a sandbox: what they tell us, what they leave in the installed system, and what goes wrong when it must."""

from __future__ import annotations

import atexit
import functools
import gzip
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from pxed.oses.catalog import Catalog
from tests.lab.assets import prepare
from tests.lab.process import LabProblem
from tests.oses.samples import FULL, HOSTILE, KEY, TOKEN, URLS, FakeNode, hostile
from tests.oses.sandbox import Sandbox

CATALOG = Catalog()
BUSYBOX = pytest.mark.skipif(not shutil.which("busybox"), reason="BusyBox is not installed")


@pytest.fixture(params=["sh", pytest.param("busybox sh", marks=BUSYBOX), pytest.param("installer", marks=pytest.mark.lab)])
def shell(request: pytest.FixtureRequest) -> str:
    """The shell and tools that run a hook: this host's, BusyBox's, and those of debian-installer's own RAM disk, which can do the least."""
    return f"{installer_busybox()} sh" if request.param == "installer" else str(request.param)


@functools.cache
def installer_busybox() -> Path:
    """debian-installer's BusyBox, out of the initrd that the lab has fetched."""
    if not shutil.which("cpio"):
        pytest.skip("cpio is not installed, so the installer's RAM disk cannot be opened")
    try:
        layer = Path(prepare("12", say=print).layer)
    except LabProblem as problem:
        pytest.skip(f"the lab cannot get debian-installer: {problem}")
    folder = Path(tempfile.mkdtemp(prefix="pxoses-"))
    atexit.register(shutil.rmtree, folder, True)
    initrd = layer / "dists/bookworm/main/installer-amd64/current/images/netboot/debian-installer/amd64/initrd.gz"
    (folder / "initrd").write_bytes(gzip.decompress(initrd.read_bytes()))
    with (folder / "initrd").open("rb") as archive:
        subprocess.run(["cpio", "-id", "--quiet", "--no-absolute-filenames", "bin/busybox"], stdin=archive, cwd=folder, check=True)
    return folder / "bin/busybox"


@functools.cache
def _files(options: str) -> dict[str, str]:
    return CATALOG.preview(CATALOG.prepare("debian", "12", json.loads(options)), FakeNode(), URLS)


def files(**options: Any) -> dict[str, str]:
    """Every file of an install with these options."""
    return _files(json.dumps(options))


def late(tmp_path: Path, *, refuse: int = 0, run: bool = False, shell: str = "sh", **options: Any) -> Sandbox:
    """late.sh run in a sandbox that has what FULL asks for."""
    box = Sandbox(tmp_path, shell=shell, refuse=refuse, run=run)
    box.net("enp3s0", "52:54:00:aa:bb:cc")
    box.net("lo", "00:00:00:00:00:00")
    written = files(**options)
    box.serve(written)
    ended = box.run(written["late.sh"])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert box.pwned() == []
    return box


def test_early_tells_that_the_installer_has_started_and_leaves_the_way_to_the_other_hooks(tmp_path: Path, shell: str) -> None:
    box = Sandbox(tmp_path, shell=shell)
    assert box.run(files()["early.sh"]).returncode == 0
    assert box.told() == [("started", "ok", "debian-installer has read its answers")]
    assert (box.root / "usr/bin/pxed-run").stat().st_mode & 0o111


@pytest.mark.slow
def test_early_ends_well_even_if_nobody_listens(tmp_path: Path) -> None:
    box = Sandbox(tmp_path, refuse=1000)
    assert box.run(files()["early.sh"]).returncode == 0
    assert len(box.told()) == 8
    assert len(box.calls("sleep")) == 8
    assert "could not tell the appliance" in box.calls("logger")[-1].arguments[-1]


@pytest.mark.slow
def test_the_early_command_of_the_answers_fetches_and_runs_early_and_never_fails(tmp_path: Path) -> None:
    written = files()
    (line,) = [line for line in written["preseed.cfg"].splitlines() if "preseed/early_command" in line]
    command = line.split(" string ", 1)[1]
    for refuse, started in ((0, True), (4, True), (1000, False)):
        box = Sandbox(tmp_path / str(refuse), refuse=refuse)
        box.serve(written)
        early = tmp_path / f"early-{refuse}"
        assert box.run(command.replace("/tmp/pxed-early.sh", str(early))).returncode == 0
        assert bool(box.told()) == started


@pytest.mark.slow
def test_pxed_run_fetches_a_hook_runs_it_and_reports_what_it_cannot_fetch(tmp_path: Path) -> None:
    for refuse, told in ((2, []), (1000, [("installed", "fail", "the installer could not fetch its hook x.sh")])):
        box = Sandbox(tmp_path / str(refuse), refuse=0)
        box.run(files()["early.sh"])
        runner = (box.root / "usr/bin/pxed-run").read_text().replace("/tmp/", f"{box.root}/tmp/")
        assert URLS.answers in runner
        other = Sandbox(tmp_path / f"run-{refuse}", refuse=refuse)
        other.serve({"x.sh": f": >{tmp_path}/ran-{refuse}\nexit 3\n"})
        assert other.run(f"set -- x.sh\n{runner.replace(str(box.root), str(other.root))}").returncode == 0
        assert (tmp_path / f"ran-{refuse}").exists() == (not told)
        assert other.told()[:1] == told
        assert other.calls("reboot") == []


@pytest.mark.slow
def test_without_its_word_about_the_disk_the_installer_does_not_go_on(tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "early")
    box.run(files()["early.sh"])
    runner = (box.root / "usr/bin/pxed-run").read_text()
    other = Sandbox(tmp_path / "run", refuse=1000)
    assert other.run(f"set -- disk.sh\n{runner}").returncode == 0
    assert len(other.calls("reboot")) == 1


@pytest.mark.slow
def test_late_leaves_everything_that_was_asked_for(tmp_path: Path, shell: str) -> None:
    box = late(tmp_path, shell=shell, **FULL)
    assert box.target("/etc/hostname") == "web1\n"
    assert "127.0.1.1 web1.example.com web1\n" in box.target("/etc/hosts")
    assert box.target("/etc/resolv.conf") == "search example.com\nnameserver 10.0.2.3\nnameserver 2001:db8::53\n"
    assert 'supersede domain-search "example.com";' in box.target("/etc/dhcp/dhclient.conf")
    assert box.target("/etc/systemd/timesyncd.conf.d/pxed.conf") == "[Time]\nNTP=ntp1.example.com 10.0.2.3\n"
    assert box.told() == [("installed", "ok", "debian-installer has finished")]


@pytest.mark.slow
def test_late_writes_the_network_with_names_looked_up_by_mac_address(tmp_path: Path) -> None:
    text = late(tmp_path, **FULL).target("/etc/network/interfaces")
    assert text.startswith(
        "# Written by pxed when this system was installed.\nsource /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n"
    )
    assert "auto eth0\niface eth0 inet static\n    address 10.0.2.50/24\n    gateway 10.0.2.2\n    mtu 9000\n" in text
    assert "auto enp3s0\niface enp3s0 inet6 static\n    address 2001:db8::5/64\n" in text
    assert "    pre-up ip link add link eth2 name eth2.104 type vlan id 104 || true\n" in text
    assert "auto eth3\niface eth3 inet dhcp\n" in text


def test_late_fails_the_install_if_a_named_interface_is_not_there(tmp_path: Path) -> None:
    box = late(tmp_path, networkDevices=[{"device": "52:54:00:00:00:99"}])
    assert box.told() == [("installed", "fail", "this machine has no network interface 52:54:00:00:00:99 networkDevices ")]


@pytest.mark.slow
def test_late_creates_users_with_hashes_keys_groups_and_sudo(tmp_path: Path) -> None:
    box = late(tmp_path, **FULL)
    runs = [call.arguments for call in box.calls("in-target")]
    (root,) = [run for run in runs if run[0] == "usermod" and run[-1] == "root"]
    assert root[2].startswith("$6$")
    assert ("useradd", "-m", "-U", "-d", "/home/ann", "-s", "/bin/bash", "-c", "Ann O'Nym", "-u", "1010", "ann") in runs
    (ann,) = [run for run in runs if run[0] == "usermod" and run[-1] == "ann"]
    assert ann[2].startswith("$6$")
    assert ann[3:] == ("-a", "-G", "adm,www-data", "ann")
    assert ("usermod", "-p", "!", "bot.2") in runs
    assert ("groupadd", "-f", "www-data") in runs
    assert box.target("/home/ann/.ssh/authorized_keys") == KEY + "\n"
    assert box.target("/home/bot.2/.ssh/authorized_keys").splitlines() == [KEY, KEY.replace("me@", "you@")]
    assert box.target("/root/.ssh/authorized_keys") == KEY + "\n"
    assert (box.mode("/root/.ssh"), box.mode("/root/.ssh/authorized_keys")) == (0o700, 0o600)
    assert box.target("/etc/sudoers.d/pxed-ann") == "ann ALL=(ALL:ALL) ALL\n"
    assert box.target("/etc/sudoers.d/pxed-bot_2") == "bot.2 ALL=(ALL:ALL) NOPASSWD: ALL\n"
    assert box.mode("/etc/sudoers.d/pxed-ann") == 0o440


@pytest.mark.slow
def test_late_run_twice_creates_no_user_twice(tmp_path: Path) -> None:
    box = late(tmp_path, **FULL)
    box.run(files(**FULL)["late.sh"])
    assert len([call for call in box.calls("in-target") if call.arguments[0] == "useradd"]) == 2


@pytest.mark.slow
def test_hostile_text_arrives_unchanged_in_the_installed_system(tmp_path: Path, shell: str) -> None:
    options = hostile()
    box = late(tmp_path, shell=shell, **options)
    assert box.scripts == [command + "\n" for command in HOSTILE]
    (ann,) = [call.arguments for call in box.calls("in-target") if call.arguments[0] == "useradd"]
    assert ann[ann.index("-c") + 1] == options["users"][0]["gecos"]
    assert box.target("/root/.ssh/authorized_keys") == options["rootSshKeys"][0] + "\n"


def test_late_puts_the_first_boot_unit_where_systemd_starts_it(tmp_path: Path) -> None:
    box = late(tmp_path)
    written = files()
    assert box.target("/usr/local/lib/pxed/firstboot") == written["firstboot.sh"]
    assert box.mode("/usr/local/lib/pxed/firstboot") == 0o700
    link = box.root / "target/etc/systemd/system/multi-user.target.wants/pxed-firstboot.service"
    assert link.resolve() == (box.root / "target/etc/systemd/system/pxed-firstboot.service")
    assert box.target("/etc/systemd/system/pxed-firstboot.service") == written["firstboot.service"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_itself_accepts_the_unit(tmp_path: Path) -> None:
    (tmp_path / "pxed-firstboot.service").write_text(files()["firstboot.service"])
    run = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "pxed-firstboot.service"], capture_output=True, text=True, timeout=30, check=False
    )
    assert "pxed-firstboot" not in run.stderr


def test_late_survives_an_appliance_that_restarts_meanwhile(tmp_path: Path) -> None:
    box = late(tmp_path, refuse=4)
    assert box.told()[-1][1] == "ok"
    assert box.target("/usr/local/lib/pxed/firstboot")


def test_late_fails_the_install_if_the_first_boot_script_cannot_be_fetched(tmp_path: Path) -> None:
    box = late(tmp_path, refuse=7)
    assert box.told() == [("installed", "fail", "the installer could not fetch firstboot.sh")]


def test_late_fails_the_install_if_nothing_was_installed(tmp_path: Path) -> None:
    box = Sandbox(tmp_path)
    shutil.rmtree(box.root / "target")
    assert box.run(files()["late.sh"]).returncode == 0
    assert box.told() == [("installed", "fail", "there is no installed system below /target")]


def test_the_operators_commands_run_in_order_and_a_failing_one_is_reported(tmp_path: Path) -> None:
    box = late(tmp_path, run=True, postInstallCommands=["echo one >>ran", "echo two >>ran\nexit 7", "echo three >>ran"])
    assert box.target("ran") == "one\ntwo\nthree\n"
    assert box.told() == [("installed", "ok", " scripts.post 2 ended with status 7.")]
    assert not (box.root / "target/root/.pxed-post").exists()


def test_a_failing_command_fails_the_install_if_asked(tmp_path: Path) -> None:
    box = late(tmp_path, run=True, scripts={"post": ["exit 7"]}, onScriptFailure="fail")
    assert box.told() == [("installed", "fail", " scripts.post 1 ended with status 7.")]


# disk.sh


def chosen(tmp_path: Path, disk: Any, *, uefi: bool = False, shell: str = "sh", **options: Any) -> tuple[dict[str, str], Sandbox]:
    """The answers that disk.sh gave on a machine with five disks and a stick."""
    box = Sandbox(tmp_path, shell=shell)
    box.disk("sda", gigabytes=2000, device__model="WDC WD20  ", udev="ID_SERIAL_SHORT=WD-123\nID_WWN=0x50014ee2\nID_MODEL=WDC_WD20\n")
    box.disk(
        "sdb",
        gigabytes=500,
        device__model="Samsung SSD 870",
        queue__rotational="0",
        udev="ID_SERIAL_SHORT=S6P\nID_WWN_WITH_EXTENSION=0x5002538f\n",
    )
    box.disk("sdc", gigabytes=16, removable="1", device__model="Stick")
    box.disk("sdd", gigabytes=0)
    box.disk(
        "nvme0n1",
        gigabytes=250,
        serial="NV-9",
        wwid="eui.0025385a",
        queue__rotational="0",
        device__model="Samsung PM9A1",
        device__serial="NV-9",
    )
    box.disk("vda", gigabytes=40, serial="virt-7")
    box.disk("sr0", gigabytes=1)
    box.disk("loop0", gigabytes=9000)
    if uefi:
        (box.root / "sys/firmware/efi").mkdir(parents=True)
    asked = {**options, **({} if disk is None else {"disk": disk})}
    ended = box.run(files(**asked)["disk.sh"])
    assert (ended.returncode, ended.stderr) == (0, "")
    selections = tmp_path / "selections"
    lines = [line.split(" ", 3) for line in selections.read_text().splitlines()] if selections.exists() else []
    return {question: value for _, question, _, value in lines}, box


@pytest.mark.slow
@pytest.mark.parametrize(
    ("disk", "device"),
    [
        (None, "/dev/nvme0n1"),
        (1, "/dev/sda"),
        (3, "/dev/vda"),
        ({"path": "/dev/sdb"}, "/dev/sdb"),
        ({"serial": "wd-123"}, "/dev/sda"),
        ({"serial": "NV-9"}, "/dev/nvme0n1"),
        ({"serial": "virt-7"}, "/dev/vda"),
        ({"wwn": "50014EE2"}, "/dev/sda"),
        ({"wwn": "wwn-0x5002538f"}, "/dev/sdb"),
        ({"wwn": "naa.0025385a"}, "/dev/nvme0n1"),
        ({"model": "samsung ssd"}, "/dev/sdb"),
        ({"model": "samsung", "size": "largest"}, "/dev/sdb"),
        ({"model": "wd20"}, "/dev/sda"),
        ("largest", "/dev/sda"),
        ("smallest", "/dev/vda"),
        ("ssd", "/dev/nvme0n1"),
    ],
)
def test_the_disk_is_chosen_on_the_node_by_what_it_is(tmp_path: Path, disk: Any, device: str, shell: str) -> None:
    answers, box = chosen(tmp_path, disk, shell=shell)
    assert answers["partman-auto/disk"] == device
    assert answers["grub-installer/bootdev"] == device
    assert box.told() == []


@pytest.mark.parametrize("disk", [{"serial": "nobody"}, 9, {"model": "Stick"}, {"model": "wd", "serial": "S6P"}])
def test_a_disk_that_is_not_there_fails_the_install_and_says_what_is(tmp_path: Path, disk: Any) -> None:
    answers, box = chosen(tmp_path, disk)
    assert answers == {}
    assert len(box.calls("reboot")) == 1
    ((phase, status, message),) = box.told()
    assert (phase, status) == ("installed", "fail")
    assert message.startswith("no disk of this machine fits the option disk, it has: nvme0n1 250 GB".replace(",", "", 0)[:40])
    assert "sda 2000 GB, WDC WD20 WD-123" in message
    assert "Stick" not in message.replace("option disk", "")


@pytest.mark.slow
@pytest.mark.parametrize("uefi", [False, True])
def test_the_recipe_fits_the_firmware_the_node_really_has(tmp_path: Path, uefi: bool) -> None:
    answers, _ = chosen(tmp_path, None, uefi=uefi, installPartitions=FULL["installPartitions"])
    assert answers["partman-auto/choose_recipe"] == "pxed"
    recipe = answers["partman-auto/expert_recipe"]
    assert ("method{ efi }" in recipe, "method{ biosgrub }" in recipe) == (uefi, not uefi)
    assert recipe.endswith("mountpoint{ / } label{ root } .")


@pytest.mark.slow
def test_partitions_that_do_not_fit_fail_the_install_before_partman_makes_others(tmp_path: Path) -> None:
    parts = [{"mountPoint": "/", "size": "300G"}]
    answers, box = chosen(tmp_path / "small", "smallest", installPartitions=parts)
    assert answers == {}
    assert len(box.calls("reboot")) == 1
    assert box.told() == [("installed", "fail", "installPartitions need 300562 MB, /dev/vda has 40000 MB")]
    assert chosen(tmp_path / "large", "largest", installPartitions=parts)[0]["partman-auto/disk"] == "/dev/sda"


def test_an_answer_that_is_not_taken_ends_the_install_before_a_disk_is_touched(tmp_path: Path) -> None:
    box = Sandbox(tmp_path)
    box.disk("nvme0n1", gigabytes=250)
    box.fake("debconf-set-selections", "exit 1")
    box.run(files()["disk.sh"])
    assert box.told() == [("installed", "fail", "the chosen disk /dev/nvme0n1 could not be written into the installer s answers")]
    assert len(box.calls("reboot")) == 1


@pytest.mark.slow
def test_without_partitions_the_installers_own_recipe_is_left_alone(tmp_path: Path) -> None:
    assert set(chosen(tmp_path, None)[0]) == {"partman-auto/disk", "grub-installer/bootdev"}


def test_no_hook_hides_the_token_in_a_log_line() -> None:
    for name, text in files(**FULL).items():
        if name.endswith(".sh"):
            assert not [line for line in text.splitlines() if "logger" in line and TOKEN in line]
