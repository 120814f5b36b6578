"""The first boot of the installed system: with curl, with wget, with nothing but bash; against a real HTTP server."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pxed.oses.catalog import Catalog, Urls
from tests.oses.samples import HOSTILE, TOKEN, FakeNode
from tests.oses.sandbox import Sandbox

CATALOG = Catalog()
TOOLS = ("sh", "tr", "sed", "cut", "timeout", "bash", "rm", "cat", "ls", "wc")
CLIENTS = [
    pytest.param(client, marks=pytest.mark.skipif(bool(client) and not shutil.which(client), reason=f"{client} is not installed"))
    for client in ("curl", "wget", "")
]


class Appliance:
    """An HTTP server that refuses with 503 until `after` requests have come."""

    def __init__(self, after: int) -> None:
        self.requests: list[tuple[str, str]] = []
        self._after = after
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                outer.requests.append((self.command, self.path))
                self.send_response(200 if len(outer.requests) > outer._after else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = _any

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """(path, status, message) of every request."""
        found = []
        for _, target in self.requests:
            query = parse_qs(urlsplit(target).query)
            found.append((urlsplit(target).path, query["status"][0], query["message"][0].strip()))
        return found


@contextmanager
def appliance(after: int = 0) -> Iterator[Appliance]:
    server = Appliance(after)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)


def box_with(tmp_path: Path, base: str, **options: Any) -> tuple[Sandbox, str]:
    """A system that late.sh has prepared, and its first-boot script."""
    script = CATALOG.preview(CATALOG.prepare("debian", "12", options), FakeNode(), Urls(base, TOKEN))["firstboot.sh"]
    box = Sandbox(tmp_path)
    (tmp_path / "bin/wget").unlink()
    (box.root / "usr/local/lib/pxed").mkdir(parents=True)
    (box.root / "usr/local/lib/pxed/firstboot").write_text(script)
    wants = box.root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (box.root / "etc/systemd/system/pxed-firstboot.service").write_text("[Unit]\n")
    (wants / "pxed-firstboot.service").symlink_to("../pxed-firstboot.service")
    return box, script


def leftovers(box: Sandbox) -> list[str]:
    return sorted(path.name for path in box.root.rglob("*pxed*"))


@pytest.mark.parametrize("client", CLIENTS)
def test_the_first_boot_tells_us_and_leaves_nothing_behind(tmp_path: Path, client: str) -> None:
    with appliance() as server:
        box, script = box_with(tmp_path, server.base)
        ended = box.run(script, only=(*TOOLS, *([client] if client else [])))
        assert ended.returncode == 0
        assert server.told == [(f"/i/{TOKEN}/notify/booted", "ok", "the installed system runs")]
        assert leftovers(box) == []


@pytest.mark.parametrize("client", CLIENTS)
def test_the_first_boot_tries_again_until_we_take_it(tmp_path: Path, client: str) -> None:
    with appliance(after=3) as server:
        box, script = box_with(tmp_path, server.base)
        assert box.run(script, only=(*TOOLS, *([client] if client else []))).returncode == 0
        assert len(server.told) >= 4
        assert box.calls("sleep")
        assert leftovers(box) == []


@pytest.mark.slow
def test_an_appliance_that_never_answers_leaves_the_unit_for_the_next_boot(tmp_path: Path) -> None:
    box, script = box_with(tmp_path, "http://127.0.0.1:9", scripts={"firstboot": ["echo once >>ran"]})
    quick = script.replace('"$try" -lt 300', '"$try" -lt 3')
    assert quick != script
    for _ in range(2):
        assert box.run(quick).returncode == 1
    assert len(box.calls("sleep")) == 6
    assert leftovers(box)
    assert (tmp_path / "work/ran").read_text() == "once\n"


def test_tries_last_for_minutes_but_less_than_the_recipe_waits(tmp_path: Path) -> None:
    from pxed.oses.debian import BOOT

    _, script = box_with(tmp_path, "http://127.0.0.1:9")
    assert '"$try" -lt 300' in script
    assert "sleep 5\n" in script
    assert 5 * 60 <= 300 * 5 < BOOT


def test_the_operators_commands_run_once_in_order_and_a_failing_one_is_reported(tmp_path: Path) -> None:
    with appliance() as server:
        box, script = box_with(tmp_path, server.base, scripts={"firstboot": ["echo one >>ran", "exit 4", "echo three >>ran"]})
        assert box.run(script).returncode == 0
        assert (tmp_path / "work/ran").read_text() == "one\nthree\n"
        assert server.told == [(f"/i/{TOKEN}/notify/booted", "ok", "scripts.firstboot 2 ended with status 4.")]


def test_nobody_else_can_read_the_operators_commands(tmp_path: Path) -> None:
    """Neither while they run nor afterwards, when the appliance does not answer and the file stays until the next boot."""
    box, script = box_with(tmp_path, "http://127.0.0.1:9", scripts={"firstboot": ['stat -c %a "$0" >mode; umask >mask']})
    assert box.run(script.replace('"$try" -lt 300', '"$try" -lt 0')).returncode == 1
    assert (tmp_path / "work/mode").read_text() == "600\n"
    assert (tmp_path / "work/mask").read_text() == "0022\n"


def test_a_failing_command_fails_the_install_if_asked(tmp_path: Path) -> None:
    with appliance() as server:
        box, script = box_with(tmp_path, server.base, scripts={"firstboot": ["exit 4"]}, onScriptFailure="fail")
        assert box.run(script).returncode == 0
        assert server.told[0][1] == "fail"


def test_hostile_commands_reach_their_file_unchanged(tmp_path: Path) -> None:
    box, script = box_with(tmp_path, "http://127.0.0.1:9", scripts={"firstboot": HOSTILE})
    noting = script.replace('if sh "$home/command" </dev/null; then', 'if cp "$home/command" "command.$1"; then')
    assert noting != script
    box.run(noting.replace('"$try" -lt 300', '"$try" -lt 0'))
    assert [(tmp_path / f"work/command.{n + 1}").read_bytes().decode() for n in range(len(HOSTILE))] == [
        command + "\n" for command in HOSTILE
    ]
    assert box.pwned() == []
