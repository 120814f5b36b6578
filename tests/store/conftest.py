"""A store on a real file with its real thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pxed.store import Store
from tests.store.pump import Pump


@pytest.fixture
def pump() -> Pump:
    return Pump()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pxed.db"


@pytest.fixture
def store(pump: Pump, path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{path}", reactor=pump)
    pump.until(opened.open())
    yield opened
    pump.until(opened.close())
