"""A fake appliance for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.fake import Api, Appliance, World, write_state


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Appliance]:
    world = World(Api())
    url = f"http://127.0.0.1:{world.port}"
    write_state(tmp_path / "state", url)
    yield Appliance(world.api, world, tmp_path / "state", url)
    assert world.delayed == [], "a command left delayed calls behind"
    world.close()
