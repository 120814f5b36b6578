"""The installer's own log lines say how far it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxed.oses.debian import MILESTONES
from pxed.oses.debian_progress import STAGES, progress

LOG = [
    ("main-menu", "INFO: Menu item 'choose-mirror' selected"),
    ("main-menu", "INFO: Menu item 'download-installer' selected"),
    ("main-menu", "INFO: Menu item 'disk-detect' selected"),
    ("main-menu", "(process:412): INFO: Menu item 'partman-base' selected"),
    ("main-menu", "INFO: Menu item 'bootstrap-base' selected"),
    ("debootstrap", "I: Retrieving libacl1 2.3.1-3"),
    ("debootstrap", "Unpacking dpkg (1.21.22) ..."),
    ("debootstrap", "Setting up base-files (12.4+deb12u5) ..."),
    ("in-target", "Unpacking linux-image-6.1.0-18-amd64 (6.1.76-1) ..."),
    ("main-menu", "INFO: Menu item 'apt-setup-udeb' selected"),
    ("main-menu", "INFO: Menu item 'pkgsel' selected"),
    ("main-menu", "INFO: Menu item 'grub-installer' selected"),
    ("grub-installer", "info: Installing grub on '/dev/sda'"),
    ("main-menu", "INFO: Menu item 'finish-install' selected"),
]


def test_an_install_goes_forward_from_started_to_installed() -> None:
    found = [progress(*line) for line in LOG]
    percents = [each[0] for each in found if each]
    assert len(percents) == len(LOG)
    assert percents == sorted(percents)
    assert MILESTONES[0].percent < percents[0]
    assert percents[-1] < MILESTONES[1].percent


@pytest.mark.parametrize(
    "line",
    ["WARNING **: Configuring 'bootstrap-base' failed with error code 1", "(process:7): WARNING **: Menu item 'bootstrap-base' failed."],
)
def test_a_failed_step_is_said_at_once(line: str) -> None:
    found = progress("main-menu", line)
    assert found is not None
    assert found[1] == "The installer's step bootstrap-base failed; it waits for somebody at its console"
    assert found[0] == STAGES["bootstrap-base"][0]


@pytest.mark.parametrize(
    "line", [("kernel", "Linux version 6.1"), ("main-menu", "DEBUG: resolver"), ("in-target", "Setting up vim"), ("", "")]
)
def test_other_lines_say_nothing(line: tuple[str, str]) -> None:
    assert progress(*line) is None


@given(st.text(max_size=30), st.text(max_size=300))
def test_any_line_is_read(program: str, message: str) -> None:
    found = progress(program, message)
    assert found is None or (0 <= found[0] <= 100 and found[1])
