"""Secrets in logs are masked; the rest of the line stays readable."""

from __future__ import annotations

import timeit

import pytest

from pxed.node.mask import mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("hash $6$rounds=5000$salt$abc./DEF is set", "hash $6$*** is set"),
        ("$y$j9T$abc/def$xyz", "$y$***"),
        (
            "auto=true url=http://10.0.0.1/i/AbC-_9/preseed.cfg interface=auto",
            "auto=true url=http://10.0.0.1/i/***/preseed.cfg interface=auto",
        ),
        ("GET http://user:pass@mirror/debian/x", "GET http://***@mirror/debian/x"),
        ("d-i passwd/root-password password hunter2 x", "d-i passwd/root-password password *** x"),
        ("d-i passwd/user-password-again password hunter2", "d-i passwd/user-password-again password ***"),
        ('{"password": "hunter2", "n": 1}', '{"password": ***, "n": 1}'),
        ("PASSWD=hunter2; token=abc", "PASSWD=***; token=***"),
        ("passphrase: hunter2", "passphrase: ***"),
        ("Setting up passwd (1:4.13) ...", "Setting up passwd (1:4.13) ..."),
        ("costs $5 and $60", "costs $5 and $60"),
        ("I/O error /dev/sda", "I/O error /dev/sda"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_masking_twice_changes_nothing() -> None:
    once = mask("password=x url=http://h/i/tok/f $6$salt$hash")
    assert mask(once) == once


def test_no_line_takes_long_to_mask() -> None:
    """Every rule looks at a bounded stretch: a line that is all half matches costs what any other does, times a few."""

    def cost(text: str) -> float:
        return min(timeit.repeat(lambda: mask(text), number=20, repeat=5))

    ordinary = cost("packaging: Installing bash.x86_64 " * 27)
    for unit in ("password/", "password-", "token=", "$6$", "/i/", "x://", "passwd password "):
        assert cost((unit * 900)[:900]) < 30 * ordinary, unit
