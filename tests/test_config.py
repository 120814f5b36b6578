"""Settings: every error names file, key and what was expected; secrets of the appliance are its own."""

from __future__ import annotations

import base64
import errno
import os
import re
import stat
from pathlib import Path
from typing import Any, get_args

import pytest

from pxed.config import PATHS, Settings, load, prepare_state, setting_names
from pxed.errors import ConfigError, HostProblem


def test_defaults_are_the_well_known_ports() -> None:
    settings = load()
    assert (settings.ports.http, settings.ports.dhcp, settings.ports.pxe, settings.ports.tftp, settings.ports.syslog) == (
        80,
        67,
        4011,
        69,
        514,
    )
    assert settings.boot_root == Path("/var/lib/pxed/tftproot")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("ports = {http = 70000}", "ports.http"),
        ("[tftp]\nper_client = 0", "tftp.per_client"),
        ("colour = 'blue'", "colour"),
        ("[dhcp]\nunknown = 'install'", "dhcp.unknown"),
        ("[[repository]]\nname = 'Debian!'\nlayers = ['apt']", "repository.0.name"),
        ("[[repository]]\nname = 'debian'\nlayers = ['mirror']", "repository.0.layers"),
        ("address = 'fe80::1'", "address"),
    ],
)
def test_a_wrong_value_names_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    file = tmp_path / "pxed.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert caught.value.key == key
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inteface = ['eth1']", "inteface: is no setting of pxed; perhaps interfaces"),
        ("[dhcp]\nboot_chian = 'shim-grub'", "dhcp.boot_chian: is no setting of pxed; perhaps boot_chain"),
        ("[installs]\nkeepdays = 3", "installs.keepdays: is no setting of pxed; perhaps keep_days"),
        ("colour = 'blue'", "colour: is no setting of pxed"),
        ("[[dhcp.quirks]]\nname = 'x'", "dhcp.quirks.0: names no condition: at least one of mac, vendor_class, uuid, product, arch"),
        ("interfaces = 'eth1'", 'interfaces: Input should be a list, like ["eth1"]'),
        ("http_proxy = 'proxy:3128'", "http_proxy: a proxy is http://HOST:PORT, without a user or password"),
        ("[[repository]]\nname = 'Debian!'\nlayers = ['apt']", "lower-case letters, digits, dots and hyphens, up to 63, not 'Debian!'"),
    ],
)
def test_what_is_wrong_is_said_in_words_for_who_wrote_the_file(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "pxed.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(caught.value).endswith(said)


def example() -> str:
    page = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    return page.split("```toml\n")[1].split("```")[0]


def test_the_documents_example_is_a_configuration_that_names_every_setting(tmp_path: Path) -> None:
    file = tmp_path / "pxed.toml"
    file.write_text(example())
    assert load(file).ports == load().ports
    there = set(re.findall(r"[a-z_]+", example()))
    assert set(setting_names(Settings)) - there == set()


def test_the_documents_example_shows_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "pxed.toml"
    file.write_text(example().rpartition("[[repository]]")[0].replace("interfaces =", "# "))
    assert load(file) == load()


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize("value", ["state", "./state", "../state", "~/state", "", " state"])
def test_a_relative_path_in_the_file_is_refused_whatever_the_command_line_says(tmp_path: Path, key: str, value: str) -> None:
    file = tmp_path / "pxed.toml"
    file.write_text(f"{key} = '{value}'")
    for over in ({}, {key: "/srv/pxed"}):
        with pytest.raises(ConfigError, match="absolute path of a directory") as caught:
            load(file, over)
        assert (caught.value.key, caught.value.file) == (key, str(file))


def test_an_absolute_path_is_taken_and_a_relative_one_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "pxed.toml"
    file.write_text("state_dir = '/srv/pxed'\ntftproot = ' /srv/boot'")
    assert (load(file).state_dir, load(file).boot_root) == (Path("/srv/pxed"), Path("/srv/boot"))
    assert load(file, {"state_dir": "here"}).state_dir == Path("here")
    assert load(file, {"state_dir": "here"}).database_url == f"sqlite:///{Path.cwd()}/here/pxed.db", "the database's own path is absolute"


def test_every_setting_that_is_a_path_is_checked() -> None:
    assert {name for name, field in Settings.model_fields.items() if Path in (field.annotation, *get_args(field.annotation))} == set(PATHS)


def test_no_toml_and_no_file_are_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "pxed.toml"
    with pytest.raises(ConfigError, match="can't be read"):
        load(file)
    file.write_text("ports = ")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(file)


def test_two_repositories_of_one_name_are_refused() -> None:
    twice: list[dict[str, Any]] = [{"name": "a", "layers": ["/srv"]}] * 2
    with pytest.raises(ConfigError, match="there twice"):
        load(None, {"repository": twice})


def test_the_command_line_wins_key_by_key(tmp_path: Path) -> None:
    file = tmp_path / "pxed.toml"
    file.write_text("[ports]\nhttp = 8080\ntftp = 6969")
    settings = load(file, {"ports": {"http": "8081"}})
    assert (settings.ports.http, settings.ports.tftp) == (8081, 6969)


def test_the_sealing_key_is_made_once_and_only_root_reads_it(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    prepare_state(settings)
    key = settings.sealing_key()
    assert len(base64.urlsafe_b64decode(key)) == 32
    settings.sealing_key_file.chmod(0o644)
    prepare_state(settings)
    assert settings.sealing_key() == key
    assert stat.S_IMODE(settings.sealing_key_file.stat().st_mode) == 0o600


def test_a_key_that_could_not_be_written_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut in the first minute left an empty one, and secrets sealed with what it had held."""
    settings = Settings(state_dir=tmp_path / "state")

    def fails(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails)
        with pytest.raises(HostProblem, match="No space left"):
            prepare_state(settings)
    assert not settings.token_file.exists()
    prepare_state(settings)
    assert len(base64.urlsafe_b64decode(settings.sealing_key())) == 32


def test_the_token_is_made_once_and_only_root_reads_it(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    token = prepare_state(settings)
    assert len(token) >= 40
    settings.token_file.chmod(0o644)
    assert prepare_state(settings) == token
    assert stat.S_IMODE(settings.token_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.state_dir.stat().st_mode) == 0o700


def test_a_state_directory_that_can_not_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostProblem, match="state directory"):
        prepare_state(Settings(state_dir=tmp_path / "file" / "state"))
