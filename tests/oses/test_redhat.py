"""Red Hat's family: every kickstart of every release read by pykickstart."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest

from pxed.errors import InvalidRequest
from pxed.oses.catalog import Catalog
from pxed.oses.redhat import FAMILIES
from tests.oses.families import CASES, delivered, sample
from tests.oses.samples import HOSTILE_TARGET, URLS, FakeInstall, FakeNode, verifies
from tests.oses.sandbox import FAKES, Sandbox

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pykickstart.parser import KickstartParser
    from pykickstart.version import makeVersion, stringToVersion

CATALOG = Catalog()
LVM: dict[str, Any] = {
    "layout": "lvm",
    "installPartitions": [{"mountPoint": "/", "size": "auto", "fsType": "xfs"}, {"mountPoint": "/var/log", "size": "4G", "label": "log"}],
    "after": "poweroff",
}
EVERY = [(family.name, release, case) for family in FAMILIES for release in family.releases for case in (*CASES, "lvm")]
RELEASES = [("centos", "6"), ("rhel", "7"), ("oracle", "8"), ("rocky", "9"), ("alma", "10"), ("fedora", "45")]


@functools.cache
def _files(family: str, release: str, options: str) -> dict[str, str]:
    return delivered(CATALOG, CATALOG.prepare(family, release, json.loads(options)), FakeNode(), URLS)


def files(family: str, release: str, **options: Any) -> dict[str, str]:
    return _files(family, release, json.dumps(options))


def case_files(family: str, release: str, case: str) -> dict[str, str]:
    return files(family, release, **(LVM if case == "lvm" else sample(family, case)))


def machine(folder: Path, *, uefi: bool = False, refuse: int = 0, run: bool = False, shell: str = "sh") -> Sandbox:
    """A machine with two disks in anaconda's hands: the new system is below /mnt/sysimage."""
    box = Sandbox(folder, shell=shell, refuse=refuse, run=run)
    box.disk("sda", gigabytes=500, udev="ID_SERIAL_SHORT=WD-123\n")
    box.disk("vda", gigabytes=40)
    (box.root / "mnt").mkdir()
    (box.root / "mnt/sysimage").symlink_to("../target")
    box.fake("chroot", "shift\n" + FAKES["in-target"])
    if uefi:
        (box.root / "sys/firmware/efi").mkdir(parents=True)
    return box


def parsed(family: str, release: str, text: str, disk: str) -> Any:
    """`text` as pykickstart of that very release understands it, with `disk` in place of the %include. Raises for any error."""
    version = CATALOG.families[family].releases[release].data["pykickstart"]
    whole, count = re.subn(r"(?m)^%include /tmp/pxed-disk\.ks$", lambda _: disk, text)
    assert count == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parser = KickstartParser(makeVersion(stringToVersion(version)), errorsAreFatal=True)
        parser.readKickstartFromString(whole)
    return parser.handler


def whole(folder: Path, family: str, release: str, written: dict[str, str], **machine_options: Any) -> Any:
    """What anaconda has read once pre.sh has run."""
    box = machine(folder, **machine_options)
    ended = box.run(written["pre.sh"])
    assert (ended.returncode, ended.stderr) == (0, "")
    return parsed(family, release, written["ks.cfg"], (box.root / "tmp/pxed-disk.ks").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("family", "release", "case"), EVERY)
def test_pykickstart_of_that_release_takes_every_kickstart(tmp_path: Path, family: str, release: str, case: str) -> None:
    written = case_files(family, release, case)
    disk = "ignoredisk --only-use=sda\n" + "".join(re.findall(r"(?m)^\tprintf '%s\\n' (reqpart\n)", written["pre.sh"]))
    found = parsed(family, release, written["ks.cfg"], disk)
    assert [script.interp for script in found.scripts] == ["/bin/sh"] * (3 if release == "6" else 4)
    assert found.rootpw.isCrypted
    assert found.rootpw.password == "!" or verifies(sample(family, case)["rootPassword"], found.rootpw.password)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "release"), RELEASES)
@pytest.mark.parametrize("uefi", [False, True])
@pytest.mark.parametrize("case", ["minimal", "full", "lvm"])
def test_the_commands_that_pre_sh_writes_belong_to_the_chosen_disk(
    tmp_path: Path, family: str, release: str, case: str, uefi: bool
) -> None:
    found = whole(tmp_path, family, release, case_files(family, release, case), uefi=uefi)
    assert found.ignoredisk.onlyuse == ["sda"]
    assert found.clearpart.drives == ["sda"]
    points = {part.mountpoint: part for part in found.partition.partitions}
    if case == "full":
        assert set(points) == {"/boot", "swap", "/"}
        assert {part.disk for part in points.values()} == {"sda"}
        assert (points["/boot"].size, points["/"].grow, points["/"].fstype, points["/"].label) == (477, True, "xfs", "root")
        assert found.bootloader.appendLine == "console=tty0 console=ttyS0,115200n8 mitigations=off"
    if case == "lvm":
        assert set(points) == {"/boot", "pv.01"}
        assert [(volume.mountpoint, volume.name, volume.size) for volume in found.logvol.lvList] == [
            ("/", "root", 500),
            ("/var/log", "var_log", 3815),
        ]
    if case == "minimal" and release != "6":
        assert found.autopart.autopart
    if case != "minimal" and release != "6":
        assert found.reqpart.reqpart


@pytest.mark.slow
@pytest.mark.parametrize(("family", "release"), RELEASES)
def test_hostile_kernel_arguments_stay_one_word_through_the_shell_and_the_kickstart(tmp_path: Path, family: str, release: str) -> None:
    found = whole(tmp_path, family, release, case_files(family, release, "hostile"))
    assert found.bootloader.appendLine == f"console=tty0 console=ttyS0,115200n8 {HOSTILE_TARGET}"
    assert list(tmp_path.rglob("pwned")) == []


def test_a_system_partition_of_ones_own_is_kept_and_bios_still_gets_what_it_needs(tmp_path: Path) -> None:
    parts = [{"mountPoint": "/boot/efi", "size": "600", "fsType": "vfat"}, {"mountPoint": "/", "size": "auto"}]
    written = files("rocky", "9", installPartitions=parts)
    for uefi in (False, True):
        found = whole(tmp_path / str(uefi), "rocky", "9", written, uefi=uefi)
        assert found.partition.partitions[0].fstype == "efi"
        assert found.reqpart.reqpart == (not uefi)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "release"), RELEASES)
def test_networks_are_what_was_asked_for(tmp_path: Path, family: str, release: str) -> None:
    found = whole(tmp_path, family, release, case_files(family, release, "full")).network.network
    first, six, vlan, other_vlan, dhcp, bond = found
    assert (first.hostname, first.device, first.bootProto, first.ip, first.netmask, first.gateway, int(first.mtu)) == (
        "web1.example.com", "eth0", "static", "10.0.2.50", "255.255.255.0", "10.0.2.2", 9000,
    )  # fmt: skip
    assert first.nameserver == "10.0.2.3,2001:db8::53"
    assert (six.device, six.ipv6, six.noipv4) == ("52:54:00:aa:bb:cc", "2001:db8::5/64", True)
    assert [(each.device, int(each.vlanid), each.ip, each.gateway) for each in (vlan, other_vlan)] == [
        ("eth2", 104, "10.9.0.5", "10.9.0.1"),
        ("eth2", 105, "10.9.0.5", ""),
    ]
    assert (dhcp.device, dhcp.bootProto) == ("eth3", "dhcp")
    assert (bond.device, bond.bondslaves, bond.bondopts) == ("bond0", "eth4,eth5", "mode=802.3ad,miimon=100,lacp_rate=1")


def test_a_network_above_a_bond(tmp_path: Path) -> None:
    bonds = [{"nics": ["a", "b"], "bondvlaninterfaces": [{"vlanid": 7, "ipv4": {"ipAddr": "10.7.0.5", "prefixlen": 24}}]}]
    base, vlan = whole(tmp_path, "rhel", "9", files("rhel", "9", bonds=bonds)).network.network
    assert (base.device, base.noipv4, base.noipv6, vlan.device, vlan.vlanid, vlan.ip) == ("bond0", True, True, "bond0", "7", "10.7.0.5")


def test_without_devices_the_interface_that_booted_asks_dhcp(tmp_path: Path) -> None:
    (only,) = whole(tmp_path / "1", "rhel", "9", files("rhel", "9")).network.network
    assert (only.device, only.bootProto, only.hostname) == ("bootif", "dhcp", "")
    (only,) = whole(tmp_path / "2", "rhel", "9", files("rhel", "9", installInterface="eno2")).network.network
    assert only.device == "eno2"


@pytest.mark.slow
@pytest.mark.parametrize(("family", "release"), RELEASES)
def test_software_security_services_and_time(tmp_path: Path, family: str, release: str) -> None:
    found = whole(tmp_path, family, release, case_files(family, release, "full"))
    assert {"core"} <= {group.name for group in found.packages.groupList}
    assert {"vim-enhanced", "tmux", "curl", "sudo", "openssh-server"} <= set(found.packages.packageList)
    assert (found.selinux.selinux, found.firewall.enabled) == (2, True)
    assert (found.services.enabled, found.services.disabled) == (["rsyslog"], ["cups", "postfix"])
    assert found.timezone.timezone == "Europe/Berlin"
    if release in ("7", "8"):
        assert found.timezone.ntpservers == ["ntp1.example.com", "10.0.2.3"] or set(found.timezone.ntpservers) == {
            "ntp1.example.com",
            "10.0.2.3",
        }
    elif release != "6":
        assert [each.ntp_server for each in found.timesource.dataList()] == ["ntp1.example.com", "10.0.2.3"]
    assert [repo.name for repo in found.repo.repoList] == ["epel"]


def kernel_words(family: str, release: str, **options: Any) -> list[str]:
    (line,) = [line for line in files(family, release, **options)["boot.ipxe"].splitlines() if line.startswith("kernel ")]
    return line.removesuffix(" || goto again").split()[3:]


def test_the_kernel_line_speaks_the_releases_own_words() -> None:
    tree = "http://10.0.2.2:8080/repo"
    assert kernel_words("centos", "6") == [
        f"{tree}/centos-6/images/pxeboot/vmlinuz", "initrd=initrd.img", f"ks={URLS.answer('ks.cfg')}", f"method={tree}/centos-6",
        "ksdevice=bootif", "ip=dhcp", "syslog=10.0.2.2:514", "BOOTIF=01-${netX/mac:hexhyp}",
    ]  # fmt: skip
    for family, release in RELEASES[1:]:
        words = kernel_words(family, release)
        assert {f"inst.ks={URLS.answer('ks.cfg')}", f"inst.stage2={tree}/{family}-{release}", "ip=dhcp", "inst.syslog=10.0.2.2:514"} <= set(
            words
        )
        assert not [word for word in words if word.startswith(("ks=", "ksdevice=", "method=", "repo="))]
    assert {"ip=eno2:dhcp", "rd.bootif=0"} <= set(kernel_words("rocky", "9", installInterface="eno2"))


def test_el6_says_on_uefi_that_it_cannot_be_started_there() -> None:
    script = files("centos", "6")["boot.ipxe"]
    assert script.index("iseq ${platform} efi && goto bios_only ||") < script.index("\nkernel ")
    assert "bios_only" not in files("rocky", "9")["boot.ipxe"]
    prepared = CATALOG.prepare("centos", "6", {})
    install = FakeInstall("centos", "6", prepared.options)
    assert "starts from BIOS only" in CATALOG.grub(install, FakeNode(arch=7, firmware="uefi"), URLS, "52:54:00:12:34:56")


@pytest.mark.parametrize(
    ("family", "release", "options", "field"),
    [
        ("rocky", "9", {"installPartitions": [{"mountPoint": "/", "size": "auto", "fsType": "btrfs"}]}, "options.installPartitions"),
        ("rocky", "9", {"registration": {"org": "1", "activationKey": "k"}}, "options.registration"),
        ("rocky", "9", {"bonds": [{"nics": ["52:54:00:00:00:01"]}]}, "options.bonds"),
        ("rocky", "9", {"groups": ["a b\n%post"]}, "options.groups.0"),
        ("rocky", "9", {"packages": ["x\n%end"]}, "options.packages.0"),
        ("centos", "6", {"bonds": [{"nics": ["a"], "vlans": [{"vlanid": 3}]}]}, "options.bonds"),
    ],
)
def test_what_cannot_be_is_refused_by_name(family: str, release: str, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        CATALOG.prepare(family, release, options)
    assert caught.value.field == field


REGISTRATION: dict[str, Any] = {"registration": {"org": "4711", "activationKey": "web servers", "insights": True}}
MANAGER = """#!/usr/bin/python
import json, os, subprocess, sys
processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
print(json.dumps({"argv": sys.argv[1:], "seen": "web servers" in processes}), file=open(os.environ["PXED_ROOT"] + "/manager", "w"))
"""


def test_rhel_registers_by_kickstart_from_8_on() -> None:
    found = parsed("rhel", "9", files("rhel", "9", **REGISTRATION)["ks.cfg"], "").rhsm
    assert (found.organization, found.activation_keys, found.connect_to_insights) == ("4711", ["web servers"], True)
    assert "rhsm" not in files("rhel", "7", **REGISTRATION)["ks.cfg"]


@pytest.mark.parametrize("release", ["6", "7"])
def test_before_8_subscription_manager_gets_the_key_and_no_process_list_shows_it(tmp_path: Path, release: str) -> None:
    box = machine(tmp_path)
    where = "/usr/sbin/subscription-manager"
    (box.root / "target/usr/sbin").mkdir(parents=True)
    (box.root / f"target{where}").write_text(MANAGER)
    inside = f"""[ "$1" = python ] && exec python3 -c "$(printf %s "$3" | sed "s#{where}#$PXED_ROOT/target{where}#")" "$4"\n"""
    box.fake("chroot", "shift\n" + inside + FAKES["in-target"])
    written = files("rhel", release, **REGISTRATION)
    box.serve(written)
    ended = box.run(written["post.sh"])
    assert (ended.returncode, ended.stderr) == (0, "")
    seen = json.loads((box.root / "manager").read_text())
    assert seen == {"argv": ["register", "--org=4711", "--activationkey=web servers"], "seen": False}
    assert not [call for name in ("chroot", "python", "printf") for call in box.calls(name) if "web servers" in " ".join(call.arguments)]
    assert box.told()[-1][:2] == ("installed", "ok")


def test_an_activation_key_is_never_stored_or_shown_as_it_is() -> None:
    prepared = CATALOG.prepare("rhel", "9", REGISTRATION)
    assert "web servers" not in json.dumps([prepared.options, CATALOG.visible(prepared.options)])
    assert "web servers" not in "".join(CATALOG.preview(prepared, FakeNode(), URLS).values())


def test_logins_in_urls_are_sealed_used_and_shown_masked() -> None:
    asked: dict[str, Any] = {
        "proxy": "http://me:pr0xysecret@10.0.2.3:3128",
        "extraRepos": [{"name": "a", "url": "https://me:reposecret@h/x"}, {"name": "b", "url": "https://h/y"}],
        "repo": "http://mirror.example.com/rocky",
        "updates": "all",
    }
    prepared = CATALOG.prepare("rocky", "9", asked)
    assert "secret" not in json.dumps(prepared.options)
    shown = CATALOG.visible(prepared.options)
    assert shown["proxy"] == "http://***@10.0.2.3:3128"
    assert [each["url"] for each in shown["extraRepos"]] == ["https://***@h/x", "https://h/y"]
    written = delivered(CATALOG, prepared, FakeNode(), URLS)
    assert "--proxy=http://me:pr0xysecret@10.0.2.3:3128" in written["ks.cfg"]
    assert "--baseurl=https://me:reposecret@h/x" in written["ks.cfg"]
    assert "http://me:pr0xysecret@10.0.2.3:3128" in written["post.sh"]
    masked = CATALOG.preview(prepared, FakeNode(), URLS)
    assert "--proxy=http://***@10.0.2.3:3128" in masked["ks.cfg"].replace("'", "")
    assert "secret" not in "".join(masked.values())


def test_minor_releases_are_other_names_of_the_major_one() -> None:
    assert CATALOG.prepare("centos", "6.5", {}).release == "6"
    assert CATALOG.needs(CATALOG.prepare("rocky", "9.4", {})) == "rocky-9"


@pytest.mark.slow
@pytest.mark.parametrize(("family", "release"), RELEASES)
@pytest.mark.parametrize("case", ["minimal", "full", "hostile"])
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_warn_of_in_any_hook(tmp_path: Path, family: str, release: str, case: str) -> None:
    for name, text in case_files(family, release, case).items():
        if name.endswith(".sh") and name != "firstboot.sh":
            (tmp_path / name).write_text(text)
    hooks = sorted(tmp_path.iterdir())
    assert len(hooks) == 4
    run = subprocess.run(["shellcheck", "-s", "sh", "--severity=warning", *hooks], capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout, run.returncode) == ("", 0)
