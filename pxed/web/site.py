"""The whole URL tree, on one screen. TCP 80, plain HTTP: firmware and installers speak nothing else before they have a root certificate.

/health                     is the appliance up?                                                    anybody
/p/<mac>                    boot profile: the iPXE script of a node                                 boot.Profiles
/b/<path>                   boot programs (tftproot), for UEFI HTTP Boot and iPXE                   files.FileTree
/i/<token>/<file>           answer files and hooks of one install                                   installer.InstallerFiles
/i/<token>/notify[/<phase>] what the node has to say: GET, POST or PUT; form, JSON or text          callback.notify
/i/<token>/progress         how far it says it is: ?percent=&text=                                  callback.progress
/answer                     answer file of an installer that posts who it is                        answers.Answers
/repo/<name>/<path>         installer files and packages                                            repositories.Repositories
/repo/<name>.iso            the whole image that a repository is made of                            repositories.Repositories
/api/v1/...                 the operator's API (bearer token), server-sent events                   api.make_api
anything else               autoexec.ipxe, grub.cfg, grub.cfg-01-<mac> in any folder (/b too)       boot.Elsewhere
                            else 404, one plain line
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from twisted.web.resource import Resource

from pxed.config import Settings
from pxed.node.guard import Guard
from pxed.node.inventory import Inventory
from pxed.node.model import Node
from pxed.node.siteserver import Piece
from pxed.node.timeline import Timeline
from pxed.oses.catalog import Catalog, Urls
from pxed.oses.rendering import Rendering
from pxed.oses.scripts import BootScripts
from pxed.repo.bootprograms import BootPrograms
from pxed.repo.disk import Disk
from pxed.repo.recent import Recent
from pxed.repo.registry import Registry
from pxed.web.answers import Answers
from pxed.web.api import make_api
from pxed.web.boot import Elsewhere, Profiles, answer
from pxed.web.files import FileTree
from pxed.web.installer import InstallerFiles
from pxed.web.repositories import Repositories
from pxed.web.request import Plain, Site
from pxed.web.rooms import Rooms
from pxed.web.traffic import Traffic
from pxed.workflow.engine import Engine


class Health(Plain):
    """200 and one word while the event loop turns; details need the API's token."""

    async def get(self, request: Any) -> None:
        request.reply(200, "ok\n")


class Root(Resource):
    """The first segment of every path. `elsewhere` answers those that have no resource of their own."""

    def __init__(self, elsewhere: Resource) -> None:
        super().__init__()
        self._elsewhere = elsewhere

    def getChild(self, _path: bytes, request: Any) -> Resource:
        request.postpath.insert(0, request.prepath.pop())
        return self._elsewhere


def make_site(
    *,
    inventory: Inventory,
    timeline: Timeline,
    engine: Engine,
    catalog: Catalog,
    scripts: BootScripts,
    repositories: Registry,
    tftproot: Path,
    settings: Settings,
    api_token: str,
    reactor: Any,
    now: Callable[[], float],
    health: Callable[[], Mapping[str, Any]],
    guard: Guard,
    programs: Callable[[], BootPrograms],
    base_of: Callable[[Node], str | None],
    site_lines: Callable[[Node], list[Piece]],
    boot_disk: Disk | None = None,
    rendering: Rendering | None = None,
) -> Site:
    """The factory to listen with. Opens nothing and starts nothing; may be called more than once. `boot_disk` reads boot programs;
    `rendering` None: files are rendered in the reactor (tests, benchmarks)."""
    disk = Disk(reactor)
    recent = Recent(reactor)
    urls = partial(Urls, syslog_port=settings.ports.syslog)
    rooms = Rooms(
        inventory,
        timeline,
        engine,
        catalog,
        urls,
        base_of,
        disk,
        reactor,
        now,
        guard,
        programs,
        site_lines,
        repositories,
        rendering or Rendering(catalog),
    )
    api, hang_up = make_api(rooms, token=api_token, health=health)
    root = Root(Elsewhere(scripts))
    traffic = Traffic(rooms)
    boot_files = FileTree(
        tftproot, disk=boot_disk or disk, clock=reactor, on_sent=traffic.program, answered=partial(answer, scripts), recent=recent
    )
    for name, resource in (
        (b"health", Health()),
        (b"p", Profiles(scripts)),
        (b"b", boot_files),
        (b"i", InstallerFiles(rooms)),
        (b"answer", Answers(rooms)),
        (b"api", api),
        (b"repo", Repositories(rooms, repositories, traffic)),
    ):
        root.putChild(name, resource)

    def on_stop() -> None:
        hang_up()
        recent.close()
        repositories.stop()

    return Site(root, reactor=reactor, on_stop=on_stop)
