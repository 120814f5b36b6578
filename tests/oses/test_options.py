"""The operator's words: both spellings are taken, mistakes are named, secrets are forgotten."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from pxed.errors import InvalidRequest
from pxed.oses import accounts
from pxed.oses.options import CommonOptions, visible
from pxed.oses.sealing import Sealing
from pxed.oses.strict import parse
from tests.conftest import SHIPPED_ROUNDS
from tests.oses.samples import FULL, KEY, SECRET, verifies

COMMON = {name: value for name, value in FULL.items() if name not in ("updates", "preseedExtra")}


def read(**wanted: Any) -> CommonOptions:
    return parse(CommonOptions, wanted, field="options")


def refusal(**wrong: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(**wrong)
    return caught.value


def test_rackhd_names_mean_the_canonical_ones() -> None:
    rackhd = read(
        rootSshKey=KEY,
        users=[{"name": "a", "sshKey": KEY}],
        ntp="a.example b.example",
        comport="com2",
        kargs={"quiet": None, "a": "b"},
        grubLinuxAppend="nosmt",
        installDisk=3,
        postInstallCommands=["true"],
        httpProxy="http://p:1",
    )
    canonical = read(
        rootSshKeys=[KEY],
        users=[{"name": "a", "sshKeys": [KEY]}],
        ntpServers=["a.example", "b.example"],
        console={"device": "ttyS1"},
        kernelArgs="quiet a=b",
        targetKernelArgs="nosmt",
        disk={"index": 3},
        scripts={"post": ["true"]},
        proxy="http://p:1",
    )
    assert rackhd == canonical


def test_an_unknown_option_is_named_with_its_nearest_neighbour() -> None:
    problem = refusal(hostnam="x")
    assert (problem.field, problem.expected) == ("options.hostnam", "perhaps hostname")
    assert refusal(users=[{"name": "a", "paswordHash": "x"}]).field == "options.users.0.paswordHash"
    assert refusal(networkDevices=[{"device": "eth0", "ipv4": {"ipAdr": "1.2.3.4", "prefixlen": 8}}]).expected == "perhaps ipAddr"
    assert "hostname" in refusal(zzzzzzzz=1).expected


def test_an_option_under_two_of_its_names_is_said_to_be_one() -> None:
    problem = refusal(disk={"size": "ssd"}, installDisk="sda")
    assert (problem.field, "its other one" in str(problem)) == ("options.installDisk", True)


def test_the_field_is_named_as_the_operator_wrote_it() -> None:
    assert refusal(rootSshKey="no key").field == "options.rootSshKey.0"
    assert refusal(users=[{}]).field == "options.users.0.name"
    assert refusal(ntp=5).field == "options.ntp"


@pytest.mark.parametrize(
    ("given", "field", "expected"),
    [
        ({"hostname": "a.b"}, "hostname", "without dots"),
        ({"hostname": "-a"}, "hostname", "host name"),
        ({"domain": "a..b"}, "domain", "domain name"),
        ({"timezone": "Europe/Berlyn"}, "timezone", "IANA"),
        ({"timezone": "../../etc/passwd"}, "timezone", "IANA"),
        ({"locale": "C.UTF-8"}, "locale", "country"),
        ({"keyboard": "us; x"}, "keyboard", "text that matches"),
        ({"repo": "ftp://x/y"}, "repo", "URL"),
        ({"repo": "http://u:p@x/y"}, "repo", "without user"),
        ({"kernelArgs": "a ${b}"}, "kernelArgs", "without '${'"),
        ({"kernelArgs": "a --- b"}, "kernelArgs", "---"),
        ({"kernelArgs": "a\nb\x00"}, "kernelArgs", "visible ASCII"),
        ({"packages": ["vim; rm"]}, "packages.0", "package"),
        ({"dnsServers": ["300.1.1.1"]}, "dnsServers.0", "address"),
        ({"ntpServers": ["a b;c"]}, "ntpServers.0", "host name or an address"),
        ({"comport": "lp0"}, "comport.device", "text that matches"),
        ({"scripts": {"post": ["a\0b"]}}, "scripts.post.0", "NUL"),
        ({"users": [{"name": "root"}]}, "users.0.name", "rootPassword"),
        ({"users": [{"name": "a:b"}]}, "users.0.name", "user name"),
        ({"users": [{"name": "1000"}]}, "users.0.name", "user name"),
        ({"users": [{"name": "a", "uid": 0}]}, "users.0.uid", "a number greater than or equal to 500"),
        ({"users": [{"name": "a", "shell": "bash"}]}, "users.0.shell", "absolute path"),
        ({"users": [{"name": "a", "gecos": "a\nb"}]}, "users.0.gecos", "one line"),
        ({"users": [{"name": "a"}, {"name": "a"}]}, "", "different names"),
        ({"users": [{"name": "a", "password": "x", "passwordHash": "$6$" + "a" * 90}]}, "users.0", "either password or passwordHash"),
        ({"rootSshKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA x\nPermitRootLogin yes"}, "rootSshKey.1", "OpenSSH"),
        ({"rootPassword": "x", "rootPasswordHash": "$6$" + "a" * 90}, "", "either rootPassword"),
        ({"rootPasswordHash": "plain"}, "rootPasswordHash", "crypt(3)"),
        ({"rootPassword": "a\nb"}, "rootPassword", "control characters"),
        ({"rootPassword": ""}, "rootPassword", "1 to 512"),
        ({"layout": "custom"}, "", "installPartitions"),
        ({"layout": "zfs"}, "layout", "'auto'"),
        ({"after": "dance"}, "after", "'reboot'"),
        ({"scripts": {"post": ["a"]}, "postInstallCommands": ["b"]}, "", "either postInstallCommands"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_what_was_expected(given: dict[str, Any], field: str, expected: str) -> None:
    problem = refusal(**given)
    assert problem.field == (f"options.{field}" if field else "options")
    assert expected in problem.expected


def test_no_error_repr_or_json_ever_shows_a_secret() -> None:
    long = "s3cret" * 200
    for wrong in (
        {"rootPassword": long},
        {"rootPassword": "s3cret\n"},
        {"rootPassword": ["s3cret"]},
        {"users": [{"name": "a", "password": long}]},
        {"rootPasswordHash": "s3cret"},
        {"users": [{"name": "a", "password": {"s": "s3cret"}}]},
        {"users": "s3cret"},
    ):
        problem = refusal(**wrong)
        assert "s3cret" not in f"{problem} {problem.field} {problem.expected} {problem!r} {problem.__cause__} {problem.__context__}"
    options = read(**COMMON)
    assert "s3cret" not in repr(options)
    assert "s3cret" not in options.model_copy(update={"proxy": None}).model_dump_json()
    assert "pr0xysecret" not in repr(options)
    with pytest.raises(ValidationError) as raw:
        CommonOptions.model_validate({"rootPassword": long, "users": "s3cret"})
    assert "s3cret" not in str(raw.value)


def test_sealing_hashes_every_password_and_forgets_it() -> None:
    stored = Sealing().close(read(**COMMON).sealed()).stored()
    assert SECRET not in json.dumps(stored, ensure_ascii=False)
    assert "rootPassword" not in stored
    for found in (stored["rootPasswordHash"], stored["users"][0]["passwordHash"]):
        assert found.startswith("$6$")
        assert verifies(SECRET, found)
        assert not verifies(SECRET + "x", found)
    assert "passwordHash" not in stored["users"][1]


def test_a_given_hash_is_kept_and_not_hashed_again() -> None:
    given = "$6$saltsalt$" + "a" * 86
    assert read(rootPasswordHash=given).sealed().stored()["rootPasswordHash"] == given


def test_options_are_never_stored_before_they_are_sealed() -> None:
    with pytest.raises(AssertionError, match="sealed"):
        read(rootPassword="x").stored()


def test_stored_options_read_back_the_same() -> None:
    sealed = Sealing().close(read(**COMMON).sealed())
    again = CommonOptions.model_validate(json.loads(json.dumps(sealed.stored())))
    assert again == sealed
    assert again.stored() == sealed.stored()


def test_a_hash_costs_who_guesses_what_it_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "ROUNDS", SHIPPED_ROUNDS)
    made = accounts.hashed(SecretStr(SECRET))
    assert made.startswith("$6$rounds=100000$")
    assert verifies(SECRET, made)


def test_what_is_shown_has_no_hash_and_no_proxy_password() -> None:
    shown = json.dumps(visible(Sealing().close(read(**COMMON).sealed()).stored()))
    assert "$6$" not in shown
    assert "pr0xysecret" not in shown
    assert "http://***@10.0.2.3:3128" in shown
    assert "web1" in shown
    urls = {"extraRepos": [{"url": "https://me:pr0xysecret@h/x"}], "scripts": {"post": ["curl http://me:pr0xysecret@h/y >z@w"]}}
    assert visible(urls) == {"extraRepos": [{"url": "https://***@h/x"}], "scripts": {"post": ["curl http://***@h/y >z@w"]}}


@pytest.mark.parametrize(
    ("given", "argument"),
    [
        ("com1", "ttyS0,115200n8"),
        ("COM2", "ttyS1,115200n8"),
        ("ttyS0", "ttyS0,115200n8"),
        ("ttys0", "ttyS0,115200n8"),
        ("/dev/ttyS1,9600", "ttyS1,9600n8"),
        ("ttyS0,57600n8", "ttyS0,57600n8"),
        ("tty1", "tty1"),
        ("hvc0", "hvc0"),
        ("ttyAMA0", "ttyAMA0,115200n8"),
    ],
)
def test_serial_ports_in_every_spelling(given: str, argument: str) -> None:
    console = read(comport=given).console
    assert console is not None
    assert console.argument == argument


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "password", "post", "device", "size", "q"]), inner, max_size=3)
    ),
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from([*CommonOptions.model_fields, "ntp", "x"]), JSON, max_size=4))
def test_any_request_is_read_or_refused_with_a_field(request: dict[str, Any]) -> None:
    problem = None
    try:
        read(**request)
    except InvalidRequest as refused:
        problem = refused
    assert problem is None or (problem.field.startswith("options") and problem.expected)
