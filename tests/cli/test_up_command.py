"""`pxed up`: what is in the way is one sentence with its remedy and status 2, before anything starts; then twistd gets the same options."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from pxed.cli.main import cli
from pxed.cli.up_command import overrides, plugin_arguments, up
from pxed.config import load
from pxed.options import Options
from tests.cli.fake import run
from tests.cli.network import ROOT, Network, as_nobody, network
from tests.repo.images import X64, ipxe
from tests.repo.test_chains import grub, shim

HOLD = "import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', {port})); time.sleep(60)"
GIVEN: dict[str, Any] = {
    "interfaces": ("eth1", "eth2"), "address": "10.0.0.1", "config": None, "state_dir": "/srv/pxed", "tftproot": "/srv/tftp",
    "repositories": ("debian=http://mirror.example/debian,apt",), "http_port": 8080, "dhcp_port": 6067, "pxe_port": None, "tftp_port": None,
    "syslog_port": 5514,
}  # fmt: skip


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as net:
        yield net


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "tftproot").mkdir()
    (tmp_path / "tftproot" / "snponly.efi").write_bytes(ipxe(X64))
    return tmp_path


def check(net: Network, state: Path, *words: str) -> Result:
    with net.inside(net.here):
        return run("up", "--check", "--no-link", "--repository", f"debian={state}", *words, state_dir=state)


def test_a_repository_that_is_not_there_is_mentioned_and_no_obstacle(net: Network, state: Path) -> None:
    result = check(net, state, "-i", "here0", "--repository", f"x={state}/none")
    assert result.exit_code == 0
    assert f"There is nothing at {state}/none, where the repository x has its files. Put it there" in result.output


def test_a_host_that_is_ready_may_start_and_has_its_state_directory(net: Network, state: Path) -> None:
    result = check(net, state, "-i", "here0")
    assert (result.exit_code, result.output) == (0, "pxed can start.\n")
    assert (state / "api.token").stat().st_mode & 0o777 == 0o600


def test_a_wrong_interface(net: Network, state: Path) -> None:
    result = check(net, state, "-i", "eth9")
    assert (result.exit_code, result.output) == (2, "pxed: There is no interface eth9. This host has: here0\n")
    assert not (state / "api.token").exists()


def test_a_busy_port(net: Network, state: Path) -> None:
    holder = net.start(net.here, sys.executable, "-c", HOLD.format(port=69))
    net.wait_for_udp(net.here, 69)
    result = check(net, state, "-i", "here0")
    assert result.exit_code == 2
    assert result.output.startswith("pxed: UDP port 69 (TFTP) is held by ")
    assert f"(pid {holder.pid}). Stop it: " in result.output
    assert len(result.output.splitlines()) == 1


def test_a_dhcp_server_on_the_same_host_is_mentioned_and_no_obstacle(net: Network, state: Path) -> None:
    net.start(net.here, sys.executable, "-c", HOLD.format(port=67))
    net.wait_for_udp(net.here, 67)
    result = check(net, state, "-i", "here0")
    assert result.exit_code == 0
    assert "listens beside it with a raw socket" in result.output


def test_no_boot_program(net: Network, tmp_path: Path) -> None:
    result = check(net, tmp_path, "-i", "here0")
    assert result.exit_code == 2
    assert result.output == f"pxed: There is no boot program in {tmp_path / 'tftproot'}. apt install ipxe && pxed bootloaders\n"


def test_where_the_chain_needs_no_ipxe_there_may_be_none(net: Network, tmp_path: Path) -> None:
    """shim and GRUB alone: they are what ``boot_chain`` gives; without it they are given to nobody, and that is said."""
    (tmp_path / "tftproot").mkdir()
    for name, content in (("shimx64.efi", shim()), ("grubx64.efi", grub())):
        (tmp_path / "tftproot" / name).write_bytes(content)
    assert "There is no boot program" in check(net, tmp_path, "-i", "here0").output
    (tmp_path / "pxed.toml").write_text(f'state_dir = "{tmp_path}"\n[dhcp]\nboot_chain = "shim-grub"\n')
    result = check(net, tmp_path, "-i", "here0", "-c", str(tmp_path / "pxed.toml"))
    assert (result.exit_code, result.output) == (0, "pxed can start.\n")
    with net.inside(net.here):
        done = run("doctor", "--no-probe", "--json", "-c", str(tmp_path / "pxed.toml"), state_dir=tmp_path)
    found = [each for each in json.loads(done.stdout)["findings"] if each["check"] == "boot programs"]
    assert ("ok", "shimx64.efi for architecture 7") in [(each["level"], each["text"]) for each in found]


def test_a_quirk_that_names_a_boot_program_that_is_not_there_is_mentioned_and_no_obstacle(net: Network, state: Path) -> None:
    quirk = '[[dhcp.quirks]]\nname = "rack"\nmac = "52:54"\nboot_program = "ipxr.efi"\n'
    (state / "pxed.toml").write_text(f'state_dir = "{state}"\n{quirk}')
    result = check(net, state, "-i", "here0", "-c", str(state / "pxed.toml"))
    assert result.exit_code == 0
    assert "The quirk 'rack' can't give its boot program: there is no boot program 'ipxr.efi' here" in result.output
    with net.inside(net.here):
        assert "The quirk 'rack'" in run("doctor", "--no-probe", "-c", str(state / "pxed.toml"), state_dir=state).output


def test_not_root(net: Network, state: Path) -> None:
    with net.inside(net.here), as_nobody():
        result = run("up", "--check", "--no-link", "-i", "here0", state_dir=Path("/tmp"))
    assert result.exit_code == 2
    assert result.output.startswith("pxed: Ports 67, 69, 80, 514 may be opened by root only. Run it as root: sudo pxed up ...\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--http-port", "0"], "command line: ports.http"),
        (["--address", "10.0.0"], "command line: address"),
        (["--repository", "debian"], "wants NAME=LAYER[,LAYER...]"),
        (["--repository", "debian=ftp://x"], "a layer is the absolute path"),
        (["-c", "absent.toml"], "absent.toml: can't be read"),
        (["--nonsense"], "No such option"),
    ],
)
def test_wrong_settings_name_the_key(tmp_path: Path, words: list[str], says: str) -> None:
    result = run("up", "--check", *words, state_dir=tmp_path)
    assert result.exit_code == 2
    assert says in result.output


def test_twistd_gets_the_same_options_and_reads_the_same_settings_from_them() -> None:
    options = Options()
    options.parseOptions(plugin_arguments(GIVEN))
    ours = load(None, overrides(GIVEN))
    assert options["settings"] == ours
    assert (ours.ports.http, ours.ports.tftp, ours.interfaces) == (8080, 69, ("eth1", "eth2"))


def test_up_has_every_option_of_the_plugin() -> None:
    theirs = {row[0] for row in Options.optParameters} | {"interface", "repository"}
    ours = {option.lstrip("-") for param in up.params for option in param.opts if option.startswith("--")}
    assert theirs - ours == set()
    assert ours - theirs == {"link", "check"}


def test_the_global_state_directory_is_used_unless_a_configuration_names_one(tmp_path: Path) -> None:
    """`pxed --state-dir X up` and `pxed up --state-dir X` are the same; a configuration file's own is not overridden by the default."""
    assert "state_dir" in {param.name for param in cli.params}
    (tmp_path / "pxed.toml").write_text(f'interfaces = ["no-such0"]\nstate_dir = "{tmp_path / "a file"}"\n')
    (tmp_path / "a file").write_text("")
    from_file = run("up", "--check", "-c", str(tmp_path / "pxed.toml"), state_dir=tmp_path)
    assert f"where the state directory {tmp_path / 'a file'} should be" in from_file.output
    given = run("--state-dir", str(tmp_path), "up", "--check", "-c", str(tmp_path / "pxed.toml"), state_dir=tmp_path)
    assert "should be" not in given.output


def test_a_url_with_a_password_is_refused_on_the_command_line_and_shown_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every user of the host could read it there; and what `pxed up` starts is said on standard error."""
    word = "debian=/srv/debian,http://ann:hunter2@mirror.example/debian"
    result = run("up", "--check", "--repository", word, state_dir=tmp_path)
    with pytest.raises(SystemExit):
        Options().parseOptions(["--repository", word])
    for status, said in ((result.exit_code, result.output), (2, capsys.readouterr().err)):
        assert status == 2
        assert "pxed: command line: --repository: has a URL with a user or password" in said
        assert "hunter2" not in said
    (tmp_path / "pxed.toml").write_text('[[repository]]\nname = "x"\nlayers = ["ftp://ann:hunter2@mirror.example"]\n')
    wrong = run("up", "--check", "-c", str(tmp_path / "pxed.toml"), state_dir=tmp_path)
    assert "ftp://***@mirror.example" in wrong.output
    assert "hunter2" not in wrong.output


@pytest.mark.slow
def test_the_real_command_refuses_in_one_sentence_without_a_traceback(net: Network, state: Path) -> None:
    for words, says in (
        (["-i", "eth9"], "There is no interface eth9"),
        (["-i", "here0", "--tftproot", str(state / "empty"), "--no-link"], "There is no boot program in"),
        (["-i", "here0", "-c", "absent.toml"], "absent.toml: can't be read"),
    ):
        done = net.pxed("--state-dir", str(state), "up", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("pxed: ")
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_the_real_appliance_starts_answers_the_command_and_stops(net: Network, state: Path) -> None:
    """From this checkout, through twistd and its plugin; the commands find it by what it leaves in its state directory."""
    command = ["ip", "netns", "exec", net.here, sys.executable, "-m", "pxed", "--state-dir", str(state), "up", "-i", "here0", "--no-link"]
    appliance = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(900):
            if (state / "endpoint.json").exists() or appliance.poll() is not None:
                break
            time.sleep(0.1)
        assert appliance.poll() is None, appliance.communicate()[0].decode()
        health = net.pxed("--state-dir", str(state), "health", "--json")
        assert (health.returncode, json.loads(health.stdout)["status"]) == (0, "ok"), health.stderr
        armed = net.pxed("--state-dir", str(state), "install", "52:54:00:12:34:56", "debian", "-o", "hostname=web1", "--json")
        assert armed.returncode == 0, armed.stderr
        wrong = net.pxed("--state-dir", str(state), "install", "52:54:00:12:34:57", "debian", "-o", "users.0.name=x y")
        assert wrong.returncode == 1
        assert wrong.stderr.startswith("pxed: options.users.0.name")
        shown = net.pxed("--state-dir", str(state), "node", "show", "52:54:00:12:34:56", "--json")
        assert json.loads(shown.stdout)["state"] == "installing"
        second = net.pxed("--state-dir", str(state), "up", "-i", "here0", "--no-link")
        assert second.returncode == 2
        assert "an appliance runs on this host already" in second.stderr
    finally:
        appliance.send_signal(signal.SIGTERM)
        out = appliance.communicate(timeout=90)[0].decode()
    assert "Server Shut Down." in out
    assert "Traceback" not in out
