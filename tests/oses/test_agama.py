"""SLES 16 and Leap 16: profiles read by a strict reader; the scripts run for real; an installer walked through its files."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from pxed.errors import InvalidRequest, NotFound
from pxed.oses.catalog import Catalog
from pxed.oses.own import with_own
from tests.oses.agama_model import Drive, NewPartition, Profile, Volume
from tests.oses.families import CASES, delivered, sample
from tests.oses.samples import HOSTILE, HOSTILE_TARGET, KEY, SECRET, TOKEN, URLS, FakeNode, install_of, verifies
from tests.oses.sandbox import FAKES, Sandbox

CATALOG = Catalog()
LVM: dict[str, Any] = {
    "layout": "lvm",
    "installPartitions": [
        {"mountPoint": "/", "size": "auto", "fsType": "xfs"},
        {"mountPoint": "/boot", "size": "1G"},
        {"mountPoint": "/var/log", "size": "4G", "label": "log"},
        {"mountPoint": "swap", "size": "1G"},
    ],
    "after": "poweroff",
}
EVERY = pytest.mark.parametrize(("family", "case"), [(family, case) for family in ("sles", "leap") for case in (*CASES, "lvm")])
HOOKS = ("prepare.sh", "say.sh", "post.sh", "watch.sh")


@functools.cache
def _files(family: str, options: str, arch: int) -> dict[str, str]:
    return delivered(CATALOG, CATALOG.prepare(family, "16", json.loads(options)), FakeNode(arch=arch), URLS)


def files(family: str, *, arch: int = 0, **options: Any) -> dict[str, str]:
    return _files(family, json.dumps(options), arch)


def case_files(family: str, case: str) -> dict[str, str]:
    return files(family, **(LVM if case == "lvm" else sample(family, case)))


def profile(text: str) -> Profile:
    return Profile.model_validate_json(text)


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


# The profile


@EVERY
def test_every_profile_has_only_what_agama_takes_and_asks_nothing(family: str, case: str) -> None:
    found = profile(case_files(family, case)["profile.json"])
    assert found.product.id == {"sles": "SLES", "leap": "openSUSE_Leap"}[family]
    assert found.questions.policy == "auto"


@pytest.mark.parametrize(
    "change",
    [
        {"network": {}},
        {"l10n": {"locale": "en_US"}},
        {"product": {"id": "SLES", "name": "x"}},
        {"root": {"password": "", "hashedPassword": True}},
        {"storage": {"boot": {"configure": True, "device": "other"}, "drives": []}},
    ],
)
def test_the_reader_refuses_what_agama_would(change: dict[str, Any]) -> None:
    good = json.loads(files("sles")["profile.json"])
    with pytest.raises(ValidationError):
        Profile.model_validate(good | change)


def test_name_language_clock_and_kernel_arguments_are_what_was_asked_for() -> None:
    found = profile(case_files("leap", "full")["profile.json"])
    assert found.hostname is not None
    assert found.hostname.static == "web1.example.com"
    assert (found.localization.language, found.localization.keyboard, found.localization.timezone) == (
        "de_DE.UTF-8",
        "de",
        "Europe/Berlin",
    )
    assert found.bootloader is not None
    assert found.bootloader.extraKernelParams == "console=tty0 console=ttyS0,115200n8 mitigations=off"
    assert profile(files("sles", keyboard="uk")["profile.json"]).localization.keyboard == "gb"


def test_hostile_kernel_arguments_arrive_as_they_are() -> None:
    found = profile(case_files("leap", "hostile")["profile.json"]).bootloader
    assert found is not None
    assert found.extraKernelParams == f"console=tty0 console=ttyS0,115200n8 {HOSTILE_TARGET}"


def test_root_has_its_hash_or_none_that_fits_any_password() -> None:
    assert verifies(SECRET, profile(case_files("sles", "full")["profile.json"]).root.password)
    assert profile(files("sles")["profile.json"]).root.password == "!"


def test_software_is_the_products_own_unless_patterns_are_named() -> None:
    assert profile(files("sles")["profile.json"]).software.patterns is None
    added = profile(files("sles", kvm=True)["profile.json"]).software.patterns
    assert not isinstance(added, list | None)
    assert added.add == ["kvm_server", "kvm_tools"]
    full = profile(case_files("sles", "full")["profile.json"]).software
    assert full.patterns == ["base", "lamp_server", "kvm_server", "kvm_tools"]
    assert set(full.packages) == {"curl", "sudo", "openssh-server", "chrony", "firewalld", "vim", "htop"}


def made(drive: Drive) -> list[NewPartition]:
    return [part for part in drive.partitions if isinstance(part, NewPartition)]


@EVERY
def test_everything_on_the_chosen_disk_goes_and_no_other_disk_is_named(family: str, case: str) -> None:
    (drive,) = profile(case_files(family, case)["profile.json"]).storage.drives
    assert drive.search == "/dev/pxed-disk"
    assert drive.partitions[0].model_dump() == {"search": "*", "delete": True}
    if case == "minimal":
        assert [each.model_dump() for each in drive.partitions[1:]] == [{"generate": "default"}]


def test_partitions_and_volumes_are_what_was_asked_for() -> None:
    (drive,) = profile(case_files("leap", "full")["profile.json"]).storage.drives
    shown = [(part.filesystem.path, part.filesystem.type, part.filesystem.label) for part in made(drive) if part.filesystem]
    assert shown == [("/boot", "ext3", None), ("swap", "swap", None), ("/", "xfs", "root")]
    assert [part.size if isinstance(part.size, int) else part.size.max for part in made(drive)] == [500_000_000, 2_000_000_000, None]
    storage = profile(case_files("leap", "lvm")["profile.json"]).storage
    boot, physical = made(storage.drives[0])
    assert boot.filesystem is not None
    assert (boot.filesystem.path, physical.id) == ("/boot", "lvm")
    volumes = [each for each in storage.volumeGroups[0].logicalVolumes if isinstance(each, Volume)]
    assert [(each.name, each.filesystem.path) for each in volumes] == [("root", "/"), ("var_log", "/var/log"), ("swap2", "swap")]
    whole = profile(files("leap", layout="lvm")["profile.json"]).storage
    assert [each.model_dump() for each in whole.volumeGroups[0].logicalVolumes] == [{"generate": "default"}]


# One name, two installers


def test_one_name_has_two_installers_by_release() -> None:
    assert CATALOG.prepare("sles", "16", {}).recipe == "agama"
    assert CATALOG.prepare("sles", "16.1", {}).release == "16"
    assert CATALOG.prepare("leap", "16.0", {"after": "poweroff"}).recipe == "agama-off"
    assert CATALOG.prepare("sles", "15.6", {}).recipe == "suse"
    assert CATALOG.prepare("sles", None, {}).release == "15"
    assert CATALOG.needs(CATALOG.prepare("leap", "16", {})) == "leap-16"
    with pytest.raises(NotFound, match="there is 15, 12, 16"):
        CATALOG.prepare("sles", "17", {})
    old, new = (install_of(CATALOG.prepare("sles", release, {})) for release in ("15", "16"))
    with pytest.raises(NotFound, match=r"it has autoinst\.xml"):
        CATALOG.file(old, FakeNode(), URLS, "profile.json")
    assert CATALOG.file(new, FakeNode(), URLS, "profile.json").content_type == "application/json"
    (listed,) = [each for each in CATALOG.list() if each["name"] == "sles"]
    assert [(each["name"], each["recipe"]) for each in listed["releases"]] == [("15", "suse"), ("12", "suse"), ("16", "agama")]


def test_other_data_for_a_release_stays_with_its_installer(tmp_path: Path) -> None:
    mine = '[[release]]\nfamily = "sles"\nname = "16"\ntitle = "My SLES"\nrepository = "mine"\n'
    old = '[[release]]\nfamily = "sles"\nname = "15"\nrepository = "old"\n'
    (tmp_path / "sles.toml").write_text(mine + old)
    catalog = Catalog(with_own(tmp_path).families)
    prepared = catalog.prepare("sles", "16", {})
    assert (prepared.recipe, catalog.needs(prepared)) == ("agama", "mine")
    assert "/repo/mine/" in catalog.preview(prepared, None, URLS)["boot.ipxe"]
    assert catalog.needs(catalog.prepare("sles", "15", {})) == "old"
    assert CATALOG.needs(CATALOG.prepare("sles", "16", {})) == "sles-16"


@pytest.mark.parametrize(
    ("family", "options", "field"),
    [
        ("sles", {"modules": ["Basesystem"]}, "options.modules"),
        ("leap", {"dnsSearch": ["example.com"]}, "options.dnsSearch"),
        ("leap", {"bonds": [{"nics": ["eth0"]}]}, "options.bonds"),
        ("leap", {"tasks": ["standard"]}, "options.tasks"),
        ("leap", {"after": "halt"}, "options.after"),
        ("leap", {"repo": "http://m.example.com/leap", "proxy": "http://u:p@10.0.0.1:3128"}, "options.proxy"),
    ],
)
def test_what_cannot_be_is_refused_by_name(family: str, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        CATALOG.prepare(family, "16", options)
    assert caught.value.field == field


# The boot script


def words(**options: Any) -> list[str]:
    (line,) = [line for line in files("sles", **options)["boot.ipxe"].splitlines() if line.startswith("kernel ")]
    return line.removesuffix(" || goto again").split()[3:]


def test_the_kernel_line_is_dracuts_and_agamas() -> None:
    tree = "http://10.0.2.2:8080/repo/sles-16"
    assert words() == [
        f"{tree}/boot/x86_64/loader/linux", "initrd=initrd", f"root=live:{tree}/LiveOS/squashfs.img", "rd.neednet=1", "ip=dhcp",
        f"inst.script={URLS.answer('prepare.sh')}", "inst.auto=file:///run/pxed/autoinst.json", f"inst.install_url={tree}/install",
        "inst.finish=reboot", "inst.self_update=0", "BOOTIF=01-${netX/mac:hexhyp}",
    ]  # fmt: skip
    assert {"ip=eno2:dhcp", "rd.bootif=0", "inst.finish=poweroff"} <= set(words(installInterface="eno2", after="poweroff"))
    assert "inst.copy_network=0" in words(networkDevices=[{"device": "eth0"}])
    assert words(arch=11)[0] == f"{tree}-aarch64/boot/aarch64/loader/linux"
    outside = {"repo": "http://m.example.com/sles", "proxy": "http://10.0.0.1:3128"}
    assert "proxy=http://10.0.0.1:3128" in words(**outside)
    assert not [word for word in words(proxy="http://10.0.0.1:3128") if word.startswith("proxy")]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_warn_of_in_any_hook(tmp_path: Path, case: str) -> None:
    written = case_files("leap", case)
    for name in HOOKS:
        (tmp_path / name).write_text(written[name])
    run = subprocess.run(
        ["shellcheck", "-s", "sh", "--severity=warning", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout, run.returncode) == ("", 0)


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
