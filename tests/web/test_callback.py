"""Notifications: any form is understood, and none is acknowledged before it is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxed.errors import StorageUnavailable
from pxed.oses.reports import Report
from pxed.web.callback import MESSAGE, Told, read
from pxed.workflow.notices import inbox_row
from tests.conftest import Logged
from tests.web.world import NODE_ADDRESS, World


@pytest.mark.parametrize(
    ("query", "body", "told"),
    [
        ({}, b"", Told()),
        ({"status": "ok"}, b"", Told()),
        ({"status": "fail", "message": "no disk"}, b"", Told("fail", "no disk")),
        ({"status": "FAILED"}, b"", Told("fail")),
        ({"status": "fail"}, b'{"error": "boom"}', Told("fail", "boom")),
        ({}, b'{"status": "error", "message": "x", "n": 3, "deep": {"a": [1]}}', Told("fail", "x", {"n": 3, "deep": '{"a": [1]}'})),
        ({}, b"status=fail&message=no+disk%21", Told("fail", "no disk!")),
        ({}, b"status=ok&message=\n", Told()),
        ({"status": "ok"}, b"status=fail", Told()),
        ({}, b"line one\nkey=value and more\nline three\n", Told("ok", "line one\nkey=value and more\nline three")),
        ({}, b"{not json", Told("ok", "{not json")),
        ({}, b"[1, 2]", Told("ok", "[1, 2]")),
        ({}, b"caf\xe9 \x1b[31mred", Told("ok", "caf� �[31mred")),
        ({"taskId": "7"}, b"", Told("ok", "", {"taskId": "7"})),
    ],
)
def test_query_form_json_and_plain_text_are_read(query: dict[str, str], body: bytes, told: Told) -> None:
    assert read(query, body) == told


def test_what_no_database_can_hold_becomes_text() -> None:
    body = b'{"nan": NaN, "big": 1e999, "long": ' + b"9" * 400 + b', "n\\u0000\\ud800": 1}'
    assert read({}, body).data == {"nan": "NaN", "big": "Infinity", "long": "9" * 400, "n\ufffd\ufffd": 1}


def test_no_notification_is_refused_because_it_carries_too_much() -> None:
    told = read({"status": "fail"}, json.dumps({f"k{n}": "x" * 2000 for n in range(60)}).encode())
    inbox_row("installed", told.status, told.message, told.data, "", 0.0)
    assert list(told.data)[:2] == ["k0", "k1"]


def test_the_end_of_a_long_message_is_kept() -> None:
    told = read({}, b"first\n" + b"x" * MESSAGE + b"\nlast")
    assert len(told.message) == MESSAGE
    assert told.message.endswith("last")


@settings(max_examples=50)
@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=2), st.binary(max_size=200) | st.text(max_size=50).map(str.encode)
)
def test_no_body_is_too_strange(query: dict[str, str], body: bytes) -> None:
    told = read(query, body)
    assert told.status in {"ok", "fail"}
    json.dumps(told.data)


JSON = st.recursive(
    st.none() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=30)
@given(JSON)
def test_any_json_object_becomes_flat_json_data(value: object) -> None:
    json.dumps(read({}, json.dumps({"value": value}).encode()).data)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_notification_is_delivered_with_its_source_and_answered_2xx(world: World, method: str) -> None:
    node, install = world.armed()
    response = world.ask(method, f"/i/{install.token}/notify/installed?status=ok", b"" if method == "GET" else b"all is well")
    assert response.code == 200
    (told,) = world.engine.delivered
    assert (told.phase, told.status, told.source) == ("installed", "ok", NODE_ADDRESS)
    assert told.message == ("" if method == "GET" else "all is well")
    assert node.address == NODE_ADDRESS


@pytest.mark.parametrize("path", ["notify", "notify/"])
def test_without_a_phase_it_is_the_next_one_awaited(world: World, path: str) -> None:
    _, install = world.armed()
    assert world.ask("POST", f"/i/{install.token}/{path}", b"{}").code == 200
    assert world.engine.delivered[0].phase is None


def test_while_the_store_is_away_nothing_is_acknowledged_and_the_node_is_told_when_to_retry(world: World) -> None:
    _, install = world.armed()
    world.engine.broken = StorageUnavailable("the database is away")
    response = world.ask("POST", f"/i/{install.token}/notify/installed")
    assert (response.code, response.headers["retry-after"]) == (503, "5")
    world.engine.broken = None
    assert world.ask("POST", f"/i/{install.token}/notify/installed").code == 200


def test_a_client_that_leaves_before_the_answer_has_still_told_us(world: World) -> None:
    _, install = world.armed()
    client = world.connect()
    client.send(b"POST /i/%s/notify/booted HTTP/1.1\r\nContent-Length: 4\r\n\r\nte" % install.token.encode())
    client.send(b"xt")
    client.hang_up()
    assert world.engine.delivered[0].message == "text"


def test_an_unknown_token_is_not_found(world: World) -> None:
    assert world.ask("POST", "/i/nobody/notify/installed").code == 404
    assert world.ask("GET", "/i/nobody/progress?percent=4").code == 404


def test_our_bug_is_a_500_without_details_and_a_line_in_the_log_without_the_token(world: World, logged: Logged) -> None:
    _, install = world.armed()
    world.engine.broken = RuntimeError("secret detail")
    response = world.ask("POST", f"/i/{install.token}/notify/installed?message=hidden")
    assert (response.code, response.text) == (500, "internal error\n")
    (event,) = logged.events
    line = event["log_format"].format(**event)
    assert "/i/***/notify/installed" in line
    assert install.token not in line
    assert logged.take(RuntimeError)


@pytest.mark.parametrize(
    ("query", "percent", "text"),
    [
        ("percent=30&text=unpacking", 30, "unpacking"),
        ("percent=300", 100, ""),
        ("percent=-5", 0, ""),
        ("percent=12.7", 12, ""),
        ("value=1&maximum=4&description=RackHD", 25, "RackHD"),
    ],
)
def test_progress_is_passed_on_within_bounds(world: World, query: str, percent: int, text: str) -> None:
    _, install = world.armed()
    assert world.ask("GET", f"/i/{install.token}/progress?{query}").code == 200
    assert world.engine.progressed == [(install.id, percent, text)]


@pytest.mark.parametrize("query", ["", "percent=", "percent=many", "percent=nan", "percent=inf", "value=3", "value=1&maximum=0"])
def test_progress_without_a_number_is_refused(world: World, query: str) -> None:
    _, install = world.armed()
    assert world.ask("GET", f"/i/{install.token}/progress?{query}").code == 400
    assert not world.engine.progressed


# what an installer posts of its own accord


def read_event(event: Mapping[str, Any]) -> Report | None:
    """A family's reader of what its installer posts."""
    if event.get("result") == "FAIL":
        return Report(0, f"{event['name']} failed: {event['description']}", failed=True)
    return Report(20, "Unpacking the base system") if event.get("event_type") == "start" else None


@pytest.fixture
def token(world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """That of an install whose family reads posts."""
    _, install = world.armed()
    families = world.catalog.families
    monkeypatch.setitem(families, "debian", replace(families["debian"], webhook=read_event))
    return install.token


def test_an_installers_own_events_are_progress_and_never_go_back(world: World, token: str) -> None:
    event = {"name": "cmd-install/stage-extract", "event_type": "start", "files": [{"content": "x" * 9999}]}
    assert world.ask("POST", f"/i/{token}/webhook", body=json.dumps(event).encode()).code == 200
    assert world.engine.progressed[-1][1:] == (20, "Unpacking the base system")
    world.engine.by_token(token).percent = 50
    world.ask("POST", f"/i/{token}/webhook", body=json.dumps(event).encode())
    assert len(world.engine.progressed) == 1


def test_an_installers_own_failure_is_a_notification_that_fails(world: World, token: str) -> None:
    event = {"name": "cmd-install", "event_type": "finish", "result": "FAIL", "description": "no disk\x1b[31m"}
    assert world.ask("POST", f"/i/{token}/webhook", body=json.dumps(event).encode()).code == 200
    (told,) = world.engine.delivered
    assert (told.phase, told.status, told.message) == (None, "fail", "cmd-install failed: no disk�[31m")
    world.engine.broken = StorageUnavailable("no space")
    assert world.ask("POST", f"/i/{token}/webhook", body=json.dumps(event).encode()).code == 503


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"[" * 100_000, b"\xff"])
def test_a_post_that_is_no_json_object_is_refused(world: World, token: str, body: bytes) -> None:
    assert world.ask("POST", f"/i/{token}/webhook", body=body).code == 400


def test_a_post_to_a_family_that_reads_none_and_one_without_a_token_look_the_same(world: World) -> None:
    _, install = world.armed()
    assert world.ask("POST", f"/i/{install.token}/webhook", body=b"{}").code == 404
    assert world.ask("POST", "/i/nobody/webhook", body=b"{}").code == 404
    assert world.ask("GET", f"/i/{install.token}/webhook").code == 404
