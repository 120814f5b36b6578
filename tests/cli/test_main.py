"""The command as a whole: help that teaches, JSON everywhere, exit statuses, the real runner."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import click
import pytest

from pxed.cli.main import cli
from tests.cli.fake import run, write_state


def commands(group: click.Group, *above: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        yield (*above, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)


ALL = dict(commands(cli))
LEAVES = {path: command for path, command in ALL.items() if not isinstance(command, click.Group)}


@pytest.mark.parametrize("path", sorted(ALL), ids=" ".join)
def test_the_help_of_every_command_says_what_it_does_and_gives_an_example(path: tuple[str, ...], tmp_path: Path) -> None:
    result = run(*path, "--help", state_dir=tmp_path)
    assert result.exit_code == 0
    if path in LEAVES:
        assert f"pxed {' '.join(path)}" in result.stdout or "pxed install web1" in result.stdout
        assert "Example" in result.stdout


@pytest.mark.parametrize("path", sorted(set(LEAVES) - {("up",)}), ids=" ".join)
def test_every_command_that_prints_data_also_prints_json(path: tuple[str, ...]) -> None:
    assert any("--json" in param.opts for param in LEAVES[path].params)


def test_no_option_takes_a_secret() -> None:
    named = {
        option for command in ALL.values() for param in command.params for option in param.opts if "token" in option or "password" in option
    }
    assert named == {"--root-password-file", "--root-password-prompt"}
    assert [param.opts for param in cli.params if "token" in param.opts[0]] == [["--token-file"]]


def test_wrong_use_is_status_2(tmp_path: Path) -> None:
    for words in (["nonsense"], ["node", "show"], ["--nonsense"], ["node", "list", "--state", "wild"]):
        assert run(*words, state_dir=tmp_path).exit_code == 2


def pxed(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pxed", *words],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), **environ},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """A state directory whose endpoint answers every question with one node, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"nodes": [{"id": "1", "macs": ["52:54:00:00:00:01"]}]}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    write_state(tmp_path, f"http://127.0.0.1:{server.server_port}")
    yield tmp_path
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_the_real_command_answers_and_fails_with_the_right_status(served: Path) -> None:
    """With the one global reactor, as operators run it."""
    good = pxed("node", "list", "--json", PXED_STATE_DIR=str(served))
    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads(good.stdout)["nodes"][0]["id"] == "1"
    (served / "endpoint.json").write_text('{"url": "http://127.0.0.1:1"}')
    bad = pxed("node", "list", PXED_STATE_DIR=str(served))
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("pxed: No appliance answers at http://127.0.0.1:1 (nothing listens there)")
    assert "Traceback" not in bad.stderr
