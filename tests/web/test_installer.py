"""Answer files: for whoever has the token of an install that has not ended, and for nobody else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pxed.node.model import Boot
from pxed.oses.catalog import FAMILIES, Catalog
from pxed.oses.render import TemplateProblem
from tests.conftest import Logged
from tests.oses.families import RESOURCES, sample
from tests.web.world import MAC, NODE_ADDRESS, World, run


def test_an_answer_file_is_rendered_with_the_address_it_was_asked_at(world: World) -> None:
    node, install = world.armed()
    response = world.ask("GET", f"/i/{install.token}/preseed.cfg", host="10.1.1.1")
    assert response.code == 200
    assert f"http://10.1.1.1/i/{install.token}/" in response.text
    assert response.headers["cache-control"] == "no-store"
    assert world.kinds()[-1] == "http.answer"
    assert world.engine.progressed == [(install.id, 5, "answer file fetched")]
    assert node.address == NODE_ADDRESS


def test_a_hook_is_an_event_of_its_own_and_no_progress(world: World) -> None:
    _, install = world.armed()
    assert world.ask("GET", f"/i/{install.token}/late.sh").text.startswith("#!")
    assert world.kinds()[-1] == "http.hook"
    assert not world.engine.progressed


def test_who_has_a_file_of_its_install_has_its_installer_running(world: World) -> None:
    _, install = world.armed()
    for name in ("preseed.cfg", "early.sh", "nothing.cfg"):
        world.ask("GET", f"/i/{install.token}/{name}")
        world.ask("HEAD", f"/i/{install.token}/{name}")
    assert world.engine.worked == [install.id] * 2


@pytest.mark.parametrize(("family", "release"), [("windows", "2022"), ("esxi", "8")])
def test_a_file_that_the_boot_program_fetches_shows_nothing_of_the_installer(tmp_path: Path, family: str, release: str) -> None:
    world = World(tmp_path, catalog=Catalog(resources=RESOURCES))
    _, install = world.armed(family=family, release=release, options=sample(family, "full", release))
    loads = world.catalog.loads(install)
    assert loads
    for name in loads:
        assert world.ask("GET", f"/i/{install.token}/{name}").code == 200, name
    assert not world.engine.worked


def test_head_is_answered_without_events(world: World) -> None:
    _, install = world.armed()
    before = world.kinds()
    response = world.ask("HEAD", f"/i/{install.token}/preseed.cfg")
    assert (response.code, response.body) == (200, b"")
    assert int(response.headers["content-length"]) > 100
    assert world.kinds() == before


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_an_ended_install_and_an_unknown_token_look_the_same(world: World, state: str) -> None:
    _, install = world.armed()
    install.state = state  # type: ignore[assignment]
    ended = world.ask("GET", f"/i/{install.token}/preseed.cfg")
    unknown = world.ask("GET", "/i/whatever/preseed.cfg")
    assert ended.code == unknown.code == 404
    assert ended.body == unknown.body
    assert ended.text.count("\n") == 1


def test_the_installer_of_a_parked_install_still_gets_its_files(world: World) -> None:
    _, install = world.armed()
    install.state = "parked"
    assert world.ask("GET", f"/i/{install.token}/preseed.cfg").code == 200


def test_a_file_the_install_does_not_have_is_not_found_and_told(world: World) -> None:
    _, install = world.armed()
    for name in ("nothing.cfg", "../../etc/passwd", "", "preseed.cfg/x"):
        assert world.ask("GET", f"/i/{install.token}/{name}").code == 404
    assert world.kinds()[-1] == "http.failed"


def test_a_template_that_does_not_end_is_our_error_and_the_timeline_says_why(world: World, tmp_path: Path, logged: Logged) -> None:
    loop = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
    endless = {"debian/answers.preseed.j2": loop, "boot/linux.ipxe.j2": loop}
    other = World(tmp_path / "own" / "www", catalog=Catalog([replace(FAMILIES[0], templates=endless)]))
    _, first = world.armed()
    node = other.inventory.seen(MAC)
    install = replace(first, node_id=node.id)
    other.engine.installs[install.id] = install
    run(other.inventory.assign(node.id, Boot("installer", install.id)))
    response = other.ask("GET", f"/i/{install.token}/preseed.cfg")
    assert (response.code, "answers.preseed.j2, line 1: it takes more than 20000 turns" in response.text) == (500, True)
    assert other.kinds()[-1] == "http.failed"
    assert "could not be given preseed.cfg: debian/answers.preseed.j2" in other.texts()[-1]
    assert other.ask("GET", f"/p/{MAC}").code == 500
    assert "got no boot profile: boot/linux.ipxe.j2, line 1: it takes more than" in other.texts()[-1]
    assert len(logged.take(TemplateProblem)) == 2
    assert other.ask("GET", f"/i/{install.token}/late.sh").code == 200


def test_a_file_that_cannot_be_made_is_an_error_and_the_timeline_says_why(world: World) -> None:
    _, install = world.armed()
    install.options = {"users": 5}
    assert world.ask("GET", f"/i/{install.token}/preseed.cfg").code == 422
    assert world.kinds()[-1] == "http.failed"
    assert world.texts()[-1].startswith(f"{MAC} could not be given preseed.cfg: options.users: expected")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "preseed.cfg"), ("HEAD", "notify/installed"), ("DELETE", "preseed.cfg"), ("GET", "notify/a/b")]
)
def test_other_methods_are_refused_and_deliver_nothing(world: World, method: str, path: str) -> None:
    _, install = world.armed()
    assert world.ask(method, f"/i/{install.token}/{path}").code == 405
    assert not world.engine.delivered


def test_the_files_of_a_removed_node_are_gone(world: World) -> None:
    node, install = world.armed()
    run(world.inventory.assign(node.id, Boot()))
    run(world.inventory.remove(node.id))
    assert world.inventory.by_mac(MAC) is None
    assert world.ask("GET", f"/i/{install.token}/preseed.cfg").code == 404


def test_the_token_alone_is_no_path(world: World) -> None:
    _, install = world.armed()
    assert world.ask("GET", f"/i/{install.token}").code == 404
    assert world.ask("GET", "/i").code == 404
    assert world.ask("GET", "/i/").code == 404


def test_a_file_with_secrets_is_for_the_installer_and_for_nobody_afterwards(world: World) -> None:
    node = world.inventory.seen(MAC, arch=7)
    prepared = world.catalog.prepare("windows", "2022", {"rootPassword": "S3cret-word"})
    install = run(
        world.engine.create(
            node.id, family=prepared.family, release=prepared.release, recipe=prepared.recipe, options=prepared.options
        )
    )  # fmt: skip
    path = f"/i/{install.token}/unattend.xml"
    assert "<AdministratorPassword>" in world.ask("GET", path).text
    install.state = "parked"
    assert world.ask("GET", path).code == 200
    for state in ("running", "parked", "unproven"):
        install.state = state
        run(world.inventory.assign(node.id, Boot("disk", install.id)))
        assert world.ask("GET", path).code == 404
        assert world.ask("GET", f"/i/{install.token}/SetupComplete.cmd").code == 200
    assert "http.failed" in world.kinds()


def test_what_another_appliance_sealed_is_an_error_that_tells_nothing(world: World) -> None:
    node = world.inventory.seen(MAC, arch=7)
    prepared = Catalog().prepare("windows", "2022", {"rootPassword": "S3cret-word"})
    install = run(
        world.engine.create(
            node.id, family=prepared.family, release=prepared.release, recipe=prepared.recipe, options=prepared.options
        )
    )  # fmt: skip
    response = world.ask("GET", f"/i/{install.token}/unattend.xml")
    assert (response.code, "another key" in response.text) == (409, True)
    assert world.kinds()[-1] == "http.failed"
