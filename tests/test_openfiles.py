"""A storm of nodes does not run out of descriptors where the host would give more."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from pxed.openfiles import raise_limit


@pytest.fixture
def hard() -> Iterator[int]:
    """The hard limit; the soft one is low for the test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_it_is_raised_as_far_as_is_wanted_and_never_lowered(hard: int) -> None:
    assert raise_limit(700) == 700
    assert raise_limit(600) == 700
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (700, hard)


def test_no_further_than_is_allowed(hard: int) -> None:
    assert raise_limit(hard + 1) == hard
