"""What can be asked of Windows: its names for time zones and languages, what it refuses, what it warns of."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import available_timezones

import pytest
from tzlocal.windows_tz import tz_win, win_tz

from pxed.errors import InvalidRequest
from pxed.oses.catalog import Catalog, Resources
from pxed.oses.windows_names import KEYBOARDS, OLD_ZONES, locale_name, time_zone
from tests.oses.families import RESOURCES
from tests.oses.samples_windows import PASSWORD
from tests.oses.windows_files import CATALOG, refused

NAMES = set(win_tz)
"""What Windows calls its time zones."""


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
