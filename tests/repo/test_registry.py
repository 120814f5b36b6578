"""Adding, exchanging and removing repositories: durable, by their media's names, and never at the expense of one that is there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred

from pxed.config import RepositorySettings, Settings
from pxed.errors import ConfigError, Conflict, InvalidRequest, NotFound
from pxed.repo.directory import Opened
from pxed.repo.disk import Disk
from pxed.repo.importing import Import
from pxed.repo.iso import UnreadableImage
from pxed.repo.recognise import Unrecognised
from pxed.repo.registry import Entry, Registry, make_registry, shown
from pxed.repo.repository import Builder
from pxed.repo.upstream import Verbatim
from tests.repo import media
from tests.repo.media import needs
from tests.repo.test_recognise import BOOT_CFG, MEDIA
from tests.repo.upstream import File, Line, Tree
from tests.web.world import MemoryReactor, run

ESXI: dict[str, bytes | str] = {"BOOT.CFG": BOOT_CFG, "B.B00": b"kernel"}
ROCKY: dict[str, bytes | str] = dict(MEDIA["rocky"][1])


class World:
    """A registry over a directory, with a server in memory. `again` is the next start of the appliance."""

    def __init__(self, root: Path, *configured: RepositorySettings) -> None:
        self.root, self.reactor = root, MemoryReactor()
        self.settings = Settings(state_dir=root / "state", repository=configured)
        self.server = Tree()
        self.agent = RequestTraversalAgent(self.server)
        self.line = Line(self.agent)
        self.registry = self.again()

    def again(self, media: Disk | None = None) -> Registry:
        builder = Builder(self.settings, reactor=self.reactor, now=self.now, media=media)
        builder.client = HTTPClient(Verbatim(self.line))
        configured = [
            Entry(builder.build(each.name, each.layers, each.cache_bytes), tuple(map(shown, each.layers)), configured=True)
            for each in self.settings.repository
        ]
        registry = Registry(configured, builder=builder, state_dir=self.settings.state_dir, reactor=self.reactor, now=self.now)
        run(registry.load())
        return registry

    def now(self) -> float:
        return 1_800_000_000.0 + self.reactor.seconds()

    def add(self, source: object, name: str | None = None, *, replace: bool = False) -> Import:
        """The import, ended."""
        job = self.registry.begin(str(source), name, replace=replace)
        for _ in range(200):
            if job.state == "running":
                self.agent.flush()
        assert job.state != "running"
        return job

    def fails(self, source: object, name: str | None = None, *, replace: bool = False) -> str:
        job = self.add(source, name, replace=replace)
        assert job.state == "failed"
        return job.error

    def put(self, files: dict[str, bytes], below: str = "/tree") -> None:
        self.server.files.update({f"{below}/{name}": File(body) for name, body in files.items()})

    def read(self, name: str, path: str, registry: Registry | None = None) -> bytes:
        file = run((registry or self.registry)[name].open(path))
        assert isinstance(file, Opened)
        try:
            return b"".join(os.pread(file.fd, size, offset) for offset, size in file.stretches(0, file.size))
        finally:
            file.close()

    def state(self) -> dict[str, list[str]]:
        """The files below repositories/ and images/."""
        found = {name: self.settings.state_dir / name for name in ("repositories", "images")}
        return {name: sorted(each.name for each in path.iterdir()) if path.is_dir() else [] for name, path in found.items()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def image(tmp_path: Path, name: str = "esxi.iso", **more: str) -> Path:
    return media.plain(media.tree(tmp_path / f"t-{name}", {**ESXI, **more}), tmp_path / name, volume="ESXI-8.0U2")


@needs("genisoimage")
def test_an_image_gets_the_name_of_its_medium_and_is_there_after_a_restart(world: World, tmp_path: Path) -> None:
    job = world.add(image(tmp_path))
    assert (job.state, job.repository) == ("done", "esxi-8")
    for registry in (world.registry, world.again()):
        assert list(registry) == ["esxi-8"]
        entry = registry.entry("esxi-8")
        assert entry.medium is not None
        assert (entry.medium.title, entry.configured, entry.sources) == ("VMware ESXi 8.0.2", False, (str(tmp_path / "esxi.iso"),))
        assert registry.media("esxi-8")["facts"]["boot_cfg"] == BOOT_CFG.decode()
        assert world.read("esxi-8", "b.b00", registry) == b"kernel"
    assert world.registry.media("nothing") == {}


def test_a_directory_of_upper_case_names_is_served_in_any_case(world: World, tmp_path: Path) -> None:
    assert world.add(media.tree(tmp_path / "d", ESXI)).repository == "esxi-8"
    assert world.read("esxi-8", "b.b00") == b"kernel"
    assert world.add(media.tree(tmp_path / "r", ROCKY)).repository == "rocky-9"
    with pytest.raises(NotFound):
        run(world.registry["rocky-9"].open(".TREEINFO"))


def test_a_taken_name_is_refused_at_once_or_in_the_end_and_replaced_only_on_request(world: World, tmp_path: Path) -> None:
    first, second = (media.tree(tmp_path / name, {**ROCKY, "which": name}) for name in ("first", "second"))
    world.add(first)
    assert "already" in world.fails(second)
    with pytest.raises(Conflict, match=f"already .{first}"):
        world.registry.begin(str(second), "rocky-9")
    assert world.read("rocky-9", "which") == b"first"
    assert world.add(second, replace=True).repository == "rocky-9"
    assert world.read("rocky-9", "which") == world.read("rocky-9", "which", world.again()) == b"second"


def test_a_failed_import_leaves_the_repository_that_is_there(world: World, tmp_path: Path) -> None:
    world.add(media.tree(tmp_path / "d", ROCKY), "r")
    before = world.state()
    (tmp_path / "broken.iso").write_bytes(b"x" * 100_000)
    assert "no ISO 9660" in world.fails(tmp_path / "broken.iso", "r", replace=True)
    assert "nothing at" in world.fails(tmp_path / "gone", "r", replace=True)
    (world.settings.state_dir / "repositories" / "r.tmp").mkdir()  # the record can't be written
    assert "can't be written" in world.fails(media.tree(tmp_path / "e", ROCKY), "r", replace=True)
    (world.settings.state_dir / "repositories" / "r.tmp").rmdir()
    assert world.state() == before
    assert world.registry.entry("r").sources == (str(tmp_path / "d"),)
    assert world.read("r", ".treeinfo", world.again()) == ROCKY[".treeinfo"]


def test_what_nobody_knows_needs_a_name_and_keeps_the_reason(world: World, tmp_path: Path) -> None:
    source = media.tree(tmp_path / "d", {"a": "x"})
    assert "under a name that you give" in world.fails(source)
    assert world.add(source, "mine").state == "done"
    for registry in (world.registry, world.again()):
        assert registry.entry("mine").medium is None
        assert "Looked for" in registry.entry("mine").note
        assert world.read("mine", "a", registry) == b"x"


def test_the_configuration_wins_and_is_not_removed(tmp_path: Path) -> None:
    tree, other = media.tree(tmp_path / "d", {**ROCKY, "which": "configured"}), media.tree(tmp_path / "e", {**ROCKY, "which": "added"})
    world = World(tmp_path)
    world.add(other)
    world.settings = Settings(state_dir=world.settings.state_dir, repository=(RepositorySettings(name="rocky-9", layers=(str(tree),)),))
    world.registry = world.again()
    assert world.read("rocky-9", "which") == b"configured"
    assert world.registry.media("rocky-9")["title"] == "Rocky Linux 9.4"
    for replace in (False, True):
        with pytest.raises(Conflict, match="configuration"):
            world.registry.begin(str(other), "rocky-9", replace=replace)
        assert "configuration" in world.fails(other, replace=replace)
    with pytest.raises(Conflict, match="configuration"):
        run(world.registry.remove("rocky-9"))
    assert world.state()["repositories"] == ["rocky-9.json"]


def test_a_removed_repository_is_gone_and_its_files_stay(world: World, tmp_path: Path) -> None:
    world.add(media.tree(tmp_path / "d", ROCKY))
    run(world.registry.remove("rocky-9"))
    assert list(world.registry) == list(world.again()) == []
    assert (tmp_path / "d" / ".treeinfo").exists()
    with pytest.raises(NotFound, match="there is none"):
        run(world.registry.remove("rocky-9"))


@pytest.mark.parametrize(
    "source",
    [
        *("relative/x.iso", "ftp://h/x.iso", "http://", "", "/a\nb", "apt"),
        *("http://[::1/x", "http://h:99999/x", "http://h:x/y", "http://h/x.iso?signature=1", "https://h/tree#part"),
    ],
)
def test_a_source_that_is_none_names_the_field(world: World, source: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        world.registry.begin(source)
    assert caught.value.field == "source"


def test_a_place_that_cannot_be_looked_at_is_a_sentence_and_keeps_no_other_from_being_there(world: World, tmp_path: Path) -> None:
    assert "can't be read: File name too long" in world.fails(f"/{'x' * 300}.iso", "named")
    world.add(media.tree(tmp_path / "d", ROCKY))
    record = world.settings.state_dir / "repositories" / "rocky-9.json"
    value = json.loads(record.read_bytes()) | {"name": "other", "source": f"/{'x' * 300}"}
    (record.parent / "other.json").write_text(json.dumps(value))
    assert list(world.again()) == ["other", "rocky-9"]


@pytest.mark.parametrize("place", ["/", "state", "state/repositories", "."])
def test_what_holds_the_appliances_own_files_is_no_repository(world: World, place: str) -> None:
    (world.settings.state_dir / "repositories").mkdir(parents=True, exist_ok=True)
    assert "own files" in world.fails(world.root / place, "mine")
    assert list(world.registry) == []
    settings = Settings(
        state_dir=world.settings.state_dir, repository=(RepositorySettings(name="mine", layers=(str(world.root / place),)),)
    )
    with pytest.raises(ConfigError, match=r"repository mine: the layer .* own files"):
        make_registry(settings, reactor=world.reactor, now=world.now)


@pytest.mark.parametrize("name", ["UPPER", "../x", "a/b", "", "-x", "x" * 64])
def test_a_name_that_is_none_names_the_field(world: World, name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        world.registry.begin("/x.iso", name)
    assert caught.value.field == "name"


def test_a_damaged_record_takes_nothing_else_with_it(world: World, tmp_path: Path, logged: Any) -> None:
    world.add(media.tree(tmp_path / "d", ROCKY), "good")
    records = world.settings.state_dir / "repositories"
    (records / "bad.json").write_text("{")
    (records / "renamed.json").write_bytes((records / "good.json").read_bytes())
    (records / "newer.json").write_text(json.dumps({"format": 99, "name": "newer"}))
    images = media.tree(world.settings.state_dir / "images", {"of-newer.iso": "x"})
    assert list(world.again()) == ["good"]
    assert len(logged.take_errors()) == 3
    assert [path.name for path in images.iterdir()] == ["of-newer.iso"]


# ---- somebody's server


def test_a_servers_tree_is_recognised_and_served_through_the_cache(world: World) -> None:
    world.put(MEDIA["rocky"][1])
    job = world.add("http://user:word@mirror/tree/")
    assert (job.repository, job.source) == ("rocky-9", "http://mirror/tree")
    assert world.registry.entry("rocky-9").sources == ("http://mirror/tree",)
    assert world.registry.media("rocky-9")["notes"] == []
    assert all("authorization" in headers for _, _, headers in world.server.asked)
    record = world.settings.state_dir / "repositories" / "rocky-9.json"
    assert record.stat().st_mode & 0o77 == 0


def test_a_servers_own_index_pages_are_read(world: World) -> None:
    page = b'<html><a href="../">up</a><A class=x HREF=\'photon-release-5.0-1.ph5.noarch.rpm\'>x</a><a href="?C=N">sort</a></html>'
    world.put({"isolinux/initrd.img": b"", "RPMS/": page})
    world.server.files["/tree/RPMS/"].headers["Content-Type"] = "text/html"
    assert world.add("http://mirror/tree").repository == "photon-5"


@needs("wimlib-imagex")
def test_of_a_large_file_on_a_server_only_the_parts_are_asked_for(world: World, tmp_path: Path) -> None:
    from tests.repo.test_wim import make

    wim = make(tmp_path / "w.wim", media.tree(tmp_path / "c", {"a": os.urandom(50_000)})).read_bytes()
    world.put({"sources/boot.wim": b"", "sources/install.wim": wim})
    world.server.ranges = True
    assert world.add("http://mirror/tree").repository == "windows-2022"
    asked = [headers["range"] for method, path, headers in world.server.asked if path.endswith("install.wim") and method == "GET"]
    assert asked[0] == "bytes=0-207"
    assert len(asked) == 2


@needs("genisoimage")
def test_an_image_by_url_is_downloaded_with_progress_and_deleted_with_its_repository(world: World, tmp_path: Path) -> None:
    body = image(tmp_path).read_bytes()
    world.put({"x.iso": body}, "/isos")
    world.server.slow = True
    job = world.registry.begin("http://mirror/isos/x.iso")
    world.agent.flush()
    (held,) = world.server.held
    held.send(100_000)
    world.agent.flush()
    assert (job.state, job.stage, job.received, job.size) == ("running", "downloading", 100_000, len(body))
    assert list(world.registry) == []
    held.send(len(body))
    world.agent.flush()
    assert (job.state, job.repository) == ("done", "esxi-8")
    (kept,) = world.state()["images"]
    assert kept.endswith("x.iso")
    again = world.again()
    assert world.read("esxi-8", "b.b00", again) == b"kernel"
    indexes = world.settings.state_dir / "indexes"
    assert len(list(indexes.iterdir())) == 1
    run(again.remove("esxi-8"))
    assert world.state() == {"repositories": [], "images": []}
    assert list(indexes.iterdir()) == []


@needs("genisoimage")
def test_a_download_that_breaks_off_leaves_nothing(world: World, tmp_path: Path) -> None:
    world.put({"x.iso": image(tmp_path).read_bytes()}, "/isos")
    world.server.slow = True
    job = world.registry.begin("http://mirror/isos/x.iso")
    world.agent.flush()
    world.server.held[0].send(100_000)
    world.agent.flush()
    world.registry.stop()
    assert (job.state, job.error) == ("failed", "pxed is stopping")
    assert world.state() == {"repositories": [], "images": []}


def test_what_a_crash_left_of_a_download_is_swept_away(world: World) -> None:
    images = media.tree(world.settings.state_dir / "images", {"left.iso": "x"})
    world.again()
    assert list(images.iterdir()) == []


def test_a_server_that_is_away_or_angry_is_a_sentence(world: World) -> None:
    world.server.files["/tree/sources/boot.wim"] = File(b"", code=503)
    assert "503" in world.fails("http://mirror/tree")
    assert "404" in world.fails("http://mirror/isos/x.iso")
    world.line.cut = True
    for source in ("http://user:word@mirror/tree", "http://user:word@mirror/x.iso"):
        error = world.fails(source)
        assert "can't be reached" in error
        assert "word" not in error


def test_recognising_keeps_nothing(world: World, tmp_path: Path) -> None:
    assert run(world.registry.recognise(str(media.tree(tmp_path / "d", ROCKY)))).repository == "rocky-9"
    with pytest.raises(InvalidRequest, match="add it"):
        run(world.registry.recognise("http://mirror/x.iso"))
    with pytest.raises(Unrecognised):
        run(world.registry.recognise(str(media.tree(tmp_path / "e", {"a": "x"}))))
    (tmp_path / "x.iso").write_bytes(b"x")
    with pytest.raises(UnreadableImage):
        run(world.registry.recognise(str(tmp_path / "x.iso")))
    assert world.state() == {"repositories": [], "images": []}


def test_ended_imports_are_remembered_for_a_while(world: World, tmp_path: Path) -> None:
    for _ in range(60):
        world.fails(tmp_path / "gone")
    assert len(world.registry.imports()) <= 51
    assert world.registry.find_import("60").state == "failed"
    with pytest.raises(NotFound):
        world.registry.find_import("1")


class Gone(Disk):
    """The threads of a file server that is gone."""

    def do(self, work: Any, *args: Any) -> Any:
        return Deferred()


def test_a_file_server_that_is_gone_holds_up_its_own_repositories_alone(tmp_path: Path) -> None:
    """Neither the start, nor an import from somebody's server, nor what that serves."""
    world = World(tmp_path, RepositorySettings(name="far", layers=(str(media.tree(tmp_path / "far", ROCKY)),)))
    world.registry = world.again(Gone(world.reactor))
    world.put({name: body.encode() if isinstance(body, str) else body for name, body in ROCKY.items()})
    job = world.add("http://mirror/tree", "near")
    assert (job.state, job.repository) == ("done", "near")
    assert world.registry.entry("near").medium is not None
    assert world.registry.entry("far").medium is None
    for opening in (world.registry["far"].open(".treeinfo"), world.registry.recognise(str(tmp_path / "far"))):
        assert not Deferred.fromCoroutine(opening).called
