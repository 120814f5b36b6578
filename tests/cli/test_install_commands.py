"""`pxed install ...`: both meanings of its first word, options from everywhere, dry run, list, show, cancel, retry, restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.fake import Appliance, a_node, an_error, an_install


@pytest.fixture
def sent(appliance: Appliance) -> list[Any]:
    """The bodies of POST installs, which is answered with an install."""
    bodies: list[Any] = []

    def create(body: Any) -> tuple[int, Any]:
        bodies.append(body)
        return 201, an_install(os=body["os"], release=body.get("release") or "13")

    appliance.api.routes["POST", "installs"] = create
    return bodies


def test_node_and_os_arm_an_install_and_say_what_comes_next(appliance: Appliance, sent: list[Any]) -> None:
    result = appliance.pxed("install", "52:54:00:12:34:56", "debian", "--release", "12", "-o", "hostname=web1")
    assert result.exit_code == 0
    assert result.stdout == (
        "Install 3f2a9c01d4 is armed: debian 12 on web1. Network-boot the machine now.\nFollow it:  pxed watch 3f2a9c01d4\n"
    )
    assert sent == [{"node": "52:54:00:12:34:56", "os": "debian", "release": "12", "options": {"hostname": "web1"}}]


def test_options_may_stand_before_the_node_and_start_may_be_said(appliance: Appliance, sent: list[Any]) -> None:
    assert appliance.pxed("install", "--release", "12", "web1", "debian").exit_code == 0
    assert appliance.pxed("install", "-o", "a=1", "web1", "debian").exit_code == 0
    assert appliance.pxed("install", "start", "list", "debian").exit_code == 0
    assert [body["node"] for body in sent] == ["web1", "web1", "list"]


def test_without_a_release_the_appliance_chooses(appliance: Appliance, sent: list[Any]) -> None:
    assert appliance.json("install", "web1", "debian")["release"] == "13"
    assert "release" not in sent[0]


def test_all_sources_of_options_meet_in_one_tree(appliance: Appliance, sent: list[Any], tmp_path: Path) -> None:
    (tmp_path / "o.toml").write_text('timezone = "UTC"\nhostname = "old"\n[[users]]\nname = "ada"\npassword = "in a file"\n')
    (tmp_path / "root.txt").write_text("correct horse\n")
    (tmp_path / "id.pub").write_text("ssh-ed25519 AAAA ada@host\n")
    result = appliance.pxed(
        "install", "web1", "debian", "--options-file", str(tmp_path / "o.toml"), "-o", "hostname=web1", "-o", "users.0.uid=1001",
        "--root-password-file", str(tmp_path / "root.txt"), "--ssh-key", str(tmp_path / "id.pub"), "--ssh-key", str(tmp_path / "id.pub"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert sent[0]["options"] == {
        "timezone": "UTC",
        "hostname": "web1",
        "users": [{"name": "ada", "password": "in a file", "uid": 1001}],
        "rootPassword": "correct horse",
        "rootSshKeys": ["ssh-ed25519 AAAA ada@host"],
    }
    assert "correct horse" not in result.output


@pytest.mark.parametrize(
    ("text", "assignments", "name", "keys"),
    [
        ('{"rootSshKeys": ["ssh-rsa BBBB bob"]}', [], "rootSshKeys", ["ssh-rsa BBBB bob", "ssh-ed25519 AAAA ada@host"]),
        (
            '{"rootSshKeys": "ssh-rsa BBBB bob\\nssh-rsa CCCC\\n"}',
            [],
            "rootSshKeys",
            ["ssh-rsa BBBB bob", "ssh-rsa CCCC", "ssh-ed25519 AAAA ada@host"],
        ),
        ('{"rootSshKey": "ssh-rsa BBBB bob"}', [], "rootSshKey", ["ssh-rsa BBBB bob", "ssh-ed25519 AAAA ada@host"]),
        (
            '{"rootSshKeys": ["ssh-ed25519 AAAA ada@host", "ssh-rsa BBBB bob"]}',
            [],
            "rootSshKeys",
            ["ssh-ed25519 AAAA ada@host", "ssh-rsa BBBB bob"],
        ),
        ("{}", ["-o", "rootSshKeys.0=ssh-rsa BBBB bob"], "rootSshKeys", ["ssh-rsa BBBB bob", "ssh-ed25519 AAAA ada@host"]),
        ('{"rootSshKeys": null}', [], "rootSshKeys", ["ssh-ed25519 AAAA ada@host"]),
    ],
)
def test_ssh_keys_are_added_to_those_of_the_options_each_once(
    appliance: Appliance, sent: list[Any], tmp_path: Path, text: str, assignments: list[str], name: str, keys: list[str]
) -> None:
    (tmp_path / "o.json").write_text(text)
    (tmp_path / "id.pub").write_text("ssh-ed25519 AAAA ada@host\n")
    options = ["--options-file", str(tmp_path / "o.json"), *assignments, "--ssh-key", str(tmp_path / "id.pub")]
    result = appliance.pxed("install", "web1", "debian", *options)
    assert result.exit_code == 0, result.output
    assert sent[0]["options"] == {name: keys}


def test_keys_that_are_no_list_are_not_replaced_in_silence(appliance: Appliance, sent: list[Any], tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text("ssh-ed25519 AAAA ada@host\n")
    result = appliance.pxed("install", "web1", "debian", "-o", "rootSshKeys=5", "--ssh-key", str(tmp_path / "id.pub"))
    assert result.exit_code == 2
    assert "options.rootSshKeys is no list of keys" in result.output
    assert not sent


def test_the_password_comes_from_standard_input_or_a_prompt_that_shows_nothing(appliance: Appliance, sent: list[Any]) -> None:
    assert appliance.pxed("install", "w", "debian", "--root-password-file", "-", stdin="piped pass\n").exit_code == 0
    prompted = appliance.pxed("install", "w", "debian", "--root-password-prompt", stdin="typed pass\ntyped pass\n")
    assert prompted.exit_code == 0
    assert "typed pass" not in prompted.output
    assert [body["options"]["rootPassword"] for body in sent] == ["piped pass", "typed pass"]


def test_json_output_stays_json_when_a_password_is_asked_for(appliance: Appliance, sent: list[Any]) -> None:
    result = appliance.pxed("install", "w", "debian", "--root-password-prompt", "--json", stdin="a b c\na b c\n")
    assert json.loads(result.stdout)["id"] == "3f2a9c01d4"
    assert sent[0]["options"]["rootPassword"] == "a b c"


@pytest.mark.parametrize("word", ["rootPassword=hunter2", "users.0.password=hunter2", 'users=[{"password":"hunter2"}]'])
def test_a_secret_on_the_command_line_is_refused_before_anything_is_sent(appliance: Appliance, sent: list[Any], word: str) -> None:
    result = appliance.pxed("install", "web1", "debian", "-o", word)
    assert result.exit_code == 2
    assert "isn't taken from the command line" in result.stderr
    assert "--root-password-prompt" in result.stderr
    assert "hunter2" not in result.output
    assert sent == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "hostname"], "wants key=value"),
        (["--options-file", "absent.json"], "can't read absent.json: No such file or directory"),
        (["--root-password-file", "/"], "can't read /: Is a directory"),
        (["--ssh-key", "absent.pub"], "can't read absent.pub"),
        (["--root-password-file", "-", "--root-password-prompt"], "either --root-password-file or --root-password-prompt"),
        (["--root-password-file", "-", "-o", "users.0.password=-"], "standard input (-) can be used once only"),
        (["--nonsense"], "No such option"),
        ([], "Missing argument 'OS'"),
    ],
)
def test_wrong_use_is_status_2_and_sends_nothing(appliance: Appliance, sent: list[Any], words: list[str], says: str) -> None:
    given = ["web1"] if not words else ["web1", "debian", *words]
    result = appliance.pxed("install", *given, stdin="x\n")
    assert result.exit_code == 2
    assert says in result.stderr
    assert sent == []


def test_a_dry_run_shows_every_file_and_orders_nothing(appliance: Appliance, sent: list[Any]) -> None:
    appliance.api.routes["POST", "preview"] = lambda body: (
        200,
        {"files": {"profile": "#!ipxe\nkernel x\n", "preseed.cfg": body["os"] + "\x1b"}},
    )
    out = appliance.pxed("install", "web1", "debian", "--dry-run", "-o", "hostname=web1").stdout
    assert out == "==> profile <==\n#!ipxe\nkernel x\n\n==> preseed.cfg <==\ndebian?\n\n"
    assert appliance.json("install", "web1", "debian", "--dry-run")["files"]["profile"].startswith("#!ipxe")
    assert sent == []


def test_warnings_are_lines_of_standard_error_and_a_field_of_the_json(appliance: Appliance) -> None:
    warned = {"warnings": ["Nobody can log in\x1b"]}
    appliance.api.routes["POST", "installs"] = (201, an_install(**warned))
    appliance.api.routes["POST", "preview"] = (200, {"files": {}, **warned})
    appliance.api.routes["GET", "installs/3f2a9c01d4"] = (200, an_install())
    appliance.api.routes["POST", "installs/3f2a9c01d4/retry"] = (201, an_install(**warned))
    for words in (["web1", "debian"], ["web1", "debian", "--dry-run"], ["retry", "3f2a9c01d4"]):
        result = appliance.pxed("install", *words)
        assert result.exit_code == 0, result.output
        assert result.stderr == "Warning: Nobody can log in?.\n"
        assert "Nobody" not in result.stdout
        told = appliance.pxed("install", *words, "--json")
        assert json.loads(told.stdout)["warnings"] == warned["warnings"]


def test_list_is_newest_first_and_passes_its_filters(appliance: Appliance) -> None:
    old = an_install(id="old", state="failed", reason="No answer within 2 h", progress="", created_at="2026-05-20T00:00:00Z")
    appliance.api.routes["GET", "installs"] = (200, {"installs": [old, an_install()]})
    lines = appliance.pxed("install", "list", "--state", "running", "--node", "web1").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["INSTALL", "3f2a9c01d4", "old"]
    assert "No answer within 2 h" in lines[2]
    assert appliance.api.asked[-1][2] == {"state": "running", "node": "web1"}
    assert len(appliance.json("install", "list")["installs"]) == 2


def test_show_prints_the_proof_or_the_reason_with_the_last_lines_of_the_log(appliance: Appliance) -> None:
    proven = an_install(state="done", proof="TCP port 443 at 10.0.0.9 answers, where nothing answered before")
    appliance.api.routes["GET", "installs/3f2a9c01d4"] = (200, proven)
    assert proven["proof"] in appliance.pxed("install", "show", "3f2a9c01d4").stdout
    failed = an_install(state="failed", reason="no disk", last_lines=["partman: no disk\x1b[31m was found", "main-menu: failed"])
    appliance.api.routes["GET", "installs/3f2a9c01d4"] = (200, failed)
    out = appliance.pxed("install", "show", "3f2a9c01d4").stdout
    assert "log: partman: no disk?[31m was found\n  log: main-menu: failed" in out
    assert appliance.json("install", "show", "3f2a9c01d4")["last_lines"] == failed["last_lines"]


def test_show_prints_options_as_they_are_given(appliance: Appliance) -> None:
    options = {"hostname": "web1", "remoteLogging": False, "packages": ["nginx"], "scripts": {"post": []}, "users": []}
    appliance.api.routes["GET", "installs/3f2a9c01d4"] = (200, an_install(options=options))
    out = " ".join(appliance.pxed("install", "show", "3f2a9c01d4").stdout.split())
    assert 'options: hostname=web1, remoteLogging=false, packages=["nginx"], scripts={"post": []} id:' in out


def test_show_prints_state_options_and_steps(appliance: Appliance) -> None:
    steps = [{"position": 0, "step": "boot('installer')", "answer": "done", "at": "2026-05-22T11:50:00Z", "deadline": None}]
    appliance.api.routes["GET", "installs/3f2a9c01d4"] = (200, {**an_install(), "steps": steps})
    out = appliance.pxed("install", "show", "3f2a9c01d4").stdout
    for expected in (
        "debian 12 on web1",
        "state:",
        "running",
        "10 %  The installer runs",
        "10 m 00 s",
        "hostname=web1",
        "boot('installer')",
    ):
        assert expected in out
    assert appliance.json("install", "show", "3f2a9c01d4")["steps"] == steps


@pytest.mark.parametrize("verb", ["cancel", "retry", "restart"])
def test_verbs_take_an_id_its_beginning_or_a_node(appliance: Appliance, verb: str) -> None:
    routes = appliance.api.routes
    routes["GET", "installs/3f2a9c01d4"] = (200, an_install())
    routes["GET", "installs"] = (200, {"installs": [an_install(), an_install(id="ffff")]})
    routes["GET", "nodes/web1"] = (200, a_node(name="web1", install=an_install()))
    routes["POST", f"installs/3f2a9c01d4/{verb}"] = (200, an_install(state="cancelled" if verb == "cancel" else "running"))
    for handle in ("3f2a9c01d4", "3f2a", "web1"):
        result = appliance.pxed("install", verb, handle)
        assert result.exit_code == 0, result.output
        assert "3f2a9c01d4" in result.stdout
    assert appliance.json("install", verb, "web1")["id"] == "3f2a9c01d4"


@pytest.mark.parametrize(
    ("handle", "says"),
    [
        ("nobody", "There is neither an install nor a node nobody"),
        ("bare", "No install was ever made on bare"),
        ("aaa", "2 installs begin with aaa"),
        ("b", "1 installs begin with b"),
    ],
)
def test_a_word_that_stands_for_no_single_install_is_refused(appliance: Appliance, handle: str, says: str) -> None:
    appliance.api.routes["GET", "installs"] = (200, {"installs": [an_install(id="aaa1"), an_install(id="aaa2"), an_install(id="b1")]})
    appliance.api.routes["GET", "nodes/bare"] = (200, a_node(name="bare", install=None))
    result = appliance.pxed("install", "cancel", handle)
    assert (result.exit_code, result.stderr) == (1, f"pxed: {says}\n")


def test_a_conflict_names_itself(appliance: Appliance) -> None:
    appliance.api.routes["GET", "installs/x"] = (200, an_install(id="x"))
    appliance.api.routes["POST", "installs/x/cancel"] = (409, an_error("This install has ended already"))
    assert appliance.pxed("install", "cancel", "x").stderr == "pxed: This install has ended already\n"


def test_the_help_teaches_both_forms(appliance: Appliance) -> None:
    group = appliance.pxed("install", "--help").stdout
    assert "pxed install NODE OS [OPTIONS] | COMMAND [ARGS]..." in group
    assert "pxed install cancel INSTALL" in group
    options = appliance.pxed("install", "NODE", "OS", "--help").stdout
    assert "--root-password-prompt" in options
    assert "Secrets never stand on the command line" in options
