"""Times in words."""

from __future__ import annotations

import pytest

from pxed.node.wording import lasting


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 seconds"), (0.4, "0 seconds"), (1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (90, "90 seconds"),
        (120, "2 minutes"), (1800, "30 minutes"), (3600, "1 hour"), (5400, "90 minutes"), (7200, "2 hours"), (86400, "1 day"),
        (90000, "25 hours"), (200000, "2 days"),
    ],
)  # fmt: skip
def test_a_span_is_said_in_the_unit_that_fits(seconds: float, words: str) -> None:
    assert lasting(seconds) == words
