"""Which bytes a request is answered with (RFC 9110 sections 13 and 14)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxed.web.ranges import Answer, choose, http_date, media_type

ETAG = b'"abc"'
MODIFIED = 1_700_000_000.5


def ask(size: int = 100, method: bytes = b"GET", **headers: bytes) -> Answer:
    given_headers = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return choose(lambda name: given_headers.get(name), size=size, etag=ETAG, modified=MODIFIED, method=method)


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (b"bytes=0-", Answer(206, 0, 100)),
        (b"bytes=0-0", Answer(206, 0, 1)),
        (b"bytes=10-19", Answer(206, 10, 10)),
        (b"BYTES= 10-19 ", Answer(206, 10, 10)),
        (b"bytes=90-1000", Answer(206, 90, 10)),
        (b"bytes=99-", Answer(206, 99, 1)),
        (b"bytes=-10", Answer(206, 90, 10)),
        (b"bytes=-1000", Answer(206, 0, 100)),
        (b"bytes=100-", Answer(416)),
        (b"bytes=-0", Answer(416)),
        (b"bytes=200-300", Answer(416)),
        (b"bytes=5-2", Answer(200, 0, 100)),
        (b"bytes=-", Answer(200, 0, 100)),
        (b"bytes=a-b", Answer(200, 0, 100)),
        (b"bytes=0-1,5-6", Answer(200, 0, 100)),
        (b"lines=0-1", Answer(200, 0, 100)),
        (b"bytes=" + b"9" * 40 + b"-", Answer(200, 0, 100)),
    ],
)
def test_a_range_is_a_part_unsatisfiable_or_ignored(value: bytes, answer: Answer) -> None:
    assert ask(range=value) == answer


def test_a_range_of_an_empty_file_is_unsatisfiable_and_head_ignores_ranges() -> None:
    assert ask(size=0, range=b"bytes=0-") == Answer(416)
    assert ask(method=b"HEAD", range=b"bytes=0-5") == Answer(200, 0, 100)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"if_none_match": ETAG}, 304),
        ({"if_none_match": b'"x", W/"abc"'}, 304),
        ({"if_none_match": b"*"}, 304),
        ({"if_none_match": b'"x"'}, 200),
        ({"if_none_match": b'"x"', "if_modified_since": http_date(MODIFIED)}, 200),
        ({"if_modified_since": http_date(MODIFIED)}, 304),
        ({"if_modified_since": http_date(MODIFIED + 100)}, 304),
        ({"if_modified_since": http_date(MODIFIED - 1)}, 200),
        ({"if_modified_since": b"yesterday"}, 200),
        ({"if_modified_since": b"Mon, 99 Foo 99999999999999999999 99:99:99 GMT"}, 200),
        ({"if_modified_since": b"\xff\xfe"}, 200),
    ],
)
def test_what_the_client_has_already_is_not_sent_again(headers: dict[str, Any], code: int) -> None:
    assert ask(**headers).code == code


@pytest.mark.parametrize(
    ("condition", "code"),
    [(ETAG, 206), (b'"old"', 200), (b'W/"abc"', 200), (http_date(MODIFIED), 206), (http_date(MODIFIED - 1), 200), (b"", 200)],
)
def test_a_range_of_another_version_is_answered_with_the_whole_file(condition: bytes, code: int) -> None:
    assert ask(range=b"bytes=5-", if_range=condition).code == code


@given(st.integers(0, 50), st.binary(max_size=20) | st.from_regex(rb"bytes=\d{0,3}-\d{0,3}", fullmatch=True))
def test_whatever_is_asked_the_answer_lies_within_the_file(size: int, value: bytes) -> None:
    answer = ask(size=size, range=value)
    assert answer.code in {200, 206, 416}
    assert 0 <= answer.start <= answer.start + answer.length <= size
    simple = re.fullmatch(rb"bytes=(\d+)-(\d+)", value)
    if simple and int(simple[1]) <= int(simple[2]) < size:
        assert answer == Answer(206, int(simple[1]), int(simple[2]) - int(simple[1]) + 1)


def test_firmware_is_told_the_type_of_a_boot_program() -> None:
    assert media_type("grub/x64/GRUB.EFI") == "application/efi"
    assert media_type("linux") == "application/octet-stream"
