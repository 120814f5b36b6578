"""Every family and release of the catalog: a node is seen, ordered, installed, restarted as often as the real one, and calls back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.oses.scripted.appliance import Appliance
from tests.oses.scripted.conftest import Make
from tests.oses.scripted.node import Node
from tests.oses.scripted.table import BEHAVIOURS, EVERY, NODES, Behaviour, made, repository, runnable

QUICK = "debian"
"""The family that walks in every run of the tests; the others are marked slow."""
_MACS = (f"52:54:00:00:00:{number:02x}" for number in count(1))


@pytest.fixture(scope="module")
def pxed(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Appliance]:
    """One appliance for all releases that are to be tested, with their media."""
    folder = tmp_path_factory.mktemp("pxed")
    here = [each for each in request.session.items if isinstance(each, pytest.Function) and each.module is request.module]
    asked = [each.callspec.params for each in here if hasattr(each, "callspec")]
    wanted = {(each["family"], each["release"]) for each in asked if "family" in each}
    known = [each for each in EVERY if each in wanted and {each[0], " ".join(each)} & set(NODES)]
    media = {repository(*each): made(folder / "media", *each) for each in known}
    appliance = Appliance(folder, media)
    yield appliance
    appliance.close()


@pytest.mark.parametrize(("family", "release"), [pytest.param(*each, marks=() if each[0] == QUICK else pytest.mark.slow) for each in EVERY])
def test_an_ordered_node_is_installed_and_says_that_it_runs(pxed: Appliance, tmp_path: Path, family: str, release: str) -> None:
    what = Behaviour(family, release, 7)
    kind = runnable(family, release)
    node = kind(pxed, tmp_path, arch=kind.arch, mac=next(_MACS))
    try:
        assert node.power_on() is None, "nobody has said what it is to boot"
        node.order(family, release, what.options)
        node.live()
        check(node, what)
    finally:
        node.close()


def check(node: Node, what: Behaviour) -> None:
    """AssertionError unless it went as it should."""
    assert not node.stopped
    shown = node.shown
    assert (shown["state"], shown["reason"]) == ("done", "")
    assert node.sent == what.phases
    boots = what.installer.boots
    assert node.answers == ["silence", "installer", *["silence"] * boots], "one for each boot, and one more at the end"
    assert (node.root / "ran").read_text() == "ran\n"
    assert not list(node.root.rglob("*pxed-firstboot*"))


@pytest.mark.slow
@pytest.mark.parametrize("what", [each for each in BEHAVIOURS if each.installer.recipe_off], ids=str)
def test_a_node_that_is_to_be_switched_off_is_done_when_its_installer_is(make: Make, what: Behaviour) -> None:
    node = make(what, after="poweroff")
    node.live()
    assert node.shown["state"] == "done"
    assert not node.power
    node.pxed.kill()
    node.power = True
    node.live()
    assert node.answers == ["silence", "installer", *["silence"] * what.installer.boots]
    assert node.sent == what.phases
    assert node.shown["state"] == "done"
