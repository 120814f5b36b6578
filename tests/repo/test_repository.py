"""Layers: the first that has a file wins; a dead upstream hides nothing that another layer has."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from pxed.config import RepositorySettings, Settings
from pxed.errors import NotFound
from pxed.repo.directory import DirectoryLayer, Opened
from pxed.repo.disk import Disk
from pxed.repo.fetch import UpstreamFailed
from pxed.repo.mirror import Mirror
from pxed.repo.registry import make_registry
from pxed.repo.repository import Repository, is_image_file
from tests.web.world import MemoryReactor, run


class Broken:
    """A layer whose upstream is away."""

    async def open(self, path: str, *, head: bool = False) -> Any:
        raise UpstreamFailed("the upstream is away")


def layer(root: Path, **files: bytes) -> DirectoryLayer:
    root.mkdir()
    for name, body in files.items():
        (root / name).write_bytes(body)
    return DirectoryLayer(root, Disk(MemoryReactor()))


def read(repository: Repository, path: str) -> bytes:
    file = run(repository.open(path))
    assert isinstance(file, Opened)
    try:
        return os.pread(file.fd, 100, 0)
    finally:
        file.close()


def test_the_first_layer_that_has_a_file_wins(tmp_path: Path) -> None:
    repository = Repository("r", [layer(tmp_path / "a", x=b"a"), layer(tmp_path / "b", x=b"b", y=b"b")])
    assert (read(repository, "x"), read(repository, "y")) == (b"a", b"b")
    with pytest.raises(NotFound):
        run(repository.open("z"))


def test_a_dead_upstream_hides_no_other_layer_and_is_named_if_it_might_have_had_the_file(tmp_path: Path) -> None:
    repository = Repository("r", [Broken(), layer(tmp_path / "b", y=b"b")])
    assert read(repository, "y") == b"b"
    with pytest.raises(UpstreamFailed):
        run(repository.open("z"))


def test_a_name_that_leads_out_of_a_directory_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    repository = Repository("r", [layer(tmp_path / "a")])
    for name in ("../secret", "a/../../secret", ""):
        with pytest.raises(NotFound):
            run(repository.open(name))


def test_the_settings_become_layers_in_their_order(tmp_path: Path) -> None:
    settings = Settings(
        state_dir=tmp_path / "state",
        repository=(RepositorySettings(name="r", layers=(str(tmp_path / "tree"), "http://user:word@mirror:81/debian/")),),
    )
    reactor: Any = MemoryReactor()
    (repository,) = make_registry(settings, reactor=reactor, now=lambda: 0.0).values()
    directory, mirror = repository.layers
    assert isinstance(directory, DirectoryLayer)
    assert isinstance(mirror, Mirror)
    assert str(mirror._upstream) == "http://mirror:81/debian"
    assert mirror._cache._root == tmp_path / "state/cache" / "r" / "mirror_81_debian"


def test_a_file_server_that_is_gone_does_not_keep_pxed_from_starting() -> None:
    gone = threading.Event()

    def look(path: Path) -> os.stat_result:
        gone.wait(60)
        return os.stat(path)

    try:
        assert is_image_file(Path("/mnt/x.ISO"), look, 0.05)
        assert not is_image_file(Path("/mnt/x"), look, 0.05)
    finally:
        gone.set()


def test_what_is_an_image_is_seen_and_else_known_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"x")
    (tmp_path / "folder.iso").mkdir()
    assert is_image_file(tmp_path / "image")
    assert not is_image_file(tmp_path / "folder.iso")
    assert is_image_file(tmp_path / "away.iso")
    assert not is_image_file(tmp_path / "away")
