"""Files over HTTP, in memory (so: by copying), as to what is answered; tests/web/test_sendfile.py is about how."""

from __future__ import annotations

import os

import pytest

from pxed.repo.recent import KEPT
from tests.web.world import World

BODY = bytes(range(256)) * 40


def test_a_file_is_sent_whole_with_its_length_type_and_validators(world: World) -> None:
    response = world.ask("GET", "/b/ipxe.efi")
    assert (response.code, response.body) == (200, BODY)
    assert response.headers["content-type"] == "application/efi"
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["etag"].startswith('"')
    assert response.headers["last-modified"].endswith(" GMT")


def test_head_has_the_headers_of_get_and_no_body_as_uefi_http_boot_wants_it(world: World) -> None:
    got, head = world.ask("GET", "/b/ipxe.efi"), world.ask("HEAD", "/b/ipxe.efi")
    assert head.headers["content-length"] == str(len(BODY))
    assert {**got.headers, "date": ""} == {**head.headers, "date": ""}


def test_an_empty_file_is_an_empty_answer(world: World) -> None:
    response = world.ask("GET", "/b/empty.bin")
    assert (response.code, response.headers["content-length"], response.body) == (200, "0", b"")


@pytest.mark.parametrize(("value", "start", "end"), [("bytes=0-99", 0, 100), ("bytes=100-", 100, None), ("bytes=-7", -7, None)])
def test_a_range_is_a_206_with_its_place(world: World, value: str, start: int, end: int | None) -> None:
    response = world.ask("GET", "/b/ipxe.efi", headers={"Range": value})
    assert (response.code, response.body) == (206, BODY[start:end])
    assert response.headers["content-range"].endswith(f"/{len(BODY)}")
    assert int(response.headers["content-length"]) == len(response.body)


def test_a_range_beyond_the_end_is_a_416_that_says_how_long_the_file_is(world: World) -> None:
    response = world.ask("GET", "/b/ipxe.efi", headers={"Range": f"bytes={len(BODY)}-"})
    assert (response.code, response.headers["content-range"]) == (416, f"bytes */{len(BODY)}")


def test_several_ranges_are_answered_with_the_whole_file(world: World) -> None:
    assert world.ask("GET", "/b/ipxe.efi", headers={"Range": "bytes=0-1,4-5"}).body == BODY


def test_an_unchanged_file_is_a_304_by_tag_and_by_date_and_a_changed_one_is_not(world: World) -> None:
    first = world.ask("GET", "/b/ipxe.efi")
    by_tag, by_date = {"If-None-Match": first.headers["etag"]}, {"If-Modified-Since": first.headers["last-modified"]}
    assert [world.ask("GET", "/b/ipxe.efi", headers=each).code for each in (by_tag, by_date)] == [304, 304]
    assert "content-length" not in world.ask("GET", "/b/ipxe.efi", headers=by_tag).headers
    os.utime(world.root / "ipxe.efi", (2e9, 2e9))
    world.reactor.advance(KEPT)
    assert [world.ask("GET", "/b/ipxe.efi", headers=each).code for each in (by_tag, by_date)] == [200, 200]


@pytest.mark.parametrize(
    "path",
    [
        "/b/../secret",
        "/b/%2e%2e/secret",
        "/b/..%2fsecret",
        "/b/%2e%2e%2fsecret",
        "/b/x/%2e%2e/%2e%2e/secret",
        "/b//../secret",
        "/b/..%5csecret",
        "/b/out/secret",
        "/b/out",
        "/b/ipxe.efi%00.txt",
        "/b/" + "%2e%2e/" * 20 + "etc/passwd",
        "/b//etc/passwd",
        "/b/",
        "/b",
    ],
)
def test_nothing_leads_out_of_the_root(world: World, path: str) -> None:
    (world.root.parent / "secret").write_text("secret")
    (world.root / "out").symlink_to(world.root.parent)
    assert world.ask("GET", path).code == 404


def test_names_are_percent_decoded_once(world: World) -> None:
    (world.root / "a b%41.txt").write_bytes(b"x")
    assert world.ask("GET", "/b/a%20b%2541.txt").code == 200
    assert world.ask("GET", "/b/a%20b%41.txt").code == 404


def test_no_descriptor_stays_open_whatever_the_answer(world: World) -> None:
    tag = world.ask("GET", "/b/ipxe.efi").headers["etag"]
    before = len(os.listdir("/proc/self/fd"))
    for headers in ({}, {"Range": "bytes=5-"}, {"Range": "bytes=99999999-"}, {"If-None-Match": tag}):
        for method in ("GET", "HEAD"):
            world.ask(method, "/b/ipxe.efi", headers=headers)
    world.ask("GET", "/b/nothing")
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_timer_of_a_finished_file_is_gone(world: World) -> None:
    world.ask("GET", "/b/ipxe.efi")
    world.reactor.advance(0)
    world.reactor.advance(KEPT)  # the descriptor that is kept for whoever asks next
    assert not world.reactor.getDelayedCalls()


def test_post_is_refused(world: World) -> None:
    response = world.ask("POST", "/b/ipxe.efi", b"x")
    assert (response.code, response.headers["allow"]) == (405, "GET, HEAD")
