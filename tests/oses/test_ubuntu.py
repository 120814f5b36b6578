"""What Ubuntu's installer is given: read by the programs that read it (cloud-init, netplan), and its hooks run for real."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pxed.errors import InvalidRequest
from pxed.oses.catalog import Catalog
from pxed.oses.curtin import MIB
from pxed.oses.disk import PLACEHOLDER
from pxed.oses.ubuntu import RELEASES
from pxed.oses.ubuntu_progress import webhook
from tests.oses.debs import unpacked
from tests.oses.families import CASES, delivered, sample
from tests.oses.samples import SECRET, URLS, FakeNode, verifies
from tests.oses.sandbox import Sandbox

CATALOG = Catalog()
EVERY = pytest.mark.parametrize(("release", "case"), [(release, case) for release in RELEASES for case in CASES])
KNOWN = {
    *("version", "interactive-sections", "early-commands", "reporting", "error-commands", "late-commands", "user-data", "packages"),
    *("debconf-selections", "locale", "refresh-installer", "kernel", "kernel-crash-dumps", "keyboard", "zdevs", "source", "network"),
    *("ubuntu-pro", "proxy", "apt", "storage", "identity", "ssh", "snaps", "active-directory", "codecs", "drivers", "oem", "timezone"),
    *("updates", "shutdown"),
}
"""Top-level keys of Ubuntu's autoinstall reference; subiquity's schema lets others pass, and the installer ignores them."""


@functools.cache
def _rendered(release: str, options: str) -> dict[str, str]:
    return delivered(CATALOG, CATALOG.prepare("ubuntu", release, json.loads(options)), FakeNode(name="rack 1 ü"), URLS)


def rendered(release: str = "24.04", **options: Any) -> dict[str, str]:
    return _rendered(release, json.dumps(options))


def answers(release: str = "24.04", **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(rendered(release, **options)["user-data"])["autoinstall"]
    return found


@EVERY
def test_every_key_is_one_that_the_installer_knows_and_nothing_stands_beside_autoinstall(release: str, case: str) -> None:
    text = rendered(release, **sample("ubuntu", case))["user-data"]
    assert text.startswith("#cloud-config\n")
    document = yaml.safe_load(text)
    assert set(document) == {"autoinstall"}
    assert set(document["autoinstall"]) <= KNOWN
    assert document["autoinstall"]["version"] == 1
    assert "interactive-sections" not in document["autoinstall"]


@pytest.fixture(scope="module")
def cloud_init() -> list[str]:
    """The command line of cloud-init's own schema checker."""
    needed = ("configobj", "jsonpatch", "json-pointer", "oauthlib", "serial", "six", "requests", "urllib3", "chardet", "idna", "certifi")
    files = unpacked("cloud-init", "cloud-init", *(f"python3-{name}" for name in needed))
    folder = str(files / "usr/lib/python3/dist-packages")
    code = f"import sys; sys.path.append({folder!r}); from cloudinit.cmd.main import main; sys.exit(main())"
    return [sys.executable, "-W", "ignore", "-c", code, "schema", "-c"]


def accepted(cloud_init: list[str], folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "given").write_text(text)
    return subprocess.run([*cloud_init, folder / "given"], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.lab
@EVERY
def test_cloud_init_itself_accepts_what_it_is_given(release: str, case: str, cloud_init: list[str], tmp_path: Path) -> None:
    """In the installer's system, and in the installed one."""
    files = rendered(release, **sample("ubuntu", case, release))
    inner = yaml.safe_load(files["user-data"])["autoinstall"]["user-data"]
    for text in (files["user-data"], files["vendor-data"], f"#cloud-config\n{json.dumps(inner)}\n"):
        run = accepted(cloud_init, tmp_path, text)
        assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.lab
def test_cloud_init_itself_can_refuse(cloud_init: list[str], tmp_path: Path) -> None:
    assert accepted(cloud_init, tmp_path, "#cloud-config\nusers: 5\n").returncode == 1


@pytest.mark.lab
def test_netplan_itself_makes_networkds_files_of_the_installed_systems_network(tmp_path: Path) -> None:
    files = unpacked("netplan", "netplan.io", "libnetplan0", "libglib2.0-0", "libyaml-0-2", "libuuid1")
    options = sample("ubuntu", "full")
    box = late(tmp_path / "late", **options)
    for place, written in enumerate((box.target("/etc/netplan/01-pxed.yaml"), "network: {version: 2, ethernets: {eth0: {dhcp4: 7}}}\n")):
        folder = tmp_path / str(place)
        (folder / "etc/netplan").mkdir(parents=True)
        (folder / "etc/netplan/01-pxed.yaml").write_text(written)
        libraries = ":".join(str(files / name / "x86_64-linux-gnu") for name in ("lib", "usr/lib"))
        run = subprocess.run(
            [files / "usr/libexec/netplan/generate", "--root-dir", folder],
            env={"LD_LIBRARY_PATH": libraries}, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert run.returncode == place, run.stderr
    network = tmp_path / "0/run/systemd/network"
    assert "Address=10.0.2.50/24" in (network / "10-netplan-eth0.network").read_text()
    assert "MACAddress=52:54:00:aa:bb:cc" in (network / "10-netplan-nic1.network").read_text()
    assert "Mode=802.3ad\nLACPTransmitRate=fast\nMIIMonitorSec=100ms" in (network / "10-netplan-bond0.netdev").read_text()
    assert "Id=104" in (network / "10-netplan-eth2.104.netdev").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_warn_of_in_any_hook(case: str, tmp_path: Path) -> None:
    for name, text in rendered("22.04", **sample("ubuntu", case)).items():
        if name.endswith(".sh"):
            (tmp_path / name).write_text(text)
    hooks = sorted(tmp_path.iterdir())
    assert len(hooks) == 5
    run = subprocess.run(["shellcheck", "-s", "sh", "--severity=warning", *hooks], capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout, run.returncode) == ("", 0)


def kernel_line(release: str = "24.04", **options: Any) -> str:
    (line,) = [line for line in rendered(release, **options)["boot.ipxe"].splitlines() if line.startswith("kernel ")]
    return line


def test_casper_gets_the_whole_image_of_the_releases_repository_and_cloud_init_is_kept_from_it() -> None:
    for release, image, seed in (("20.04", "url", "nocloud-net"), ("22.04", "url", "nocloud-net"), ("24.04", "iso-url", "nocloud")):
        line = kernel_line(release)
        assert (
            f" {URLS.repo('ubuntu-' + release)}/casper/vmlinuz initrd=initrd ip=dhcp {image}={URLS.repo('ubuntu-' + release)}.iso " in line
        )
        assert f" autoinstall cloud-config-url=/dev/null ds={seed};s={URLS.answers}/ " in line
    assert f"url={URLS.repo('mine')}.iso " in kernel_line(repo="mine")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"repo": "http://mirror.example.com/x"}, "options.isoUrl"),
        ({"isoUrl": "https://mirror.example.com/x.iso"}, "options.isoUrl"),
        ({"after": "halt"}, "options.after"),
        ({"tasks": ["standard"]}, "options.tasks"),
        ({"bonds": [{"nics": ["eth0"], "options": "mii=1"}]}, "options.bonds.0.options"),
    ],
)
def test_what_ubuntu_cannot_do_is_refused_by_name(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        rendered(**options)
    assert caught.value.field == field


def test_only_images_with_editions_have_a_minimal_one() -> None:
    assert answers("22.04", edition="minimal")["source"] == {"id": "ubuntu-server-minimal"}
    with pytest.raises(InvalidRequest, match=r"20\.04 .* has no minimal edition"):
        rendered("20.04", edition="minimal")


def test_the_list_says_how_much_memory_a_release_needs() -> None:
    (shown,) = [each for each in CATALOG.list() if each["name"] == "ubuntu"]
    assert {each["name"]: each["needs"].split(" of")[0] for each in shown["releases"]} == {
        "24.04": "8 GB", "26.04": "8 GB", "22.04": "6 GB", "20.04": "4 GB", "18.04": "1 GB",
    }  # fmt: skip


def machine(tmp_path: Path, *, uefi: bool = False, refuse: int = 0, **options: Any) -> tuple[Sandbox, dict[str, str]]:
    """A machine with two disks at which the installer has run its first hook."""
    box, written = Sandbox(tmp_path, refuse=refuse), rendered(**options)
    box.serve(written)
    box.fake("readlink", 'echo "$2"\n')
    box.fake("systemctl", "")
    box.disk("sda", gigabytes=100, udev="ID_SERIAL_SHORT=WD-123\n")
    box.disk("nvme0n1", gigabytes=200, queue__rotational="0")
    (box.root / "etc/rsyslog.d").mkdir(parents=True)
    if uefi:
        (box.root / "sys/firmware/efi").mkdir(parents=True)
    (box.root / "autoinstall.yaml").write_text(yaml.safe_dump(yaml.safe_load(written["user-data"])["autoinstall"]))
    assert box.run(written["early.sh"]).returncode == 0
    return box, written


def chosen(box: Sandbox) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((box.root / "autoinstall.yaml").read_text())["storage"]
    return found


def test_early_tells_us_sends_the_log_and_leaves_the_way_to_the_other_hooks(tmp_path: Path) -> None:
    box, written = machine(tmp_path)
    assert box.told() == [("started", "ok", "Ubuntu's installer has read its answers".replace("'", " "))]
    assert (box.root / "etc/rsyslog.d/90-pxed.conf").read_text() == "*.info @10.0.2.2:514\n"
    (box.www / "disk.sh").write_text(written["disk.sh"])
    assert box.run(f"sh {box.root}/run/pxed/run disk.sh").returncode == 0
    assert chosen(box) == {"layout": {"name": "direct", "match": {"path": "/dev/nvme0n1"}}}


def test_a_hook_that_cannot_be_fetched_ends_the_install_and_says_so(tmp_path: Path) -> None:
    box, _ = machine(tmp_path)
    assert box.run(f"sh {box.root}/run/pxed/run gone.sh").returncode == 1
    assert box.told()[-1] == ("installed", "fail", "the installer could not fetch its hook gone.sh")


@pytest.mark.slow
def test_the_disk_is_chosen_on_the_machine_and_written_into_the_installers_answers(tmp_path: Path) -> None:
    box, written = machine(tmp_path, installDisk={"serial": "wd-123"}, layout="lvm")
    assert box.run(written["disk.sh"]).returncode == 0
    assert chosen(box) == {"layout": {"name": "lvm", "match": {"path": "/dev/sda"}, "sizing-policy": "all"}}
    assert answers()["storage"]["layout"]["match"]["path"] == PLACEHOLDER


def test_a_machine_without_a_fitting_disk_is_left_as_it_is(tmp_path: Path) -> None:
    box, written = machine(tmp_path, installDisk={"serial": "other"})
    assert box.run(written["disk.sh"]).returncode == 1
    assert box.told()[-1][:2] == ("installed", "fail")
    assert "no disk of this machine fits the option disk it has: nvme0n1 200 GB" in box.told()[-1][2]
    assert chosen(box)["layout"]["match"]["path"] == PLACEHOLDER


@pytest.mark.slow
@pytest.mark.parametrize(("uefi", "lvm"), [(True, False), (False, False), (True, True), (False, True)])
def test_partitions_are_curtins_actions_with_what_the_firmware_needs_in_front(tmp_path: Path, *, uefi: bool, lvm: bool) -> None:
    options = sample("ubuntu", "full") | {"layout": "lvm" if lvm else "custom"}
    box, written = machine(tmp_path, uefi=uefi, **options)
    assert box.run(written["disk.sh"]).returncode == 0
    section = chosen(box)
    actions, ids = section["config"], [each["id"] for each in section["config"]]
    assert section["swap"] == {"size": 0}
    assert len(ids) == len(set(ids))
    for each in actions:
        for reference in (each.get("device"), each.get("volume"), each.get("volgroup"), *each.get("devices", [])):
            assert reference is None or ids.index(reference) < ids.index(each["id"])
    assert actions[0] | {"path": "/dev/sda", "grub_device": not uefi} == actions[0]
    assert actions[1]["flag"] == ("boot" if uefi else "bios_grub")
    sized = [each for each in actions if "size" in each]
    assert all(each["size"] == -1 or each["size"] % MIB == 0 for each in sized)
    assert [each["id"] for each in sized if each["size"] == -1] == (["pv", "lv1"] if lvm else ["part2"])
    mounted = {each["path"] for each in actions if each["type"] == "mount"}
    assert mounted == {"/boot", "", "/"} | ({"/boot/efi"} if uefi else set())


def late(tmp_path: Path, **options: Any) -> Sandbox:
    """late.sh run in a sandbox with a machine that has what the samples name."""
    box, written = Sandbox(tmp_path, run=False), rendered(**options)
    box.serve(written)
    box.fake("curtin", 'shift 3\nexec in-target "$@"\n')
    box.net("enp3s0", "52:54:00:aa:bb:cc")
    box.net("enp4s0", "52:54:00:aa:bb:cd")
    for folder in ("netplan", "cloud/cloud.cfg.d"):
        (box.root / "target/etc" / folder).mkdir(parents=True)
    (box.root / "target/etc/netplan/00-installer-config.yaml").touch()
    ended = box.run(written["late.sh"])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert box.pwned() == []
    return box


@pytest.mark.slow
def test_late_leaves_everything_that_was_asked_for(tmp_path: Path) -> None:
    box = late(tmp_path, **sample("ubuntu", "full"))
    assert box.told()[-1] == ("installed", "ok", "the Ubuntu installer has finished")
    assert box.target("/etc/hostname") == "web1\n"
    assert "127.0.1.1 web1.example.com web1\n" in box.target("/etc/hosts")
    assert box.target("/etc/systemd/resolved.conf.d/pxed.conf") == "[Resolve]\nDNS=10.0.2.3 2001:db8::53\nDomains=example.com ~.\n"
    assert box.target("/etc/timezone") == "Europe/Berlin\n"
    assert (box.root / "target/etc/localtime").readlink() == Path("/usr/share/zoneinfo/Europe/Berlin")
    assert box.target("/etc/systemd/timesyncd.conf.d/pxed.conf") == "[Time]\nNTP=ntp1.example.com 10.0.2.3\n"
    assert [path.name for path in (box.root / "target/etc/netplan").iterdir()] == ["01-pxed.yaml"]
    assert box.mode("/etc/netplan/01-pxed.yaml") == 0o600
    assert (box.root / "target/etc/systemd/system/multi-user.target.wants/pxed-firstboot.service").is_symlink()
    (root, *_) = [call.arguments for call in box.calls("in-target") if call.arguments[0] == "usermod"]
    assert (root[1], root[3]) == ("-p", "root")
    assert verifies(SECRET, root[2])


@pytest.mark.slow
def test_late_fails_where_an_interface_is_missing_and_survives_hostile_values(tmp_path: Path) -> None:
    missing = late(tmp_path / "a", networkDevices=[{"device": "02:00:00:00:00:01"}])
    (told,) = missing.told()
    assert told[:2] == ("installed", "fail")
    assert told[2].startswith("this machine has no network interface 02:00:00:00:00:01")
    assert late(tmp_path / "b", **sample("ubuntu", "hostile")).told()[-1][1] == "ok"


def test_a_failed_installer_is_told_in_its_own_words(tmp_path: Path) -> None:
    box, written = machine(tmp_path)
    log = box.root / "var/log/installer"
    log.mkdir(parents=True)
    (log / "subiquity-server-debug.log").write_text(
        "2026-01-01 DEBUG root:39 start: subiquity/Install/install/curtin_install: installing\n"
        "2026-01-01 DEBUG root:39 finish: subiquity/Install/install/curtin_install: FAIL: Command returned 3\n"
    )
    (log / "curtin-install.log").write_text("fine\nmkfs.ext4: error: no space left on /dev/sda2\n")
    assert box.run(written["error.sh"]).returncode == 0
    phase, status, said = box.told()[-1]
    assert (phase, status) == ("installed", "fail")
    assert "at subiquity/Install/install/curtin_install: FAIL: Command returned 3" in said
    assert "no space left on /dev/sda2" in said


def test_the_commands_of_the_answers_run_the_hooks_and_only_the_disks_choice_may_end_the_install(tmp_path: Path) -> None:
    found = answers()
    fetch, disk = found["early-commands"]
    assert disk == "sh /run/pxed/run disk.sh"
    assert [each.endswith("; true") for each in (fetch, *found["late-commands"], *found["error-commands"])] == [True] * 3
    for refuse, told in ((0, True), (1000, False)):
        box = Sandbox(tmp_path / str(refuse), refuse=refuse)
        box.serve(rendered(remoteLogging=False))
        assert box.run(fetch.replace("/tmp/", f"{box.root}/tmp/")).returncode == 0
        assert bool(box.told()) == told


EVENTS = [
    ("subiquity/Install/install/curtin_install/run_curtin_step", "start", 0),
    ("cmd-install/stage-partitioning", "start", 18),
    ("subiquity/Install/install/curtin_install/run_curtin_step/cmd-install/stage-extract", "start", 25),
    ("cmd-install/stage-curthooks/builtin/cmd-curthooks/installing-kernel", "start", 55),
    ("subiquity/Install/install/postinstall/install_openssh-server", "start", 72),
    ("subiquity/Late/run", "start", 88),
    ("subiquity/Late/run", "finish", 0),
]


@pytest.mark.parametrize(("name", "kind", "percent"), EVENTS)
def test_an_event_of_the_installer_is_a_percentage(name: str, kind: str, percent: int) -> None:
    said = webhook({"name": name, "event_type": kind, "description": "x", "result": "SUCCESS"})
    assert (said.percent if said else 0) == percent


@pytest.mark.parametrize(
    "event", [{"name": 7}, {"event_type": "start"}, {"name": "subiquity/Refresh", "event_type": "finish", "result": "FAIL"}]
)
def test_what_says_nothing_about_progress_is_left_alone_and_a_failed_step_is_no_failed_install(event: dict[str, Any]) -> None:
    assert webhook(event) is None


def test_the_installer_posts_its_events_to_the_webhook() -> None:
    assert answers()["reporting"] == {"pxed": {"type": "webhook", "endpoint": URLS.answer("webhook"), "level": "DEBUG"}}
    assert CATALOG.families["ubuntu"].webhook is webhook
