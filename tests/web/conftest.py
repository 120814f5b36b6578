"""What the web room's tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.web.api.client import Api
from tests.web.world import World

SIZE = 9 * (1 << 20) + 12_345
"""Bytes of `big`."""


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


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A file that takes several turns to be sent."""
    path = tmp_path / "big.bin"
    path.write_bytes(os.urandom(1 << 16) * (SIZE >> 16) + b"e" * (SIZE & 0xFFFF))
    return path


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of every call of sendfile(2)."""
    counts: list[int] = []
    original = os.sendfile

    def counting(*args: Any) -> int:
        counts.append(original(*args))
        return counts[-1]

    monkeypatch.setattr(os, "sendfile", counting)
    return counts
