"""Installs over the API: ordering, previewing, ending; a refused request changes nothing."""

from __future__ import annotations

import json

import pytest

from pxed.node.model import Boot
from pxed.repo.bootprograms import BootProgram, BootPrograms
from tests.web.api.client import Api
from tests.web.world import MAC, World, run

ORDER = {"node": MAC, "os": "debian", "release": "12", "options": {"rootPassword": "secret-12", "hostname": "web1"}}


def test_an_install_is_ordered_for_a_node_that_nobody_has_seen_yet(api: Api, world: World) -> None:
    made = api.send("POST", "/installs", ORDER, code=201)
    node = world.inventory.by_mac(MAC)
    assert node is not None
    assert node.known
    assert made["node"] == {"id": node.id, "label": MAC, "mac": MAC}
    assert (made["os"], made["release"], made["state"]) == ("debian", "12", "running")
    assert made["recipe"] == {"name": "debian", "version": 1}
    assert node.boot == Boot("installer", made["id"])


def test_no_answer_shows_a_password_its_hash_or_the_token(api: Api, world: World) -> None:
    made = api.send("POST", "/installs", ORDER, code=201)
    shown = [made, api.get("/installs"), api.get(f"/installs/{made['id']}"), api.get("/nodes"), api.get(f"/nodes/{MAC}")]
    install = world.engine.installs[made["id"]]
    text = json.dumps(shown)
    for secret in ("secret-12", "$6$", install.token, "rootPassword"):
        assert secret not in text
    assert made["options"]["hostname"] == "web1"


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"os": "plan9"}, 404, "os"),
        ({"release": "99"}, 404, "release"),
        ({"node": "nobody"}, 404, "node"),
        ({"node": None}, 422, "node"),
        ({"os": 5}, 422, "os"),
        ({"options": []}, 422, "options"),
        ({"options": {"hostnmae": "x"}}, 422, "options.hostnmae"),
        ({"options": {"users": [{"name": "a b"}]}}, 422, "options.users.0.name"),
        ({"extra": 1}, 422, "extra"),
    ],
)
def test_a_wrong_order_is_refused_whole(api: Api, world: World, change: dict[str, object], status: int, field: str) -> None:
    for path in ("/installs", "/preview"):
        error = api.fails("POST", path, {**ORDER, **change})
        assert (error["status"], error["field"]) == (status, field)
    assert not world.inventory.all()
    assert not world.engine.installs


def test_an_address_that_no_card_can_have_is_a_wrong_node(api: Api, world: World) -> None:
    error = api.fails("POST", "/installs", {**ORDER, "node": "01:00:5e:00:00:01"})
    assert (error["status"], error["field"]) == (422, "node")
    assert not world.inventory.all()


def test_a_second_install_on_a_node_is_a_conflict(api: Api) -> None:
    api.send("POST", "/installs", ORDER, code=201)
    assert api.fails("POST", "/installs", ORDER)["status"] == 409


def test_a_preview_renders_every_file_and_changes_nothing(api: Api, world: World) -> None:
    files = api.send("POST", "/preview", ORDER)["files"]
    assert {"boot.ipxe", "preseed.cfg"} <= set(files)
    assert files["boot.ipxe"].startswith("#!ipxe")
    assert "http://10.0.0.1/i/TOKEN/" in files["boot.ipxe"]
    assert not world.inventory.all()
    assert not world.engine.installs


OPEN = {"users": [{"name": "ada", "sshKeys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH ada@host"]}]}


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ({}, "Nobody can log in"),
        ({"users": [{"name": "ada"}]}, "Nobody can log in"),
        (OPEN, "Nobody can become root"),
        ({"users": [{**OPEN["users"][0], "sudo": True}]}, None),
        ({"users": [{**OPEN["users"][0], "groups": ["sudo"]}]}, None),
        ({"rootPassword": "secret-12"}, None),
    ],
)
def test_whoever_orders_a_system_that_nobody_can_use_is_warned(api: Api, options: dict[str, object], warning: str | None) -> None:
    order = {**ORDER, "options": options}
    answers = [api.send("POST", "/preview", order), api.send("POST", "/installs", order, code=201)]
    answers.append(api.send("POST", f"/installs/{answers[1]['id']}/retry", code=201))
    for answer in answers:
        assert len(answer["warnings"]) == (warning is not None)
        assert all(sentence.startswith(str(warning)) for sentence in answer["warnings"])


def test_whoever_orders_for_firmware_that_nothing_here_boots_is_warned_with_the_remedy(api: Api, world: World) -> None:
    order = {**ORDER, "options": {"rootPassword": "secret-12"}}
    world.inventory.seen(MAC, arch=11)
    world.programs = BootPrograms([BootProgram("snponly.efi", "x86_64", "ipxe", 1)])
    made = api.send("POST", "/installs", order, code=201)
    for answer in (api.send("POST", "/preview", order), made):
        (warning,) = answer["warnings"]
        assert warning.startswith("No boot program here runs on ARM64 UEFI (architecture 11)")
        assert "apt install ipxe" in warning
    world.inventory.seen(MAC, arch=7)
    assert api.send("POST", "/preview", order)["warnings"] == []


def test_what_can_no_longer_be_installed_as_it_is_stored_is_not_retried(api: Api, world: World) -> None:
    made = api.send("POST", "/installs", ORDER, code=201)
    install = world.engine.installs[made["id"]]
    install.state, install.options = "failed", {"gone": 1}
    error = api.fails("POST", f"/installs/{made['id']}/retry")
    assert (error["status"], error["field"]) == (422, "options.gone")
    assert list(world.engine.installs) == [made["id"]]


def test_a_preview_of_a_node_that_nobody_has_seen_yet_names_its_mac_address(api: Api, world: World) -> None:
    files = api.send("POST", "/preview", {**ORDER, "node": "52-54-00-AA-BB-CC"})["files"]
    assert "on 52:54:00:aa:bb:cc\n" in files["boot.ipxe"]
    assert not world.inventory.all()


def test_a_preview_of_a_known_node_names_it(api: Api) -> None:
    api.send("POST", "/nodes", {"mac": MAC, "name": "web1"}, code=201)
    assert "web1" in api.send("POST", "/preview", {**ORDER, "node": "web1", "options": {}})["files"]["boot.ipxe"]


def test_a_preview_shows_the_urls_that_the_node_will_get_however_the_operator_reached_the_api(api: Api, world: World) -> None:
    world.bases[MAC] = "http://10.3.0.1:8080"
    files = api.send("POST", "/preview", {**ORDER, "node": MAC})["files"]
    assert "http://10.3.0.1:8080/i/TOKEN/" in files["boot.ipxe"]
    assert "http://10.0.0.1" not in files["boot.ipxe"]


def test_installs_are_listed_by_node_and_state(api: Api, world: World) -> None:
    first = api.send("POST", "/installs", ORDER, code=201)
    other = api.send("POST", "/installs", {**ORDER, "node": "52:54:00:00:00:01"}, code=201)
    world.engine.installs[first["id"]].state = "done"
    listed = {query: [each["id"] for each in api.get(f"/installs{query}")["installs"]] for query in ("", "?state=done", f"?node={MAC}")}
    assert listed == {"": [first["id"], other["id"]], "?state=done": [first["id"]], f"?node={MAC}": [first["id"]]}
    assert api.fails("GET", "/installs?state=odd")["field"] == "state"
    error = api.fails("GET", "/installs?node=nobody")
    assert (error["status"], error["field"]) == (404, "node")


def test_an_install_shows_its_steps_with_times(api: Api, world: World) -> None:
    _, install = world.armed()
    world.reactor.advance(61)
    shown = api.get(f"/installs/{install.id}")
    assert shown["elapsed"] == 61.0
    assert shown["steps"] == [
        {"position": 0, "step": "boot('installer')", "answer": "done", "at": "1970-01-01T00:00:00.500Z", "deadline": None}
    ]
    assert api.fails("GET", "/installs/nothing")["status"] == 404


def test_an_install_shows_what_proved_it_or_what_its_node_said_last(api: Api, world: World) -> None:
    _, install = world.armed()
    install.proof, install.last_lines = "TCP port 443 at 10.0.0.9 answers", ["a line"]
    shown = api.get(f"/installs/{install.id}")
    assert (shown["proof"], shown["last_lines"]) == (install.proof, install.last_lines)


def test_an_install_is_cancelled_and_retried(api: Api, world: World) -> None:
    _, install = world.armed()
    assert api.send("POST", f"/installs/{install.id}/cancel")["state"] == "cancelled"
    again = api.send("POST", f"/installs/{install.id}/retry", code=201)
    assert again["id"] != install.id
    assert api.fails("POST", f"/installs/{install.id}/restart")["status"] == 409
    assert api.fails("POST", "/installs/nothing/cancel")["status"] == 404


def test_an_install_whose_node_was_removed_is_still_shown(api: Api, world: World) -> None:
    node, install = world.armed()
    run(world.inventory.assign(node.id, Boot()))
    run(world.inventory.remove(node.id))
    assert api.get(f"/installs/{install.id}")["node"] == {"id": node.id, "label": node.id, "mac": None}


def test_what_can_be_installed_and_how_is_listed(api: Api) -> None:
    names = [each["name"] for each in api.get("/oses")["oses"]]
    assert "debian" in names
    schema = api.get("/oses/debian")["schema"]
    assert schema["type"] == "object"
    assert "hostname" in schema["properties"]
    assert api.fails("GET", "/oses/plan9")["status"] == 404
    assert "preseedExtra" in api.get("/oses/ubuntu?release=18.04")["schema"]["properties"]
    assert "preseedExtra" not in api.get("/oses/ubuntu")["schema"]["properties"]
    error = api.fails("GET", "/oses/ubuntu?release=4.10")
    assert (error["status"], error["field"]) == (404, "release")
