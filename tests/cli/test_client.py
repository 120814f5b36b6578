"""Every way in which asking the appliance goes wrong is one sentence and an exit status."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet import defer, error

from pxed.cli.client import reason
from tests.cli.fake import Api, Appliance, World, an_error, run, write_state


def test_an_appliance_that_does_not_run_any_more(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        write_state(tmp_path, f"http://127.0.0.1:{port}")
        result = run("node", "list", state_dir=tmp_path)
    assert result.exit_code == 2
    assert result.stderr == (
        f"pxed: No appliance answers at http://127.0.0.1:{port} (nothing listens there). "
        "Start one here with `pxed up`, or name one with --url or PXED_URL\n"
    )


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        (error.DNSLookupError(), "its name is unknown"),
        (error.TimeoutError(), "it does not answer in time"),
        (defer.CancelledError(), "it does not answer in time"),
        (error.NoRouteError(), "there is no route to it"),
        (error.ConnectError(), "it can't be connected to"),
    ],
)
def test_the_reason_is_told_in_words(cause: Exception, says: str) -> None:
    assert reason(cause) == says


def test_a_wrong_token_names_where_it_came_from_and_not_the_token(appliance: Appliance) -> None:
    appliance.api.token = "another one"
    result = appliance.pxed("node", "list")
    assert result.exit_code == 2
    assert f"refused the API token of {appliance.state_dir / 'api.token'}" in result.stderr
    assert "a-token-that" not in result.output
    by_environment = appliance.pxed("node", "list", environ={"PXED_TOKEN": "wrong-one"})
    assert "refused the API token of PXED_TOKEN" in by_environment.stderr
    assert "wrong-one" not in by_environment.output


@pytest.mark.parametrize(
    ("code", "tree", "says"),
    [
        (422, an_error("Input should be a valid integer", "options.users.0.uid", "a number"),
         "options.users.0.uid: Input should be a valid integer (expected: a number)"),
        (422, an_error("options.hostname is too long", "options.hostname"), "options.hostname is too long"),
        (404, an_error("There is no operating system 'beos'; there is debian"), "There is no operating system 'beos'; there is debian"),
        (409, an_error("An install runs on web1"), "An install runs on web1"),
        (503, an_error("The disk is full"), "The disk is full"),
        (500, b"<html>", "The appliance answered 500 without a reason"),
        (400, {"error": None}, "The appliance answered 400 without a reason"),
        (302, None, "The appliance answered 302 without a reason"),
    ],
)  # fmt: skip
def test_a_refusal_is_the_appliances_own_sentence_with_the_field(appliance: Appliance, code: int, tree: object, says: str) -> None:
    appliance.api.routes["POST", "installs"] = (code, tree)
    result = appliance.pxed("install", "web1", "debian")
    assert (result.exit_code, result.stderr) == (1, f"pxed: {says}\n")


def test_another_web_server_is_not_taken_for_an_appliance(appliance: Appliance) -> None:
    appliance.api.routes["GET", "nodes"] = (200, b"<html>It works!</html>")
    result = appliance.pxed("node", "list")
    assert result.exit_code == 1
    assert "is it a pxed appliance?" in result.stderr


def test_a_server_that_hangs_up_in_the_middle(tmp_path: Path) -> None:
    class Rude(Api):
        def render(self, request: object) -> bytes:
            request.channel.transport.abortConnection()  # type: ignore[attr-defined]
            return b""

    world = World(Rude())
    write_state(tmp_path, f"http://127.0.0.1:{world.port}")
    result = run("node", "list", state_dir=tmp_path, runner=world.run)
    world.close()
    assert result.exit_code == 2
    assert "(it broke the connection off)" in result.stderr


def test_an_error_text_cannot_steer_the_terminal(appliance: Appliance) -> None:
    appliance.api.routes["GET", "nodes"] = (409, an_error("\x1b[31mred\x07"))
    assert appliance.pxed("node", "list").stderr == "pxed: ?[31mred?\n"


def test_the_token_is_not_sent_on_to_where_a_redirect_points(appliance: Appliance) -> None:
    appliance.api.routes["GET", "nodes"] = (301, an_error("moved"))
    assert appliance.pxed("node", "list").exit_code == 1
    assert len(appliance.api.asked) == 1


def test_the_real_runner_needs_no_reactor_before_a_command_talks() -> None:
    """`pxed up` hands over to twistd, which must be the one to choose the reactor."""
    code = "import sys, pxed.cli.main, pxed.cli.up_command, pxed.cli.watch_command\nsys.exit('twisted.internet.reactor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_and_wrong_use_do_not_wait_for_twisted_and_pydantic() -> None:
    code = "import sys, pxed.cli.main; sys.exit(bool({'twisted', 'treq', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
