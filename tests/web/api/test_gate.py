"""The API's door: the token, malformed requests, errors as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from pxed.errors import Conflict, InvalidRequest, NotFound, StorageUnavailable
from pxed.web.api.gate import shielded
from tests.conftest import Logged
from tests.web.api.client import Api
from tests.web.world import TOKEN, World


@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ÿ"])
def test_without_the_token_nothing_is_told_not_even_what_exists(world: World, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": token}
    for path in ("/api/v1/nodes", "/api/v1/nothing", "/api", "/api/v1/events"):
        response = world.ask("GET", path, headers=headers)
        assert response.code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert json.loads(response.body)["error"]["message"]


def test_health_is_what_the_appliance_says(api: Api) -> None:
    assert api.get("/health") == {"status": "ok"}


@pytest.mark.parametrize("path", ["/", "", "/nothing", "/nodes/x/y/z", "//nodes", "/nodes//events"])
def test_unknown_paths_are_a_json_404(api: Api, path: str) -> None:
    assert api.fails("GET", path)["status"] == 404


def test_a_wrong_method_is_a_json_405_that_names_the_right_ones(api: Api) -> None:
    response = api.ask("DELETE", "/nodes")
    assert (response.code, response.headers["allow"]) == (405, "GET, HEAD, POST")
    assert json.loads(response.body)["error"]["message"]


def test_a_trailing_slash_is_no_difference(api: Api) -> None:
    assert api.get("/nodes/") == {"nodes": []}


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000, b"nul"])
def test_a_body_that_is_no_json_object_is_a_400(api: Api, body: bytes) -> None:
    assert api.fails("POST", "/nodes", body)["status"] == 400


def test_paths_and_hosts_that_klein_chokes_on_are_answered(api: Api, world: World) -> None:
    assert api.ask("GET", "/nodes/%ff%fe").code == 400
    for host in ("a..b", "x" * 300, "[::1", "ÿ", ""):
        response = world.ask("GET", "/api/v1/nodes", headers={"Host": host, "Authorization": f"Bearer {TOKEN}"})
        assert response.code == 200


@pytest.mark.parametrize(
    ("problem", "status"),
    [(NotFound("a"), 404), (Conflict("a"), 409), (InvalidRequest("a", field="f", expected="e"), 422), (StorageUnavailable("a"), 503)],
)
def test_each_kind_of_error_has_its_status(api: Api, world: World, problem: Exception, status: int) -> None:
    _, install = world.armed()
    world.engine.broken = problem
    error = api.fails("POST", f"/installs/{install.id}/cancel")
    assert (error["status"], error["message"]) == (status, "a")
    if status == 422:
        assert (error["field"], error["expected"]) == ("f", "e")


def test_our_bug_says_no_more_than_that_and_is_logged(api: Api, world: World, logged: Logged) -> None:
    _, install = world.armed()
    world.engine.broken = ZeroDivisionError("secret")
    error = api.fails("POST", f"/installs/{install.id}/cancel")
    assert (error["status"], error["message"]) == (500, "internal error")
    assert logged.take(ZeroDivisionError)


def test_what_was_asked_is_done_whole_though_the_client_leaves() -> None:
    waits: Deferred[None] = Deferred()
    done: list[str] = []

    async def work() -> Any:
        await waits
        done.append("whole")

    outer = shielded(work())
    outer.addErrback(lambda failure: None)
    outer.cancel()
    waits.callback(None)
    assert done == ["whole"]


def test_a_bug_after_the_client_left_is_logged(logged: Logged) -> None:
    waits: Deferred[None] = Deferred()

    async def work() -> Any:
        await waits
        raise ValueError

    outer = shielded(work())
    outer.addErrback(lambda failure: None)
    outer.cancel()
    waits.callback(None)
    assert logged.take(ValueError)
