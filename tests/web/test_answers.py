"""``POST /answer``: an installer that says who it is gets its own answers, and nobody else does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pxed.errors import StorageUnavailable
from pxed.node.model import Boot
from pxed.oses.catalog import Catalog
from tests.oses.families import RESOURCES, sample
from tests.web.world import MAC, NODE_ADDRESS, World, run

CATALOG = Catalog(resources=RESOURCES)


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "tftproot").mkdir()
    return World(tmp_path / "tftproot", catalog=CATALOG)


def machine(*macs: str) -> bytes:
    return json.dumps({"network_interfaces": [{"link": f"eth{number}", "mac": mac} for number, mac in enumerate(macs)]}).encode()


def armed(world: World) -> Any:
    return world.armed(options=sample("proxmox", "minimal"), family="proxmox", release="9")


@pytest.mark.parametrize("mac", [MAC, MAC.upper(), MAC.replace(":", "-")])
def test_a_machine_gets_its_own_answers_and_is_noted_as_started(world: World, mac: str) -> None:
    node, install = armed(world)
    response = world.ask("POST", "/answer", machine("00:00:00:00:00:00", mac), host="10.1.1.1")
    assert response.code == 200
    assert f"http://10.1.1.1/i/{install.token}/notify/installed" in response.text
    assert response.headers["cache-control"] == "no-store"
    (told,) = world.engine.delivered
    assert (told.token, told.phase, told.status, told.source) == (install.token, "started", "ok", NODE_ADDRESS)
    assert world.kinds()[-1] == "http.answer"
    assert node.address == NODE_ADDRESS


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[1]",
        b"{}",
        b'{"network_interfaces": 5}',
        b'{"network_interfaces": [{"link": "eth0"}]}',
        b'{"network_interfaces": [{"mac": 7}, {"mac": ""}, {"mac": "zz:zz"}]}',
        b"[" * 100_000,
        machine("52:54:00:00:00:01"),
    ],
)
def test_whoever_is_nobody_gets_nothing(world: World, body: bytes) -> None:
    armed(world)
    response = world.ask("POST", "/answer", body)
    assert response.code == 404
    assert not world.engine.delivered


@pytest.mark.parametrize("state", ["done", "failed", "cancelled", "parked"])
def test_an_install_that_does_not_run_answers_nobody(world: World, state: str) -> None:
    _, install = armed(world)
    install.state = state
    assert world.ask("POST", "/answer", machine(MAC)).code == 404


def test_a_node_that_boots_its_disk_already_is_not_installed_again(world: World) -> None:
    node, install = armed(world)
    run(world.inventory.assign(node.id, Boot("disk", install.id)))
    assert world.ask("POST", "/answer", machine(MAC)).code == 404
    assert not world.engine.delivered


def test_an_installer_that_has_the_address_of_its_answers_in_its_own_install_is_not_answered_here(world: World) -> None:
    world.armed()  # Debian
    assert world.ask("POST", "/answer", machine(MAC)).code == 404


def test_nothing_is_handed_out_that_could_not_be_noted(world: World) -> None:
    armed(world)
    world.engine.broken = StorageUnavailable("the disk is full")
    assert world.ask("POST", "/answer", machine(MAC)).code == 503


def test_only_posts_are_answered(world: World) -> None:
    armed(world)
    assert world.ask("GET", "/answer").code == 405
