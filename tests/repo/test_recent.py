"""What was opened a moment ago is had again without a thread, for a second, and every descriptor is closed in the end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from pxed.errors import NotFound
from pxed.repo.directory import DirectoryLayer, Opened, open_below
from pxed.repo.disk import Disk
from pxed.repo.fetch import UpstreamFailed
from pxed.repo.recent import KEPT, MOST, SLICE, Recent
from pxed.repo.repository import Repository
from tests.web.world import MemoryReactor, run


class Counting:
    """A layer of one directory that counts how often it is asked."""

    def __init__(self, root: Path) -> None:
        self._layer = DirectoryLayer(root, Disk(MemoryReactor()))
        self.asked = 0

    async def open(self, path: str, *, head: bool = False) -> Any:
        self.asked += 1
        return await self._layer.open(path, head=head)


class World:
    def __init__(self, root: Path) -> None:
        self.clock = Clock()
        self.layer = Counting(root)
        self.repository = Repository("r", [self.layer], recent=Recent(self.clock))

    def open(self, name: str) -> Opened:
        file = run(self.repository.open(name))
        assert isinstance(file, Opened)
        return file

    def read(self, name: str) -> bytes:
        file = self.open(name)
        try:
            return os.pread(file.fd, 100, 0)
        finally:
            file.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_the_same_file_is_looked_for_once_a_second(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    world = World(tmp_path)
    assert [world.read("x") for _ in range(3)] == [b"old"] * 3
    assert world.layer.asked == 1
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "new").rename(tmp_path / "x")
    world.clock.advance(KEPT)
    assert world.read("x") == b"new"
    assert world.layer.asked == 2
    world.repository.stop()


def test_asking_again_does_not_make_a_file_younger(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    world = World(tmp_path)
    for _ in range(5):
        world.read("x")
        world.clock.advance(KEPT / 2)
    assert world.layer.asked == 3
    world.repository.stop()


def test_each_asker_has_a_descriptor_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    world = World(tmp_path)
    first, second = world.open("x"), world.open("x")
    first.close()
    assert os.pread(second.fd, 1, 0) == b"x"
    second.close()
    world.repository.stop()


def test_nothing_stays_open(tmp_path: Path) -> None:
    """Neither when time passes, nor when more files are asked for than are kept, nor after `stop`."""
    for number in range(MOST + 8):
        (tmp_path / str(number)).write_bytes(b"x")
    world = World(tmp_path)
    before = descriptors()
    for number in range(MOST + 8):
        world.read(str(number))
    assert descriptors() - before == MOST
    world.clock.advance(KEPT)
    assert descriptors() == before
    assert not world.clock.getDelayedCalls()
    world.read("0")
    world.repository.stop()
    assert descriptors() == before
    assert not world.clock.getDelayedCalls()
    world.repository.stop()


def test_a_clock_that_is_set_back_keeps_nothing_for_longer(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    world = World(tmp_path)
    world.clock.advance(1000)
    world.read("x")
    world.clock.rightNow -= 500
    world.read("x")
    assert world.layer.asked == 2
    world.repository.stop()


def test_a_file_that_is_not_there_is_looked_for_each_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    for _ in range(2):
        with pytest.raises(NotFound):
            world.read("x")
    (tmp_path / "x").write_bytes(b"x")
    assert world.read("x") == b"x"
    world.repository.stop()


class Slow:
    """A layer that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Any]] = []

    async def open(self, path: str, *, head: bool = False) -> Any:
        self.asked.append(Deferred())
        return await self.asked[-1]


def asking(count: int) -> tuple[Slow, Repository, Clock, list[Any]]:
    """So many who ask for one file at once; their answers, as they come."""
    layer, clock, answers = Slow(), Clock(), list[Any]()
    repository = Repository("r", [layer], recent=Recent(clock))
    for _ in range(count):
        Deferred.fromCoroutine(repository.open("x")).addBoth(answers.append)
    return layer, repository, clock, answers


def test_who_asks_for_what_is_being_opened_waits_for_that(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    before = descriptors()
    layer, repository, clock, answers = asking(50)
    layer.asked[0].callback(open_below(tmp_path, "x"))
    assert len(answers) == 1  # the others in a turn of their own, or in several
    clock.advance(0)
    assert len(answers) == 50
    assert len({file.fd for file in answers}) == 50
    for file in answers:
        assert os.pread(file.fd, 1, 0) == b"x"
        file.close()
    assert len(layer.asked) == 1
    repository.stop()
    assert descriptors() == before


@pytest.mark.parametrize("given", [NotFound("no"), UpstreamFailed("no"), "a file on its way"])
def test_who_waited_for_what_can_not_be_shared_asks_for_himself_and_at_once(given: Any) -> None:
    layer, _, clock, answers = asking(4)
    give = Deferred.errback if isinstance(given, Exception) else Deferred.callback
    give(layer.asked[0], given)
    clock.advance(0)
    assert len(layer.asked) == 4
    for asked in layer.asked[1:]:
        give(asked, given)
    assert [type(answer.value if isinstance(answer, Failure) else answer) for answer in answers] == [type(given)] * 4
    assert not clock.getDelayedCalls()


def test_those_who_waited_are_served_in_slices_of_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them goes on to send a file: fifty at once would be a long turn of the reactor."""
    (tmp_path / "x").write_bytes(b"x")
    layer, repository, clock, answers = asking(1)
    for _ in range(9):
        waits = Deferred.fromCoroutine(repository.open("x"))
        waits.addBoth(answers.append)
        waits.addBoth(lambda _: setattr(clock, "rightNow", clock.rightNow + SLICE * 0.6))
    served: list[int] = []
    original = clock.callLater

    def noting(delay: float, call: Any, *args: Any) -> Any:
        def turn() -> None:
            before = len(answers)
            call(*args)
            served.append(len(answers) - before)

        return original(delay, turn)

    monkeypatch.setattr(clock, "callLater", noting)
    layer.asked[0].callback(open_below(tmp_path, "x"))
    clock.advance(0)
    assert served == [2, 2, 2, 2, 1]
    for file in answers:
        file.close()
    repository.stop()
