"""Options that are read once per install."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from pxed.errors import InvalidRequest
from pxed.oses.catalog import Catalog, Prepared
from pxed.oses.debian import DebianOptions
from pxed.oses.options import CommonOptions
from pxed.oses.remembered import Remembered
from tests.oses.families import CASES, RESOURCES, sample
from tests.oses.samples import URLS, FakeNode, install_of


def test_what_an_install_stores_is_read_once() -> None:
    read, stored = Remembered(), {"hostname": "n1"}
    assert read.covered(DebianOptions, stored) is read.covered(DebianOptions, stored)


def test_other_options_and_another_familys_are_read_anew() -> None:
    read, stored = Remembered(), {"hostname": "n1"}
    first = read.covered(DebianOptions, stored)
    assert read.covered(DebianOptions, dict(stored)) is not first
    assert type(read.covered(CommonOptions, stored)) is CommonOptions
    assert read.covered(DebianOptions, {"hostname": "n2"}).hostname == "n2"


def test_the_oldest_are_forgotten() -> None:
    read, many = Remembered(most=2), [{"hostname": f"n{number}"} for number in range(3)]
    first, _, last = [read.covered(DebianOptions, each) for each in many]
    assert read.covered(DebianOptions, many[2]) is last
    assert read.covered(DebianOptions, many[0]) is not first


def test_what_is_refused_is_refused_again() -> None:
    read, wrong = Remembered(), {"users": 5}
    for _ in range(2):
        with pytest.raises(InvalidRequest, match=r"options\.users"):
            read.covered(DebianOptions, wrong)


def test_no_secret_is_kept() -> None:
    prepared = Catalog().prepare("debian", None, {"proxy": "http://user:s3cret@10.0.0.1:3128"})
    assert Remembered().covered(DebianOptions, prepared.options).proxy_url.count("s3cret") == 0


@pytest.mark.parametrize("family", Catalog().families)
@pytest.mark.parametrize("case", CASES)
def test_rendering_leaves_the_options_as_they_were_read(family: str, case: str) -> None:
    catalog = Catalog(resources=RESOURCES)
    prepared = catalog.prepare(family, None, sample(family, case))
    anew = replace(prepared, options=copy.deepcopy(prepared.options))

    def everything(order: Prepared) -> list[Any]:
        install = install_of(order)
        files = [catalog.file(install, FakeNode(), URLS, name) for name in catalog.families[family].files]
        return [catalog.profile(install, FakeNode(), URLS), *files]

    everything(prepared)
    assert everything(prepared) == everything(anew)
