"""URLs towards an upstream: quoted as apt quotes them, credentials out of sight."""

from __future__ import annotations

import pytest

from pxed.repo.upstream import Upstream


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("pool/g++_1:2~rc.deb", "http://mirror/debian/pool/g%2B%2B_1%3A2~rc.deb"),
        ("a b%20c?d#e", "http://mirror/debian/a%20b%2520c%3Fd%23e"),
        ("ü/\udcff", "http://mirror/debian/%C3%BC/%FF"),
    ],
)
def test_a_path_is_quoted_whole(path: str, url: str) -> None:
    assert Upstream("http://mirror/debian/").url(path) == url


def test_user_and_password_become_a_header_and_leave_the_url() -> None:
    upstream = Upstream("https://us%40er:wo%3Ard@mirror:8443/x")
    assert upstream.headers == {"Authorization": "Basic dXNAZXI6d286cmQ="}
    for shown in (str(upstream), repr(upstream), upstream.url("f")):
        assert "mirror:8443/x" in shown
        assert "wo" not in shown
    assert Upstream("http://mirror").headers == {}
