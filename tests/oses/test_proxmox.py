"""Proxmox VE: answers read as its installer reads them; the first boot's script run for real; a node walked through an install."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pxed.errors import InvalidRequest
from pxed.oses import cpio
from pxed.oses.catalog import Catalog
from pxed.oses.family import Resources
from pxed.oses.proxmox import KEYBOARDS, PROXMOX
from pxed.scripted import ScriptedNode
from tests.oses.families import CASES, RESOURCES, sample
from tests.oses.samples import HOSTILE, KEY, SECRET, URLS, FakeInstall, FakeNode, verifies
from tests.oses.samples_proxmox import IMAGE_BYTES, MEDIA, MINIMAL
from tests.oses.sandbox import FAKES, Sandbox
from tests.web.world import MAC, World

CATALOG = Catalog(resources=RESOURCES)
RELEASES = list(PROXMOX.releases)
EVERY_RELEASE = pytest.mark.parametrize("release", RELEASES)
EVERY = [(release, case) for release in RELEASES for case in CASES]

KEYS: dict[str, dict[str, type]] = {
    "global": {
        **dict.fromkeys(("country", "fqdn", "keyboard", "mailto", "timezone", "root_password", "root_password_hashed"), str),
        "reboot_on_error": bool,
        "root_ssh_keys": list,
    },
    "network": {**dict.fromkeys(("source", "cidr", "dns", "gateway"), str), "filter": dict},
    "disk-setup": {"filesystem": str, "disk_list": list, "filter": dict, "filter_match": str, "zfs": dict, "lvm": dict, "btrfs": dict},
    "first-boot": dict.fromkeys(("source", "ordering", "url", "cert-fingerprint"), str),
    "post-installation-webhook": dict.fromkeys(("url", "cert-fingerprint"), str),
}
"""What both installers take, in 8.3's spelling, which 9 takes, too (answer.rs; `deny_unknown_fields` everywhere)."""
LAYOUTS = frozenset(re.findall(r"\S+", "de de-ch dk en-gb en-us es fi fr fr-be fr-ca fr-ch hu is it jp lt mk nl no pl pt pt-br se si tr"))


@functools.cache
def _files(release: str, options: str) -> dict[str, str]:
    return CATALOG.preview(CATALOG.prepare("proxmox", release, json.loads(options)), FakeNode(), URLS)


def files(release: str = "9", **options: Any) -> dict[str, str]:
    return _files(release, json.dumps(options))


def answer(release: str = "9", **options: Any) -> dict[str, Any]:
    return tomllib.loads(files(release, **{"hostname": "pve1", "installDisk": "/dev/sda", **options})["answer.toml"])


def taken(found: dict[str, Any]) -> None:
    """AssertionError for what makes Proxmox's installer end."""
    assert set(found) <= set(KEYS)
    for section, keys in found.items():
        for name, value in keys.items():
            assert isinstance(value, KEYS[section][name]), f"{section}.{name}"
    given, network, disks = found["global"], found["network"], found["disk-setup"]
    assert given["keyboard"] in LAYOUTS
    assert "." in given["fqdn"]
    assert ("root_password" in given) + ("root_password_hashed" in given) == 1
    rest = {"cidr", "dns", "gateway", "filter"}
    assert rest <= set(network) if network["source"] == "from-answer" else not rest & set(network)
    assert ("disk_list" in disks) + ("filter" in disks) == 1
    kind = {"ext4": "lvm", "xfs": "lvm"}.get(disks["filesystem"], disks["filesystem"])
    assert not ({"zfs", "lvm", "btrfs"} - {kind}) & set(disks)
    assert kind == "lvm" or disks[kind]["raid"]


@pytest.mark.parametrize(("release", "case"), EVERY)
def test_the_installer_takes_every_answer(release: str, case: str) -> None:
    options = sample("proxmox", case)
    found = tomllib.loads(files(release, **options)["answer.toml"])
    taken(found)
    if "rootPassword" in options:
        assert verifies(options["rootPassword"], found["global"]["root_password_hashed"])
    else:
        assert found["global"]["root_password_hashed"] == "!"


@pytest.mark.parametrize(
    "change",
    [
        {"global": {"root-password": "x"}},
        {"network": {"source": "from-answer"}},
        {"disk-setup": {"filesystem": "ext4"}},
        {"disk-setup": {"filesystem": "zfs", "disk_list": ["/dev/sda"], "zfs": {}}},
    ],
)
def test_the_check_can_refuse(change: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, KeyError)):
        taken({**answer(), **change})


def test_everything_that_an_answer_can_say() -> None:
    found = tomllib.loads(files("8", **sample("proxmox", "full"))["answer.toml"])
    assert found["global"] | {"root_password_hashed": ""} == {
        "keyboard": "en-gb",
        "country": "at",
        "fqdn": "pve1.example.com",
        "mailto": "ops@example.com",
        "timezone": "Europe/Vienna",
        "root_password_hashed": "",
        "root_ssh_keys": [KEY],
    }
    assert found["network"] == {
        "source": "from-answer",
        "cidr": "10.0.2.50/24",
        "gateway": "10.0.2.2",
        "dns": "10.0.2.3",
        "filter": {"ID_NET_NAME_MAC": "*525400aabbcc"},
    }
    assert found["disk-setup"] == {"filesystem": "zfs", "zfs": {"raid": "raid0"}, "filter": {"ID_SERIAL_SHORT": "WD-123"}}
    assert found["first-boot"] == {"source": "from-url", "ordering": "fully-up", "url": URLS.answer("firstboot.sh")}
    assert found["post-installation-webhook"] == {"url": URLS.notify("installed")}
    assert set(KEYBOARDS.values()) <= LAYOUTS


@pytest.mark.parametrize(
    ("disk", "written"),
    [
        ("/dev/sda", {"disk_list": ["/dev/sda"]}),
        ("nvme0n1", {"disk_list": ["/dev/nvme0n1"]}),
        ({"serial": "WD-123"}, {"filter": {"ID_SERIAL_SHORT": "WD-123"}}),
        ({"wwn": "naa.5000C500A1B2C3D4"}, {"filter": {"ID_WWN": "*5000c500a1b2c3d4"}}),
        ({"model": "Samsung SSD"}, {"filter": {"ID_MODEL": "*Samsung_SSD*"}}),
    ],
)
def test_a_disk_is_named_so_that_no_other_fits(disk: Any, written: dict[str, Any]) -> None:
    assert answer(installDisk=disk)["disk-setup"] == {"filesystem": "ext4", **written}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"installDisk": None}, "options.disk"),
        ({"installDisk": "largest"}, "options.disk"),
        ({"installDisk": 0}, "options.disk"),
        ({"installDisk": {"serial": "a", "model": "b"}}, "options.disk"),
        ({"installDisk": "/dev/disk/by-id/ata-x"}, "options.disk.path"),
        ({"installDisk": {"model": "x"}, "filesystem": "zfs"}, "options.disk.model"),
        ({"hostname": None}, "options.hostname"),
        ({"hostname": "12"}, "options.hostname"),
        ({"keyboard": "ru"}, "options.keyboard"),
        ({"locale": "de_DE.UTF-8"}, "options.locale"),
        ({"scripts": {"post": ["true"]}}, "options.scripts.post"),
        ({"postInstallCommands": ["true"]}, "options.postInstallCommands"),
        ({"packages": ["vim"]}, "options.packages"),
        ({"after": "poweroff"}, "options.after"),
        ({"targetKernelArgs": "quiet"}, "options.targetKernelArgs"),
        ({"bonds": []}, "options.bonds"),
        ({"users": [{"name": "ann", "sudo": True}]}, "options.users.0.sudo"),
        ({"dnsSearch": "example.com"}, "options.dnsServers"),
        ({"networkDevices": [{"device": "eno1"}]}, "options.networkDevices.0"),
        ({"networkDevices": [{"device": "eno1", "ipv4": {"ipAddr": "10.0.0.5", "prefixlen": 24}}]}, "options.networkDevices.0"),
        (
            {
                "networkDevices": [
                    {"device": "eno1", "ipv4": {"ipAddr": "10.0.0.5", "prefixlen": 24, "gateway": "10.0.0.1", "vlanIds": [7]}}
                ]
            },
            "options.networkDevices.0",
        ),
        (
            {"networkDevices": [{"device": "eno1", "ipv4": {"ipAddr": "10.0.0.5", "prefixlen": 24, "gateway": "10.0.0.1"}}]},
            "options.dnsServers",
        ),
        ({"networkDevices": [{"device": "eno1"}, {"device": "eno2"}]}, "options.networkDevices"),
        ({"repo": "http://mirror.example.com/proxmox"}, "options.repo"),
        ({"repo": "debian"}, "options.repo"),
    ],
)
def test_what_proxmox_cannot_do_is_refused_by_name(options: dict[str, Any], field: str) -> None:
    asked = {name: value for name, value in {**MINIMAL, **options}.items() if value is not None}
    with pytest.raises(InvalidRequest) as refused:
        CATALOG.prepare("proxmox", None, asked)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("facts", "version", "why"),
    [
        ({"prepared": False, "image_bytes": 4096}, "9.1", "is not prepared"),
        ({"prepared": True, "image_bytes": 4096}, "8.4", "holds Proxmox VE 8.4, not 9"),
        ({"prepared": True}, "9.1", "no image of Proxmox VE 9"),
    ],
)
def test_a_medium_that_cannot_be_installed_from_is_refused(facts: dict[str, Any], version: str, why: str) -> None:
    catalog = Catalog(resources=Resources(media=lambda _: {"family": "proxmox", "version": version, "facts": facts}))
    with pytest.raises(InvalidRequest, match=why) as refused:
        catalog.prepare("proxmox", "9", MINIMAL)
    assert refused.value.field == "options.repo"


@EVERY_RELEASE
def test_the_image_goes_into_memory_before_the_installers_initrd(release: str) -> None:
    script = files(release, **MINIMAL, comport="com1")["boot.ipxe"]
    tree, iso = URLS.repo(f"proxmox-{release}"), f"proxmox-{release}.iso"
    assert f"{tree}/boot/linux26 initrd=image.cpio initrd={iso} initrd=initrd.img ramdisk_size=16777216 rw quiet splash=silent" in script
    assert " proxmox-start-auto-installer console=tty0 console=ttyS0,115200n8 BOOTIF=" in script
    fetched = re.findall(r"^initrd --name \S+ (\S+)", script, re.M)
    assert fetched == [URLS.answer("image.cpio"), f"{tree}.iso", f"{tree}/boot/initrd.img"]
    install = FakeInstall("proxmox", release, CATALOG.prepare("proxmox", release, MINIMAL).options)
    assert CATALOG.file(install, FakeNode(), URLS, "image.cpio").body == cpio.head("proxmox.iso", IMAGE_BYTES)


@pytest.mark.skipif(not shutil.which("cpio"), reason="cpio is not installed")
def test_cpio_itself_finds_the_file_behind_its_head(tmp_path: Path) -> None:
    body = bytes(range(256)) * 12
    head = cpio.head("proxmox.iso", len(body))
    assert len(head) == 4096
    trailer = b"070701" + b"0" * 88 + b"0000000b" + b"00000000" + b"TRAILER!!!\0" + bytes(3)
    subprocess.run(["cpio", "-i", "--quiet"], input=head + body + trailer, cwd=tmp_path, check=True, timeout=20)
    assert (tmp_path / "proxmox.iso").read_bytes() == body
    for size in (0, 1 << 32):
        with pytest.raises(ValueError, match="up to 4294967295 bytes"):
            cpio.head("x", size)


@pytest.mark.slow
@EVERY_RELEASE
@pytest.mark.parametrize("case", CASES)
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_warn_of(release: str, case: str, tmp_path: Path) -> None:
    (tmp_path / "firstboot.sh").write_text(files(release, **sample("proxmox", case))["firstboot.sh"])
    run = subprocess.run(
        ["shellcheck", "-s", "sh", "-e", "SC1128", "--severity=warning", tmp_path / "firstboot.sh"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (run.stdout, run.returncode) == ("", 0)


def new_system(folder: Path, **options: Any) -> Sandbox:
    """Proxmox VE at its first boot."""
    box = Sandbox(folder)
    (box.root / "etc").mkdir(exist_ok=True)
    (box.root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    box.fake("useradd", 'for last in "$@"; do :; done\nmkdir -p "$PXED_ROOT/home/$last"\n')
    for name in ("usermod", "groupadd", "chown", "chronyc"):
        box.fake(name, "")
    box.fake("curl", "exit 7\n")
    box.serve(files(**options))
    return box


def test_a_node_installs_itself_and_its_first_boot_says_so(tmp_path: Path) -> None:
    """Image and answers over the real site; every word is said to a pxed that was killed just before."""
    (tmp_path / "tftproot").mkdir()
    (tmp_path / "box").mkdir()
    world = World(tmp_path / "tftproot", catalog=CATALOG)
    options = sample("proxmox", "full") | {"scripts": {"firstboot": ['echo ran >>"$PXED_ROOT/ran"']}}
    node, install = world.armed(options=options, family="proxmox", release="9")
    scripted = ScriptedNode(PROXMOX.recipe)

    script = world.ask("GET", f"/p/{MAC.replace(':', '')}").text
    head = next(url for url in re.findall(r"^initrd --name \S+ (\S+)", script, re.M) if url.endswith(".cpio"))
    assert world.ask("GET", urlsplit(head).path).body == cpio.head("proxmox.iso", IMAGE_BYTES)
    facts = {
        "$schema": {"version": "1.0"},
        "network_interfaces": [{"link": "eth0", "mac": "52:54:00:99:99:99"}, {"link": "eth1", "mac": MAC}],
    }
    response = world.ask("POST", "/answer", json.dumps(facts).encode(), headers={"Content-Type": "application/json; charset=utf-8"})
    assert response.code == 200
    found = tomllib.loads(response.text)
    taken(found)
    # Installed; the webhook, with what it tells of the new system.
    told = {"$schema": {"version": "1.0"}, "fqdn": "pve1.example.com", "disks": [{"size": 1}], "machine_id": "x"}
    hook = urlsplit(found["post-installation-webhook"]["url"]).path
    assert world.ask("POST", hook, json.dumps(told).encode()).code == 200
    assert [(each.phase, each.status) for each in world.engine.delivered] == [("started", "ok"), ("installed", "ok")]
    assert world.engine.delivered[1].data["fqdn"] == "pve1.example.com"
    # The first boot.
    box = new_system(tmp_path / "box", **options)
    first = world.ask("GET", urlsplit(found["first-boot"]["url"]).path).text
    assert box.run(first.replace("http://10.0.0.1/i/" + install.token, URLS.answers)).returncode == 0
    assert box.told() == [("booted", "ok", "the installed system runs")]
    for phase in ("started", "installed", "booted"):
        scripted.kill()
        scripted.say(phase)
        scripted.check()
    assert (scripted.state, scripted.boots.kind) == ("done", "disk")
    assert (box.root / "ran").read_text() == "ran\n"
    assert (box.root / "etc/resolv.conf").read_text() == "search example.com\nnameserver 10.0.2.3\nnameserver 10.0.2.4\n"
    assert "server ntp1.example.com iburst\n" in (box.root / "etc/chrony/sources.d/pxed.sources").read_text()
    assert (box.root / "home/ann/.ssh/authorized_keys").read_text() == KEY + "\n"
    (asked,) = box.calls("usermod")
    assert verifies(SECRET, asked.arguments[1])
    assert node.address


@pytest.mark.slow
def test_a_first_boot_that_is_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    options = sample("proxmox", "full")
    box = new_system(tmp_path, **options)
    box.fake("wget", "exit 4\n")
    script = files(**options)["firstboot.sh"]
    gives_up_early = script.replace('"$try" -lt 300', '"$try" -lt 3')
    assert gives_up_early != script
    assert box.run(gives_up_early).returncode == 1
    box.fake("wget", FAKES["wget"])
    assert box.run(script).returncode == 0
    assert len(box.calls("useradd")) == 1
    assert box.told()[-1] == ("booted", "ok", "the installed system runs")


def test_what_fails_at_the_first_boot_is_told(tmp_path: Path) -> None:
    options = {**sample("proxmox", "full"), "onScriptFailure": "fail", "scripts": {"firstboot": ["exit 9"]}}
    box = new_system(tmp_path, **options)
    box.fake("useradd", "exit 1\n")
    assert box.run(files(**options)["firstboot.sh"]).returncode == 0
    phase, status, text = box.told()[-1]
    assert (phase, status) == ("booted", "fail")
    assert "could not create the user ann" in text
    assert "scripts.firstboot 1 ended with status 9" in text


def test_hostile_commands_arrive_unchanged(tmp_path: Path) -> None:
    options = sample("proxmox", "hostile")
    box = new_system(tmp_path, **options)
    script = files(**options)["firstboot.sh"]
    probe = script.replace('if sh "$home/command" </dev/null; then', 'cp "$home/command" "$root/got.$1"; if true; then')
    assert probe != script
    assert box.run(probe).returncode == 0
    got = [(box.root / f"got.{number}").read_bytes().decode() for number in range(1, len(HOSTILE) + 1)]
    assert got == [command + "\n" for command in HOSTILE]
    assert not box.pwned()


def test_the_media_of_the_samples_are_those_of_the_releases() -> None:
    assert {PROXMOX.repository(release) for release in PROXMOX.releases.values()} == set(MEDIA)
