"""SLES 16 and Leap 16: profiles read by a strict reader."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pxed.errors import InvalidRequest, NotFound
from pxed.oses.catalog import Catalog
from pxed.oses.own import with_own
from tests.oses.agama_model import Drive, NewPartition, Profile, Volume
from tests.oses.families import CASES, delivered, sample
from tests.oses.samples import HOSTILE_TARGET, SECRET, URLS, FakeNode, install_of, verifies

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
