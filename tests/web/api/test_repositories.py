"""Repositories over the API: adding answers at once, what is there stays, and no install is ordered that has nothing to install from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pxed.repo.registry import Entry
from pxed.repo.repository import Repository
from tests.repo import media
from tests.repo.media import needs
from tests.repo.test_recognise import BOOT_CFG, MEDIA
from tests.web.api.client import Api
from tests.web.world import MAC, World

ORDER = {"node": MAC, "os": "debian", "release": "12", "options": {"rootPassword": "secret-12"}}
ROCKY: dict[str, bytes | str] = dict(MEDIA["rocky"][1])


def added(api: Api, source: Path, **more: Any) -> Any:
    job = api.send("POST", "/repositories", {"source": str(source), **more}, code=202)
    return api.get(f"/imports/{job['id']}")


@needs("genisoimage")
def test_an_image_is_added_listed_shown_served_and_removed(api: Api, world: World, tmp_path: Path) -> None:
    image = media.plain(media.tree(tmp_path / "t", {"BOOT.CFG": BOOT_CFG, "B.B00": "kernel"}), tmp_path / "m.iso", volume="ESXI-8")
    job = added(api, image)
    assert (job["state"], job["repository"], job["error"]) == ("done", "esxi-8", None)
    listed = {each["name"]: each for each in api.get("/repositories")["repositories"]}
    assert set(listed) == {"debian", "esxi-8"}
    assert "facts" not in listed["esxi-8"]["medium"]
    shown = api.get("/repositories/esxi-8")
    assert shown["medium"]["facts"]["boot_cfg"] == BOOT_CFG.decode()
    assert (shown["path"], shown["image"], shown["configured"], shown["sources"]) == (
        "/repo/esxi-8/",
        "/repo/esxi-8.iso",
        False,
        [str(image)],
    )
    assert shown["added_at"].startswith("2027-")
    assert world.ask("GET", "/repo/esxi-8/b.b00").body == b"kernel"
    assert api.get("/imports")["imports"] == [job]
    api.send("DELETE", "/repositories/esxi-8", code=204)
    assert api.fails("GET", "/repositories/esxi-8")["status"] == 404
    assert world.ask("GET", "/repo/esxi-8/b.b00").code == 404


def test_wrong_requests_name_the_field_and_change_nothing(api: Api, tmp_path: Path) -> None:
    for body, field in (
        ({}, "source"),
        ({"source": 5}, "source"),
        ({"source": "x.iso"}, "source"),
        ({"source": "/x", "name": "A B"}, "name"),
        ({"source": "/x", "replace": "yes"}, "replace"),
        ({"source": "/x", "nmae": "x"}, "nmae"),
    ):
        error = api.fails("POST", "/repositories", body)
        assert (error["status"], error["field"]) == (422, field)
    assert api.fails("POST", "/repositories", {"source": "/x", "name": "debian"})["status"] == 409
    assert api.fails("DELETE", "/repositories/debian")["status"] == 409
    assert api.fails("DELETE", "/repositories/nothing")["status"] == 404
    assert api.fails("GET", "/imports/7")["status"] == 404
    assert [each["name"] for each in api.get("/repositories")["repositories"]] == ["debian"]


def test_a_failed_import_says_why(api: Api, tmp_path: Path) -> None:
    job = added(api, media.tree(tmp_path / "t", {"a": "x"}))
    assert job["state"] == "failed"
    assert "Looked for" in job["error"]


def test_recognising_says_the_name_or_what_was_looked_for(api: Api, tmp_path: Path) -> None:
    found = api.send("POST", "/recognise", {"source": str(media.tree(tmp_path / "t", ROCKY))})
    assert (found["repository"], found["medium"]["facts"]["installer"]) == ("rocky-9", "anaconda")
    error = api.fails("POST", "/recognise", {"source": str(media.tree(tmp_path / "u", {"a": "x"}))})
    assert error["status"] == 422
    assert "Looked for" in error["message"]


def test_an_install_whose_repository_does_not_exist_is_refused_with_the_command_that_adds_it(api: Api, world: World) -> None:
    order = {**ORDER, "options": {**ORDER["options"], "repo": "mine"}}  # type: ignore[dict-item]
    error = api.fails("POST", "/installs", order)
    assert (error["status"], error["field"]) == (422, "options.repo")
    assert "pxed repo add mine" in error["message"]
    assert "debian" in error["expected"]
    assert not world.inventory.all()
    api.send("POST", "/installs", {**ORDER, "node": "52:54:00:00:00:02", "options": {"repo": "http://mirror.example/debian"}}, code=201)
    world.registry._entries["mine"] = Entry(Repository("mine", []), (), configured=True)
    api.send("POST", "/installs", order, code=201)


def test_an_arm_node_needs_the_repository_of_its_architecture(api: Api, world: World) -> None:
    """Without `repo` in its options. A node that has not shown what it is may be either."""
    order = {**ORDER, "os": "ubuntu", "release": "24.04"}
    assert "pxed repo add ubuntu-24.04 " in api.fails("POST", "/installs", order)["message"]
    world.registry._entries["ubuntu-24.04-aarch64"] = Entry(Repository("ubuntu-24.04-aarch64", []), (), configured=False)
    made = api.send("POST", "/installs", order, code=201)
    world.inventory.seen(MAC, arch=11)
    assert made["id"] in api.fails("DELETE", "/repositories/ubuntu-24.04-aarch64")["message"]
    other = "52:54:00:00:00:02"
    world.inventory.seen(other, arch=7)
    assert "pxed repo add ubuntu-24.04 " in api.fails("POST", "/installs", {**order, "node": other})["message"]
    world.registry._entries["ubuntu-24.04"] = world.registry._entries.pop("ubuntu-24.04-aarch64")
    api.send("POST", "/installs", {**order, "node": other}, code=201)
    arm = "52:54:00:00:00:03"
    world.inventory.seen(arm, arch=11)
    assert "pxed repo add ubuntu-24.04-aarch64 " in api.fails("POST", "/installs", {**order, "node": arm})["message"]


def test_a_repository_that_a_running_install_needs_is_not_removed(api: Api, world: World, tmp_path: Path) -> None:
    added(api, media.tree(tmp_path / "t", ROCKY), name="mine")
    made = api.send("POST", "/installs", {**ORDER, "options": {"repo": "mine"}}, code=201)
    error = api.fails("DELETE", "/repositories/mine")
    assert error["status"] == 409
    assert made["id"] in error["message"]
    api.send("POST", f"/installs/{made['id']}/cancel")
    api.send("DELETE", "/repositories/mine", code=204)
    assert api.fails("POST", f"/installs/{made['id']}/retry")["field"] == "options.repo"
