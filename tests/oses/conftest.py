"""The whole matrix of releases is slow: the unit suite takes the newest release of each operating system, `make test` takes all."""

from __future__ import annotations

import re

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what a test does with any release but the newest of those it is run for.

    It counts for tests with a parameter named `release`; a parameter `family` tells the operating systems of one test apart.
    """
    newest: dict[tuple[str, str], str] = {}
    matrix = []
    for item in items:
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if "release" in parameters:
            which, release = (item.nodeid.split("[")[0], str(parameters.get("family", ""))), str(parameters["release"])
            newest[which] = max(newest.get(which, release), release, key=_numbers)
            matrix.append((item, which, release))
    for item, which, release in matrix:
        if release != newest[which]:
            item.add_marker(pytest.mark.slow)


def _numbers(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]
