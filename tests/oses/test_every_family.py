"""What holds for every file of every family and release: it can be read in its own format, holds no secret, and says what it must.

A family's own samples are `FULL` and `HOSTILE` in tests/oses/samples_<family>.py; without them the common ones that it takes are used.
"""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from dataclasses import replace
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from pxed.errors import InvalidRequest
from pxed.oses.catalog import Catalog, Prepared
from pxed.oses.family import Family
from pxed.oses.features import UNIFIED
from tests.oses.families import CASES, RESOURCES, delivered, passwords_of, sample, secrets_of
from tests.oses.samples import KEY, TOKEN, URLS, FakeNode, install_of

CATALOG = Catalog(resources=RESOURCES)
EVERY = [
    (family.name, release, case)
    for family in CATALOG.families.values()
    for installer in family.installers
    for release in installer.releases
    for case in CASES
]
FAMILIES = list(CATALOG.families)


@cache
def prepared(family: str, release: str, case: str) -> Prepared:
    return CATALOG.prepare(family, release, sample(family, case, release))


@cache
def rendered(family: str, release: str, case: str) -> dict[str, str]:
    return CATALOG.preview(prepared(family, release, case), FakeNode(name="rack 1 ü"), URLS)


def readable(name: str, text: str) -> None:
    """AssertionError or the reader's own error if `text` is not in the format that the name promises."""
    if name.endswith((".json", ".ign")):
        json.loads(text)
    elif name.endswith(".xml"):
        ElementTree.fromstring(text)
    elif name.endswith(".toml"):
        tomllib.loads(text)
    elif name.endswith((".yaml", ".yml")) or name == "user-data":
        yaml.safe_load(text)
    elif name.endswith(".sh"):
        assert text.startswith("#!/bin/")
        subprocess.run([text.split("\n", 1)[0].removeprefix("#!").split()[0], "-n"], input=text.encode(), check=True, timeout=30)
    elif name.endswith(".ipxe"):
        assert text.startswith("#!ipxe\n")
        assert text.isascii()


@pytest.mark.parametrize(("family", "release", "case"), EVERY)
def test_every_file_can_be_read_in_its_own_format(family: str, release: str, case: str) -> None:
    for name, text in rendered(family, release, case).items():
        readable(name, text)


@pytest.mark.parametrize(("family", "release", "case"), EVERY)
def test_only_files_that_may_hold_secrets_do_and_a_preview_none(family: str, release: str, case: str) -> None:
    options, order, shown = sample(family, case, release), prepared(family, release, case), rendered(family, release, case)
    secrets = secrets_of(options)
    assert not [name for name, text in shown.items() for secret in secrets if secret in text]
    assert not [secret for secret in secrets if secret in json.dumps(order.options, ensure_ascii=False)]
    given = delivered(CATALOG, order, FakeNode(name="rack 1 ü"), URLS)
    assert {name for name, text in given.items() if text != shown[name]} <= CATALOG.plain_secrets(install_of(order))
    hashed = [] if family == "windows" else passwords_of(options)
    assert not [name for name, text in given.items() for secret in hashed if secret in text]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_family_lacks_is_refused_by_name(family: str) -> None:
    for found in CATALOG.families[family].installers:
        release = next(iter(found.releases))
        known = json.dumps(CATALOG.schema(family, release)["properties"])
        for name in UNIFIED:
            if f'"{name}"' not in known and name not in str(found.options.model_fields.values()):
                with pytest.raises(Exception, match=f"options.{name} cannot be used here: ."):
                    CATALOG.prepare(family, release, {name: ["x"]})


@pytest.mark.parametrize(("family", "release", "case"), EVERY)
def test_the_boot_script_retries_reports_and_never_boots_by_accident(family: str, release: str, case: str) -> None:
    script = rendered(family, release, case)["boot.ipxe"]
    assert f"/i/{TOKEN}/notify/started?status=fail" in script
    for line in script.splitlines():
        if re.match(r"(kernel|initrd|boot)\b", line):
            assert re.search(r"\|\| goto \w+$", line), line


@pytest.mark.parametrize("family", FAMILIES)
def test_the_schema_and_the_list_are_json_and_the_default_release_can_be_prepared(family: str) -> None:
    json.dumps(CATALOG.schema(family))
    (shown,) = [each for each in json.loads(json.dumps(CATALOG.list())) if each["name"] == family]
    assert shown["recipe"]
    assert shown["boots"] >= 2
    assert shown["milestones"]
    order = CATALOG.prepare(family, None, sample(family, "minimal"))
    assert order.release == shown["releases"][0]["name"]
    assert CATALOG.needs(order) == shown["releases"][0]["repository"]


def test_secrets_are_gone_from_what_is_stored() -> None:
    for family in FAMILIES:
        options: dict[str, Any] = sample(family, "full")
        stored = json.dumps(CATALOG.visible(CATALOG.prepare(family, None, options).options), ensure_ascii=False)
        assert not [secret for secret in secrets_of(options) if secret in stored], family


ADA = {"name": "ada", "password": "S3cret!x"}


def device(**given: Any) -> dict[str, Any]:
    return {"dnsServers": ["10.0.0.1"], "networkDevices": [{"device": "eth0", **given}]}


GIVEN: dict[str, Any] = {
    "User.uid": {"users": [{**ADA, "uid": 1010}]},
    "User.groups": {"users": [{**ADA, "groups": ["adm"]}]},
    "User.shell": {"users": [{**ADA, "shell": "/bin/sh"}]},
    "User.sudo": {"users": [{**ADA, "sudo": True}]},
    "User.sshKeys": {"users": [{**ADA, "sshKeys": [KEY]}]},
    "User.passwordHash": {"users": [{"name": "ada", "passwordHash": "$6$abcdefgh$" + "x" * 86}]},
    "Scripts.post": {"scripts": {"post": ["true"]}},
    "Partition.label": {"installPartitions": [{"mountPoint": "/", "size": "auto", "label": "root"}]},
    "Disk.path": {"installDisk": {"path": "/dev/sda"}},
    "Disk.serial": {"installDisk": {"serial": "x"}},
    "Disk.wwn": {"installDisk": {"wwn": "0x5000"}},
    "Disk.size": {"installDisk": {"size": "ssd"}},
    "Disk.index": {"installDisk": {"index": 0}},
    "Ipv4.vlanIds": device(ipv4={"ipAddr": "10.0.0.2", "prefixlen": 24, "gateway": "10.0.0.1", "vlanIds": [5]}),
    "Ipv4.mtu": device(ipv4={"ipAddr": "10.0.0.2", "prefixlen": 24, "gateway": "10.0.0.1", "mtu": 1500}),
    "Ipv6.vlanIds": device(ipv6={"ipAddr": "2001:db8::2", "prefixlen": 64, "gateway": "2001:db8::1", "vlanIds": [5]}),
    "Ipv6.mtu": device(ipv6={"ipAddr": "2001:db8::2", "prefixlen": 64, "gateway": "2001:db8::1", "mtu": 1500}),
    "NetworkDevice.dhcp4": device(dhcp4=True),
    "NetworkDevice.dhcp6": device(dhcp6=True),
}
"""What asks for a hidden field."""
HIDDEN = [(family, hidden) for family in FAMILIES for hidden in CATALOG.families[family].options.hidden]


@pytest.mark.parametrize(("family", "hidden"), HIDDEN)
def test_what_the_schema_hides_is_refused(family: str, hidden: str) -> None:
    model, _, field = hidden.partition(".")
    assert field not in CATALOG.schema(family)["$defs"][model]["properties"]
    asked = GIVEN[f"{model.removeprefix('Windows').removeprefix('Esx')}.{field}"]
    options = {**sample(family, "minimal"), **asked}
    with pytest.raises(InvalidRequest) as refused:
        CATALOG.prepare(family, None, options)
    assert refused.value.field.split(".")[1:2] in ([], [next(iter(asked)).replace("installDisk", "disk")], *([each] for each in asked))


@pytest.mark.parametrize("family", FAMILIES)
def test_each_release_is_listed_with_its_own_recipe_milestones_and_boots(family: str) -> None:
    (shown,) = [each for each in CATALOG.list() if each["name"] == family]
    for release in shown["releases"]:
        installer = CATALOG.families[family].installer(release["name"])
        assert (release["recipe"], release["boots"]) == (installer.recipe.name, installer.boots)
        assert [each["phase"] for each in release["milestones"]] == [each.phase for each in installer.recipe.milestones]
        assert release["milestones"][-1]["percent"] == 100


def _without_boot(family: Family) -> Family:
    return replace(family, boot=None, others=tuple(_without_boot(other) for other in family.others))


WHOLE = Catalog([_without_boot(family) for family in CATALOG.families.values()], resources=RESOURCES)


@pytest.mark.parametrize(("family", "release", "case"), EVERY)
def test_boot_scripts_are_the_same_with_the_names_of_every_file(family: str, release: str, case: str) -> None:
    install, node = install_of(prepared(family, release, case)), FakeNode(name="rack 1 ü")
    assert CATALOG.profile(install, node, URLS) == WHOLE.profile(install, node, URLS) == rendered(family, release, case)["boot.ipxe"]
    assert CATALOG.grub(install, node, URLS, node.mac) == WHOLE.grub(install, node, URLS, node.mac)
