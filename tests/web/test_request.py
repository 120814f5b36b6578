"""What our requests and Site add: a log without tokens, errors in the caller's words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, globalLogPublisher
from zope.interface import implementer

from pxed.errors import NotFound, StorageUnavailable
from pxed.repo.fetch import UpstreamFailed
from pxed.web.request import redact, status_of
from tests.conftest import Logged
from tests.web.world import TOKEN, World


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"/i/SECRET/preseed.cfg", "/i/***/preseed.cfg"),
        (b"/i/SECRET", "/i/***"),
        (b"//i//SECRET/x", "//i//***/x"),
        (b"/p/525400123456?x=SECRET", "/p/525400123456"),
        (b"http://h/i/SECRET/x", "http://h/i/***/x"),
        (b"/%69/SECRET/x", "/%69/***/x"),
        (b"/b/\x1b\xff", "/b/?\\xff"),
        (b"/" + b"x" * 1000, "/" + "x" * 299),
    ],
)
def test_a_path_in_the_log_has_no_token_no_query_and_no_control_characters(path: bytes, shown: str) -> None:
    assert redact(path) == shown


@given(st.binary(max_size=50))
def test_any_path_can_be_logged(path: bytes) -> None:
    assert redact(path).isprintable()


def test_the_access_log_has_one_line_per_request_and_never_a_token(world: World) -> None:
    _, install = world.armed()
    lines: list[str] = []

    @implementer(ILogObserver)
    def observe(event: Any) -> None:
        if event.get("log_namespace") == "pxed.web.request":
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    try:
        for path in ("preseed.cfg", "nothing", "notify/x?message=hidden", "progress?percent=3&text=hidden"):
            world.ask("GET", f"/i/{install.token}/{path}")
        world.ask("GET", f"http://10.0.0.1/i/{install.token}/preseed.cfg")
        world.ask("GET", "/api/v1/nodes", headers={"Authorization": f"Bearer {TOKEN}"})
        world.ask("GET", "/b/ipxe.efi")
    finally:
        globalLogPublisher.removeObserver(observe)
    assert len(lines) == 7
    text = "\n".join(lines)
    assert "10.0.0.77 GET /i/***/preseed.cfg 200" in text
    for secret in (install.token, TOKEN, "hidden"):
        assert secret not in text


def test_each_kind_of_problem_has_its_status() -> None:
    problems = [NotFound("x"), StorageUnavailable("x"), UpstreamFailed("x"), ValueError("x")]
    assert [status_of(problem) for problem in problems] == [404, 503, 502, 500]


def test_methods_that_a_resource_lacks_are_405_and_unknown_ones_501(world: World, logged: Logged) -> None:
    response = world.ask("POST", "/p/525400123456", b"x")
    assert (response.code, response.headers["allow"]) == (405, "GET, HEAD")
    assert world.ask("BREW", "/p/525400123456").code == 501
    assert world.ask("OPTIONS", "/p/525400123456").code == 405


def test_a_request_for_the_star_is_answered(world: World, logged: Logged) -> None:
    assert world.ask("OPTIONS", "*").code in {200, 204, 405}
    assert world.ask("GET", "*").code in {404, 405}
