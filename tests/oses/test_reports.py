"""Progress from what pxed serves: bytes of an expected total, between two milestones and never back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxed.oses.catalog import Catalog
from pxed.oses.debian import DEBIAN
from pxed.oses.family import Release
from pxed.oses.reports import by_bytes
from pxed.testing import NOON
from pxed.workflow.install import Install


@pytest.mark.parametrize(
    ("sent", "expected", "span", "reached", "told"),
    [
        (60_000_000, 100_000_000, (5, 95), 5, (58, "60 % of the packages' bytes")),
        (100_000_000, 100_000_000, (5, 95), 5, (94, "100 % of the packages' bytes")),
        (900_000_000, 100_000_000, (5, 95), 5, (94, "100 % of the packages' bytes")),
        (60_000_000, None, (5, 95), 5, (5, "60 MB of packages")),
        (60_000_000, 100_000_000, None, 5, (5, "60 MB of packages")),
        (60_000_000, 100_000_000, (5, 95), 2, (2, "60 MB of packages")),
        (60_000_000, 100_000_000, (5, 95), 62, (62, "60 MB of packages")),
        (60_000_000, 100_000_000, (5, 95), 95, (95, "60 MB of packages")),
    ],
    ids=["some", "all", "more than all", "total unknown", "no milestones", "not started", "the log is further", "installed"],
)
def test_bytes_become_progress(sent: int, expected: int | None, span: tuple[int, int] | None, reached: int, told: tuple[int, str]) -> None:
    assert by_bytes(sent, expected, span, reached) == told


@given(st.integers(0, 10**12), st.integers(1, 10**12), st.integers(0, 100))
def test_it_never_goes_back_and_never_reaches_the_next_milestone(sent: int, expected: int, reached: int) -> None:
    percent, _ = by_bytes(sent, expected, (5, 95), reached)
    assert percent >= reached
    assert percent < 95 or percent == reached


def test_a_release_may_know_its_bytes_and_a_family_of_a_former_pxed_breaks_nothing() -> None:
    debian = DEBIAN.releases["12"]
    known = Release("12", debian.title, {**debian.data, "expected_bytes": 100_000_000})
    catalog = Catalog([replace(DEBIAN, releases={"12": known})])
    install = Install("i1", "n1", "debian", "12", "debian", 1, {}, "token", NOON, percent=5)
    install.fetched = 50_000_000
    assert catalog.fetched(install, 80_000_000) == (49, "50 % of the packages' bytes")
    for gone in ({"family": "beos"}, {"release": "3"}, {"recipe_version": 99}):
        other = Install(**{**{name: getattr(install, name) for name in install.__dataclass_fields__}, **gone})
        assert catalog.fetched(other, 0) == (5, "50 MB of packages")
        assert catalog.fetched(other, 80_000_000) == (5, "50 MB of packages, 62 % of the last time's")
        assert catalog.fetched(other, 49_000_000) == (5, "50 MB of packages")


def test_a_system_is_looked_for_at_the_static_addresses_of_its_options() -> None:
    devices = [
        {"device": "eth0", "ipv4": {"ipAddr": "192.0.2.9", "prefixlen": 24}, "ipv6": {"ipAddr": "2001:db8::9", "prefixlen": 64}},
        {"device": "eth1"},
    ]
    catalog = Catalog()
    prepared = catalog.prepare("debian", "12", {"hostname": "web1", "rootPassword": "long enough 1", "networkDevices": devices})
    install = Install("i1", "n1", "debian", "12", "debian", 1, prepared.options, "token", NOON)
    assert catalog.addresses(install) == ["192.0.2.9", "2001:db8::9"]


def test_debians_lines_are_read_by_debian_and_no_other_family() -> None:
    install = Install("i1", "n1", "debian", "12", "debian", 1, {}, "token", NOON)
    line = ("main-menu", "Menu item 'partman-base' selected")
    assert Catalog().line(install, *line) == (14, "Partitioning the disk")
    (deaf,) = [replace(family, progress=None) for family in Catalog().families.values() if family.name == "debian"]
    assert Catalog([deaf]).line(install, *line) is None
