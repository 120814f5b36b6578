"""What subiquity and curtin post: the stages of an installation, and the failure of a whole one; never of a detail."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxed.oses.curtin_events import LONGEST, STAGES, read
from pxed.oses.reports import Report

CURTIN = "subiquity/Install/install/curtin_install/cmd-install"


def event(name: str, kind: str = "start", **more: Any) -> dict[str, Any]:
    return {"name": name, "event_type": kind, "description": "", "origin": "curtin", "timestamp": 1.5, "level": "INFO", **more}


@pytest.mark.parametrize(
    ("name", "percent", "text"),
    [
        (f"{CURTIN}/stage-partitioning/builtin/cmd-block-meta", 12, "Partitioning the disk"),
        ("cmd-install/stage-extract/builtin/cmd-extract", 20, "Unpacking the base system"),
        (f"{CURTIN}/stage-curthooks/builtin/cmd-curthooks", 55, "Setting up the base system"),
        (f"{CURTIN}/stage-curthooks/builtin/cmd-curthooks/install-grub", 65, "Installing the boot loader"),
        ("subiquity/Install/install/postinstall/install_openssh-server", 80, "Installing software"),
        ("subiquity/Install/install/postinstall/run_unattended_upgrades", 85, "Installing updates"),
    ],
)
def test_the_beginning_of_a_stage_is_progress(name: str, percent: int, text: str) -> None:
    assert read(event(name)) == Report(percent, text)
    assert read(event(name, "finish", result="SUCCESS")) is None


def test_stages_lie_between_the_milestones_of_the_installer() -> None:
    assert all(5 <= percent < 95 for _, percent, _ in STAGES)


@pytest.mark.parametrize("name", ["subiquity/Install/install", "cmd-install", "subiquity/Early/run", "subiquity/Late/run"])
def test_the_failure_of_a_whole_stage_ends_the_install_in_its_own_words(name: str) -> None:
    report = read(event(name, "finish", result="FAIL", description="Command ['apt-get'] returned 100"))
    assert report == Report(0, f"{name} failed: Command ['apt-get'] returned 100", failed=True)
    long = read(event(name, "finish", result="FAIL", description="x" * 99999))
    assert long is not None
    assert len(long.text) == LONGEST
    assert read(event(name, "finish", result="FAIL")) == Report(0, f"{name} failed, without a word why", failed=True)


@pytest.mark.parametrize(
    "name", ["subiquity/Install/install/postinstall/run_unattended_upgrades", "subiquity/Mirror/check", f"{CURTIN}/stage-extract", "init"]
)
def test_the_failure_of_a_detail_that_may_be_caught_does_not(name: str) -> None:
    assert read(event(name, "finish", result="FAIL", description="no way to the mirror")) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
names = st.sampled_from(["name", "event_type", "result", "description", "files"])


@given(st.dictionaries(names, json_values | st.sampled_from(["start", "finish", "FAIL", "cmd-install"])))
def test_no_object_is_too_odd(posted: dict[str, Any]) -> None:
    report = read(posted)
    assert report is None or report.text
