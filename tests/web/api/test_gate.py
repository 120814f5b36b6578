"""The API's door: the token, malformed requests, errors as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from pxed.errors import Conflict, InvalidRequest, NotFound, StorageUnavailable
from pxed.web.api.gate import SLICE, listed, shielded
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


class Turns:
    """A reactor of which each `turn` is one call."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def callLater(self, _seconds: float, call: Any, *args: Any) -> None:
        self.waiting.append(lambda: call(*args))

    def turn(self) -> None:
        self.waiting.pop(0)()


def test_a_long_list_keeps_the_reactor_for_a_slice_at_a_time() -> None:
    """5000 installs in one piece were 0.4 s in which no node got an offer."""
    turns, shaped, done = Turns(), list[int](), list[bytes]()
    entries = list(range(2 * SLICE + 1))

    def shape(entry: int) -> dict[str, int]:
        shaped.append(entry)
        return {"n": entry}

    Deferred.fromCoroutine(listed("entries", entries, shape, turns)).addCallback(done.append)
    for turn in (1, 2):
        assert (len(shaped), done) == (turn * SLICE, [])
        turns.turn()
    assert json.loads(done[0]) == {"entries": [{"n": each} for each in entries]}


@pytest.mark.parametrize("what", ["nodes", "installs", "nodes/0/events"])
def test_the_lists_of_the_api_are_made_in_slices(world: World, what: str) -> None:
    node, _ = world.armed()
    node.name = "0"
    for number in range(SLICE):
        _, install = world.armed(mac=f"52:54:00:00:00:{number:02x}")
        world.timeline.record("http.file", "one more", node=node.id, install=install.id)
    client = world.connect()
    client.send(f"GET /api/v1/{what} HTTP/1.1\r\nHost: pxed\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    assert client.responses(b"GET") == []
    world.reactor.advance(0)
    (response,) = client.responses(b"GET")
    assert len(json.loads(response.body)[what.rpartition("/")[2]]) > SLICE


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
