"""Which Debian archive the lab installs from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import upstream as module
from tests.lab.process import LabProblem
from tests.lab.upstream import upstream


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    upstream.cache_clear()
    yield
    upstream.cache_clear()


def test_the_one_that_is_named_wins_over_apts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PXED_LAB_MIRROR", "http://mirror.invalid:8080/debian/")
    assert (upstream().base.netloc, upstream().path) == ("mirror.invalid:8080", "/debian")


@pytest.mark.parametrize("wrong", ["mirror.invalid/debian", "ftp://mirror.invalid/debian", "http://"])
def test_what_is_no_url_of_an_archive_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("PXED_LAB_MIRROR", wrong)
    with pytest.raises(LabProblem) as caught:
        upstream()
    assert "invalid" not in str(caught.value)


def test_a_host_without_any_is_told_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ubuntu."""
    monkeypatch.delenv("PXED_LAB_MIRROR", raising=False)
    monkeypatch.setattr(module, "debian_mirror", lambda: None)
    with pytest.raises(LabProblem, match="PXED_LAB_MIRROR="):
        upstream()
