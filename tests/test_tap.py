"""The plugin and the table of services: wrong use and an unfit host are one sentence and status 2, never a traceback."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import threading
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import jinja2
import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.threads import deferToThread

from pxed.config import load
from pxed.node.model import Event
from pxed.openfiles import WANTED
from pxed.options import Options
from pxed.repo.bootprograms import BootProgram, BootPrograms
from pxed.tap import Appliance
from pxed.testing import MemoryStore, result_of
from tests.conftest import reactor
from tests.oses.scripted.appliance import Appliance as Scripted
from tests.web.real import until

ROOT = Path(__file__).resolve().parent.parent


def options(*words: str) -> Options:
    parsed = Options()
    parsed.parseOptions(list(words))
    return parsed


def test_options_become_settings() -> None:
    settings = options("-i", "eth1", "--interface", "eth2", "--http-port", "8080", "--repository", "debian=/srv/a,http://m/debian")[
        "settings"
    ]
    assert settings.interfaces == ("eth1", "eth2")
    assert settings.ports.http == 8080
    assert settings.repository[0].layers == ("/srv/a", "http://m/debian")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--http-port", "99999"], "ports.http"),
        (["--address", "nowhere"], "address"),
        (["--repository", "debian"], "NAME=LAYER"),
        (["--repository", "debian=mirror"], "repository.0.layers"),
        (["--config", "/nonexistent/pxed.toml"], "/nonexistent/pxed.toml"),
        (["--nonsense"], "option --nonsense not recognized"),
    ],
)
def test_a_wrong_option_names_itself(capsys: pytest.CaptureFixture[str], words: list[str], names: str) -> None:
    with pytest.raises(SystemExit) as ended:
        options(*words)
    said = capsys.readouterr()
    assert (ended.value.code, said.out, len(said.err.splitlines())) == (2, "", 1)
    assert names in said.err


def test_the_doors_share_one_guard_the_quirks_and_the_boot_programs(tmp_path: Path) -> None:
    """What DHCP is told of a node counts for TFTP's block size and for the way out through GRUB; a quarantine holds for every door."""
    quirk = {"name": "q", "mac": "52:54:00", "blksize_max": 1024}
    appliance = Appliance(load(None, {"state_dir": tmp_path, "dhcp": {"quirks": [quirk]}}), MemoryReactorClock())
    node = appliance.inventory.seen("52:54:00:12:34:56", arch=7)
    appliance.inventory.note_address(node.mac, "10.0.0.9")
    assert appliance._blksize_cap("10.0.0.9") == 1024
    assert appliance._blksize_cap("10.0.0.10") is None
    assert appliance.programs.grub(7) is None
    appliance.programs.present = BootPrograms([BootProgram("grubx64.efi", "x86_64", "grub", 1)])
    assert appliance.programs.grub(16) == "grubx64.efi"
    assert appliance.programs.grub(11) is None
    assert appliance.programs.grub(None) is None
    assert appliance.dhcp.guard is appliance.guard
    assert appliance.scripts._guard is appliance.guard


HERE: dict[str, Any] = {
    "cwd": ROOT,
    "env": {**os.environ, "PYTHONPATH": str(ROOT)},
    "capture_output": True,
    "text": True,
    "timeout": 60,
    "check": False,
}


def twistd(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "pxed", *words], **HERE)


def free_port() -> str:
    """Of TCP and UDP alike, at every address."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("0.0.0.0", 0))
            with suppress(OSError):
                udp.bind(tcp.getsockname())
                return str(tcp.getsockname()[1])


def test_a_missing_interface_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    done = twistd("--interface", "nosuch0", "--state-dir", str(tmp_path / "state"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "nosuch0" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_wrong_quirk_is_one_sentence_and_status_2_whoever_reads_the_configuration(tmp_path: Path) -> None:
    conf = tmp_path / "pxed.toml"
    conf.write_text(f'state_dir = "{tmp_path / "state"}"\n[[dhcp.quirks]]\nname = "x"\nmac = "zz"\nshape = "binl"\n')
    up = [sys.executable, "-m", "pxed", "up", "--check", "--config", str(conf)]
    doctor = [sys.executable, "-m", "pxed", "doctor", "--no-probe", "--config", str(conf)]
    for done in (twistd("--config", str(conf)), *(subprocess.run(each, **HERE) for each in (up, doctor))):
        assert done.returncode == 2, done.stdout + done.stderr
        assert "pxed.toml: dhcp.quirks.0.mac: " in done.stderr
        assert "not 'zz'" in done.stderr
        assert "Traceback" not in done.stdout + done.stderr


def test_a_busy_http_port_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        udp = [f"--{name}-port={free_port()}" for name in ("dhcp", "pxe", "tftp", "syslog")]
        done = twistd("--interface", "lo", "--state-dir", str(tmp_path / "state"), "--http-port", port, *udp)
    assert done.returncode == 2, done.stdout + done.stderr
    assert port in done.stderr
    assert "--http-port" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_database_of_another_kind_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "pxed.db").write_text("this is no database, and long enough to be taken for a page of one" * 100)
    ports = [f"--{name}-port={free_port()}" for name in ("http", "dhcp", "pxe", "tftp", "syslog")]
    done = twistd("--interface", "lo", "--state-dir", str(state), *ports)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "pxed.db" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("days", "left"), [(1, 1), (0, 2)])
def test_installs_that_ended_long_ago_are_forgotten_unless_all_are_kept(tmp_path: Path, days: float, left: int) -> None:
    pxed = Scripted(tmp_path, {}, installs={"keep_days": days})
    try:
        node = pxed.up.inventory.seen("52:54:00:12:34:56", arch=7)
        for _ in range(2):
            install = result_of(pxed.up.engine.create(node.id, family="debian", release="12", recipe="debian", options={}))
            result_of(pxed.up.engine.cancel(install.id))
        pxed.advance(86_000, step=3_600)
        assert len(pxed.up.engine.all()) == 2
        pxed.advance(1_200)
        assert len(pxed.up.engine.all()) == left
        pxed.kill()
        assert len(pxed.up.engine.all()) == left
    finally:
        pxed.close()


@pytest.mark.limit(60)
async def test_after_a_restart_no_template_is_loaded_when_the_first_node_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = {name: int(free_port()) for name in ("http", "dhcp", "pxe", "tftp", "syslog")}
    settings = load(None, {"state_dir": tmp_path / "state", "interfaces": ["lo"], "ports": ports})
    settings.boot_root.mkdir(parents=True)
    loaded: list[str] = []
    load_ = jinja2.FileSystemLoader.load

    def noting(self: Any, environment: Any, name: str, *args: Any) -> Any:
        loaded.append(name)
        return load_(self, environment, name, *args)

    monkeypatch.setattr(jinja2.FileSystemLoader, "load", noting)
    for restarted in (False, True):
        appliance = Appliance(settings, reactor)
        appliance.startService()
        try:
            await appliance.threads.boot.do(http, ports["http"], "/health")  # it is up
            if restarted:
                assert "boot/linux.ipxe.j2" in loaded
                loaded.clear()
                script = await appliance.threads.boot.do(http, ports["http"], "/p/525400123456")
                assert b"\nkernel " in script
                assert loaded == []
            else:
                node = await appliance.inventory.add("52:54:00:12:34:56")
                asked = await deferToThread(appliance.catalog.prepare, "debian", "12", {})
                await appliance.engine.create(
                    node.id, family=asked.family, release=asked.release, recipe=asked.recipe, options=asked.options
                )
                loaded.clear()
        finally:
            await appliance.stopService()


@pytest.mark.slow
@pytest.mark.limit(60)
async def test_a_file_server_that_is_gone_holds_up_no_boot(tmp_path: Path) -> None:
    """All of the reactor's threads wait for a repository, a name server or the like: boot programs go out by HTTP and TFTP all the same."""
    ports = {name: int(free_port()) for name in ("http", "dhcp", "pxe", "tftp", "syslog")}
    settings = load(None, {"state_dir": tmp_path / "state", "interfaces": ["lo"], "ports": ports})
    settings.boot_root.mkdir(parents=True)
    (settings.boot_root / "own.efi").write_bytes(b"boot program")
    appliance = Appliance(settings, reactor)
    appliance.startService()
    await appliance.threads.boot.do(http, ports["http"])  # it is up
    pool, gone = reactor.getThreadPool(), threading.Event()
    waiting = [deferToThread(gone.wait, 300) for _ in range(pool.max + 5)]
    try:
        for fetch, port in ((http, ports["http"]), (tftp, ports["tftp"])):
            assert await appliance.threads.boot.do(fetch, port) == b"boot program"
    finally:
        gone.set()
        for each in waiting:
            await each
        await appliance.stopService()


@pytest.mark.slow
@pytest.mark.limit(60)
async def test_repositories_on_a_file_server_that_is_gone_hold_up_nothing_else(tmp_path: Path) -> None:
    """The threads that read media are others than the reactor's: media are read though all of those wait, so they never take one."""
    ports = {name: int(free_port()) for name in ("http", "dhcp", "pxe", "tftp", "syslog")}
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "linux").write_bytes(b"kernel")
    repository = [{"name": "debian", "layers": [str(tmp_path / "tree")]}]
    settings = load(None, {"state_dir": tmp_path / "state", "interfaces": ["lo"], "ports": ports, "repository": repository})
    appliance = Appliance(settings, reactor)
    appliance.startService()
    await appliance.threads.boot.do(http, ports["http"], "/health")  # it is up
    pool, gone = reactor.getThreadPool(), threading.Event()
    waiting = [deferToThread(gone.wait, 300) for _ in range(pool.max + 5)]
    try:
        assert await appliance.threads.boot.do(http, ports["http"], "/repo/debian/linux") == b"kernel"
    finally:
        gone.set()
        for each in waiting:
            await each
        await appliance.stopService()


@pytest.mark.limit(60)
async def test_what_boot_loaders_ask_for_of_their_own_accord_is_answered_by_tftp_and_http_alike(tmp_path: Path) -> None:
    """In whatever folder: iPXE's autoexec.ipxe leads to the profile at the address that was asked, GRUB's to the node's own script."""
    ports = {name: int(free_port()) for name in ("http", "dhcp", "pxe", "tftp", "syslog")}
    appliance = Appliance(load(None, {"state_dir": tmp_path / "state", "interfaces": ["lo"], "ports": ports}), reactor)
    appliance.startService()
    ask = appliance.threads.boot.do
    try:
        for name, says in (
            ("autoexec.ipxe", b"http://127.0.0.1:%d/p/" % ports["http"]),
            ("ipxe-signed/x86_64//autoexec.ipxe", b"http://127.0.0.1:%d/p/" % ports["http"]),
            ("grub/grub.cfg", b"grub.cfg-01-"),
            ("grub.cfg-01-52-54-00-12-34-56", b"set "),
        ):
            by_http = await ask(http, ports["http"], f"/{name}")
            by_tftp = await ask(tftp, ports["tftp"], name)
            assert says in by_http, name
            assert by_tftp == by_http[:512], name
    finally:
        await appliance.stopService()


@pytest.mark.limit(60)
async def test_an_installers_line_by_tcp_reaches_its_nodes_timeline_and_health_counts_it(tmp_path: Path) -> None:
    ports = {name: int(free_port()) for name in ("http", "dhcp", "pxe", "tftp", "syslog")}
    appliance = Appliance(load(None, {"state_dir": tmp_path / "state", "interfaces": ["lo"], "ports": ports}), reactor)
    appliance.startService()
    told: list[Event] = []
    try:
        await appliance.threads.boot.do(http, ports["http"], "/health")  # it is up
        node = appliance.inventory.seen("52:54:00:12:34:56")
        appliance.inventory.note_address(node.mac, "127.0.0.1")
        appliance.timeline.subscribe(told.append)
        with socket.create_connection(("127.0.0.1", ports["syslog"]), timeout=20) as sending:
            sending.sendall(b"<13>Nov 22 10:15:01 localhost anaconda[5]: packaging: Installing bash\n")
            await until(lambda: bool(told))
        assert [(event.kind, event.node, event.text) for event in told] == [("syslog", node.id, "anaconda: packaging: Installing bash")]
        counts = appliance.health()["services"]["syslog"]
        assert (counts["received"], counts["strangers"], counts["refused"]) == (1, 0, 0)
    finally:
        await appliance.stopService()


class Unstoppable:
    """The reactor, which is asked in vain to stop."""

    def __init__(self) -> None:
        self.asked_to_stop = False

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def stop(self) -> None:
        self.asked_to_stop = True


@pytest.mark.parametrize("answered", range(4), ids=["timeline", "nodes", "installs", "up"])
async def test_who_is_stopped_while_it_starts_starts_no_further_and_blames_nobody(tmp_path: Path, answered: int) -> None:
    """SIGTERM in the first second ended with status 2 and `Nothing can be stored: the database is closed`."""
    ports = {name: int(free_port()) for name in ("http", "dhcp", "pxe", "tftp", "syslog")}
    settings = load(None, {"state_dir": tmp_path / "state", "interfaces": ["lo"], "ports": ports})
    store, unstoppable = MemoryStore(), Unstoppable()
    store.held = []
    appliance = Appliance(settings, unstoppable, store=store)
    appliance.startService()
    for _ in range(answered):
        await until(lambda: bool(store.held))
        store.release(and_hold=True)
    if answered == 3:
        await until(lambda: settings.endpoint_file.exists())
    else:
        await until(lambda: bool(store.held))
    stopped = appliance.stopService()
    store.release()
    await stopped
    await deferToThread(lambda: None)
    assert not unstoppable.asked_to_stop
    assert not [door for door in (appliance.dhcp, appliance.tftp, appliance.syslog) if door.running]
    assert settings.endpoint_file.exists() == (answered == 3)


async def test_an_appliance_may_have_as_many_files_open_as_the_host_lets_it(tmp_path: Path) -> None:
    """A shell gives it 1024: a storm of more nodes failed at the 1025th."""
    ports = {name: int(free_port()) for name in ("http", "dhcp", "pxe", "tftp", "syslog")}
    settings = load(None, {"state_dir": tmp_path / "state", "interfaces": ["lo"], "ports": ports})
    appliance = Appliance(settings, Unstoppable(), store=MemoryStore())
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        appliance.startService()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(WANTED, before[1])
        await until(lambda: settings.endpoint_file.exists())
        await appliance.stopService()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def http(port: int, path: str = "/b/own.efi") -> bytes:
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as asking:
        asking.request("GET", path)
        return asking.getresponse().read()


def tftp(port: int, name: str = "own.efi") -> bytes:
    """The first DATA of a file."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(20)
        asking.sendto(b"\0\1%s\0octet\0" % name.encode(), ("127.0.0.1", port))
        answer, peer = asking.recvfrom(600)
        asking.sendto(b"\0\4\0\1", peer)
    assert answer[:4] == b"\0\3\0\1"
    return answer[4:]
