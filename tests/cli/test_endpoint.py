"""Where the appliance is and with which token: arguments, environment, state directory; each lack is a sentence with its remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pxed import config
from pxed.cli import endpoint
from pxed.cli.endpoint import Endpoint
from pxed.errors import HostProblem
from tests.cli.fake import TOKEN, run, write_state


def test_the_state_directory_tells_url_and_token(tmp_path: Path) -> None:
    write_state(tmp_path, "http://127.0.0.1:80/")
    found = endpoint.find(tmp_path, url=None, token_file=None, environ={})
    assert found == Endpoint("http://127.0.0.1:80", TOKEN, str(tmp_path / "api.token"))


def test_arguments_go_before_environment_and_that_before_the_state_directory(tmp_path: Path) -> None:
    write_state(tmp_path, "http://127.0.0.1:80")
    (tmp_path / "other").write_text("from-a-file\n")
    by_environment = endpoint.find(tmp_path, url="http://10.0.0.1", token_file=None, environ={"PXED_TOKEN": "from-env"})
    assert (by_environment.url, by_environment.token) == ("http://10.0.0.1", "from-env")
    assert endpoint.find(tmp_path, url=None, token_file=tmp_path / "other", environ={"PXED_TOKEN": "x"}).token == "from-a-file"


def test_the_default_state_directory_is_the_appliances_own() -> None:
    assert endpoint.DEFAULT_STATE_DIR == config.DEFAULT_STATE_DIR


def test_the_token_is_in_no_repr() -> None:
    assert TOKEN not in repr(Endpoint("http://127.0.0.1", TOKEN))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No appliance has run with the state directory .* Start one here with `pxed up`"),
        ("{", "is not JSON"),
        ('{"pid": 1}', "names no url"),
        ('{"url": "ftp://x"}', "is not a URL"),
    ],
)
def test_what_the_appliance_left_may_be_missing_or_broken(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "endpoint.json").write_text(content)
    with pytest.raises(HostProblem, match=says):
        endpoint.find(tmp_path, url=None, token_file=None, environ={})


@pytest.mark.parametrize("url", ["10.0.0.1", "http://", "ftp://10.0.0.1", "http://10.0.0.1:99999", "http://[::1"])
def test_a_url_that_is_none_says_what_one_looks_like(tmp_path: Path, url: str) -> None:
    with pytest.raises(HostProblem, match=r"--url wants one like http://10\.0\.0\.1"):
        endpoint.find(tmp_path, url=url, token_file=None, environ={})


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff\xfe"])
def test_a_file_that_holds_no_token_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "api.token").write_bytes(content)
    with pytest.raises(HostProblem, match=r"api\.token holds no API token"):
        endpoint.find(tmp_path, url="http://10.0.0.1", token_file=None, environ={})


def test_every_command_without_an_appliance_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    for words in (
        ["node", "list"],
        ["install", "list"],
        ["os", "list"],
        ["health"],
        ["events", "x"],
        ["watch"],
        ["install", "a", "debian"],
    ):
        result = run(*words, state_dir=tmp_path)
        assert result.exit_code == 2, words
        assert result.stderr.startswith("pxed: No appliance has run with the state directory")
        assert len(result.stderr.splitlines()) == 1
        assert result.stdout == ""


def test_no_token_says_how_to_give_one(tmp_path: Path) -> None:
    (tmp_path / "endpoint.json").write_text(json.dumps({"url": "http://127.0.0.1:1"}))
    result = run("node", "list", state_dir=tmp_path)
    assert result.exit_code == 2
    assert "Set PXED_TOKEN, or give --token-file or --state-dir" in result.stderr
