"""What nobody may read afterwards: a whole appliance installs a node, and neither its log nor what it shows holds a secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import ILogObserver, eventAsText, globalLogPublisher
from zope.interface import implementer

from tests.oses.scripted.conftest import Make
from tests.oses.scripted.node import Node
from tests.oses.scripted.table import Behaviour

ROOT, USER, KEY = "the-password-of-root-7Qx", "the-password-of-ann-8Ry", "the-key-of-the-subscription-9Sz"
PASSWORDS = {"rootPassword": ROOT, "users": [{"name": "ann", "password": USER, "sudo": True}]}
CASES = [
    pytest.param("debian", "12", PASSWORDS, ["rootPasswordHash", "passwordHash"]),
    pytest.param("ubuntu", "24.04", PASSWORDS, ["rootPasswordHash", "passwordHash"], marks=pytest.mark.slow),
    pytest.param(
        "rhel", "9", {**PASSWORDS, "registration": {"org": "42", "activationKey": KEY}}, ["rootPasswordHash"], marks=pytest.mark.slow
    ),
]


@implementer(ILogObserver)
class Lines(list[str]):
    """All that is logged, at every level, as text."""

    def __call__(self, event: dict[str, Any]) -> None:
        values = {name: value for name, value in event.items() if name != "log_logger"}
        self.append(eventAsText(event, includeTimestamp=False) + repr(values))


@pytest.fixture
def log() -> Iterator[Lines]:
    lines = Lines()
    globalLogPublisher.addObserver(lines)
    yield lines
    globalLogPublisher.removeObserver(lines)


@pytest.mark.parametrize(("family", "release", "options", "hashes"), CASES)
def test_no_secret_of_an_install_is_logged_told_or_shown(
    make: Make, log: Lines, family: str, release: str, options: dict[str, Any], hashes: list[str]
) -> None:
    """Fails when the engine logs a token, when an event carries options, and when the API shows a hash (each tried once)."""
    node = make(Behaviour(family, release, 7), **options)
    install = node.pxed.up.engine.all()[-1]
    stored = json.dumps(install.options)
    assert all(name in stored for name in hashes), "there is something to be found"
    secrets = {ROOT, USER, KEY, install.token, node.pxed.settings.api_token(), *_hashes(install.options)}
    node.live()
    node.pxed.kill()
    assert node.shown["state"] == "done"
    assert len(log) > 10
    told = shown(node)
    for secret in secrets:
        assert not [line for line in log if secret in line]
        assert secret not in told


def shown(node: Node) -> str:
    """Everything about the node and its install that the operator is shown."""
    install = node.shown["id"]
    paths = (f"/nodes/{node.mac}", "/nodes", f"/nodes/{node.mac}/events?after=0&limit=500", f"/installs/{install}", "/installs", "/health")
    return "".join(json.dumps(node.pxed.api("GET", path)) for path in paths)


def _hashes(tree: Any) -> set[str]:
    """The crypt(3) hashes and sealed secrets in stored options."""
    if isinstance(tree, dict):
        return {each for value in tree.values() for each in _hashes(value)}
    if isinstance(tree, list):
        return {each for value in tree for each in _hashes(value)}
    return {tree} if isinstance(tree, str) and (tree.startswith("$6$") or len(tree) > 90) else set()
