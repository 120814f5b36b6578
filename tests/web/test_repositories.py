"""Repositories over HTTP: from a directory, from the cache, and while the upstream still sends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from treq.client import HTTPClient
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock, deferLater
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from pxed.repo.cache import Cache
from pxed.repo.directory import DirectoryLayer
from pxed.repo.disk import Disk
from pxed.repo.iso import read_index
from pxed.repo.isolayer import Indexes, IsoLayer
from pxed.repo.mirror import Mirror
from pxed.repo.repository import Repository
from pxed.repo.upstream import Upstream, Verbatim
from pxed.web.sendfile import STALL
from tests.repo import media
from tests.repo.media import needs
from tests.web.real import Client, descriptors, listening, reactor, until
from tests.web.world import MAC, NODE_ADDRESS, MemoryReactor, World

BODY = bytes(range(256)) * 8192
"""2 MiB."""


@pytest.fixture
def local(tmp_path: Path) -> World:
    tree = tmp_path / "tree"
    (tree / "pool").mkdir(parents=True)
    (tree / "linux").write_bytes(BODY)
    (tree / "pool" / "a.deb").write_bytes(b"d" * 1_500_000)
    (tmp_path / "boot").mkdir()
    reactor = MemoryReactor()
    return World(tmp_path / "boot", {"debian": Repository("debian", [DirectoryLayer(tree, Disk(reactor))])}, reactor=reactor)


class Media(Disk):
    """Notes what it was asked to do."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.done: list[Any] = []

    def do(self, work: Any, *args: Any) -> Any:
        self.done.append(getattr(work, "__name__", work))
        return super().do(work, *args)


@needs("genisoimage")
def test_media_are_opened_and_read_by_their_own_threads(tmp_path: Path) -> None:
    tree, reactor = media.tree(tmp_path / "tree", {"LINUX": "kernel"}), MemoryReactor()
    layers: dict[str, DirectoryLayer | IsoLayer] = {
        "directory": DirectoryLayer(tree, Media(reactor)),
        "image": IsoLayer(media.plain(tree, tmp_path / "m.iso"), Indexes(tmp_path / "indexes", read_index), Media(reactor)),
    }
    (tmp_path / "boot").mkdir()
    world = World(tmp_path / "boot", {name: Repository(name, [layer]) for name, layer in layers.items()}, reactor=reactor)
    for path, size in (("directory/LINUX", 6), ("image/LINUX", 6), ("image.iso", (tmp_path / "m.iso").stat().st_size)):
        disk = layers[path.partition("/")[0].removesuffix(".iso")]._disk
        assert isinstance(disk, Media)
        disk.done.clear()
        assert len(world.ask("GET", f"/repo/{path}").body) == size
        assert disk.done[-1] == "pread"
        assert len(disk.done) > 1


def test_a_file_of_a_directory_is_served_with_ranges(local: World) -> None:
    assert local.ask("GET", "/repo/debian/linux").body == BODY
    assert local.ask("GET", "/repo/debian/linux", headers={"Range": "bytes=5-9"}).body == BODY[5:10]
    assert local.ask("HEAD", "/repo/debian/linux").headers["content-length"] == str(len(BODY))


@pytest.mark.parametrize(
    "path", ["/repo", "/repo/", "/repo/debian", "/repo/debian/", "/repo/debian/x", "/repo/debian/%2e%2e/boot", "/repo/x/linux"]
)
def test_what_is_not_there_is_a_404(local: World, path: str) -> None:
    assert local.ask("GET", path).code == 404


def test_an_unknown_repository_says_which_there_are(local: World) -> None:
    assert "debian" in local.ask("GET", "/repo/x/y").text


def test_a_kernel_is_an_event_a_package_is_progress_of_its_install(local: World) -> None:
    _, install = local.armed()
    local.inventory.note_address(MAC, NODE_ADDRESS)
    local.ask("GET", "/repo/debian/linux")
    assert local.kinds()[-1] == "http.file"
    events = len(local.kinds())
    for _ in range(3):
        local.ask("GET", "/repo/debian/pool/a.deb")
    assert len(local.kinds()) == events
    assert local.engine.progressed == [(install.id, 0, "2 MB of packages, 18 % of the last time's")]
    local.reactor.advance(6)
    local.ask("GET", "/repo/debian/pool/a.deb")
    assert local.engine.progressed[-1] == (install.id, 0, "6 MB of packages, 75 % of the last time's")


def test_a_missing_kernel_is_told_and_a_missing_index_is_not(local: World) -> None:
    local.armed()
    local.inventory.note_address(MAC, NODE_ADDRESS)
    local.ask("GET", "/repo/debian/dists/x/InRelease")
    local.ask("GET", "/repo/debian/pool/x.deb")
    assert "http.failed" not in local.kinds()
    local.ask("GET", "/repo/debian/dists/x/linux")
    assert local.kinds()[-1] == "http.failed"


def test_downloads_of_strangers_are_nobodys(local: World) -> None:
    local.ask("GET", "/repo/debian/linux", peer="10.0.0.99")
    local.ask("GET", "/repo/debian/nothing", peer="10.0.0.99")
    assert local.kinds() == []


class SlowTree(Resource):
    """One file, doled out by the test."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []

    def render_GET(self, request: Any) -> Any:
        request.setHeader("Content-Length", str(len(BODY)))
        request.write(b"")
        self.requests.append(request)
        return NOT_DONE_YET


class Mirrored:
    """A site whose repository is a mirror of `tree`, all on loopback."""

    def __init__(self, tree: SlowTree, world: World, port: int, cache: Path, close_upstream: Any) -> None:
        self.tree, self.world, self.port, self.cache, self.close_upstream = tree, world, port, cache, close_upstream

    async def upstream(self) -> Any:
        await until(lambda: bool(self.tree.requests))
        return self.tree.requests[0]


@asynccontextmanager
async def mirrored(tmp_path: Path, *, clock: Any = None) -> AsyncIterator[Mirrored]:
    tree = SlowTree()
    upstream = reactor.listenTCP(0, Site(tree, reactor=reactor), interface="127.0.0.1")
    pool = HTTPConnectionPool(reactor, persistent=False)
    cache_dir = tmp_path / "cache"
    mirror = Mirror(
        Upstream(f"http://127.0.0.1:{upstream.getHost().port}"),
        Cache(cache_dir, max_bytes=1 << 30, disk=Disk(reactor), now=reactor.seconds),
        client=HTTPClient(Verbatim(Agent(reactor, pool=pool))),
        disk=Disk(reactor),
        clock=clock or reactor,
        now=reactor.seconds,
    )
    (tmp_path / "boot").mkdir()
    world = World(tmp_path / "boot", {"r": Repository("r", [mirror])}, reactor=reactor)
    try:
        async with listening(world.site) as port:
            yield Mirrored(tree, world, port, cache_dir, upstream.stopListening)
    finally:
        mirror.stop()
        await maybeDeferred(upstream.stopListening)
        for request in tree.requests:
            if getattr(request, "channel", None) is not None:
                request.transport.abortConnection()


async def test_bytes_reach_every_client_as_they_arrive_by_one_fetch(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as place:
        clients = [Client(place.port) for _ in range(4)]
        for client in clients[:3]:
            client.get("/repo/r/pool/x.deb")
        clients[3].get("/repo/r/pool/x.deb", Range="bytes=1000000-1000099")
        request = await place.upstream()
        request.write(BODY[:300_000])
        for client in clients[:3]:
            head = await client.head()
            assert head["content-length"] == str(len(BODY))
            assert await client.read(300_000) == BODY[:300_000]
        request.write(BODY[300_000:])
        request.finish()
        for client in clients[:3]:
            assert await client.read(len(BODY) - 300_000) == BODY[300_000:]
        head, body = await clients[3].response()
        assert (head["status"], body) == ("206", BODY[1_000_000:1_000_100])
        await until(lambda: [each.suffix for each in place.cache.iterdir()].count(".json") == 1)
        clients[0].get("/repo/r/pool/x.deb")
        assert (await clients[0].response())[1] == BODY
        assert len(place.tree.requests) == 1
        for client in clients:
            client.close()


async def test_a_fetch_goes_on_when_its_client_leaves(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as place:
        client = Client(place.port)
        client.get("/repo/r/pool/x.deb")
        request = await place.upstream()
        request.write(BODY[:100_000])
        await client.head()
        client.close()
        await deferLater(reactor, 0.05)
        request.write(BODY[100_000:])
        request.finish()
        await until(lambda: any(each.suffix == ".json" for each in place.cache.iterdir()))
        (data,) = place.cache.glob("*.data")
        assert data.read_bytes() == BODY
        await until(lambda: descriptors(data) == 0)


async def test_an_upstream_that_breaks_off_aborts_the_client_instead_of_ending_early(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as place:
        client = Client(place.port)
        client.get("/repo/r/pool/x.deb")
        request = await place.upstream()
        request.write(BODY[:100_000])
        await client.head()
        await client.read(100_000)
        request.transport.abortConnection()
        assert await client.read(1) == b""
        client.close()
        await until(lambda: list(place.cache.iterdir()) == [])


async def test_a_client_is_not_dropped_while_the_upstream_is_what_is_slow(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as place:
        stalls = Clock()
        object.__setattr__(place.world.site.resource.children[b"repo"]._rooms, "clock", stalls)
        client = Client(place.port)
        client.get("/repo/r/pool/x.deb")
        request = await place.upstream()
        request.write(BODY[:1000])
        await client.head()
        await client.read(1000)
        for _ in range(5):
            stalls.advance(STALL + 1)
        request.write(BODY[1000:])
        request.finish()
        assert await client.read(len(BODY) - 1000) == BODY[1000:]
        client.close()
        assert not stalls.getDelayedCalls()


async def test_an_upstream_that_cannot_be_reached_is_a_502_and_told_on_the_nodes_timeline(tmp_path: Path) -> None:
    async with mirrored(tmp_path) as place:
        place.world.inventory.seen(MAC)
        place.world.inventory.note_address(MAC, "127.0.0.1")
        await place.close_upstream()
        client = Client(place.port)
        client.get("/repo/r/pool/x.deb")
        head, body = await client.response()
        client.close()
        assert head["status"] == "502"
        assert b"can't be reached" in body
        assert place.world.kinds()[-1] == "http.failed"


@asynccontextmanager
async def imaged(tmp_path: Path, image: Path) -> AsyncIterator[Client]:
    """A connection to a site whose repository `m` is an image."""
    (tmp_path / "boot").mkdir()
    layer = IsoLayer(image, Indexes(tmp_path / "indexes"), Disk(reactor))
    world = World(tmp_path / "boot", {"m": Repository("m", [layer])}, reactor=reactor)
    async with listening(world.site) as port:
        client = Client(port)
        try:
            yield client
        finally:
            client.close()


@needs("xorriso")
async def test_a_file_inside_an_image_is_served_by_ranges_and_the_image_itself_under_its_name(tmp_path: Path) -> None:
    image = media.rock_ridge(media.tree(tmp_path / "t", {"images/vmlinuz": BODY, ".treeinfo": "[general]"}), tmp_path / "m.iso")
    async with imaged(tmp_path, image) as client:
        client.get("/repo/m/images/vmlinuz")
        head, body = await client.response()
        assert (head["status"], body) == ("200", BODY)
        client.get("/repo/m/images/vmlinuz", Range="bytes=1000000-1099999", **{"If-Range": head["etag"]})
        head, body = await client.response()
        assert (head["status"], body) == ("206", BODY[1_000_000:1_100_000])
        client.get("/repo/m/.treeinfo")
        assert (await client.response())[1] == b"[general]"
        client.get("/repo/m.iso")
        assert (await client.response())[1] == image.read_bytes()
        for path in ("/repo/m.iso/", "/repo/m/nothing", "/repo/m/images", "/repo/x.iso", "/repo/m.iso/x"):
            client.get(path)
            head, _ = await client.response()
            assert (path, head["status"]) == (path, "200" if path == "/repo/m.iso/" else "404")


@needs("genisoimage")
async def test_ranges_across_the_extents_of_a_file(tmp_path: Path) -> None:
    first, second = BODY[:1_500_000], BODY[::-1]
    whole = first + second
    async with imaged(tmp_path, media.multi_extent(tmp_path, first, second)) as client:
        before = descriptors(tmp_path / "multi.iso")
        client.get("/repo/m/big.bin")
        assert (await client.response())[1] == whole
        for start, end in ((1_499_990, 1_500_010), (0, 1_499_999), (1_500_000, 1_500_000), (1_499_999, len(whole) - 1)):
            client.get("/repo/m/big.bin", Range=f"bytes={start}-{end}")
            head, body = await client.response()
            assert (head["content-range"], body) == (f"bytes {start}-{end}/{len(whole)}", whole[start : end + 1])
        assert descriptors(tmp_path / "multi.iso") == before
