"""How values look, whoever sent them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxed.cli.output import ago, clean, duration, local, size


@pytest.mark.slow
@given(st.text())
def test_no_text_keeps_a_character_that_steers_a_terminal(text: str) -> None:
    shown = clean(text)
    assert all(c.isprintable() or c.isspace() for c in shown)
    assert not {"\x1b", "\x07", "\r", "\n", "\x9b", "\u202e", "\u2066", "\u2028"} & set(shown)


def test_durations_and_sizes_have_units() -> None:
    assert [duration(s) for s in (0, 59.9, 60, 3599, 3600, 86400, 200_000)] == [
        "0 s", "59 s", "1 m 00 s", "59 m 59 s", "1 h 00 m", "24 h 00 m", "2 d",
    ]  # fmt: skip
    assert [size(n) for n in (0, 1023, 173_792, 5 << 30)] == ["0 B", "1023 B", "170 KiB", "5 GiB"]


def test_times_that_are_none_are_shown_as_they_came() -> None:
    assert local("yesterday\x1b") == "yesterday?"
    assert ago("yesterday", 0.0) == ""
    assert ago("2026-05-22T12:00:00Z", 0.0) == "0 s ago"
