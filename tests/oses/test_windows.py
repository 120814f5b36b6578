"""What pxed writes for Windows: its answer file, disk scripts, boot script. What the batch files do is shown in test_windows_batch.py."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess

import pytest

from pxed.oses.catalog import Catalog, Resources
from pxed.oses.windows import RELEASES
from tests.oses.families import RESOURCES, sample
from tests.oses.samples import TOKEN, URLS
from tests.oses.samples_windows import PASSWORD
from tests.oses.windows_files import EVERY, NAMESPACE, WCM, answers, files, leaves, rendered, values

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
    assert accounts["UserAccounts/LocalAccounts/LocalAccount/DisplayName"] == ["onrack", "]]><b>&\"'$(x) %s ü漢"]


def test_rackhds_password_is_the_administrators_too_unless_there_is_another() -> None:
    text = rendered("2022", {"username": "onrack", "password": PASSWORD})["unattend.xml"]
    (administrator,) = values(text, "oobeSystem", "Microsoft-Windows-Shell-Setup")["UserAccounts/AdministratorPassword/Value"]
    assert base64.b64decode(administrator).decode("utf-16-le") == PASSWORD + "AdministratorPassword"


def test_without_devices_the_name_servers_go_to_the_card_that_booted() -> None:
    text = rendered("10", {**sample("windows", "minimal"), "dnsServers": ["10.0.2.3"]})["unattend.xml"]
    assert values(text, "specialize", "Microsoft-Windows-DNS-Client")["Interfaces/Interface/Identifier"] == ["52-54-00-12-34-56"]


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


def test_the_token_stands_in_what_the_node_is_told() -> None:
    assert TOKEN in files("2022", "minimal")["SetupComplete.cmd"]
