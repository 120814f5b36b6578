"""Windows' answer file, its disk scripts, its options and its recipe. What the batch files do is shown in test_windows_batch.py."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import available_timezones

import pytest
from tzlocal.windows_tz import tz_win, win_tz

from pxed.errors import InvalidRequest
from pxed.node.guard import Guard
from pxed.node.model import Boot
from pxed.oses.catalog import Catalog, Resources, Urls
from pxed.oses.scripts import BootScripts
from pxed.oses.windows import PORTS, RELEASES, WINDOWS
from pxed.oses.windows_names import KEYBOARDS, OLD_ZONES, locale_name, time_zone
from pxed.repo.recognise import recognise, to_json
from pxed.repo.trees import DirectoryTree
from pxed.testing import MemoryAppliance, result_of, walk
from pxed.workflow.recipe import Notification
from pxed.workflow.replay import Done, Failed
from tests.oses.families import CASES, RESOURCES, sample
from tests.oses.samples import TOKEN, URLS, FakeNode, install_of
from tests.oses.samples_windows import PASSWORD

CATALOG = Catalog(resources=RESOURCES)
NAMES = set(win_tz)
"""What Windows calls its time zones."""
EVERY = pytest.mark.parametrize(("release", "case"), [(release, case) for release in RELEASES for case in CASES])
NAMESPACE = "{urn:schemas-microsoft-com:unattend}"
WCM = "{http://schemas.microsoft.com/WMIConfig/2002/State}"

ALLOWED = {
    ("specialize", "Microsoft-Windows-Shell-Setup"): {"ComputerName", "ProductKey", "TimeZone"},
    ("specialize", "Microsoft-Windows-TCPIP"): {
        "Interfaces/Interface/Identifier",
        "Interfaces/Interface/Ipv4Settings/DhcpEnabled",
        "Interfaces/Interface/Ipv6Settings/DhcpEnabled",
        "Interfaces/Interface/UnicastIpAddresses/IpAddress",
        "Interfaces/Interface/Routes/Route/Identifier",
        "Interfaces/Interface/Routes/Route/NextHopAddress",
        "Interfaces/Interface/Routes/Route/Prefix",
    },
    ("specialize", "Microsoft-Windows-DNS-Client"): {
        "DNSDomain",
        "DNSSuffixSearchOrder/DomainName",
        "Interfaces/Interface/Identifier",
        "Interfaces/Interface/DNSServerSearchOrder/IpAddress",
    },
    ("specialize", "Networking-MPSSVC-Svc"): {
        "DomainProfile_EnableFirewall",
        "PrivateProfile_EnableFirewall",
        "PublicProfile_EnableFirewall",
        "FirewallGroups/FirewallGroup/Active",
        "FirewallGroups/FirewallGroup/Group",
        "FirewallGroups/FirewallGroup/Profile",
    },
    ("specialize", "Microsoft-Windows-TerminalServices-LocalSessionManager"): {"fDenyTSConnections"},
    ("specialize", "Microsoft-Windows-Deployment"): {
        "RunSynchronous/RunSynchronousCommand/Order",
        "RunSynchronous/RunSynchronousCommand/Path",
        "RunSynchronous/RunSynchronousCommand/Description",
    },
    ("oobeSystem", "Microsoft-Windows-International-Core"): {"InputLocale", "SystemLocale", "UILanguage", "UserLocale"},
    ("oobeSystem", "Microsoft-Windows-Shell-Setup"): {
        "OOBE/HideEULAPage",
        "OOBE/HideLocalAccountScreen",
        "OOBE/HideOEMRegistrationScreen",
        "OOBE/HideOnlineAccountScreens",
        "OOBE/HideWirelessSetupInOOBE",
        "OOBE/ProtectYourPC",
        "UserAccounts/AdministratorPassword/Value",
        "UserAccounts/AdministratorPassword/PlainText",
        "UserAccounts/LocalAccounts/LocalAccount/Password/Value",
        "UserAccounts/LocalAccounts/LocalAccount/Password/PlainText",
        "UserAccounts/LocalAccounts/LocalAccount/DisplayName",
        "UserAccounts/LocalAccounts/LocalAccount/Group",
        "UserAccounts/LocalAccounts/LocalAccount/Name",
    },
}
"""(pass, component) > the settings that Microsoft's reference lists there, of those that pxed writes."""
SERVER_ONLY = {"OOBE/HideLocalAccountScreen"}
CLIENT_ONLY = {"OOBE/HideOEMRegistrationScreen", "OOBE/HideOnlineAccountScreens", "OOBE/HideWirelessSetupInOOBE"}
LISTS = {"Interface", "IpAddress", "Route", "DomainName", "RunSynchronousCommand", "LocalAccount", "FirewallGroup"}
"""Items of lists: each needs wcm:action."""


@cache
def files(release: str, case: str) -> dict[str, str]:
    """Every file as the node gets it, with secrets."""
    return rendered(release, sample("windows", case))


def rendered(release: str, options: dict[str, Any], *, catalog: Catalog = CATALOG) -> dict[str, str]:
    install = install_of(catalog.prepare("windows", release, options))
    names = [*WINDOWS.files, *(each for each in catalog.preview(catalog.prepare("windows", release, options), None, URLS) if "-" in each)]
    made = {name: catalog.file(install, FakeNode(), URLS, name).body.decode() for name in dict.fromkeys(names)}
    return {**made, "boot.ipxe": catalog.profile(install, FakeNode(), URLS)}


def refused(release: str, catalog: Catalog = CATALOG, **options: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        catalog.prepare("windows", release, {**sample("windows", "minimal"), **options})
    return raised.value


def answers(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def leaves(element: ElementTree.Element, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, text) of everything below `element` that has no children."""
    for child in element:
        here = f"{path}/{child.tag.removeprefix(NAMESPACE)}".lstrip("/")
        if len(child):
            yield from leaves(child, here)
        else:
            yield here, child.text or ""


def component(text: str, of_pass: str, name: str) -> ElementTree.Element:
    (found,) = [
        part
        for settings in answers(text)
        if settings.get("pass") == of_pass
        for part in settings
        if part.get("name") == name
    ]  # fmt: skip
    return found


def values(text: str, of_pass: str, name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path, value in leaves(component(text, of_pass, name)):
        found.setdefault(path, []).append(value)
    return found


# ---- unattend.xml


@EVERY
def test_the_answer_file_holds_what_each_pass_and_component_knows(release: str, case: str) -> None:
    root = answers(files(release, case)["unattend.xml"])
    assert root.tag == f"{NAMESPACE}unattend"
    passes = [settings.get("pass") for settings in root]
    assert passes == ["specialize", "oobeSystem"]
    for settings in root:
        names = [each.get("name") for each in settings]
        assert len(names) == len(set(names))
        for each in settings:
            known = ALLOWED[str(settings.get("pass")), str(each.get("name"))]
            written = {path for path, _ in leaves(each)}
            assert written <= known
            assert not written & (CLIENT_ONLY if RELEASES[release].data["server"] else SERVER_ONLY)
            assert (each.get("publicKeyToken"), each.get("language"), each.get("versionScope")) == ("31bf3856ad364e35", "neutral", "nonSxS")
            assert each.get("processorArchitecture") == "amd64"


@EVERY
def test_items_of_lists_are_added_and_their_keys_differ(release: str, case: str) -> None:
    for parent in answers(files(release, case)["unattend.xml"]).iter():
        items = [child for child in parent if child.tag.removeprefix(NAMESPACE) in LISTS]
        assert all(child.get(f"{WCM}action") == "add" for child in items)
        keys = [child.get(f"{WCM}keyValue") for child in items if child.get(f"{WCM}keyValue")]
        assert len(keys) == len(set(keys))


@pytest.mark.skipif(shutil.which("xmllint") is None, reason="xmllint is not installed (apt: libxml2-utils)")
@EVERY
def test_xmllint_reads_the_answer_file(release: str, case: str) -> None:
    text = files(release, case)["unattend.xml"].encode()
    assert subprocess.run(["xmllint", "--noout", "--nonet", "-"], input=text, capture_output=True, check=False).stderr == b""


def test_the_full_sample_means_what_was_asked() -> None:
    text = files("2022", "full")["unattend.xml"]
    shell = values(text, "specialize", "Microsoft-Windows-Shell-Setup")
    assert shell == {
        "ComputerName": ["win-1"],
        "ProductKey": ["ABCDE-12345-ABCDE-12345-ABCDE"],
        "TimeZone": ["W. Europe Standard Time"],
    }
    assert values(text, "oobeSystem", "Microsoft-Windows-International-Core") == {
        "InputLocale": ["0407:00000407"], "SystemLocale": ["de-AT"], "UILanguage": ["en-US"], "UserLocale": ["de-AT"],
    }  # fmt: skip
    network = values(text, "specialize", "Microsoft-Windows-TCPIP")
    assert network["Interfaces/Interface/Identifier"] == ["52-54-00-AA-BB-CC", "Ethernet", "Ethernet2"]
    assert network["Interfaces/Interface/Ipv4Settings/DhcpEnabled"] == ["false", "false", "true"]
    assert network["Interfaces/Interface/UnicastIpAddresses/IpAddress"] == ["10.0.2.50/24", "2001:db8::5/64"]
    assert network["Interfaces/Interface/Routes/Route/NextHopAddress"] == ["10.0.2.2", "2001:db8::1"]
    assert network["Interfaces/Interface/Routes/Route/Prefix"] == ["0.0.0.0/0", "::/0"]
    dns = values(text, "specialize", "Microsoft-Windows-DNS-Client")
    assert (dns["DNSDomain"], dns["DNSSuffixSearchOrder/DomainName"]) == (["example.com"], ["example.com"])
    assert dns["Interfaces/Interface/DNSServerSearchOrder/IpAddress"] == ["10.0.2.3", "2001:db8::53"] * 3
    firewall = values(text, "specialize", "Networking-MPSSVC-Svc")
    assert {firewall[f"{profile}Profile_EnableFirewall"][0] for profile in ("Domain", "Private", "Public")} == {"false"}


def test_passwords_are_in_windows_own_form_and_nowhere_else() -> None:
    text = files("2022", "full")["unattend.xml"]
    accounts = values(text, "oobeSystem", "Microsoft-Windows-Shell-Setup")
    (administrator,) = accounts["UserAccounts/AdministratorPassword/Value"]
    assert base64.b64decode(administrator).decode("utf-16-le") == PASSWORD + "r" + "AdministratorPassword"
    given = [base64.b64decode(each).decode("utf-16-le") for each in accounts["UserAccounts/LocalAccounts/LocalAccount/Password/Value"]]
    assert given == [PASSWORD + "Password", PASSWORD + "aPassword"]
    assert accounts["UserAccounts/LocalAccounts/LocalAccount/Name"] == ["onrack", "ann"]
    assert accounts["UserAccounts/LocalAccounts/LocalAccount/Group"] == ["Administrators", "Administrators;Remote Desktop Users"]
    assert PASSWORD not in "".join(files("2022", "full").values())


def test_hostile_names_arrive_as_they_are() -> None:
    accounts = values(files("11", "hostile")["unattend.xml"], "oobeSystem", "Microsoft-Windows-Shell-Setup")
    assert accounts["UserAccounts/LocalAccounts/LocalAccount/DisplayName"] == ["onrack", "<b>&\"' %s ü漢"]


def test_rackhds_password_is_the_administrators_too_unless_there_is_another() -> None:
    text = rendered("2022", {"username": "onrack", "password": PASSWORD})["unattend.xml"]
    (administrator,) = values(text, "oobeSystem", "Microsoft-Windows-Shell-Setup")["UserAccounts/AdministratorPassword/Value"]
    assert base64.b64decode(administrator).decode("utf-16-le") == PASSWORD + "AdministratorPassword"


def test_without_devices_the_name_servers_go_to_the_card_that_booted() -> None:
    text = rendered("10", {**sample("windows", "minimal"), "dnsServers": ["10.0.2.3"]})["unattend.xml"]
    assert values(text, "specialize", "Microsoft-Windows-DNS-Client")["Interfaces/Interface/Identifier"] == ["52-54-00-12-34-56"]


# ---- names


def test_every_time_zone_of_the_database_but_one_or_two_has_a_name_in_windows() -> None:
    unknown = set()
    for zone in available_timezones():
        try:
            assert time_zone(zone) in NAMES, zone
        except ValueError:
            unknown.add(zone)
    assert unknown <= {"Factory", "Antarctica/Troll"}
    assert time_zone("Europe/Vienna") == time_zone("Europe/Berlin") == "W. Europe Standard Time"
    assert time_zone("Asia/Calcutta") == time_zone("Asia/Kolkata") == "India Standard Time"
    assert set(OLD_ZONES.values()) <= NAMES
    assert not set(OLD_ZONES) & set(tz_win)


def test_locales_and_keyboards() -> None:
    assert [locale_name(each) for each in ("en_US.UTF-8", "sr_RS@latin", "no_NO.UTF-8", "pt_BR")] == [
        "en-US",
        "sr-Latn-RS",
        "nb-NO",
        "pt-BR",
    ]
    assert all(re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{8}", each) for each in KEYBOARDS.values())


# ---- options


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({"hostname": "a-name-of-16-chars"}, "options", "15 characters"),
        ({"hostname": "12345"}, "options", "not all digits"),
        ({"users": [{"name": "Administrator", "password": PASSWORD}]}, "options.users.0.name", "rootPassword"),
        ({"users": [{"name": "a" * 21, "password": PASSWORD}]}, "options.users.0.name", "20 long"),
        ({"users": [{"name": "eve"}]}, "options.users.0", "a password"),
        ({"users": [{"name": "eve", "password": PASSWORD, "shell": "/bin/sh"}]}, "options.users.0", "shell"),
        ({"users": [{"name": "ANN", "password": PASSWORD}]}, "options", "different names"),
        ({"productkey": "12345"}, "options.productkey", "five groups"),
        ({"smbRepo": "\\\\h\\s"}, "options.smbUser", "smbUser and smbPassword"),
        ({"smbUser": "x"}, "options.smbRepo", "smbRepo"),
        ({"smbRepo": "//h/s"}, "options.smbRepo", "a share like"),
        ({"smbRepo": "\\\\h\\s", "smbUser": "u", "smbPassword": 'a"b'}, "options.smbPassword", "double quotes"),
        ({"installDisk": "/dev/sda"}, "options.installDisk", "number or model"),
        ({"disk": {"serial": "X"}}, "options.disk", "number or model"),
        ({"disk": {"size": "largest"}}, "options.disk", "number or model"),
        ({"timezone": "Factory"}, "options.timezone", "that Windows has"),
        ({"keyboard": "xx"}, "options.keyboard", "us, us-intl"),
        ({"packages": ["vim"]}, "options.packages", "scripts.firstboot"),
        ({"kargs": "quiet"}, "options.kargs", "no kernel arguments"),
        ({"networkDevices": [{"device": "Ethernet", "ipv4": {"ipAddr": "10.0.0.1", "prefixlen": 8, "vlanIds": [5]}}]}, "options", "VlanID"),
        ({"smbPassword": {"sealed": "gAAAA"}, "smbRepo": "\\\\h\\s", "smbUser": "u"}, "options.smbPassword", "expected text"),
    ],
)
def test_what_windows_cannot_do_is_refused_by_name(options: dict[str, Any], field: str, words: str) -> None:
    problem = refused("11", **options)
    assert (problem.field, words in str(problem)) == (field, True), str(problem)
    assert PASSWORD not in str(problem)


@pytest.mark.parametrize("weak", ["short", "alllowercase", "Lower1", "administrator1A"])
def test_a_server_would_refuse_a_weak_password_so_pxed_does(weak: str) -> None:
    if weak == "Lower1":
        CATALOG.prepare("windows", "2022", {"rootPassword": weak})
        return
    with pytest.raises(InvalidRequest, match="would refuse the password") as refusal:
        CATALOG.prepare("windows", "2022", {"rootPassword": weak})
    assert weak not in str(refusal.value)
    CATALOG.prepare("windows", "11", {"username": "u", "password": weak})


def test_an_install_that_would_stop_with_a_question_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Administrator's password"):
        CATALOG.prepare("windows", "2022", {})
    with pytest.raises(InvalidRequest, match="asks for an account"):
        CATALOG.prepare("windows", "11", {"rootPassword": PASSWORD})


def test_a_windows_without_an_administrator_is_warned_of() -> None:
    user = {"name": "eve", "password": PASSWORD}
    lonely = CATALOG.prepare("windows", "11", {"users": [user]})
    assert "Nobody is an administrator" in CATALOG.warnings(lonely)[0]
    for options in (
        {"users": [{**user, "sudo": True}]},
        {"username": "u", "password": PASSWORD},
        {"users": [user], "rootPassword": PASSWORD},
    ):
        assert CATALOG.warnings(CATALOG.prepare("windows", "11", options)) == []


def test_programs_that_the_operator_has_not_brought_are_named() -> None:
    lacking = Catalog(resources=Resources(media=RESOURCES.media, holds=lambda path: path == "windows/curl.exe"))
    assert "windows/wimboot below the boot program root" in str(refused("11", lacking))
    nothing = Catalog(resources=Resources(media=RESOURCES.media, holds=lambda path: False))
    assert "windows/wimboot and windows/curl.exe" in str(refused("11", nothing))


# ---- images


@pytest.mark.parametrize(
    ("release", "edition", "index"),
    [
        ("2022", None, 2), ("2022", "SERVERDATACENTERCORE", 3), ("2022", 4, 4), ("2022", "windows server 2022 serverstandardcore", 1),
        ("11", None, 2), ("11", "Core", 1), ("10", "Windows 10 Home", 1), ("10", "professional", 2),
    ],
)  # fmt: skip
def test_the_image_is_chosen_by_number_name_or_edition(release: str, edition: Any, index: int) -> None:
    options = sample("windows", "minimal") | ({"edition": edition} if edition is not None else {})
    assert f'"/Index:{index}"' in rendered(release, options)["pxed.cmd"]


def test_an_edition_that_may_be_several_or_none_is_refused_with_the_list() -> None:
    assert "no image of the medium can be meant by Education" in str(refused("2022", edition="Education"))
    assert "4: Windows Server 2022 SERVERDATACENTER (ServerDatacenter)" in str(refused("2022", edition="Education"))
    images = [{"index": number, "name": name, "edition": "Twice"} for number, name in ((1, "A"), (2, "B"))]
    medium = {**RESOURCES.media("windows-11"), "facts": {"editions": images}}
    assert "several images" in str(refused("11", Catalog(resources=Resources(media=lambda _: medium)), edition="Twice"))


def test_from_a_share_or_an_unknown_tree_the_image_is_named_to_dism_itself() -> None:
    options = sample("windows", "minimal") | {"repo": "http://mirror.example.com/win"}
    assert '"/Name:Windows Server 2019 SERVERSTANDARD"' in rendered("2019", options)["pxed.cmd"]
    assert '"http://mirror.example.com/win/sources/install.wim"' in rendered("2019", options)["pxed.cmd"]
    share = {"smbRepo": "\\\\10.0.2.4\\win", "smbUser": "u", "smbPassword": "p"}
    assert '"/Name:Windows 11 Pro"' in rendered("11", sample("windows", "minimal") | share)["pxed.cmd"]


def test_another_medium_than_the_release_is_refused() -> None:
    assert "holds Windows Server 2022, not Windows Server 2019" in str(refused("2019", repo="windows-2022"))
    assert "not Windows 11" in str(refused("11", repo="esxi-8"))


needs_wimtools = pytest.mark.skipif(shutil.which("wimcapture") is None, reason="wimcapture is not installed (apt: wimtools)")


def make_medium(folder: Path, *, editions: tuple[tuple[str, str], ...], build: int, kind: str, image: str = "install.wim") -> None:
    """A tree like that of a Windows medium, with real WIM files made by wimlib."""
    sources, system = folder / "sources", folder / "system"
    sources.mkdir(parents=True)
    (system / "Windows/System32").mkdir(parents=True)
    (system / "Windows/System32/ntoskrnl.exe").write_bytes(b"MZ" + bytes(100))
    for number, (name, edition) in enumerate(editions):
        target = sources / image
        words = ["wimcapture" if number == 0 else "wimappend", str(system), str(target), name]
        values = [
            "WINDOWS/ARCH=9", f"WINDOWS/EDITIONID={edition}", f"WINDOWS/INSTALLATIONTYPE={kind}", f"WINDOWS/VERSION/BUILD={build}",
            "WINDOWS/LANGUAGES/DEFAULT=de-DE",
        ]  # fmt: skip
        properties = [f"--image-property={each}" for each in values]
        subprocess.run([*words, *properties], check=True, capture_output=True)
    subprocess.run(["wimcapture", str(system), str(sources / "boot.wim"), "Microsoft Windows Setup (x64)"], check=True, capture_output=True)
    shutil.rmtree(system)


@needs_wimtools
@pytest.mark.parametrize(
    ("release", "build", "kind", "editions", "index"),
    [
        ("2022", 20348, "Server", (("S SERVERSTANDARDCORE", "ServerStandard"), ("S SERVERSTANDARD", "ServerStandard")), 2),
        ("2012r2", 9600, "Server", (("W SERVERSTANDARD", "ServerStandard"),), 1),
        (
            "11",
            26100,
            "Client",
            (("Windows 11 Home", "Core"), ("Windows 11 Pro N", "ProfessionalN"), ("Windows 11 Pro", "Professional")),
            3,
        ),
        ("10", 19045, "Client", (("Windows 10 Enterprise", "Enterprise"),), 1),
    ],
)
def test_a_real_wim_file_is_recognised_and_its_image_chosen(
    tmp_path: Path, release: str, build: int, kind: str, editions: tuple[tuple[str, str], ...], index: int
) -> None:
    make_medium(tmp_path / "medium", editions=editions, build=build, kind=kind)
    medium = to_json(recognise(DirectoryTree(tmp_path / "medium")))
    catalog = Catalog(resources=Resources(media=lambda name: json.loads(json.dumps(medium)) if name == f"windows-{release}" else {}))
    made = rendered(release, sample("windows", "minimal"), catalog=catalog)
    assert f'"/Index:{index}"' in made["pxed.cmd"]
    assert values(made["unattend.xml"], "oobeSystem", "Microsoft-Windows-International-Core")["UILanguage"] == ["de-DE"]


@needs_wimtools
def test_a_split_image_is_refused_with_the_way_out(tmp_path: Path) -> None:
    make_medium(tmp_path, editions=(("Windows 11 Pro", "Professional"),), build=26100, kind="Client", image="install.swm")
    medium = to_json(recognise(DirectoryTree(tmp_path)))
    assert "wimjoin" in str(refused("11", Catalog(resources=Resources(media=lambda _: medium))))


# ---- the other files


@EVERY
def test_files_for_cmd_have_its_line_ends_and_every_label_they_jump_to(release: str, case: str) -> None:
    for name, text in files(release, case).items():
        if name.endswith((".cmd", ".ini", ".txt")):
            assert "\n" not in text.replace("\r\n", ""), name
        if name in ("pxed.cmd", "SetupComplete.cmd"):
            labels = set(re.findall(r"(?m)^:(\w+)\r?$", text))
            assert set(re.findall(r"\bgoto (\w+)", text)) | set(re.findall(r"\bcall :(\w+)", text)) <= labels, name
            assert text.isascii()


@EVERY
def test_the_operators_commands_arrive_line_by_line(release: str, case: str) -> None:
    made = files(release, case)
    for kind in ("post", "firstboot"):
        asked = sample("windows", case).get("scripts", {}).get(kind, [])
        assert [made[f"{kind}-{number}.cmd"].splitlines() for number in range(1, len(asked) + 1)] == [each.splitlines() for each in asked]


DISKPART = (
    r"online disk noerr|attributes disk clear readonly noerr|clean|convert (?:gpt|mbr noerr)|active|assign letter=[SW]"
    r"|create partition (?:efi|msr|primary)(?: size=\d+)?|format quick fs=(?:fat32|ntfs) label=\"\w+\""
)


def test_disk_scripts_hold_commands_that_diskpart_has() -> None:
    for firmware in ("uefi", "bios"):
        lines = files("2022", "minimal")[f"disk-{firmware}.txt"].splitlines()
        assert all(re.fullmatch(DISKPART, line) for line in lines)
        assert [line for line in lines if line.startswith("assign")] == ["assign letter=S", "assign letter=W"]


def test_the_boot_script_lays_its_files_where_wimboot_injects_them() -> None:
    """wimboot puts every file into System32 but those that it starts itself; names need to be in the initrd's arguments for BIOS."""
    script = files("2022", "minimal")["boot.ipxe"]
    laid = re.findall(r"(?m)^initrd --name (\S+) \S+ (\S+) \|\|", script)
    assert laid == [(name, name) for name in ("winpeshl.ini", "pxed.cmd", "curl.exe", "boot.wim")]
    assert f"kernel --name wimboot {URLS.program('windows/wimboot')} ||" in script
    assert "System32\\pxed.cmd" in files("2022", "minimal")["winpeshl.ini"]


def test_arm_media_get_programs_for_arm() -> None:
    medium = {**dict(RESOURCES.media("windows-11")), "arch": "aarch64"}
    made = rendered("11", sample("windows", "minimal"), catalog=Catalog(resources=Resources(media=lambda _: medium)))
    assert "/b/windows/wimboot.arm64" in made["boot.ipxe"]
    assert "initrd --name curl.exe http://10.0.2.2:8080/b/windows/curl-arm64.exe curl.exe" in made["boot.ipxe"]
    assert 'processorArchitecture="arm64"' in made["unattend.xml"]


def test_a_share_with_a_hostile_password_is_one_word() -> None:
    line = files("2022", "full")["share.cmd"].splitlines()[1]
    assert line == 'net use Y: "\\\\10.0.2.4\\windows\\2022 R2" "sh4re \'P%%TEMP%%&<x>^|!)(" "/user:EXAMPLE\\reader" /persistent:no'


# ---- the recipe


def test_a_system_that_never_calls_back_is_done_by_its_port_and_without_that_it_is_not() -> None:
    by_port = Notification("configured", proof="TCP port 3389 answers")
    assert walk(WINDOWS.recipe, {"configured": by_port, "booted": "missed"}).outcome == Done()
    assert walk(WINDOWS.recipe, {"booted": "missed"}).outcome == Failed("missed")
    assert 3389 in PORTS


class Node:
    """Firmware, Windows PE and Windows, as far as pxed can see: profiles, files, notifications."""

    def __init__(self) -> None:
        self.catalog = Catalog(resources=RESOURCES)
        self.appliance = MemoryAppliance(self.catalog.recipes)
        prepared = self.catalog.prepare("windows", "2022", sample("windows", "full"))
        self.node = self.appliance.inventory.seen("52:54:00:12:34:56")
        self.id = result_of(
            self.appliance.engine.create(
                self.node.id, family="windows", release=prepared.release, recipe=prepared.recipe, options=prepared.options
            )
        ).id

    @property
    def install(self) -> Any:
        return self.appliance.engine.get(self.id)

    def restart_pxed(self) -> None:
        """A new process: nothing is left but the database and the key."""
        sealing = self.catalog.sealing
        self.catalog = Catalog(resources=RESOURCES)
        self.catalog.sealing = sealing
        self.appliance = self.appliance.restart(down=3)

    def network_boot(self) -> str:
        """What iPXE is told when this node has come that far."""
        here = self.appliance
        guard = Guard(inventory=here.inventory, timeline=here.timeline, seconds=here.clock.seconds)
        scripts = BootScripts(
            inventory=here.inventory, timeline=here.timeline, engine=here.engine, catalog=self.catalog, urls=Urls, guard=guard
        )  # fmt: skip
        return result_of(scripts.of(self.node.mac, "10.0.0.77", "http://10.0.2.2", "ipxe"))

    def fetch(self, name: str) -> str:
        token = self.install.token
        return self.catalog.file(self.install, self.node, Urls("http://10.0.2.2", token), name).body.decode()

    def say(self, phase: str, status: str = "ok", message: str = "") -> None:
        result_of(self.appliance.engine.deliver(self.install.token, phase, status=status, message=message))

    def windows_pe(self) -> None:
        """Boot by the profile and follow the URLs: what iPXE lays into Windows PE, and what pxed.cmd fetches then."""
        laid = re.findall(r"/i/[^/]+/(\S+) \S+ \|\|", self.network_boot())
        assert laid == ["winpeshl.ini", "pxed.cmd"]
        _, batch = [self.fetch(name) for name in laid]
        self.say("started")
        self.restart_pxed()
        fetched = [self.fetch(name) for name in re.findall(r"call :get ([\w.]+\.(?:xml|cmd)) ", batch)]
        assert len(fetched) == 4
        assert any(PASSWORD_IN_BASE64 in each for each in fetched)


PASSWORD_IN_BASE64 = base64.b64encode((PASSWORD + "Password").encode("utf-16-le")).decode()
LOCAL = ("sanboot", "exit")


def is_local(script: str) -> bool:
    return "wimboot" not in script and any(word in script for word in LOCAL)


@pytest.mark.parametrize("network_boots", [1, 3, 6])
def test_however_often_windows_restarts_it_is_sent_to_its_disk_and_pxed_may_be_killed_each_time(network_boots: int) -> None:
    node = Node()
    assert "wimboot" in node.network_boot()
    node.restart_pxed()
    assert "wimboot" in node.network_boot()  # a node that lost its power in Windows PE starts anew
    node.windows_pe()
    node.restart_pxed()
    node.say("installed")
    for _ in range(network_boots):
        node.restart_pxed()
        assert is_local(node.network_boot())
        assert node.appliance.inventory.seen(node.node.mac).boot == Boot("disk", node.id)
    node.say("configured")
    node.restart_pxed()
    assert is_local(node.network_boot())
    node.say("booted")
    assert (node.install.state, node.install.percent) == ("done", 100)
    assert is_local(node.network_boot())


def test_a_failure_in_windows_pe_ends_it_with_dism_s_own_words() -> None:
    node = Node()
    node.say("started")
    node.restart_pxed()
    node.say("installed", "fail", "The image cannot be applied:\nError: 112\nThere is not enough space on the disk.")
    assert node.install.state == "failed"
    assert "not enough space" in node.install.reason
    assert is_local(node.network_boot())


def test_without_any_word_after_the_restart_it_is_unproven_never_installed_again() -> None:
    node = Node()
    node.say("started")
    node.say("installed")
    node.appliance.clock.pump([600] * 20)
    assert node.install.state == "unproven"
    assert is_local(node.network_boot())
    node.say("booted")
    assert node.install.state == "done"


def test_a_windows_that_shows_a_port_and_says_nothing_is_done_with_that_as_its_proof() -> None:
    node = Node()
    node.say("started")
    node.say("installed")
    node.appliance.clock.pump([15] * 10)
    node.appliance.ports.open.add(3389)
    node.appliance.clock.pump([15] * 300)
    assert node.install.state == "done"
    assert "3389" in node.install.proof


def test_the_token_stands_in_what_the_node_is_told() -> None:
    assert TOKEN in files("2022", "minimal")["SetupComplete.cmd"]
