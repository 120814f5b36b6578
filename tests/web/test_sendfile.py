"""How the bytes of a file leave by sendfile under the transport, and never with a descriptor left open."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock, deferLater
from twisted.web.resource import Resource

from pxed.repo.disk import Disk
from pxed.web import sendfile
from pxed.web.files import FileTree
from pxed.web.request import Plain, Site
from tests.web.conftest import SIZE
from tests.web.real import Client, descriptors, listening, reactor, serving, until


async def test_every_byte_arrives_by_sendfile_and_the_connection_goes_on(big: Path, sent: list[int]) -> None:
    async with serving(big.parent) as port:
        client = Client(port)
        for _ in range(2):
            client.get("/b/big.bin")
            head, body = await client.response()
            assert head["content-length"] == str(SIZE)
            assert body == big.read_bytes()
        client.get("/b/big.bin", Range="bytes=1000000-1000009")
        _, body = await client.response()
        assert body == big.read_bytes()[1_000_000:1_000_010]
        client.close()
    assert sum(sent) == 2 * SIZE + 10
    assert descriptors(big) == 0


async def test_a_file_that_fits_the_socket_leaves_with_its_head_in_one_segment_and_needs_no_timer(
    big: Path, sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (big.parent / "small.cfg").write_bytes(b"x" * 300)
    waited: list[Any] = []
    monkeypatch.setattr(sendfile.Body, "wait", waited.append)
    async with serving(big.parent) as port:
        client = Client(port)
        for _ in range(2):
            client.get("/b/small.cfg")
            assert (await client.response())[1] == b"x" * 300
        assert _segments(client) == 2
        client.close()
    assert sent == [300, 300]
    assert not waited


async def test_head_brings_no_byte_of_the_file_and_the_connection_goes_on(big: Path, sent: list[int]) -> None:
    """UEFI HTTP Boot asks HEAD first. A transport in memory can't show this: there nothing is sent by sendfile."""
    async with serving(big.parent) as port:
        client = Client(port)
        client.socket.sendall(b"HEAD /b/big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.head())["content-length"] == str(SIZE)
        client.get("/b/big.bin", Range="bytes=0-9")
        assert await client.read(12) == b"HTTP/1.1 206"
        await client.head()
        assert await client.read(10) == big.read_bytes()[:10]
        client.close()
    assert sum(sent) == 10
    assert descriptors(big) == 0


async def test_pipelined_requests_are_answered_in_order(big: Path, sent: list[int]) -> None:
    async with serving(big.parent) as port:
        client = Client(port)
        for part in ("0-9", "500-509", "9000000-9000009"):
            client.get("/b/big.bin", Range=f"bytes={part}")
        client.get("/b/nothing")
        client.get("/b/big.bin")
        whole = big.read_bytes()
        for start in (0, 500, 9_000_000):
            _, body = await client.response()
            assert body == whole[start : start + 10]
        assert (await client.response())[0]["status"] == "404"
        assert (await client.response())[1] == whole
        client.close()
    assert descriptors(big) == 0


class Large(Plain):
    """An answer that no socket holds."""

    async def get(self, request: Any) -> None:
        request.reply(200, b"x" * SIZE)


async def test_a_file_waits_for_the_answer_before_it_and_leaves_by_sendfile_all_the_same(big: Path, sent: list[int]) -> None:
    tree = Resource()
    tree.putChild(b"b", FileTree(big.parent, disk=Disk(reactor), clock=reactor))
    tree.putChild(b"large", Large())
    async with listening(Site(tree, reactor=reactor, on_stop=lambda: None)) as port:
        for leaves in (False, True):
            client = Client(port, receive_buffer=4096)
            client.get("/large")
            client.get("/b/big.bin")
            await client.head()
            await deferLater(reactor, 0.05)
            assert descriptors(big) == 1, "it waits"
            assert sum(sent) == 0
            if leaves:
                client.close()
                await until(lambda: descriptors(big) == 0)
                break
            assert await client.read(SIZE) == b"x" * SIZE
            assert (await client.response())[1] == big.read_bytes()
            client.close()
            assert sum(sent) == SIZE
            sent.clear()
    assert descriptors(big) == 0


async def test_connection_close_and_http_1_0_end_after_the_last_byte(big: Path) -> None:
    async with serving(big.parent) as port:
        for request in (b"GET /b/big.bin HTTP/1.0\r\n\r\n", b"GET /b/big.bin HTTP/1.1\r\nConnection: close\r\n\r\n"):
            client = Client(port)
            client.socket.sendall(request)
            _, body = await client.response()
            assert hashlib.sha256(body).digest() == hashlib.sha256(big.read_bytes()).digest()
            assert await client.read(1) == b""
            client.close()


async def test_a_client_that_leaves_in_the_middle_leaves_no_descriptor(big: Path) -> None:
    async with serving(big.parent) as port:
        clients = [Client(port, receive_buffer=4096) for _ in range(8)]
        for client in clients:
            client.get("/b/big.bin")
        for client in clients:
            await client.read(5000)
        assert descriptors(big) == 8
        for client in clients:
            client.close()
        await until(lambda: descriptors(big) == 0)


async def test_a_client_that_leaves_at_once_leaves_no_descriptor(big: Path) -> None:
    async with serving(big.parent) as port:
        for _ in range(20):
            client = Client(port)
            client.get("/b/big.bin")
            client.close()
        await until(lambda: descriptors(big) == 0)


async def test_a_slow_client_is_served_to_the_end_and_holds_up_nobody(big: Path) -> None:
    async with serving(big.parent) as port:
        slow = Client(port, receive_buffer=4096)
        slow.get("/b/big.bin", Range="bytes=0-1999999")
        await slow.head()
        quick = Client(port)
        quick.get("/b/big.bin")
        assert (await quick.response())[1] == big.read_bytes()
        assert await slow.read(2_000_000) == big.read_bytes()[:2_000_000]
        slow.close()
        quick.close()


async def test_a_client_that_takes_nothing_is_dropped_after_the_stall_time(big: Path) -> None:
    clock = Clock()
    async with serving(big.parent, clock=clock) as port:
        client = Client(port, receive_buffer=4096)
        client.get("/b/big.bin")
        await client.read(3000)
        await until(lambda: bool(clock.getDelayedCalls()))
        clock.advance(sendfile.STALL)
        assert descriptors(big) == 1, "it had taken something"
        clock.advance(sendfile.STALL)
        await until(lambda: descriptors(big) == 0)
        rest = await client.read(SIZE)
        assert len(rest) < SIZE - 4000
        assert not clock.getDelayedCalls()
        client.close()


async def test_a_file_that_becomes_shorter_aborts_the_connection(big: Path) -> None:
    async with serving(big.parent) as port:
        client = Client(port, receive_buffer=4096)
        client.get("/b/big.bin")
        await client.head()
        os.truncate(big, 5_000_000)
        assert len(await client.read(SIZE)) <= 5_000_000
        await until(lambda: descriptors(big) == 0)
        client.close()


async def test_pages_that_are_not_in_memory_are_read_in_a_thread(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _evict(big)
    read: list[tuple[int, str]] = []
    original = os.pread

    def pread(fd: int, count: int, offset: int) -> bytes:
        read.append((offset, threading.current_thread().name))
        return original(fd, count, offset)

    monkeypatch.setattr(os, "pread", pread)
    async with serving(big.parent) as port:
        client = Client(port)
        client.get("/b/big.bin", Range=f"bytes={SIZE - 500_000}-")
        _, body = await client.response()
        client.close()
    assert body == big.read_bytes()[SIZE - 500_000 :]
    assert [offset for offset, _ in read] == [SIZE - 500_000]
    assert threading.current_thread().name not in {name for _, name in read}


async def test_where_the_file_system_cannot_say_what_is_in_memory_a_thread_reads_before_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS, CIFS and FUSE are so: an image there that is not in memory would hold up the reactor for as long as its server takes."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        file = Path(folder) / "big.bin"
        file.write_bytes(os.urandom(5 << 20))
        if _knows_its_pages(file):
            pytest.skip("this kernel's tmpfs has RWF_NOWAIT")
        read: list[tuple[int, int]] = []
        original = os.pread

        def pread(fd: int, count: int, offset: int) -> bytes:
            assert threading.current_thread() is not threading.main_thread()
            read.append((offset, count))
            return original(fd, count, offset)

        monkeypatch.setattr(os, "pread", pread)
        async with serving(Path(folder)) as port:
            client = Client(port)
            client.get("/b/big.bin")
            _, body = await client.response()
            client.close()
        assert body == file.read_bytes()
        assert read == [(0, 2 << 20), (2 << 20, 2 << 20), (4 << 20, 1 << 20)]


async def test_a_client_that_leaves_while_the_disk_reads_leaves_no_descriptor(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _evict(big)
    go_on, waiting = threading.Event(), threading.Event()

    def pread(fd: int, count: int, offset: int) -> bytes:
        waiting.set()
        go_on.wait(60)
        os.fstat(fd)  # EBADF if somebody closed it under us
        return b""

    monkeypatch.setattr(os, "pread", pread)
    async with serving(big.parent) as port:
        client = Client(port)
        client.get("/b/big.bin", Range=f"bytes={SIZE - 500_000}-")
        await client.head()
        await until(waiting.is_set)
        client.close()
        await deferLater(reactor, 0.05)
        assert descriptors(big) == 1, "the thread still reads"
        go_on.set()
        await until(lambda: descriptors(big) == 0)


def _segments(client: Client) -> int:
    """How many segments with data the client has received (tcpi_data_segs_in of tcp(7)'s TCP_INFO)."""
    return int.from_bytes(client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)[152:156], sys.byteorder)


def _knows_its_pages(path: Path) -> bool:
    with path.open("rb") as f:
        try:
            os.preadv(f.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
        except OSError as e:
            return e.errno != errno.EOPNOTSUPP
    return True


def _evict(path: Path) -> None:
    """Throw the file's pages out of memory; skip where the file system can't say whether it did."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.preadv(fd, [bytearray(1)], 4 << 20, os.RWF_NOWAIT)
    except BlockingIOError:
        return
    except OSError as e:
        pytest.skip(f"this file system has no RWF_NOWAIT ({e.strerror})")
    finally:
        os.close(fd)
    pytest.skip("this file system keeps its pages in memory")


def test_a_page_thrown_out_of_memory_is_noticed(big: Path) -> None:
    _evict(big)
    fd = os.open(big, os.O_RDONLY)
    try:
        assert not sendfile._in_memory(fd, 8 << 20)
        os.pread(fd, 1, 8 << 20)
        assert sendfile._in_memory(fd, 8 << 20)
    finally:
        os.close(fd)
