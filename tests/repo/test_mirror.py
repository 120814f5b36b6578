"""The caching mirror: each file is asked for once, never served wrong, and served all the same when the upstream is gone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pxed.errors import NotFound, StorageUnavailable
from pxed.repo.directory import Opened
from pxed.repo.fetch import IDLE, Fetch, UpstreamFailed
from pxed.repo.mirror import ABSENT, FRESH, HEADERS, Described, never_changes
from tests.conftest import Logged
from tests.repo.upstream import DATE, MirrorWorld

DEB = "pool/main/b/bash/bash_5.2+1~x_amd64.deb"
INDEX = "dists/bookworm/Release"


@pytest.fixture
def world(tmp_path: Path) -> MirrorWorld:
    return MirrorWorld(tmp_path / "cache")


def content(source: Any) -> bytes:
    """The bytes of an open file, or of a fetch that is complete."""
    file = source.reader() if isinstance(source, Fetch) else source
    assert isinstance(file, Opened)
    try:
        return os.pread(file.fd, file.size, 0)
    finally:
        file.close()


def result(deferred: Deferred[Any]) -> Any:
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "no answer yet"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def pending(deferred: Deferred[Any]) -> bool:
    return not deferred.called


def test_a_file_is_fetched_once_and_then_served_from_disk(world: MirrorWorld) -> None:
    world.put(DEB, b"package")
    assert result(world.open(DEB)).size == 7
    assert content(result(world.open(DEB))) == b"package"
    assert content(result(world.open("//pool/./main/b/bash/bash_5.2+1~x_amd64.deb"))) == b"package"
    assert world.asked == ["GET /debian/pool/main/b/bash/bash_5.2%2B1~x_amd64.deb"]


def test_requests_at_the_same_time_share_one_fetch(world: MirrorWorld) -> None:
    world.put(DEB, b"0123456789")
    world.tree.slow = True
    opens = [world.open(DEB) for _ in range(5)]
    assert all(pending(each) for each in opens)
    world.tree.held[0].send(3)
    world.flush()
    fetches = [result(each) for each in opens]
    assert len({id(each) for each in fetches}) == 1
    fetch = fetches[0]
    assert (fetch.size, fetch.written, fetch.done) == (10, 3, False)
    late = result(world.open(DEB))
    assert late is fetch
    reader = late.reader()
    assert os.pread(reader.fd, 10, 0) == b"012"
    world.tree.held[0].send(7)
    world.flush()
    assert fetch.done
    assert os.pread(reader.fd, 10, 0) == b"0123456789"
    reader.close()
    assert content(result(world.open(DEB))) == b"0123456789"
    assert len(world.asked) == 1


def test_a_reader_waits_for_bytes_that_have_not_come(world: MirrorWorld) -> None:
    world.put(DEB, b"0123456789")
    world.tree.slow = True
    opened = world.open(DEB)
    world.tree.held[0].send(3)
    world.flush()
    fetch = result(opened)
    waiting = Deferred.fromCoroutine(fetch.grown(5))
    assert pending(waiting)
    world.tree.held[0].send(2)
    world.flush()
    assert pending(waiting)
    world.tree.held[0].send(1)
    world.flush()
    assert result(waiting) == 6


def test_an_index_is_asked_about_again_after_a_while_and_not_sent_again_if_unchanged(world: MirrorWorld) -> None:
    world.put(INDEX, b"one", etag='"1"', last_modified=DATE)
    result(world.open(INDEX))
    world.reactor.advance(FRESH - 1)
    result(world.open(INDEX)).close()
    assert len(world.asked) == 1
    world.reactor.advance(2)
    assert content(result(world.open(INDEX))) == b"one"
    assert len(world.asked) == 2
    assert world.tree.asked[1][2]["if-none-match"] == '"1"'
    assert world.tree.asked[1][2]["if-modified-since"] == DATE
    result(world.open(INDEX)).close()
    assert len(world.asked) == 2


def test_a_changed_index_replaces_the_old_one_and_its_tag(world: MirrorWorld) -> None:
    world.put(INDEX, b"one", etag='"1"')
    first = result(world.open(INDEX))
    world.put(INDEX, b"changed", etag='"2"')
    world.reactor.advance(FRESH + 1)
    second = result(world.open(INDEX))
    assert content(second) == b"changed" if isinstance(second, Opened) else second.size == 7
    again = result(world.open(INDEX))
    assert content(again) == b"changed"
    assert first.tag != again.etag


def test_a_file_of_a_pool_is_never_asked_about_again(world: MirrorWorld) -> None:
    world.put(DEB, b"package", etag='"1"')
    result(world.open(DEB))
    world.reactor.advance(1e7)
    assert content(result(world.open(DEB))) == b"package"
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    ("path", "fixed"),
    [
        (DEB, True),
        ("dists/bookworm/main/binary-amd64/by-hash/SHA256/abc", True),
        ("BaseOS/repodata/0123456789abcdef0123456789abcdef-primary.xml.gz", True),
        ("Packages/b/bash-5.1.rpm", True),
        ("dists/bookworm/main/installer-amd64/current/images/netboot/debian-installer/amd64/linux", False),
        ("BaseOS/repodata/repomd.xml", False),
        (INDEX, False),
        ("carpool/x", False),
    ],
)
def test_packages_and_names_with_hashes_never_change(path: str, fixed: bool) -> None:
    assert never_changes(path) is fixed


def test_when_the_upstream_is_gone_what_we_have_is_served_with_a_line_in_the_log(world: MirrorWorld) -> None:
    world.put(INDEX, b"one", etag='"1"')
    result(world.open(INDEX))
    world.reactor.advance(FRESH + 1)
    world.line.cut = True
    assert content(result(world.open(INDEX))) == b"one"
    world.line.cut = False
    world.tree.files[f"/debian/{INDEX}"].code = 503
    assert content(result(world.open(INDEX))) == b"one"


def test_what_we_do_not_have_fails_while_the_upstream_is_gone_and_works_when_it_is_back(world: MirrorWorld) -> None:
    world.put(DEB, b"package")
    world.line.cut = True
    with pytest.raises(UpstreamFailed) as caught:
        result(world.open(DEB))
    assert "word" not in str(caught.value)
    world.line.cut = False
    assert result(world.open(DEB)).size == 7


def test_an_upstream_that_does_not_answer_is_given_up_after_a_while_for_everybody(world: MirrorWorld) -> None:
    world.line.silent = True
    opens = [world.open(DEB) for _ in range(3)]
    world.reactor.advance(HEADERS + 1)
    with pytest.raises(UpstreamFailed):
        result(opens[0])
    world.line.cut = True
    world.reactor.advance(2 * HEADERS)
    for each in opens[1:]:
        with pytest.raises(UpstreamFailed):
            result(each)
    assert not world.reactor.getDelayedCalls()


def test_a_404_is_a_404_and_believed_for_a_while(world: MirrorWorld) -> None:
    for _ in range(3):
        with pytest.raises(NotFound):
            result(world.open(DEB))
    assert len(world.asked) == 1
    world.put(DEB, b"now there")
    world.reactor.advance(ABSENT + 1)
    assert result(world.open(DEB)).size == 9


def test_a_file_that_vanished_upstream_is_a_404_although_we_have_it(world: MirrorWorld) -> None:
    world.put(INDEX, b"one")
    result(world.open(INDEX))
    world.reactor.advance(FRESH + 1)
    del world.tree.files[f"/debian/{INDEX}"]
    with pytest.raises(NotFound):
        result(world.open(INDEX))


def test_an_answer_that_breaks_off_fails_its_readers_and_leaves_nothing_behind(world: MirrorWorld, logged: Logged) -> None:
    world.put(DEB, b"0123456789")
    world.tree.slow = True
    opened = world.open(DEB)
    world.tree.held[0].send(4)
    world.flush()
    fetch = result(opened)
    waiting = Deferred.fromCoroutine(fetch.grown(4))
    world.tree.held[0].break_off()
    world.flush()
    with pytest.raises(UpstreamFailed):
        result(waiting)
    assert [each.suffix for each in world.cache_dir.iterdir()] == []
    world.tree.slow = False
    result(world.open(DEB))
    assert content(result(world.open(DEB))) == b"0123456789"
    assert len(world.asked) == 2


def test_an_upstream_that_falls_silent_in_the_middle_is_given_up(world: MirrorWorld) -> None:
    world.put(DEB, b"0123456789")
    world.tree.slow = True
    opened = world.open(DEB)
    world.tree.held[0].send(4)
    world.flush()
    fetch = result(opened)
    world.reactor.advance(IDLE - 1)
    world.tree.held[0].send(1)
    world.flush()
    world.reactor.advance(IDLE - 1)
    assert fetch.failed is None
    world.reactor.advance(2)
    assert fetch.failed is not None
    assert not world.reactor.getDelayedCalls()


def test_stopping_gives_up_every_fetch(world: MirrorWorld) -> None:
    world.put(DEB, b"0123456789")
    world.tree.slow = True
    opened = world.open(DEB)
    world.tree.held[0].send(4)
    world.flush()
    world.mirror.stop()
    assert result(opened).failed is not None
    assert not world.reactor.getDelayedCalls()
    assert list(world.cache_dir.iterdir()) == []


def test_head_of_a_file_we_do_not_have_asks_the_upstream_and_fetches_nothing(world: MirrorWorld) -> None:
    world.put(DEB, b"package", etag='"1"', last_modified=DATE)
    described = result(world.open(DEB, head=True))
    assert isinstance(described, Described)
    assert described.size == 7
    assert world.asked == ["HEAD /debian/pool/main/b/bash/bash_5.2%2B1~x_amd64.deb"]
    fetched = result(world.open(DEB))
    assert fetched.tag == described.etag
    assert isinstance(result(world.open(DEB, head=True)), Opened)


def test_a_compressed_index_is_kept_as_it_is_whatever_its_content_encoding_says(world: MirrorWorld) -> None:
    body = b"\x1f\x8b\x08\x00not really gzip"
    world.put("dists/x/Packages.gz", body, headers={"Content-Encoding": "gzip"})
    result(world.open("dists/x/Packages.gz"))
    assert content(result(world.open("dists/x/Packages.gz"))) == body
    assert world.tree.asked[0][2]["accept-encoding"] == "identity"


def test_the_upstream_gets_its_credentials_and_nobody_else_sees_them(world: MirrorWorld) -> None:
    world.put(DEB, b"package")
    result(world.open(DEB))
    assert world.tree.asked[0][2]["authorization"] == "Basic dXNlcjp3b3Jk"
    assert "word" not in repr(world.mirror._upstream) + str(world.mirror._upstream)


def test_redirects_are_followed_and_the_credentials_stay_with_the_host_they_are_for(world: MirrorWorld) -> None:
    world.put(DEB, b"", code=302, headers={"Location": "http://elsewhere/debian/real"})
    world.put("real", b"package")
    result(world.open(DEB))
    assert content(result(world.open(DEB))) == b"package"
    assert "authorization" not in world.tree.asked[1][2]


def test_redirects_in_a_circle_are_an_upstream_failure(world: MirrorWorld) -> None:
    world.put(DEB, b"", code=302, headers={"Location": "http://mirror/debian/" + DEB})
    with pytest.raises(UpstreamFailed):
        result(world.open(DEB))


@pytest.mark.parametrize("code", [401, 403, 500, 502])
def test_an_error_of_the_upstream_is_no_404(world: MirrorWorld, code: int) -> None:
    world.put(DEB, b"", code=code)
    with pytest.raises(UpstreamFailed, match=str(code)):
        result(world.open(DEB))


@pytest.mark.parametrize("path", ["", "/", "a/../b", "..", "dists/", "a\nb", "x" * 3000])
def test_odd_paths_never_reach_the_upstream(world: MirrorWorld, path: str) -> None:
    with pytest.raises(NotFound):
        result(world.open(path))
    assert world.asked == []


def test_a_cached_file_that_was_damaged_is_fetched_again(world: MirrorWorld) -> None:
    world.put(DEB, b"package")
    result(world.open(DEB))
    (data,) = world.cache_dir.glob("*.data")
    data.write_bytes(b"pack")
    result(world.open(DEB))
    assert content(result(world.open(DEB))) == b"package"
    assert len(world.asked) == 2


def test_a_file_larger_than_the_cache_is_passed_on_and_not_kept(tmp_path: Path) -> None:
    world = MirrorWorld(tmp_path / "cache", max_bytes=5)
    world.put(DEB, b"0123456789")
    world.tree.slow = True
    opened = world.open(DEB)
    world.tree.held[0].send(2)
    world.flush()
    reader = result(opened).reader()
    world.tree.held[0].send(8)
    world.flush()
    assert os.pread(reader.fd, 100, 0) == b"0123456789"
    reader.close()
    assert list(world.cache_dir.iterdir()) == []


def test_a_cache_that_cannot_be_used_is_our_fault_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    world = MirrorWorld(tmp_path / "file" / "cache")
    with pytest.raises(StorageUnavailable):
        result(world.open(DEB))
