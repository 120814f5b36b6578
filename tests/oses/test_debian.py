"""What Debian's installer is given: every file, for every release, read by the programs that read it, or by their validators."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pxed.errors import InvalidRequest
from pxed.oses.catalog import Catalog
from pxed.oses.debian import DEBIAN, RELEASES
from tests.oses.families import delivered
from tests.oses.samples import FULL, MINIMAL, SECRET, URLS, FakeNode, hostile, verifies

CATALOG = Catalog()
LVM = {
    "layout": "lvm",
    "installPartitions": [{"mountPoint": "/", "size": "auto"}, {"mountPoint": "/var", "size": "4G"}],
    "after": "poweroff",
}
CASES: dict[str, dict[str, Any]] = {"minimal": MINIMAL, "full": FULL, "hostile": hostile(), "lvm": LVM}
RENDERED = {
    (release, case): delivered(CATALOG, CATALOG.prepare("debian", release, options), FakeNode(name="rack 1 ü"), URLS)
    for release in RELEASES
    for case, options in CASES.items()
}
EVERY = pytest.mark.parametrize(("release", "case"), RENDERED)


def answers(text: str) -> dict[str, str]:
    """Question > value, as debian-installer reads them."""
    found = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            _, question, _, value = (*line.split(" ", 3), "")[:4]
            found[question] = value
    return found


@EVERY
@pytest.mark.skipif(not shutil.which("debconf-set-selections"), reason="debconf-set-selections (package debconf) is not installed")
def test_debconf_itself_accepts_every_preseed_file_without_a_word(release: str, case: str, tmp_path: Path) -> None:
    (tmp_path / "preseed.cfg").write_text(RENDERED[release, case]["preseed.cfg"])
    run = subprocess.run(
        ["debconf-set-selections", "-c", tmp_path / "preseed.cfg"], capture_output=True, text=True, timeout=30, check=False
    )
    assert (run.returncode, run.stderr, run.stdout) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_warn_of_in_any_hook(case: str, tmp_path: Path) -> None:
    for name, text in RENDERED["12", case].items():
        if name.endswith(".sh"):
            (tmp_path / name).write_text(text)
    hooks = sorted(tmp_path.iterdir())
    assert len(hooks) == 4
    run = subprocess.run(["shellcheck", "-s", "sh", "--severity=warning", *hooks], capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout, run.returncode) == ("", 0)


@EVERY
def test_every_hook_is_a_script_that_the_shell_can_parse(release: str, case: str) -> None:
    for name, text in RENDERED[release, case].items():
        if name.endswith(".sh"):
            assert text.startswith("#!/bin/sh\n")
            subprocess.run(["sh", "-n"], input=text.encode(), check=True, timeout=30)


@EVERY
def test_kernel_and_initrd_are_the_releases_own_netboot_images(release: str, case: str) -> None:
    script = RENDERED[release, case]["boot.ipxe"]
    base = "http://mirror.example.com:81/debian" if case in ("full", "hostile") else "http://10.0.2.2:8080/repo/debian"
    codename = RELEASES[release].data["codename"]
    images = f"{base}/dists/{codename}/main/installer-amd64/current/images/netboot/debian-installer/amd64"
    assert f"\nkernel --name linux {images}/linux initrd=initrd.gz auto=true priority=critical url={URLS.answer('preseed.cfg')} " in script
    assert f"\ninitrd --name initrd.gz {images}/initrd.gz || goto again\n" in script
    assert f"mirror/suite string {codename}\n" in RENDERED[release, case]["preseed.cfg"]


def kernel_line(options: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The words before and behind ``---``."""
    script = delivered(CATALOG, CATALOG.prepare("debian", "12", options), FakeNode(), URLS)["boot.ipxe"]
    (line,) = [line for line in script.splitlines() if line.startswith("kernel ")]
    words = line.removesuffix(" || goto again").split()[4:]
    return words[: words.index("---")], words[words.index("---") + 1 :]


def test_the_kernel_line_says_where_who_and_how() -> None:
    installer, kept = kernel_line(FULL)
    assert {"hostname=web1", "netcfg/hostname=web1", "domain=example.com", "locale=de_DE.UTF-8", "keymap=de", "interface=auto"} <= set(
        installer
    )
    assert {"log_host=10.0.2.2", "log_port=514", "BOOTIF=01-${netX/mac:hexhyp}", "quiet", "net.ifnames=0", "initrd=initrd.gz"} - {
        "initrd=initrd.gz"
    } <= set(installer)
    assert kept == ["console=tty0", "console=ttyS0,115200n8", "mitigations=off"]


def test_a_lease_without_router_and_name_servers_makes_the_installer_ask_nothing() -> None:
    assert {"netcfg/no_default_route=true", "netcfg/get_nameservers=10.0.2.2"} <= set(kernel_line({})[0])
    assert "netcfg/get_nameservers=10.9.9.9" in kernel_line({"dnsServers": ["2001:db8::1", "10.9.9.9", "10.9.9.10"]})[0]


def test_the_interface_to_install_over_can_be_named_either_way() -> None:
    assert "BOOTIF=01-52-54-00-aa-bb-cc" in kernel_line({"installInterface": "52:54:00:AA:BB:CC"})[0]
    assert "interface=eno2" in kernel_line({"installInterface": "eno2"})[0]


def test_the_installers_log_can_stay_at_home() -> None:
    assert not [word for word in kernel_line({"remoteLogging": False})[0] if word.startswith("log_")]


def test_the_root_hash_in_the_answers_verifies_against_the_password() -> None:
    found = answers(RENDERED["12", "full"]["preseed.cfg"])["passwd/root-password-crypted"]
    assert verifies(SECRET, found)


def test_root_without_a_password_is_locked() -> None:
    assert answers(RENDERED["12", "minimal"]["preseed.cfg"])["passwd/root-password-crypted"] == "!"
    assert "usermod" not in RENDERED["12", "minimal"]["late.sh"]


def test_packages_come_from_pxed_unless_a_repository_is_named() -> None:
    minimal, full = (answers(RENDERED["12", case]["preseed.cfg"]) for case in ("minimal", "full"))
    assert (minimal["mirror/http/hostname"], minimal["mirror/http/directory"], minimal["mirror/http/proxy"]) == (
        "10.0.2.2:8080",
        "/repo/debian",
        "",
    )
    assert (full["mirror/http/hostname"], full["mirror/http/directory"]) == ("mirror.example.com:81", "/debian")
    assert full["mirror/http/proxy"] == "http://user:pr0xysecret@10.0.2.3:3128"
    assert (minimal["apt-setup/services-select"], full["apt-setup/services-select"]) == ("", "security")


def test_an_https_repository_is_asked_by_its_own_questions() -> None:
    prepared = CATALOG.prepare("debian", "12", {"repo": "https://deb.example.com/debian/"})
    found = answers(delivered(CATALOG, prepared, FakeNode(), URLS)["preseed.cfg"])
    assert found["mirror/protocol"] == "https"
    assert (found["mirror/https/hostname"], found["mirror/https/directory"]) == ("deb.example.com", "/debian")


def test_what_other_options_need_is_installed_too() -> None:
    assert answers(RENDERED["12", "full"]["preseed.cfg"])["pkgsel/include"] == "vim htop openssh-server sudo systemd-timesyncd"
    assert answers(RENDERED["12", "minimal"]["preseed.cfg"])["pkgsel/include"] == ""
    assert answers(RENDERED["12", "minimal"]["preseed.cfg"])["tasksel/first"] == "standard, ssh-server"


@pytest.mark.parametrize("disk", ["/dev/vda", {"serial": "X"}, None])
def test_until_the_disk_is_chosen_on_the_node_it_is_one_that_does_not_exist(disk: Any) -> None:
    """partman-auto takes the only disk of a machine if it has no answer, and the one that is answered although disk.sh refused it."""
    prepared = CATALOG.prepare("debian", "12", {"installDisk": disk})
    found = answers(delivered(CATALOG, prepared, FakeNode(), URLS)["preseed.cfg"])
    assert found["partman-auto/disk"] == "/dev/pxed-disk"
    assert "grub-installer/bootdev" not in found


def test_layouts() -> None:
    minimal, full, lvm = (answers(RENDERED["12", case]["preseed.cfg"]) for case in ("minimal", "full", "lvm"))
    assert [found["partman-auto/method"] for found in (minimal, full, lvm)] == ["regular", "regular", "lvm"]
    assert minimal["partman-auto/choose_recipe"] == "atomic"
    assert "partman-auto/choose_recipe" not in full
    assert (lvm["debian-installer/exit/poweroff"], minimal["debian-installer/exit/poweroff"]) == ("true", "false")


@EVERY
def test_nothing_is_left_for_the_installer_to_ask(release: str, case: str) -> None:
    found = answers(RENDERED[release, case]["preseed.cfg"])
    asked_at_priority_critical_or_high = {
        "debian-installer/locale", "keyboard-configuration/xkb-keymap", "mirror/country", "passwd/root-password-crypted",
        "passwd/make-user",
        "time/zone", "partman-auto/method", "partman-partitioning/confirm_write_new_label", "partman/choose_partition", "partman/confirm",
        "partman/confirm_nooverwrite", "partman-lvm/confirm", "partman-lvm/device_remove_lvm",
        "partman-md/device_remove_md",
        "partman-efi/non_efi_system", "tasksel/first", "grub-installer/only_debian", "finish-install/reboot_in_progress",
        "mirror/http/proxy",
        "popularity-contest/participate", "apt-setup/services-select", "clock-setup/utc",
    }  # fmt: skip
    assert asked_at_priority_critical_or_high <= set(found)
    assert found["preseed/late_command"] == "pxed-run late.sh"
    assert re.search(r"; true$", found["preseed/early_command"])


def test_the_operators_own_answers_come_last_and_win() -> None:
    lines = ["d-i mirror/suite string sid", "base-installer base-installer/kernel/image string linux-image-cloud-amd64"]
    text = delivered(CATALOG, CATALOG.prepare("debian", "12", {"preseedExtra": lines}), FakeNode(), URLS)["preseed.cfg"]
    assert text.rstrip().endswith("\n".join(lines))
    assert answers(text)["mirror/suite"] == "sid"


@pytest.mark.parametrize(
    "line",
    [
        "d-i mirror/suite",
        "hello",
        "d-i mirror/suite strin x",
        "d-i preseed/late_command string reboot",
        "d-i a/b string x\nd-i c/d string y",
        "d-i a/b string x\\",
    ],
)
def test_an_answer_that_is_none_or_breaks_pxeds_own_hooks_is_refused(line: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        CATALOG.prepare("debian", "12", {"preseedExtra": [line]})
    assert caught.value.field == "options.preseedExtra.0"


def test_every_milestone_is_a_phase_of_the_hooks() -> None:
    files = RENDERED["12", "full"]
    text = files["early.sh"] + files["late.sh"] + files["firstboot.sh"]
    assert "pxed_tell started ok" in text
    assert "pxed_tell installed ok" in text
    assert URLS.notify("booted") in text
    assert {each.phase for each in DEBIAN.recipe.milestones} == {"started", "installed", "booted"}


def test_debian_11_is_asked_for_nothing_that_came_later_and_its_suites_are_the_installers_own() -> None:
    """The code name stands where a suite is named; which suites of updates there are (bullseye-security) the installer itself knows."""
    assert CATALOG.prepare("debian", "bullseye", {}).release == "11"
    for case in CASES:
        text = RENDERED["11", case]["preseed.cfg"]
        assert (answers(text)["mirror/suite"], answers(text)["mirror/udeb/suite"]) == ("bullseye", "bullseye")
        assert "non-free-firmware" not in text
        assert "/updates" not in "".join(RENDERED["11", case].values())
    archived = delivered(CATALOG, CATALOG.prepare("debian", "11", {"repo": "http://archive.example/debian"}), FakeNode(), URLS)
    assert "http://archive.example/debian/dists/bullseye/main/installer-amd64/current/images/netboot/" in archived["boot.ipxe"]
    assert answers(archived["preseed.cfg"])["apt-setup/services-select"] == ""
