"""SLES and Leap: profiles read as YaST reads them (types and all)."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pxed.errors import InvalidRequest
from pxed.oses.catalog import Catalog
from pxed.oses.suse import FAMILIES, KEYBOARDS
from tests.oses.autoyast_elements import ELEMENTS, ENTRIES, wrong
from tests.oses.families import CASES, delivered, sample
from tests.oses.samples import HOSTILE_TARGET, SECRET, URLS, FakeNode, verifies
from tests.oses.sandbox import FAKES, Sandbox

CATALOG = Catalog()
LVM: dict[str, Any] = {
    "layout": "lvm",
    "installPartitions": [
        {"mountPoint": "/", "size": "auto", "fsType": "xfs"},
        {"mountPoint": "/var/log", "size": "4G", "label": "log"},
        {"mountPoint": "swap", "size": "1G"},
    ],
    "after": "poweroff",
}
RELEASES = [(family.name, release) for family in FAMILIES for release in family.releases]
EVERY = [(*each, case) for each in RELEASES for case in (*CASES, "lvm")]
EVERY_RELEASE = pytest.mark.parametrize(("family", "release"), RELEASES)
_TYPE = "{http://www.suse.com/1.0/configns}type"
_SPACE = "{http://www.suse.com/1.0/yast2ns}"


@functools.cache
def _files(family: str, release: str, options: str, arch: int) -> dict[str, str]:
    return delivered(CATALOG, CATALOG.prepare(family, release, json.loads(options)), FakeNode(arch=arch), URLS)


def files(family: str, release: str, *, arch: int = 0, **options: Any) -> dict[str, str]:
    return _files(family, release, json.dumps(options), arch)


def case_files(family: str, release: str, case: str) -> dict[str, str]:
    return files(family, release, **(LVM if case == "lvm" else sample(family, case)))


def yast(text: str) -> Any:
    """The profile as YaST's XML reader has it: an element without a type is a text, or a map if it has children."""
    return _value(ElementTree.fromstring(text))


def _value(element: ElementTree.Element) -> Any:
    kind = element.get(_TYPE, "map" if len(element) else "string")
    words = element.text or ""
    if kind == "list":
        return [_value(each) for each in element]
    if kind == "map":
        names = [each.tag.removeprefix(_SPACE) for each in element]
        assert len(names) == len(set(names))
        return {name: _value(each) for name, each in zip(names, element, strict=True)}
    assert not len(element)
    if kind == "boolean":
        return {"true": True, "false": False}[words]
    return int(words) if kind == "integer" else {"string": "", "symbol": ":"}[kind] + words


def profile(family: str, release: str, **options: Any) -> Any:
    return yast(files(family, release, **options)["autoinst.xml"])


def machine(folder: Path, *, refuse: int = 0, run: bool = False) -> Sandbox:
    """A machine in YaST's hands; the new system's folders are also at / (chroot-scripts run in it)."""
    box = Sandbox(folder, refuse=refuse, run=run)
    box.disk("sda", gigabytes=500, udev="ID_SERIAL_SHORT=WD-123\n")
    box.disk("vda", gigabytes=40)
    box.net("eth7", "52:54:00:aa:bb:cc")
    (box.root / "tmp/profile").mkdir()
    for name in ("etc", "root", "home", "usr"):
        (box.root / "target" / name).mkdir(exist_ok=True)
        (box.root / name).symlink_to(f"target/{name}")
    box.fake("chroot", "shift\n" + FAKES["in-target"])
    box.fake("curl", FAKES["wget"].replace('"$1" = -O', '"$1" = -o'))
    return box


def scripts(written: dict[str, str]) -> Any:
    return yast(written["autoinst.xml"])["scripts"]


def chosen(folder: Path, written: dict[str, str]) -> Any:
    """The profile that YaST installs by: as pre.sh has changed it."""
    box = machine(folder)
    (box.root / "tmp/profile/autoinst.xml").write_text(written["autoinst.xml"])
    ended = box.run(written["pre.sh"])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert box.told() == [("started", "ok", "YaST has its profile")]
    return yast((box.root / "tmp/profile/modified.xml").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("family", "release", "case"), EVERY)
@pytest.mark.skipif(not shutil.which("xmllint"), reason="xmllint is not installed")
def test_xmllint_takes_every_profile_and_nothing_in_it_asks(family: str, release: str, case: str) -> None:
    text = case_files(family, release, case)["autoinst.xml"]
    subprocess.run(["xmllint", "--noout", "--nonet", "-"], input=text.encode(), check=True, timeout=30)
    found = yast(text)
    assert found["general"]["mode"]["confirm"] is False
    assert all(each["timeout"] > 0 for each in found["report"].values())
    assert found["general"]["mode"]["halt"] == (case == "lvm")


@pytest.mark.parametrize(("family", "release", "case"), EVERY)
def test_every_element_is_one_that_the_release_knows_with_its_type(family: str, release: str, case: str) -> None:
    assert wrong(yast(case_files(family, release, case)["autoinst.xml"]), ELEMENTS[release]) == []


@pytest.mark.parametrize(("family", "release", "case"), EVERY)
def test_entries_of_lists_are_called_what_yasts_schemas_call_them(family: str, release: str, case: str) -> None:
    """YaST reads any name, its schemas (test_vendor_schemas.py) do not take any."""
    root = ElementTree.fromstring(case_files(family, release, case)["autoinst.xml"])
    named = {(each.tag, entry.tag) for each in root.iter() if each.get(_TYPE) == "list" for entry in each}
    assert {(name.removeprefix(_SPACE), entry.removeprefix(_SPACE)) for name, entry in named} <= ENTRIES


@EVERY_RELEASE
def test_hostile_kernel_arguments_arrive_as_they_are(family: str, release: str) -> None:
    append = yast(case_files(family, release, "hostile")["autoinst.xml"])["bootloader"]["global"]["append"]
    assert append == f"console=tty0 console=ttyS0,115200n8 {HOSTILE_TARGET}"


@EVERY_RELEASE
def test_the_list_of_elements_finds_what_is_not_in_it(family: str, release: str) -> None:
    found = yast(case_files(family, release, "full")["autoinst.xml"])
    other = ELEMENTS["15" if release == "12" else "12"]
    said = wrong(found, other)
    assert {"profile/networking/interfaces[]", "profile/ntp-client", "profile/firewall"} <= {each.rpartition("/")[0] for each in said}
    found["general"]["mode"]["confirm"] = "false"
    found["general"]["mod"] = {}
    found["users"] = found["users"][0]
    assert wrong(found, ELEMENTS[release]) == [
        "profile/general/mod: no such element",
        "profile/general/mode/confirm: text instead of boolean",
        "profile/users: no list",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "release", "case"), EVERY)
def test_the_disk_and_the_interfaces_are_put_in_on_the_node(tmp_path: Path, family: str, release: str, case: str) -> None:
    written = case_files(family, release, case)
    found = chosen(tmp_path, written)
    assert found["partitioning"][0]["device"] == "/dev/sda"
    assert "pxed-nic" not in str(found)
    assert "pxed-disk" not in str(found)
    before = yast(written["autoinst.xml"])
    assert {name for name in found if found[name] != before[name]} == {
        "partitioning",
        *(["networking"] if case in ("full", "hostile") else []),
    }


@pytest.mark.slow
@EVERY_RELEASE
def test_networks_are_what_was_asked_for(tmp_path: Path, family: str, release: str) -> None:
    found = chosen(tmp_path, case_files(family, release, "full"))["networking"]
    named = "device" if release == "12" else "name"
    assert found["dns"] == {
        "dhcp_hostname": False,
        "hostname": "web1",
        "domain": "example.com",
        "nameservers": ["10.0.2.3", "2001:db8::53"],
        "searchlist": ["example.com"],
    }
    shown = [(each[named], each["bootproto"], each.get("ipaddr"), each.get("prefixlen")) for each in found["interfaces"]]
    assert shown == [
        ("eth0", "static", "10.0.2.50", "24"),
        ("eth7", "static", "2001:db8::5", "64"),
        ("eth2", "none", None, None),
        ("eth2.104", "static", "10.9.0.5", "16"),
        ("eth2.105", "static", "10.9.0.5", "16"),
        ("eth3", "dhcp4", None, None),
    ]
    assert found["interfaces"][0]["mtu"] == "9000"
    assert [(each["vlan_id"], each["etherdevice"]) for each in found["interfaces"][3:5]] == [("104", "eth2"), ("105", "eth2")]
    assert [(each["gateway"], each["device"]) for each in found["routing"]["routes"]] == [("10.0.2.2", "eth0"), ("10.9.0.1", "eth2.104")]


def test_a_second_address_is_an_alias_and_a_device_named_twice_is_its_last() -> None:
    four, six = {"ipAddr": "10.1.0.5", "prefixlen": 24}, {"ipAddr": "2001:db8::5", "prefixlen": 64, "gateway": "2001:db8::1"}
    (only,) = profile("sles", "15", networkDevices=[{"device": "eth0"}, {"device": "eth0", "ipv4": four, "ipv6": six}])["networking"][
        "interfaces"
    ]
    assert (only["ipaddr"], only["aliases"]) == ("10.1.0.5", {"alias0": {"IPADDR": "2001:db8::5", "PREFIXLEN": "64", "LABEL": "0"}})
    assert profile("sles", "15")["networking"] == {"dns": {"dhcp_hostname": True}, "keep_install_network": True}


@pytest.mark.parametrize("case", ["minimal", "full", "lvm"])
@EVERY_RELEASE
def test_every_layout_starts_by_bios_and_by_uefi(family: str, release: str, case: str) -> None:
    disk, *groups = yast(case_files(family, release, case)["autoinst.xml"])["partitioning"]
    assert (disk["type"], disk["use"], disk["disklabel"]) == (":CT_DISK", "all", "gpt")
    parts = disk["partitions"]
    assert [each["partition_id"] for each in parts].count(263) == 1
    assert [(each["mount"], each["filesystem"]) for each in parts if each["partition_id"] == 259] == [("/boot/efi", ":vfat")]
    assert parts[-1]["size"] == "max"
    assert [each["size"] for each in parts].count("max") == 1
    if case == "full":
        assert [(each["mount"], each["filesystem"], each["size"], each.get("label")) for each in parts[2:]] == [
            ("/boot", ":ext3", "477M", None),
            ("swap", ":swap", "1908M", None),
            ("/", ":xfs", "max", "root"),
        ]
    if case == "lvm":
        assert [each.get("mount") for each in parts] == [None, "/boot/efi", "/boot", None]
        assert (parts[-1]["lvm_group"], parts[-1]["partition_id"], groups[0]["device"]) == ("system", 142, "/dev/system")
        volumes = [(each["lv_name"], each["mount"], each["size"]) for each in groups[0]["partitions"]]
        assert volumes == [("var_log", "/var/log", "3815M"), ("swap1", "swap", "954M"), ("root", "/", "max")]
    else:
        assert not groups


@EVERY_RELEASE
def test_software_services_time_and_accounts(family: str, release: str) -> None:
    found = yast(case_files(family, release, "full")["autoinst.xml"])
    clock = "ntp" if release == "12" else "chrony"
    assert set(found["software"]["packages"]) == {"curl", "sudo", "openssh", clock, "vim", "htop"}
    assert found["software"]["patterns"] == ["base", "lamp_server", "kvm_server", "kvm_tools"]
    assert found["services-manager"]["services"] == {"enable": ["sshd", "rsyslog"], "disable": ["postfix", "cups.service"]}
    servers = found["ntp-client"]["peers" if release == "12" else "ntp_servers"]
    assert [each["address"] for each in servers] == ["ntp1.example.com", "10.0.2.3"]
    assert (found["timezone"]["timezone"], found["keyboard"]["keymap"], found["language"]["language"]) == (
        "Europe/Berlin",
        "german",
        "de_DE",
    )
    assert found["bootloader"]["global"]["append"] == "console=tty0 console=ttyS0,115200n8 mitigations=off"
    (root,) = found["users"]
    assert root["encrypted"] is True
    assert verifies(SECRET, root["user_password"])
    assert profile(family, release)["users"][0]["user_password"] == "!"


def test_sles_15_names_its_product_and_its_modules() -> None:
    found = profile("sles", "15", modules="Basesystem, Web-Scripting")
    assert found["software"]["products"] == ["SLES"]
    assert found["add-on"]["add_on_products"][1] == {
        "media_url": "http://10.0.2.2:8080/repo/sles-15",
        "product": "sle-module-web-scripting",
        "product_dir": "/Module-Web-Scripting",
    }
    for other in (profile("sles", "12"), profile("leap", "15")):
        assert "add-on" not in other
        assert "products" not in other["software"]


@pytest.mark.parametrize(
    ("family", "release", "options", "field"),
    [
        ("sles", "12", {"modules": ["Basesystem"]}, "options.modules"),
        ("leap", "15", {"modules": ["Basesystem"]}, "options.modules"),
        ("leap", "15", {"keyboard": "xx"}, "options.keyboard"),
        ("leap", "15", {"groups": ["core"]}, "options.groups"),
        ("leap", "15", {"bonds": [{"nics": ["eth0"]}]}, "options.bonds"),
        ("leap", "15", {"repo": "http://m.example.com/leap", "proxy": "http://u:p@10.0.0.1:3128"}, "options.proxy"),
        ("leap", "15", {"networkDevices": [{"device": "a", "ipv4": {"ipAddr": "10.0.0.1", "prefixlen": 8}, "dhcp6": True}]},
         "options.networkDevices.0"),
        ("leap", "15", {"networkDevices": [{"device": "eth" * 4, "ipv4": {"ipAddr": "10.0.0.1", "prefixlen": 8, "vlanIds": [4000]}}]},
         "options.networkDevices.0.device"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(family: str, release: str, options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        CATALOG.prepare(family, release, options)
    assert caught.value.field == field


def test_every_keyboard_has_another_name_in_yast() -> None:
    assert all(profile("leap", "15", keyboard=name)["keyboard"]["keymap"] == word for name, word in list(KEYBOARDS.items())[:3])


def test_minor_releases_are_other_names_of_the_major_one() -> None:
    assert CATALOG.prepare("sles", "12.5", {}).release == "12"
    assert CATALOG.needs(CATALOG.prepare("leap", "15.6", {})) == "leap-15"


def test_the_kernel_line_is_linuxrcs() -> None:
    def words(**options: Any) -> list[str]:
        (line,) = [line for line in files("sles", "15", **options)["boot.ipxe"].splitlines() if line.startswith("kernel ")]
        return line.removesuffix(" || goto again").split()[3:]

    tree = "http://10.0.2.2:8080/repo/sles-15"
    assert words() == [
        f"{tree}/boot/x86_64/loader/linux", "initrd=initrd", f"install={tree}", f"autoyast={URLS.answer('autoinst.xml')}", "netsetup=dhcp",
        "textmode=1", "self_update=0", "insecure=1", "loghost=10.0.2.2", "BOOTIF=01-${netX/mac:hexhyp}",
    ]  # fmt: skip
    assert "ifcfg=eno2=dhcp" in words(installInterface="eno2")
    assert words(arch=11)[0] == f"{tree}-aarch64/boot/aarch64/linux"
    outside = {"repo": "http://m.example.com/sles", "proxy": "http://10.0.0.1:3128"}
    assert "proxy=http://10.0.0.1:3128" in words(**outside)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["minimal", "full", "hostile"])
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_warn_of_in_any_hook(tmp_path: Path, case: str) -> None:
    family, release = "sles", "15"  # the hooks are the same for every release
    for name, text in case_files(family, release, case).items():
        if name in ("pre.sh", "post.sh"):
            (tmp_path / name).write_text(text)
    for name, (script,) in scripts(case_files(family, release, case)).items():
        (tmp_path / f"{name}.sh").write_text(script["source"] + "\n")
    hooks = sorted(tmp_path.iterdir())
    assert len(hooks) == 4
    run = subprocess.run(["shellcheck", "-s", "sh", "--severity=warning", *hooks], capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout, run.returncode) == ("", 0)
