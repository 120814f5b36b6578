"""What one escape writes, the format's own reader reads back unchanged."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pxed.oses import escape
from pxed.oses.escape import Unwritable
from tests.oses.samples import HOSTILE

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200)


def _through_sh(values: list[str]) -> list[str]:
    """What dash makes of the quoted words: each printed and ended by a NUL."""
    script = "printf '%s\\0' " + " ".join(escape.sh(value) for value in values)
    out = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True, timeout=30)
    assert out.stderr == b""
    return out.stdout.decode().split("\0")[:-1]


@settings(max_examples=30, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=20))
def test_a_real_shell_reads_every_quoted_word_unchanged(values: list[str]) -> None:
    assert _through_sh(values) == values


def test_a_real_shell_reads_hostile_words_unchanged() -> None:
    assert _through_sh(HOSTILE) == HOSTILE


@pytest.mark.parametrize("function", [escape.sh, escape.preseed, escape.ipxe, escape.echo, escape.plain])
def test_nul_is_refused_by_every_text_format(function: object) -> None:
    with pytest.raises(Unwritable, match="NUL"):
        function("a\0b")  # type: ignore[operator]


@pytest.mark.parametrize("function", [escape.sh, escape.preseed, escape.ipxe, escape.plain])
def test_a_list_or_none_where_a_value_belongs_is_the_templates_mistake(function: object) -> None:
    for wrong in (None, ["a"], {"a": 1}, b"a"):
        with pytest.raises(Unwritable, match="single value"):
            function(wrong)  # type: ignore[operator]


def test_booleans_are_written_as_installers_spell_them() -> None:
    assert [escape.preseed(True), escape.preseed(False), escape.preseed(7)] == ["true", "false", "7"]


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\tb", "a\x7fb", "a\u2028b", "a\x85b", " a", "a ", "a\\"])
def test_a_preseed_value_that_would_change_its_line_is_refused(value: str) -> None:
    with pytest.raises(Unwritable):
        escape.preseed(value)


@pytest.mark.parametrize("value", ["", "a b", "$(x) `y` 'z' \"q\"", "a\\b", "ü漢", "a # b"])
def test_a_preseed_value_in_one_line_stays_as_it_is(value: str) -> None:
    assert escape.preseed(value) == value


@pytest.mark.parametrize("value", ["${net0/mac}", "a || b", "a && b", "a ; b", "# a", "a\nb", "a\tb", "ü", "a\x1bb"])
def test_what_ipxe_would_expand_or_run_is_refused(value: str) -> None:
    with pytest.raises(Unwritable):
        escape.ipxe(value)


@pytest.mark.parametrize("value", ["a;b", "a||b", "quiet net.ifnames=0", "http://h/x?a=b&c=d", "ds=nocloud;s=http://h/", "$x {y}", ""])
def test_what_ipxe_passes_through_stays_as_it_is(value: str) -> None:
    assert escape.ipxe(value) == value


@given(st.text())
def test_text_for_an_ipxe_screen_never_expands_runs_or_breaks_the_line(value: str) -> None:
    if "\0" in value:
        return
    shown = escape.echo(value)
    assert escape.ipxe(shown) == shown


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(JSON)
def test_json_reads_back_and_cannot_end_the_xml_or_html_around_it(value: object) -> None:
    text = escape.json_value(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&")
    assert text.isascii()


def test_a_value_that_json_does_not_know_is_refused() -> None:
    for wrong in (b"x", {1, 2}, float("nan"), object()):
        with pytest.raises(Unwritable, match="JSON"):
            escape.json_value(wrong)


def test_a_refusal_never_shows_the_value() -> None:
    for function in (escape.sh, escape.preseed, escape.ipxe):
        with pytest.raises(Unwritable) as caught:
            function("s3cret\0\n${")
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("value", ['a"b', "ü", "a\nb", "a\tb", "a\\"])
def test_what_a_batch_file_cannot_carry_is_refused(value: str) -> None:
    """What it can is read back by another cmd.exe in test_windows_batch.py."""
    with pytest.raises(Unwritable):
        escape.cmd(value)


def test_a_word_of_a_batch_file_has_its_percent_signs_doubled() -> None:
    assert escape.cmd("50% &|<>^!") == '"50%% &|<>^!"'


@given(st.lists(st.sampled_from(["a", "/=~!1", "$", "${", "}", "#", "||", "&&", ";", " ", "\n", "\x7f", "ä"]), max_size=4).map("".join))
@example("a${net0/mac}")
@example("a\n")
def test_ipxe_gets_visible_ascii_in_which_nothing_expands_and_no_word_is_an_operator(value: str) -> None:
    fits = all(" " <= letter <= "~" for letter in value) and "${" not in value
    if fits and not escape.IPXE_OPERATORS.intersection(value.split()):
        assert escape.ipxe(value) == value
    else:
        with pytest.raises(escape.Unwritable):
            escape.ipxe(value)
