"""From words to options: paths, values, files; and never a secret among the words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxed.cli.install_options import is_secret, parse_assignments, parse_options_file, parse_ssh_keys
from pxed.errors import InvalidRequest

FILES = {"pw.txt": "s3cret\n", "-": "from stdin\r\n", "key.pub": "ssh-ed25519 AAAA ada"}


def parse(*items: str, onto: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return parse_assignments(items, FILES.__getitem__, onto)


@pytest.mark.parametrize(
    ("items", "tree"),
    [
        (["hostname=web1"], {"hostname": "web1"}),
        (["hostname="], {"hostname": ""}),
        (["a.b.c=1", "a.b.d=true", "a.e=null"], {"a": {"b": {"c": 1, "d": True}, "e": None}}),
        (["users.0.name=ada", "users.0.uid=1001", "users.1.name=bob"], {"users": [{"name": "ada", "uid": 1001}, {"name": "bob"}]}),
        (['packages=["nginx","vim"]'], {"packages": ["nginx", "vim"]}),
        (["dnsServers.0=10.0.0.1", "dnsServers.1=10.0.0.2"], {"dnsServers": ["10.0.0.1", "10.0.0.2"]}),
        (['name="123"', "kernelArgs=a=b c=d"], {"name": "123", "kernelArgs": "a=b c=d"}),
        (["hostname=a", "hostname=b"], {"hostname": "b"}),
        (["rootPassword=@pw.txt"], {"rootPassword": "s3cret"}),
        (["users.0.password=-"], {"users": [{"password": "from stdin"}]}),
        (["rootSshKeys.0=@key.pub"], {"rootSshKeys": ["ssh-ed25519 AAAA ada"]}),
        (['motto="@home"', "at=@"], {"motto": "@home", "at": "@"}),
    ],
)
def test_paths_and_values(items: list[str], tree: dict[str, Any]) -> None:
    assert parse(*items) == tree


def test_assignments_go_over_a_file_and_leave_it_as_it_was() -> None:
    below = {"users": [{"name": "ada"}], "timezone": "UTC"}
    assert parse("users.0.name=bob", "users.1.name=eve", "locale=de_DE.UTF-8", onto=below) == {
        "users": [{"name": "bob"}, {"name": "eve"}],
        "timezone": "UTC",
        "locale": "de_DE.UTF-8",
    }
    assert below == {"users": [{"name": "ada"}], "timezone": "UTC"}


@pytest.mark.parametrize(
    ("items", "field", "says"),
    [
        (["hostname"], "hostname", "key=value"),
        (["=x"], "", "key=value"),
        (["a..b=1"], "a..b", "key=value"),
        (["users.1.name=x"], "users.1", "the next one is 0"),
        (["users.0=a", "users.2=b"], "users.2", "the next one is 1"),
        (["users.0=a", "users.x=b"], "users.x", "counted 0, 1, 2"),
        (["a=1", "a.b=2"], "a.b", "a is a plain value already"),
        (["users.0=a", "users.99999999999999999999=b"], "users.99999999999999999999", "counted"),
    ],
)
def test_a_path_that_does_not_fit_is_named(items: list[str], field: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        parse(*items)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "item",
    [
        "rootPassword=hunter2",
        "rootpassword=hunter2",
        "rootPasswordHash=$6$hunter2",
        "users.0.password=hunter2",
        'users=[{"name":"ada","password":"hunter2"}]',
        'deep={"a":[{"b":{"smbPassword":"hunter2"}}]}',
        "productkey=hunter2",
        "vaultToken=hunter2",
        "luksPassphrase=hunter2",
        "encryptedPassword=hunter2",
        "proxy=http://me:hunter2@10.0.0.1:3128",
        'extraRepos=[{"name":"a","url":"https://me:hunter2@h/x"}]',
    ],
)
def test_a_secret_is_refused_on_the_command_line_and_not_repeated_in_the_message(item: str) -> None:
    with pytest.raises(InvalidRequest, match="every user of this host can read it") as caught:
        parse(item)
    assert "hunter2" not in str(caught.value)
    assert caught.value.expected == "@FILE or -"


@pytest.mark.parametrize("name", ["hostname", "packages", "passiveMode", "rootSshKeys", "keyboard", "timezone", "disk"])
def test_what_is_no_secret_is_not_taken_for_one(name: str) -> None:
    assert not is_secret(name)


def test_every_secret_of_the_option_models_is_known_here() -> None:
    """The door can't import the models; this holds the two together."""
    from pxed.oses.options import SECRETS

    assert [name for name in SECRETS if not is_secret(name)] == []


@given(st.lists(st.tuples(st.lists(st.sampled_from(["a", "b", "0", "1", "2"]), min_size=1, max_size=4), st.integers()), max_size=6))
def test_any_assignments_give_a_tree_that_holds_the_last_one_or_are_refused(assignments: list[tuple[list[str], int]]) -> None:
    items = [f"{'.'.join(path)}={value}" for path, value in assignments]
    try:
        tree = parse(*items)
    except InvalidRequest:
        return
    if assignments:
        path, value = assignments[-1]
        here: Any = tree
        for segment in path:
            here = here[int(segment)] if isinstance(here, list) else here[segment]
        assert here == value


def test_options_files_are_json_or_toml_by_their_name() -> None:
    assert parse_options_file("a.json", '{"hostname": "x"}') == {"hostname": "x"}
    assert parse_options_file("-", '{"hostname": "x"}') == {"hostname": "x"}
    assert parse_options_file("a.toml", '[[users]]\nname = "ada"\npassword = "in a file is fine"') == {
        "users": [{"name": "ada", "password": "in a file is fine"}]
    }


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", "{", "a.json is not valid JSON"),
        ("a.toml", "a = ", "a.toml is not valid TOML"),
        ("a.yaml", "a: 1", "YAML is not read; use JSON or TOML"),
        ("a.json", "[1]", "holds no options"),
    ],
)
def test_a_bad_options_file_is_named(name: str, text: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        parse_options_file(name, text)


def test_ssh_keys_come_from_pub_and_authorized_keys_files() -> None:
    assert parse_ssh_keys("a", "# mine\nssh-ed25519 AAAA a\n\nssh-rsa BBBB b\n") == ["ssh-ed25519 AAAA a", "ssh-rsa BBBB b"]
    with pytest.raises(InvalidRequest, match="no SSH public key"):
        parse_ssh_keys("a", "\n")


def test_a_private_key_never_leaves_this_host() -> None:
    with pytest.raises(InvalidRequest, match=r"id\.pub") as caught:
        parse_ssh_keys("id", "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n")
    assert "hunter2" not in str(caught.value)
