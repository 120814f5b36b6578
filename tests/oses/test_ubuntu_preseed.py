"""Ubuntu 18.04: Debian's installer with Ubuntu's answers; what Debian's own tests show of shared files is not shown again."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pxed.errors import InvalidRequest
from pxed.oses.catalog import Catalog
from tests.oses.families import CASES, RESOURCES, sample
from tests.oses.samples import HOSTILE, KEY, SECRET, TOKEN, URLS, FakeNode, install_of, verifies
from tests.oses.sandbox import Sandbox
from tests.oses.test_debian import answers

CATALOG = Catalog(resources=RESOURCES)
TREE = "http://10.0.2.2:8080/repo/ubuntu-18.04"
SHELLS = pytest.mark.parametrize(
    "shell", ["dash", pytest.param("busybox sh", marks=pytest.mark.skipif(not shutil.which("busybox"), reason="no busybox"))]
)


@cache
def _files(options: str, arch: int, recognised: bool) -> dict[str, str]:
    catalog = CATALOG if recognised else Catalog()
    return catalog.preview(catalog.prepare("ubuntu", "18.04", json.loads(options)), FakeNode(arch=arch), URLS)


def files(*, arch: int = 0, recognised: bool = True, **options: Any) -> dict[str, str]:
    """With what was recognised about the samples' media, or with nothing."""
    return _files(json.dumps(options), arch, recognised)


def case_files(case: str) -> dict[str, str]:
    return files(**sample("ubuntu", case, "18.04"))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.skipif(not shutil.which("debconf-set-selections"), reason="debconf-set-selections (package debconf) is not installed")
def test_debconf_itself_accepts_every_preseed_file_without_a_word(case: str, tmp_path: Path) -> None:
    for number, written in enumerate((case_files(case), files(recognised=False, **sample("ubuntu", case, "18.04")))):
        (tmp_path / f"{number}.cfg").write_text(written["preseed.cfg"])
        run = subprocess.run(
            ["debconf-set-selections", "-c", tmp_path / f"{number}.cfg"], capture_output=True, text=True, timeout=30, check=False
        )
        assert (run.returncode, run.stderr, run.stdout) == (0, "", "")


@pytest.mark.parametrize("case", ["full", "hostile"])
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_warn_of(case: str) -> None:
    run = subprocess.run(
        ["shellcheck", "-s", "sh", "--severity=warning", "-"],
        input=case_files(case)["late.sh"].encode(), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (run.stdout, run.returncode) == (b"", 0)


# Where its files come from


@pytest.mark.parametrize(
    ("options", "recognised", "arch", "folder"),
    [
        ({}, True, 0, f"{TREE}/install/netboot/ubuntu-installer/amd64"),
        ({}, False, 0, f"{TREE}/dists/bionic-updates/main/installer-amd64/current/images/netboot/ubuntu-installer/amd64"),
        (
            {"repo": "archive"}, True, 0,
            "http://10.0.2.2:8080/repo/archive/dists/bionic-updates/main/installer-amd64/current/images/netboot/ubuntu-installer/amd64",
        ),
        (
            {"repo": "http://ports.example.com/ubuntu-ports"}, True, 11,
            "http://ports.example.com/ubuntu-ports/dists/bionic-updates/main/installer-arm64/current/images/netboot/ubuntu-installer/arm64",
        ),
    ],
)  # fmt: skip
def test_kernel_and_initrd_are_the_mediums_or_the_mirrors(options: dict[str, Any], recognised: bool, arch: int, folder: str) -> None:
    script = files(arch=arch, recognised=recognised, **options)["boot.ipxe"]
    assert f"\nkernel --name linux {folder}/linux initrd=initrd.gz auto=true priority=critical " in script
    assert f"\ninitrd --name initrd.gz {folder}/initrd.gz || goto again\n" in script


def test_the_medium_is_its_own_mirror_and_says_where_its_base_system_is() -> None:
    found = answers(files()["preseed.cfg"])
    assert found["live-installer/net-image"] == f"{TREE}/install/filesystem.squashfs"
    assert (found["mirror/http/hostname"], found["mirror/http/directory"]) == ("10.0.2.2:8080", "/repo/ubuntu-18.04")
    assert (found["apt-setup/restricted"], found["apt-setup/universe"]) == ("true", "false")
    assert found["apt-setup/services-select"] == ""


def test_a_mirror_has_signatures_and_no_image_of_a_base_system() -> None:
    found = answers(files(repo="archive")["preseed.cfg"])
    assert not {"live-installer/net-image", "debian-installer/allow_unauthenticated", "apt-setup/universe"} & set(found)


def test_the_live_servers_medium_is_refused_with_the_name_of_the_other() -> None:
    with pytest.raises(InvalidRequest, match=r"takes no answers in 18\.04") as caught:
        CATALOG.prepare("ubuntu", "18.04", {"repo": "live"})
    assert caught.value.field == "options.repo"


# What it is asked


def test_the_answers_are_ubuntus() -> None:
    found = answers(files(keyboard="de-nodeadkeys", ntpServers=["ntp.example.com"])["preseed.cfg"])
    assert found["mirror/suite"] == "bionic"
    assert "mirror/udeb/suite" not in found
    assert "netcfg/target_network_config" not in answers(case_files("full")["preseed.cfg"])
    assert (found["keyboard-configuration/layoutcode"], found["keyboard-configuration/variantcode"]) == ("de", "nodeadkeys")
    assert found["tasksel/first"] == "server, openssh-server"
    assert "timesyncd" not in found["pkgsel/include"]


def test_its_options_are_debians_with_bonds_and_without_the_live_installers() -> None:
    schema = CATALOG.schema("ubuntu", "18.04")["properties"]
    assert {"tasks", "preseedExtra", "bonds"} <= set(schema)
    assert not {"isoUrl", "edition", "mirror"} & set(schema)
    assert "isoUrl" in CATALOG.schema("ubuntu")["properties"]
    for name, value in (("isoUrl", "http://x/y.iso"), ("edition", "minimal"), ("mirror", "http://x/ubuntu"), ("selinux", "enforcing")):
        with pytest.raises(InvalidRequest, match=f"{name} cannot be used here: ") as caught:
            CATALOG.prepare("ubuntu", "18.04", {name: value})
        assert "Debian" not in str(caught.value)
    with pytest.raises(InvalidRequest):
        CATALOG.prepare("ubuntu", "20.04", {"tasks": ["server"]})


def test_the_name_is_ubuntu_and_the_recipe_is_that_of_its_installer() -> None:
    for release in ("18.04", "bionic"):
        prepared = CATALOG.prepare("ubuntu", release, {})
        assert (prepared.family, prepared.release, prepared.recipe) == ("ubuntu", "18.04", "ubuntu-preseed")
    assert CATALOG.prepare("ubuntu", "18.04", {"after": "halt"}).recipe == "ubuntu-preseed-off"
    assert CATALOG.needs(CATALOG.prepare("ubuntu", "18.04", {}), 11) == "ubuntu-18.04-aarch64"
    install = install_of(CATALOG.prepare("ubuntu", "18.04", {}))
    assert CATALOG.line(install, "main-menu", "Menu item 'pkgsel' selected") == (62, "Installing software")
    assert CATALOG.line(install_of(CATALOG.prepare("ubuntu", "24.04", {})), "main-menu", "Menu item 'pkgsel' selected") is None


# late.sh


def late(folder: Path, shell: str = "dash", **options: Any) -> Sandbox:
    box = Sandbox(folder, shell=shell)
    for number, mac in enumerate(("52:54:00:aa:bb:cc", "52:54:00:aa:bb:cd")):
        box.net(f"eth{number + 6}", mac)
    (box.root / "target/etc/netplan").mkdir()
    (box.root / "target/etc/netplan/01-netcfg.yaml").touch()
    box.hook(files(**options), "late.sh")
    return box


@pytest.mark.slow
@SHELLS
def test_late_makes_name_network_clock_accounts_and_a_first_boot(tmp_path: Path, shell: str) -> None:
    box = late(tmp_path, shell, **sample("ubuntu", "full", "18.04"))
    assert [path.name for path in (box.root / "target/etc/netplan").iterdir()] == ["01-pxed.yaml"]
    network = json.loads(box.target("/etc/netplan/01-pxed.yaml").split("\n", 1)[1])["network"]
    assert network["bonds"]["bond0"]["parameters"]["mode"] == "802.3ad"
    assert network["ethernets"]["eth0"]["routes"] == [{"to": "0.0.0.0/0", "via": "10.0.2.2"}]
    assert box.target("/etc/hostname") == "web1\n"
    assert box.target("/etc/systemd/timesyncd.conf.d/pxed.conf") == "[Time]\nNTP=ntp1.example.com 10.0.2.3\n"
    assert (box.root / "target/etc/localtime").readlink() == Path("/usr/share/zoneinfo/Europe/Berlin")
    ran = [call.arguments for call in box.calls("in-target")]
    (ann,) = [run for run in ran if run[0] == "usermod" and run[-1] == "ann"]
    assert verifies(SECRET, ann[2])
    assert box.target("/root/.ssh/authorized_keys") == KEY + "\n"
    assert (box.root / "target/etc/systemd/system/multi-user.target.wants/pxed-firstboot.service").is_symlink()
    assert box.told() == [("installed", "ok", "debian-installer has finished")]


@pytest.mark.slow
@SHELLS
def test_hostile_commands_arrive_unchanged(tmp_path: Path, shell: str) -> None:
    assert late(tmp_path, shell, **sample("ubuntu", "hostile", "18.04")).scripts == [command + "\n" for command in HOSTILE]


def test_a_machine_without_the_named_interface_fails_the_install(tmp_path: Path) -> None:
    box = late(tmp_path, networkDevices=[{"device": "52:54:00:00:00:99"}])
    ((phase, status, message),) = box.told()
    assert (phase, status) == ("installed", "fail")
    assert message.startswith("this machine has no network interface 52:54:00:00:00:99")


# The installer, walked through its files


def test_an_installer_that_follows_its_files_gets_to_its_end(tmp_path: Path) -> None:
    """debian-installer fetches what ``url=`` names, and runs its three commands, which fetch and run ours."""
    written = case_files("full")
    (address,) = [word.removeprefix("url=") for word in written["boot.ipxe"].split() if word.startswith("url=")]
    assert urlsplit(address).path == f"/i/{TOKEN}/preseed.cfg"
    found = answers(written[address.rsplit("/", 1)[1]])
    box = Sandbox(tmp_path, refuse=1)
    box.disk("sda", gigabytes=500, udev="ID_SERIAL_SHORT=WD-123\n")
    for number, mac in enumerate(("52:54:00:aa:bb:cc", "52:54:00:aa:bb:cd")):
        box.net(f"eth{number + 6}", mac)
    box.serve(written)
    run = str(box.root / "usr/bin/pxed-run")
    for question in ("preseed/early_command", "partman/early_command", "preseed/late_command"):
        command = found[question].replace("/tmp/", f"{tmp_path}/").replace("pxed-run ", f"{run} ")
        ended = box.run(command)
        assert (ended.returncode, ended.stderr) == (0, "")
        if question == "preseed/early_command":
            Path(run).write_text(Path(run).read_text().replace("/tmp/", f"{tmp_path}/"))
    assert [told[:2] for told in box.told()] == [("started", "ok"), ("installed", "ok")]
    assert "partman-auto/disk string /dev/sda" in (box.root.parent / "selections").read_text()
