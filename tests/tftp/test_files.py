"""Where content comes from: names, links, the table in memory, files that are streamed. The thread is the test's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from pxed.tftp import Limits
from pxed.tftp.events import NotServed, Problem
from pxed.tftp.files import Content, Files
from pxed.tftp.image import OVERLAP, SEGMENT_BYTES, Segment, blocks_in, stride, whole
from pxed.tftp.images import Identity, Images, Key
from pxed.tftp.root import normalise, open_below
from tests.tftp.appliance import Appliance, Later, ack, at_once, content, data, error, error_of, oack, rrq


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"ipxe.efi", "ipxe.efi"),
        (b"/boot/ipxe.efi", "boot/ipxe.efi"),
        (b"\\Boot\\\\x64\\wdsnbp.com", "Boot/x64/wdsnbp.com"),
        (b"./a/./b", "a/b"),
        (b"pxelinux.0\xff", "pxelinux.0"),
        (b"a..b/...", "a..b/..."),
    ],
)
def test_the_ways_firmware_spells_names(raw: bytes, name: str) -> None:
    assert normalise(raw) == name


@pytest.mark.parametrize("raw", [b"..", b"a/..", b"..\\a", b"a/../b", b"/../", b"\\..\\"])
def test_dot_dot_is_refused_wherever_it_would_lead(raw: bytes) -> None:
    with pytest.raises(NotServed) as caught:
        normalise(raw)
    assert caught.value.problem is Problem.ACCESS


def test_a_link_to_a_public_file_of_the_host_is_followed_and_nothing_else(tmp_path: Path) -> None:
    host, root = tmp_path / "host", tmp_path / "root"
    host.mkdir()
    root.mkdir()
    public, private = host / "snponly.efi", host / "key"
    public.write_bytes(b"boot")
    private.write_bytes(b"secret")
    private.chmod(0o600)
    (root / "snponly.efi").symlink_to(public)
    (root / "key").symlink_to(private)
    (root / "host").symlink_to(host)
    fd, status = open_below(str(root), "snponly.efi")
    os.close(fd)
    assert status.st_size == 4
    for name in ("key", "host/snponly.efi", "host"):
        with pytest.raises(NotServed):
            open_below(str(root), name)


def test_what_is_no_regular_file_is_not_found(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("fifo", "loop", ".", "n" * 300):
        with pytest.raises(NotServed) as caught:
            open_below(str(tmp_path), name)
        assert caught.value.problem is Problem.NOT_FOUND


@pytest.mark.parametrize(("size", "blocks"), [(0, 1), (1, 1), (511, 1), (512, 2), (513, 2), (1024, 3)])
def test_blocks_of_a_file(size: int, blocks: int) -> None:
    assert blocks_in(size, 512) == blocks
    assert len(whole(bytes(size), 512).view) == size + 4 * blocks


def key(number: int) -> Key:
    return Key(Identity(1, number, 0, 100), False, 512, 0)


def segment(size: int) -> Segment:
    return Segment(memoryview(bytes(size)), 0, 1)


def test_the_least_recently_used_goes_first_and_what_is_in_use_stays() -> None:
    images = Images(250)
    for number in range(3):
        images.put(key(number), segment(100))
    assert images.take(key(0)) is not None
    images.shrink()
    assert list(images) == [key(2), key(0)]
    images.put(key(3), segment(100))
    images.shrink()
    assert images.used == 200
    assert key(0) in images
    assert not images.has_room(151)
    images.release(key(0))
    assert images.has_room(250)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "boot.efi").write_bytes(content(5000))
    return tmp_path


def test_the_reactor_never_reads_and_one_read_serves_all_who_ask(root: Path) -> None:
    later = Later()
    with Appliance(root, in_thread=later) as appliance:
        clients = [appliance.client(f"127.0.0.{n}") for n in range(1, 6)]
        for client in clients:
            client.ask(rrq("boot.efi"))
        assert [client.hear() for client in clients] == [None] * 5
        assert len(later.waiting) == 1
        later.run()
        appliance.settle()
        assert [client.hear() for client in clients] == [data(1, content(5000)[:512])] * 5
        clients[0].socket.close()
        other = appliance.client("127.0.0.9")
        other.ask(rrq("boot.efi"))
        assert other.hear() == data(1, content(5000)[:512]), "looked up less than a second ago: no thread"
        assert not later.waiting


def test_a_replaced_file_is_seen_within_a_second(root: Path) -> None:
    with Appliance(root) as appliance:
        client = appliance.client()
        assert client.fetch("boot.efi") == content(5000)
        new = root / "new"
        new.write_bytes(b"new")
        new.replace(root / "boot.efi")
        appliance.clock.advance(1.1)
        assert client.fetch("boot.efi") == b"new"


def test_who_gives_up_while_the_thread_reads_leaves_nothing_behind(root: Path) -> None:
    (root / "large").write_bytes(content(600_000))
    later = Later()
    open_files = len(os.listdir("/proc/self/fd"))
    with Appliance(root, in_thread=later, settings=Limits(cache_bytes=1 << 20)) as appliance:
        client = appliance.client()
        client.ask(rrq("large"))
        later.run()
        client.ask(rrq("boot.efi"))
        while later.waiting:
            later.run()
        appliance.settle()
        assert client.hear() == data(1, content(5000)[:512])
    assert len(os.listdir("/proc/self/fd")) == open_files


@pytest.mark.parametrize("window", [1, 7, 64])
def test_a_large_file_is_streamed_in_segments(root: Path, window: int) -> None:
    payload = os.urandom(3_000_000)
    (root / "large").write_bytes(payload)
    open_files = len(os.listdir("/proc/self/fd"))
    with Appliance(root, settings=Limits(cache_bytes=4 << 20)) as appliance:
        assert appliance.client().fetch("large", ("blksize", 1428), ("windowsize", window), ("tsize", 0)) == payload
        assert appliance.service._services.files.images.used <= 4 << 20
    assert len(os.listdir("/proc/self/fd")) == open_files


def test_a_window_never_needs_two_segments() -> None:
    for blksize in (8, 512, 1428, 65464):
        assert stride(blksize) >= OVERLAP


def test_a_slow_disk_pauses_a_streamed_transfer_and_does_not_end_it(root: Path) -> None:
    payload = os.urandom(600_000)
    (root / "large").write_bytes(payload)
    later = Later()
    with Appliance(root, in_thread=later, settings=Limits(cache_bytes=1 << 20)) as appliance:
        client = appliance.client()
        client.ask(rrq("large"))
        for _ in range(4):
            if not later.waiting or client.hear() is not None:
                break
            later.run()
            appliance.settle()
        step = stride(512)
        held, later.waiting = later.waiting, []
        for block in range(1, step + 1):
            client.tell(ack(block))
        client.hear_all()
        client.tell(ack(step))
        appliance.advance(5)
        assert client.hear() is None
        later.waiting = held
        later.run()
        appliance.settle()
        assert client.hear() == data(step + 1, payload[step * 512 : (step + 1) * 512])


def test_a_file_that_changes_under_our_feet_is_a_read_error(root: Path) -> None:
    (root / "large").write_bytes(content(600_000))
    with Appliance(root, settings=Limits(cache_bytes=1 << 20)) as appliance:
        client = appliance.client()
        client.ask(rrq("large", ("blksize", 1428), ("windowsize", 64)))
        oack(client.hear())
        (root / "large").write_bytes(b"cut")
        client.tell(ack(0))
        heard: list[bytes] = []
        while appliance.service.active:
            packets = client.hear_all()
            assert packets
            heard += packets
            client.tell(ack(int.from_bytes(packets[-1][2:4], "big")))
        assert error_of(client.hear()) == (0, "Read error")
        assert "changed while it was read" in appliance.events[-1].reason


def test_netascii_is_for_small_files(root: Path) -> None:
    (root / "large").write_bytes(content(600_000))
    with Appliance(root, settings=Limits(cache_bytes=1 << 20)) as appliance:
        client = appliance.client()
        client.ask(rrq("large", mode="netascii"))
        assert error_of(client.hear()) == (0, "Too large for netascii, use octet")


def test_without_memory_new_transfers_are_told_busy(root: Path) -> None:
    for number in range(6):
        (root / f"f{number}").write_bytes(content(250_000))
    with Appliance(root, settings=Limits(cache_bytes=1 << 20)) as appliance:
        clients = [appliance.client() for _ in range(6)]
        answers = []
        for number, client in enumerate(clients):
            client.ask(rrq(f"f{number}"))
            answers.append(client.hear())
        assert [answer is not None and answer[:2] == b"\0\3" for answer in answers] == [True] * 4 + [False] * 2
        assert error_of(answers[4]) == (0, "Busy, try again")


def test_memory_stays_within_its_limit_whatever_is_asked_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many files, each in several block sizes, whole and streamed, and some given up half-way."""
    monkeypatch.setattr("pxed.tftp.files.NAMES", 10)
    limit = 8 * SEGMENT_BYTES
    for number in range(20):
        (root / f"small{number}").write_bytes(content(SEGMENT_BYTES // 2, number))
    (root / "large").write_bytes(content(5 * SEGMENT_BYTES))
    with Appliance(root, settings=Limits(cache_bytes=limit)) as appliance:
        files = appliance.service._services.files
        most = 0
        for number in range(20):
            for blksize in (1024, 1428, 4096):
                assert appliance.client().fetch(f"small{number}", ("blksize", blksize)) == content(SEGMENT_BYTES // 2, number)
                gone = appliance.client()
                gone.ask(rrq("large", ("blksize", blksize)))
                gone.hear()
                gone.tell(error(0))
                most = max(most, files.images.used)
                assert files.images.used <= limit
        assert most > limit // 2, "it is used"
        assert len(files._names) <= 10


def test_content_read_twice_at_once_is_kept_once(root: Path) -> None:
    files = Files(str(root), in_thread=at_once, seconds=lambda: 0.0, cache_bytes=1 << 20)

    def get(start: Callable[[], Any]) -> Content:
        results: list[Content] = []
        Deferred.fromCoroutine(start()).addCallback(results.append)
        return results[0]

    first = get(lambda: files.open("boot.efi", as_netascii=False, blksize=512))
    second = files.at_hand("boot.efi", as_netascii=False, blksize=512)
    assert second is not None
    assert second.segment is first.segment
    assert (first.size(), first.total) == (5000, 10)
    for each in (first, first, second):
        each.close()
    assert files.images.has_room(1 << 20)
