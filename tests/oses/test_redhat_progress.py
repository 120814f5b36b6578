"""Anaconda's log lines say how far it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxed.oses.redhat import MILESTONES
from pxed.oses.redhat_progress import progress

LOG = [
    ("anaconda", "packaging: Downloading packages"),
    ("anaconda", "packaging: Downloading 300 RPMs, 10.0 MiB / 200 MiB (50%) done."),
    ("anaconda", "anaconda: modules.payloads.payload.dnf: Preparing transaction from installation source"),
    ("packaging", "Installing: bash (10/300)"),
    ("anaconda", "packaging: Installing kernel.x86_64 (299/300)"),
    ("anaconda", "anaconda: misc: Performing post-installation setup tasks"),
    ("anaconda", "anaconda: misc: Installing boot loader"),
    ("anaconda", "anaconda: misc: Running post-installation scripts"),
]


def test_an_install_goes_forward_from_started_to_installed() -> None:
    found = [progress(*line) for line in LOG]
    assert None not in found
    percents = [each[0] for each in found if each]
    assert percents == sorted(percents)
    assert MILESTONES[0].percent < percents[0]
    assert percents[-1] < MILESTONES[1].percent


@pytest.mark.parametrize(
    "line", [("kernel", "Linux version"), ("anaconda", "x"), ("sshd", "Installing (1/2)"), ("anaconda", "Installing a (9/2)")]
)
def test_other_lines_say_nothing(line: tuple[str, str]) -> None:
    assert progress(*line) is None


@given(st.sampled_from(["anaconda", "packaging", ""]), st.text(max_size=300))
def test_any_line_is_read(program: str, message: str) -> None:
    found = progress(program, message)
    assert found is None or (0 <= found[0] <= 100 and found[1])
