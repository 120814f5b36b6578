"""Files of an image as a layer: their bytes and validators, an image that is exchanged, one that is gone; the index is read once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pxed.config import RepositorySettings, Settings
from pxed.errors import NotFound, StorageUnavailable
from pxed.repo.directory import DirectoryLayer, Opened
from pxed.repo.disk import Disk
from pxed.repo.iso import Index, UnreadableImage, read_index
from pxed.repo.isolayer import Indexes, IsoLayer
from pxed.repo.registry import make_registry
from pxed.repo.repository import Repository
from tests.repo import media
from tests.repo.media import needs
from tests.web.world import MemoryReactor, run

pytestmark = [needs("genisoimage")]


class Reader:
    """Counts how often an image is read."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, image: Path) -> Index:
        self.calls += 1
        return read_index(image)


def image(tmp_path: Path, text: str = "kernel", *, name: str = "m.iso") -> Path:
    return media.plain(media.tree(tmp_path / text, {"B.B00": text, "DIR/MORE.TXT": "more", "EMPTY": b""}), tmp_path / name)


def layer(path: Path, reader: Reader | None = None) -> IsoLayer:
    return IsoLayer(path, Indexes(path.parent / "indexes", reader or read_index), Disk(MemoryReactor()))


def read(file: Opened, start: int = 0, length: int | None = None) -> bytes:
    try:
        wanted = file.stretches(start, file.size if length is None else length)
        return b"".join(os.pread(file.fd, size, offset) for offset, size in wanted)
    finally:
        file.close()


def test_files_are_found_in_any_case_and_the_image_can_be_had_whole(tmp_path: Path) -> None:
    path = image(tmp_path)
    repository = Repository("esxi", [layer(path)])
    assert read(run(repository.open("b.b00"))) == b"kernel"
    assert read(run(repository.open("dir/more.txt"))) == b"more"
    assert read(run(repository.open("EMPTY"))) == b""
    assert read(run(repository.image())) == path.read_bytes()
    with pytest.raises(NotFound):
        run(repository.open("nothing"))
    with pytest.raises(NotFound):
        run(Repository("d", [DirectoryLayer(tmp_path, Disk(MemoryReactor()))]).image())


def test_stretches_of_a_file_in_several_extents(tmp_path: Path) -> None:
    first, second = bytes(range(256)) * 20, bytes(range(255, -1, -1)) * 10
    whole = first + second
    repository = Repository("r", [layer(media.multi_extent(tmp_path, first, second))])
    for start, length in ((0, len(whole)), (5118, 4), (5119, 1), (5120, 1), (5121, 100), (10, 20), (len(whole) - 1, 1), (0, 0)):
        assert read(run(repository.open("big.bin")), start, length) == whole[start : start + length]


def test_an_index_is_made_once_also_across_restarts(tmp_path: Path) -> None:
    path, reader = image(tmp_path), Reader()
    for each in (layer(path, reader), layer(path, reader)):
        for _ in range(3):
            read(run(each.open("b.b00")))
    assert reader.calls == 1
    for kept in (tmp_path / "indexes").iterdir():
        kept.write_bytes(kept.read_bytes()[:100])
    assert read(run(layer(path, reader).open("b.b00"))) == b"kernel"
    assert reader.calls == 2


def test_an_image_that_is_exchanged_is_read_again_and_its_tags_differ(tmp_path: Path) -> None:
    path, reader = image(tmp_path), Reader()
    serving = layer(path, reader)
    old = run(serving.open("b.b00"))
    image(tmp_path, "another", name="new.iso").replace(path)
    new = run(serving.open("b.b00"))
    assert (read(old), read(new)) == (b"kernel", b"another")
    assert old.etag != new.etag
    assert reader.calls == 2
    other = run(serving.open("dir/more.txt"))
    other.close()
    assert other.etag != new.etag


def test_an_image_that_is_gone_or_damaged_is_our_fault_and_hides_no_other_layer(tmp_path: Path) -> None:
    path = image(tmp_path)
    serving = layer(path)
    read(run(serving.open("b.b00")))
    path.unlink()
    for each in (serving, layer(path)):
        with pytest.raises(StorageUnavailable, match=r"m\.iso"):
            run(each.open("b.b00"))
    (tmp_path / "b.b00").write_bytes(b"other")
    assert read(run(Repository("r", [serving, DirectoryLayer(tmp_path, Disk(MemoryReactor()))]).open("b.b00"))) == b"other"
    path.write_bytes(b"no image")
    with pytest.raises(StorageUnavailable, match="no ISO 9660"):
        run(layer(path).open("b.b00"))


def test_an_index_that_cannot_be_kept_is_no_failure(tmp_path: Path) -> None:
    path = image(tmp_path)
    (tmp_path / "indexes").write_bytes(b"a file in the way")
    assert read(run(layer(path).open("b.b00"))) == b"kernel"
    with pytest.raises(UnreadableImage):
        Indexes(tmp_path / "x").of(tmp_path / "gone.iso")


def test_a_path_to_a_file_is_an_image_and_one_to_a_directory_a_tree(tmp_path: Path) -> None:
    path = image(tmp_path)
    for name in ("tree.iso", "tree"):
        (tmp_path / name).mkdir()
    sources = (
        str(path),
        str(path.rename(tmp_path / "noend")),
        str(tmp_path / "tree"),
        str(tmp_path / "tree.iso"),
        str(tmp_path / "later.iso"),
    )
    settings = Settings(state_dir=tmp_path / "state", repository=(RepositorySettings(name="r", layers=sources),))
    (repository,) = make_registry(settings, reactor=MemoryReactor(), now=lambda: 0.0).values()
    kinds = [IsoLayer, IsoLayer, DirectoryLayer, DirectoryLayer, IsoLayer]
    assert [type(each) for each in repository.layers] == kinds
