"""What the web room's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.api.client import Api
from tests.web.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A site over fakes; `world.root` holds two boot programs."""
    root = tmp_path / "tftproot"
    root.mkdir()
    (root / "ipxe.efi").write_bytes(bytes(range(256)) * 40)
    (root / "empty.bin").write_bytes(b"")
    return World(root)


@pytest.fixture
def api(world: World) -> Api:
    """The operator's client of `world`."""
    return Api(world)
