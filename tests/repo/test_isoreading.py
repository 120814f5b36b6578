"""An index made by another process: the same index, the same errors, and nothing is left of one that was broken off."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pxed.repo.disk import Disk
from pxed.repo.fetch import Fetch
from pxed.repo.iso import UnreadableImage, read_index
from pxed.repo.isolayer import Indexes
from pxed.repo.isoreading import Reading
from tests.repo import media
from tests.repo.media import needs
from tests.web.world import MemoryReactor, run


@needs("xorriso")
def test_it_is_the_same_index_as_here(tmp_path: Path) -> None:
    names = {os.fsdecode(b"caf\xe9"): "x", "sub/folder/\u00fcber": "y"}
    image = media.xorriso(media.tree(tmp_path / "t", names), tmp_path / "m.iso", "-R")
    assert Reading()(image) == read_index(image)


def test_what_is_wrong_is_said_in_the_same_words(tmp_path: Path) -> None:
    broken = tmp_path / os.fsdecode(b"br\xf6ken.iso")
    broken.write_bytes(b"no image" * 10_000)
    for image in (broken, tmp_path / "gone.iso"):
        with pytest.raises(UnreadableImage) as here:
            read_index(image)
        with pytest.raises(UnreadableImage) as there:
            Reading()(image)
        assert str(there.value) == str(here.value)


def test_one_that_is_stopped_ends_at_once_and_keeps_nothing(tmp_path: Path) -> None:
    """The image is a FIFO that nobody writes to: its reader would wait for ever."""
    image = tmp_path / "slow.iso"
    os.mkfifo(image)
    reading, outcome = Reading(), []

    def read() -> None:
        try:
            Indexes(tmp_path / "indexes", reading).of(image)
        except UnreadableImage as e:
            outcome.append(str(e))

    thread = threading.Thread(target=read)
    thread.start()
    until = time.monotonic() + 30
    while not reading._running and time.monotonic() < until:
        time.sleep(0.01)
    reading.stop()
    thread.join(30)
    assert outcome == [f"{image} could not be read: pxed is stopping"]
    assert not reading._running
    assert not (tmp_path / "indexes").exists()
    with pytest.raises(UnreadableImage, match="pxed is stopping"):
        reading(image)


def test_a_download_of_unknown_size_leaves_room_on_the_disk(tmp_path: Path) -> None:
    def fetch(spare: int) -> Any:
        made = Fetch("key", tmp_path / f"{spare}.iso", size=None, modified=0.0, tag=b"", disk=Disk(MemoryReactor()), spare=spare)
        run(made.create())
        return made

    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    roomy, full = fetch(1), fetch(2 * free)
    run(roomy.append(b"x" * 1000))
    with pytest.raises(OSError, match="would stay free"):
        run(full.append(b"x"))
    assert (roomy.written, full.written) == (1000, 0)
    for each in (roomy, full):
        each.close()
