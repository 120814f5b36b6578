"""An appliance and a node on it, of any family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.oses.scripted.appliance import Appliance
from tests.oses.scripted.node import Node
from tests.oses.scripted.table import Behaviour, made, repository, runnable

Make = Callable[..., Node]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes a node of a behaviour, seen by an appliance of its own, and ordered."""
    closing: list[Node] = []

    def node(what: Behaviour, **options: Any) -> Node:
        kind = runnable(what.family, what.release)
        pxed = Appliance(tmp_path, {repository(what.family, what.release): made(tmp_path / "media", what.family, what.release)})
        found = kind(pxed, tmp_path / "node", arch=what.arch)
        closing.append(found)
        assert found.power_on() is None, "an unknown node is left alone"
        found.order(what.family, what.release, {**what.options, **options})
        return found

    yield node
    for each in closing:
        each.close()
        each.pxed.close()
