"""Boot programs that come and go while pxed runs."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import capturedLogs

from pxed.repo.bootprograms import BootPrograms, scan
from pxed.repo.chains import Chain
from pxed.repo.watched import EVERY, WatchedPrograms
from pxed.testing import result_of
from tests.web.world import MemoryReactor


def put(root: Path, name: str) -> None:
    (root / name).write_bytes(b"a file")


def test_what_is_dropped_there_is_present_within_half_a_minute_or_at_once(tmp_path: Path) -> None:
    reactor = MemoryReactor()
    programs = WatchedPrograms(reactor, tmp_path)
    result_of(programs.load())
    programs.start()
    put(tmp_path, "first")
    reactor.advance(EVERY - 1)
    assert not programs.holds("first")
    reactor.advance(1)
    assert programs.holds("first")
    put(tmp_path, "second")
    programs.at_once()
    assert programs.holds("second")
    programs.stop()
    assert not reactor.getDelayedCalls()


def test_what_can_not_be_looked_at_stays_as_it_was_and_is_looked_at_again(tmp_path: Path) -> None:
    reactor, wrong = MemoryReactor(), [OSError("no such device")]

    def sometimes(root: Path, *, chain: Chain) -> BootPrograms:
        if programs.present.files and wrong:
            raise wrong.pop()
        return scan(root, chain=chain)

    programs = WatchedPrograms(reactor, tmp_path, scan=sometimes)
    put(tmp_path, "first")
    result_of(programs.load())
    put(tmp_path, "second")
    with capturedLogs() as logs:
        programs.start()
    assert [entry["log_format"] for entry in logs] == ["Boot programs can't be read"]
    assert (programs.holds("first"), programs.holds("second")) == (True, False)
    reactor.advance(EVERY)
    assert programs.holds("second")
    programs.stop()
