"""The table of services: the only module that joins rooms and imports the reactor.

`twistd -n pxed --interface IF` and `pxed up` both end here. Ports are bound in `privilegedStartService`, so that twistd may drop privileges
behind it; nothing is read from them before the store is open and every running install has been resumed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.application import service
from twisted.internet import defer
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from pxed import __version__
from pxed.again import on_hangup
from pxed.collector import Collector
from pxed.config import Settings, prepare_state
from pxed.dhcp.responder import Responder
from pxed.errors import HostProblem, PxedError, StorageUnavailable
from pxed.lateness import Lateness
from pxed.node.guard import Guard
from pxed.node.inventory import Inventory
from pxed.node.model import Node
from pxed.node.timeline import Timeline
from pxed.openfiles import raise_limit
from pxed.options import Options
from pxed.oses.apart import Apart
from pxed.oses.catalog import FAMILIES, SAMPLE_URLS, Catalog, Resources, Urls
from pxed.oses.family import Family
from pxed.oses.rendering import Rendering
from pxed.oses.scripts import BootScripts
from pxed.oses.sealing import Sealing
from pxed.probe import PortProbe, Whereabouts
from pxed.repo.disk import Disk
from pxed.repo.registry import Registry, make_registry
from pxed.repo.watched import WatchedPrograms
from pxed.store import Store
from pxed.syslog.receiver import Receiver, Syslog
from pxed.tftp import TftpService, TransferEvent
from pxed.threads import Threads
from pxed.web.connection import listen
from pxed.web.site import make_site
from pxed.workflow.engine import Engine
from pxed.workflow.install import Install

DAY = 86_400.0
FORGET_EVERY = 600.0
"""Seconds between two looks for installs that ended too long ago to be kept."""

log = Logger()


class Appliance(service.MultiService):
    """All of pxed as one service. Nothing is read from a port before `_begin` has opened the store and resumed the installs.
    `store`, `threads`: others than its own (tests: without threads)."""

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        *,
        families: Sequence[Family] = FAMILIES,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        store: Store | None = None,
        threads: Threads | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self._reactor = reactor
        self._started = monotonic()
        self._monotonic = monotonic
        self.store = store or Store(settings.database_url, reactor=reactor)
        self.threads = threads or Threads(reactor)
        self.timeline = Timeline(now=now, store=self.store)
        self.inventory = Inventory(now=now, store=self.store, timeline=self.timeline)
        self.repositories: Registry | None = None
        self.programs = WatchedPrograms(reactor, settings.boot_root, chain=settings.dhcp.boot_chain)
        resources = Resources(media=self._media, holds=self.programs.holds)
        self._apart = Apart({family.name: family.templates for family in families if family.templates})
        self.catalog = Catalog(families, own=self._apart.of, resources=resources)
        self.rendering = Rendering(self.catalog, ours=self.threads.render.do, own=self.threads.render_own.do)
        self.engine = Engine(
            store=self.store,
            inventory=self.inventory,
            timeline=self.timeline,
            recipes=self.catalog.recipes,
            clock=reactor,
            now=now,
            probe=PortProbe(reactor, self._whereabouts),
            lost=self.catalog.lost,
        )
        self.lateness = Lateness(reactor, monotonic)
        self.collector = Collector(reactor, lambda: self.tftp.active > 0)
        self._forgetting = LoopingCall(self._forget)
        self._forgetting.clock = reactor
        self.guard = Guard(inventory=self.inventory, timeline=self.timeline, seconds=monotonic)
        self.dhcp = Responder(
            reactor=reactor,
            inventory=self.inventory,
            timeline=self.timeline,
            programs=lambda: self.programs.present,
            settings=settings,
            now=now,
            guard=self.guard,
        )
        self.scripts = BootScripts(
            inventory=self.inventory,
            timeline=self.timeline,
            engine=self.engine,
            catalog=self.catalog,
            urls=partial(Urls, syslog_port=settings.ports.syslog),
            guard=self.guard,
            grub=self.programs.grub,
            rendering=self.rendering,
        )
        self.tftp = TftpService(
            reactor=reactor,
            root=settings.boot_root,
            on_event=self._transferred,
            settings=settings.tftp,
            port=settings.ports.tftp,
            virtual=self._boot_script,
            blksize_cap=self._blksize_cap,
            in_thread=self.threads.boot.do,
            first=self.dhcp.wire.answer_waiting,
        )
        self.syslog = Receiver(
            Syslog(inventory=self.inventory, timeline=self.timeline, clock=reactor, on_line=self._installer_line),
            reactor=reactor,
            port=settings.ports.syslog,
            settings=settings.syslog,
        )
        self.http: Any = None
        self._begun: defer.Deferred[None] | None = None
        self._now = now
        self._doors = (self.dhcp, self.tftp, self.syslog)

    # ---- start and stop -------------------------------------------------------------------------------------------------------
    def privilegedStartService(self) -> None:
        """Bind every port. HostProblem in one sentence ends the process with status 2."""
        super().privilegedStartService()
        raise_limit()
        try:
            self._token = prepare_state(self.settings)
            self.catalog.sealing = Sealing(self.settings.sealing_key())
            for door in self._doors:
                door.privilegedStartService()
            self.http = self._listen_http()
        except PxedError as e:
            print(f"pxed: {e}", file=sys.__stderr__, flush=True)
            raise SystemExit(2) from e

    def startService(self) -> None:
        super().startService()
        if self.http is None:
            self.privilegedStartService()
        self._begun = defer.Deferred.fromCoroutine(self._begin())
        self._begun.addErrback(self._could_not_begin)

    async def _begin(self) -> None:
        self.threads.start()
        await self._open_store()
        await self.timeline.load()
        await self.inventory.load()
        await self.programs.load()
        if self.repositories is not None:
            await self.repositories.load()
        await self.engine.start()
        await self._first_scripts()
        self.collector.start()
        for door in self._doors:
            door.startService()
        self.lateness.start()
        self.http.startReading()
        self.programs.start()
        self._forgetting.start(FORGET_EVERY)
        await self._in_thread(self._write_endpoint)
        log.info(
            "pxed {version} serves {interfaces}; {nodes} nodes known, {installs} installs resumed",
            version=__version__,
            interfaces=", ".join(self.settings.interfaces) or "every interface",
            nodes=len(self.inventory.all()),
            installs=sum(install.state == "running" for install in self.engine.all()),
        )

    async def _first_scripts(self) -> None:
        """Make a boot script for each family that is being installed: who asks first would wait 25 ms for its templates to be compiled,
        and everybody else for him. What is wrong with one is told when its node asks. Ordering an install does the same for later ones."""
        for install in {each.family: each for each in self.engine.all() if each.state == "running"}.values():
            node = self.inventory.get(install.node_id)
            if node is not None:
                made = self._in_thread(self.catalog.profile, install, node, SAMPLE_URLS)
                await made.addErrback(lambda failure: failure if failure.check(defer.CancelledError) else None)

    async def _open_store(self) -> None:
        try:
            await self.store.open()
        except StorageUnavailable as e:
            where, remedy = str(self.settings.state_dir / "pxed.db"), "Mend or restore it, or give another --state-dir"
            if self.settings.database is not None:
                where, remedy = "that the configuration names", "Mend what is wrong there, or `database` in the configuration"
            raise HostProblem(f"the database {where} can't be opened: {e}", remedy) from e

    def _could_not_begin(self, failure: Failure) -> None:
        """The store can't be opened, or a bug: say it and end with status 2 (twistd itself would end with 0)."""
        if failure.check(defer.CancelledError):
            return  # it was stopped first
        if failure.check(PxedError):
            print(f"pxed: {failure.value}", file=sys.__stderr__, flush=True)
        else:
            log.failure("pxed could not start", failure)
        self._reactor.addSystemEventTrigger("after", "shutdown", os._exit, 2)
        self._reactor.stop()

    async def _stop(self) -> None:
        """Doors first, then the installs, then what they write to. Threads last: one may never come back."""
        self.lateness.stop()
        self.programs.stop()
        self.collector.stop()
        if self._forgetting.running:
            self._forgetting.stop()
        await defer.maybeDeferred(self.http.stopListening)
        for door in self._doors:
            if door.running:
                await defer.maybeDeferred(door.stopService)
        await self.engine.stop()
        for flush in (self.inventory.flush, self.timeline.flush):
            try:
                await flush()
            except StorageUnavailable as e:
                log.warn("What happened last could not be stored: {error}", error=e)
        await self.store.close()
        self._apart.stop()
        self.threads.stop()

    def stopService(self) -> defer.Deferred[None]:
        super().stopService()
        if self._begun is not None:
            self._begun.cancel()
        return defer.Deferred.fromCoroutine(self._stop())

    # ---- what joins the rooms ---------------------------------------------------------------------------------------------------
    def _listen_http(self) -> Any:
        self.repositories = make_registry(self.settings, reactor=self._reactor, now=self._now, media=Disk(self.threads.media))
        site = make_site(
            inventory=self.inventory,
            timeline=self.timeline,
            engine=self.engine,
            catalog=self.catalog,
            scripts=self.scripts,
            repositories=self.repositories,
            tftproot=self.settings.boot_root,
            settings=self.settings,
            api_token=self._token,
            reactor=self._reactor,
            now=self._now,
            health=self.health,
            guard=self.guard,
            programs=lambda: self.programs.present,
            base_of=self.dhcp.base_of,
            site_lines=self.dhcp.site_server_lines,
            boot_disk=Disk(self.threads.boot),
            rendering=self.rendering,
        )
        try:
            port = listen(self._reactor, self.settings.ports.http, site)
        except CannotListenError as e:
            raise HostProblem(
                f"HTTP can't listen on TCP port {self.settings.ports.http}: {e.socketError.strerror}",
                f"`ss -ltnp 'sport = :{self.settings.ports.http}'` names who holds it; or choose another with --http-port",
            ) from e
        port.stopReading()  # connections wait in the backlog until the store is open
        return port

    def health(self) -> dict[str, Any]:
        """What `/api/v1/health` says: JSON values only."""
        return {
            "status": "ok" if self.store.healthy else "failing",
            "version": __version__,
            "uptime": round(self._monotonic() - self._started, 1),
            "store": "ok" if self.store.healthy else "failing",
            "services": {
                "dhcp": self.dhcp.status(),
                "tftp": {"active": self.tftp.active, **self.tftp.counters()},
                "syslog": self.syslog.status(),
                "boot_programs": [program.path for program in self.programs.present.all()],
            },
            "interfaces": list(self.settings.interfaces),
            "lateness": self.lateness.figures(),
        }

    def _transferred(self, event: TransferEvent) -> None:
        node = self.inventory.by_address(event.peer_ip)
        if node is None:
            return
        self.timeline.record(
            f"tftp.{event.outcome}",
            event.text(node.label),
            node=node.id,
            install=node.boot.install,
            data={"file": event.file, "bytes": event.bytes, "seconds": round(event.seconds, 3)},
        )

    def _boot_script(self, name: str, peer: str) -> defer.Deferred[bytes | None] | None:
        """What TFTP has under names that are no files: GRUB's configuration and autoexec.ipxe."""
        base = self.dhcp.base_url(peer) if self.scripts.is_named(name) else None
        if base is None:
            return None
        script = defer.Deferred.fromCoroutine(self.scripts.named(name, peer, base))
        return script.addCallback(lambda text: text.encode() if text is not None else None)

    def _blksize_cap(self, peer: str) -> int | None:
        node = self.inventory.by_address(peer)
        return self.dhcp.blksize_max(node) if node is not None else None

    def _media(self, name: str) -> Mapping[str, Any]:
        return self.repositories.media(name) if self.repositories is not None else {}

    def _whereabouts(self, install: Install) -> Whereabouts:
        """Where the system of `install` may be found: where its node was seen last, and where its options put it."""
        node = self.inventory.get(install.node_id)
        if node is None:
            return (), ()
        seen = [node.address] if node.address is not None else []
        return list(dict.fromkeys([*seen, *self.catalog.addresses(install)])), node.macs

    def _installer_line(self, node: Node, program: str, text: str) -> None:
        """A syslog line of an installing node moves its progress, never back: stages alternate in an installer's log."""
        if node.boot.kind != "disk" and node.boot.install is not None:
            install = self.engine.get(node.boot.install)
            seen = self.catalog.line(install, program, text)
            if seen is not None and seen[0] >= install.percent:
                self.engine.progress(install.id, *seen)

    def _forget(self) -> defer.Deferred[None] | None:
        days = self.settings.installs.keep_days
        if not days:
            return None
        forgotten = defer.Deferred.fromCoroutine(self.engine.forget_old(self._now() - days * DAY))
        return forgotten.addCallbacks(
            lambda count: log.info("{count} installs that ended long ago are forgotten", count=count) if count else None,
            lambda failure: log.warn("Old installs could not be forgotten: {why}", why=failure.getErrorMessage()),
        )

    def look_again(self) -> None:
        """SIGHUP: at the interfaces and the boot programs, at once. Nothing that is under way notices."""
        log.info("SIGHUP: looking at the interfaces and the boot programs again")
        self.dhcp.wire.refresh()
        self.programs.at_once()

    def _write_endpoint(self) -> None:
        """Where the CLI finds us, for whoever may read the state directory."""
        text = json.dumps({"url": f"http://127.0.0.1:{self.settings.ports.http}", "pid": os.getpid()})
        self.settings.endpoint_file.write_text(text + "\n", encoding="ascii")

    def _in_thread(self, work: Callable[..., Any], *args: Any) -> defer.Deferred[Any]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work, *args)


def makeService(options: Options) -> service.IService:
    """What twistd calls: opens, binds and waits for nothing."""
    from twisted.internet import reactor

    threads = Threads(reactor, shared=[reactor.getThreadPool()])  # type: ignore[attr-defined]
    appliance = Appliance(options["settings"], reactor, families=options["families"], threads=threads)
    on_hangup(reactor, appliance.look_again)
    return service.IService(appliance)
