"""The vendors' own schemas, for whoever has them: no package of PyPI or Debian brings one, so each test is skipped until the environment
variable in its message names the file (docs/os/, "What is proven").

Photon has none to be had: its installer checks a kickstart in Python, and test_photon.py does what that does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import yaml
from jsonschema import Draft7Validator
from jsonschema.validators import validator_for
from referencing import Registry, Resource

from pxed.oses.catalog import Catalog
from tests.oses.families import CASES, RESOURCES, delivered, sample
from tests.oses.samples import URLS, FakeNode

CATALOG = Catalog(resources=RESOURCES)
PUBLISHED = {
    "PXED_AUTOYAST_RNG": "profile.rng of the package yast2-schema of SLES 15 or Leap 15 (sources: yast/yast-schema, yast/yast-*)",
    "PXED_AUTOYAST_12_RNG": "profile.rng of the package yast2-schema of SLES 12 (sources: the same, branch SLE-12-SP5)",
    "PXED_AGAMA_SCHEMA": "profile.schema.json and those beside it, of agama-project/agama (rust/share; branch SLE-16 for 16.0)",
    "PXED_AUTOINSTALL_SCHEMA": "autoinstall-schema.json of canonical/subiquity",
    "PXED_UNATTEND_XSD": "unattend.xsd of the Windows ADK (Deployment Tools, with Windows System Image Manager)",
}


def given(variable: str) -> Path:
    """The file that `variable` names; skips without one."""
    if not os.environ.get(variable):
        pytest.skip(f"{variable} names no file: {PUBLISHED[variable]}")
    found = Path(os.environ[variable])
    assert found.is_file(), f"{variable}: there is no file {found}"
    return found


def every(file: str) -> list[tuple[str, str, str]]:
    """(family, release, case) of every install that is given `file`."""
    return [
        (family.name, release, case)
        for family in CATALOG.families.values()
        for installer in family.installers
        if file in installer.files
        for release in installer.releases
        for case in CASES
    ]


@cache
def text(file: str, family: str, release: str, case: str) -> str:
    """The file as the node is given it."""
    return delivered(CATALOG, CATALOG.prepare(family, release, sample(family, case, release)), FakeNode(name="rack 1 ü"), URLS)[file]


def run(*command: str | Path, needs: str = "xmllint") -> str:
    """What a validator complains of; "" for nothing."""
    if shutil.which(needs) is None:
        pytest.skip(f"{needs} is not installed (apt: libxml2-utils, jing)")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def relaxng(schema: Path, profile: Path) -> str:
    """By jing where it is installed, which says more and reads .rnc too, else by xmllint."""
    if shutil.which("jing") or schema.suffix == ".rnc":
        return run("jing", *(["-c"] if schema.suffix == ".rnc" else []), schema, profile, needs="jing")
    return run("xmllint", "--noout", "--nonet", "--relaxng", schema, profile)


def agama(schema: Path, profile: Any) -> list[str]:
    """The schema names those beside it by their addresses on the web, so all of the folder are given to the validator."""
    root = json.loads(schema.read_text())
    beside = {urljoin(root["$id"], path.name): json.loads(path.read_text()) for path in schema.parent.glob("*.schema.json")}
    registry: Registry[Any] = Registry().with_resources((address, Resource.from_contents(each)) for address, each in beside.items())
    return [each.message for each in validator_for(root)(root, registry=registry).iter_errors(profile)]


def subiquity(schema: Path, answers: Any) -> list[str]:
    return [each.message for each in Draft7Validator(json.loads(schema.read_text())).iter_errors(answers["autoinstall"])]


def autoyast(release: str) -> Path:
    return given("PXED_AUTOYAST_12_RNG" if release == "12" else "PXED_AUTOYAST_RNG")


@pytest.mark.parametrize(("family", "release", "case"), every("autoinst.xml"))
def test_autoyasts_schema_takes_every_profile(family: str, release: str, case: str, tmp_path: Path) -> None:
    profile, schema, written = tmp_path / "autoinst.xml", autoyast(release), text("autoinst.xml", family, release, case)
    profile.write_text(written)
    assert relaxng(schema, profile) == ""
    profile.write_text(written.replace('<confirm config:type="boolean">', "<confirm>"))
    assert relaxng(schema, profile)


@pytest.mark.parametrize(("family", "release", "case"), every("profile.json"))
def test_agamas_schema_takes_every_profile(family: str, release: str, case: str) -> None:
    schema, profile = given("PXED_AGAMA_SCHEMA"), json.loads(text("profile.json", family, release, case))
    assert agama(schema, profile) == []
    assert agama(schema, {**profile, "hostnam": {}})
    assert agama(schema, {**profile, "storage": {"drives": [{"partitions": [{"size": "many"}]}]}})


@pytest.mark.parametrize(("family", "release", "case"), every("user-data"))
def test_subiquitys_schema_takes_every_answer(family: str, release: str, case: str) -> None:
    schema, answers = given("PXED_AUTOINSTALL_SCHEMA"), yaml.safe_load(text("user-data", family, release, case))
    assert subiquity(schema, answers) == []
    assert subiquity(schema, {"autoinstall": {**answers["autoinstall"], "version": 2}})


@pytest.mark.parametrize(("family", "release", "case"), every("unattend.xml"))
def test_windows_schema_takes_every_answer_file(family: str, release: str, case: str, tmp_path: Path) -> None:
    answers, schema, written = tmp_path / "unattend.xml", given("PXED_UNATTEND_XSD"), text("unattend.xml", family, release, case)
    for content, good in ((written, True), (written.replace('pass="specialize"', 'pass="special"'), False)):
        answers.write_text(content)
        assert (run("xmllint", "--noout", "--nonet", "--schema", schema, answers) == "") == good
