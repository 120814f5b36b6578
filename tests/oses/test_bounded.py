"""An operator's template is rendered like pxed's own, and no mistake in it costs more than a moment or shows a value."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pxed.oses.bounded import BoundedRenderer
from pxed.oses.catalog import FAMILIES, Catalog
from pxed.oses.render import TemplateProblem
from tests.oses.families import CASES, RESOURCES, sample
from tests.oses.samples import HOSTILE, URLS, FakeNode

SELF = '{% include "self.sh.j2" %}{% include "self.sh.j2" %}'


def write(source: str, **context: Any) -> str:
    return BoundedRenderer({"x.sh.j2": source, "self.sh.j2": SELF}).render("x.sh.j2", context)


@pytest.mark.slow
@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_pxeds_own_templates_come_out_the_same(family: str) -> None:
    plain, bounded = Catalog(resources=RESOURCES), Catalog(renderer=BoundedRenderer({}), resources=RESOURCES)
    for case in CASES:
        prepared = plain.prepare(family, None, sample(family, case))
        assert bounded.preview(prepared, FakeNode(), URLS) == plain.preview(prepared, FakeNode(), URLS)


def test_values_are_escaped_for_the_templates_kind() -> None:
    assert write("echo {{ x }} {{ 'a' ~ x }}", x="it's") == "echo 'it'\"'\"'s' 'ait'\"'\"'s'"
    for value in HOSTILE:
        assert write("{{ x }}", x=value) == "'" + value.replace("'", "'\"'\"'") + "'"


def test_what_templates_need_is_there() -> None:
    assert write("{% for a in l %}{{ loop.index }}{{ loop.length }}{{ loop.last }}{% endfor %}", l=[1, 2]) == "'1''2''false''2''2''true'"
    assert write("{{ l | join(', ') }}{{ 'a.b'.replace('.', '_') }}{{ '-' * 3 }}{{ 7 % 4 }}", l=[1, "b"]) == "'1, b''a_b''---''3'"
    assert write("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m('x') | raw }}") == "<'x'>"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "more than 20000 turns"),
        ("{% for a in range(10 * 1000 * 1000) %}{% endfor %}", "a range of more than"),
        ('{% include "self.sh.j2" %}', "without end"),
        ("{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}", "without end"),
        ("{% set n = namespace(x='aaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}", "puts together"),
        ("{% set n = namespace(x='aaaa') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}", "puts together"),
        ("{% set n = namespace(x=[1, 2]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}", "a list of more than"),
        ("{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}", "writes more"),
        ("{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x ~ '' }}", "no single value"),
        ("{% for i in range(9999) %}" + "x" * 9999 + "{% endfor %}", "writes more"),
        ("{{ range(9999) | join('x' * 9999) }}", "puts together"),
        ("{{ ('x' * 9999).replace('x', 'x' * 9999) }}", "puts together"),
        ("{{ 'a' * 1000000000 }}", "puts together"),
        ("{{ [1] * 1000000000 }}", "for numbers and texts only"),
        ("{{ 9 ** 9 ** 9 ** 9 }}", "powers"),
        ("{{ '%1000000000d' % 3 }}", "for numbers only"),
        ("{{ '{:>1000000000}'.format(1) }}", "not available to templates"),
        ("{{ 'x' | center(1000000000) }}", "center"),
        ("{{ 'x'.rjust(1000000000) }}", "unsafe"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ (1).to_bytes(1000000000, 'big') }}", "unsafe"),
        ("{{ call() }}", "not available to templates"),
        ("{{ lipsum(9) }}", "undefined"),
        ("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "recursive loop"),
        ("{{ 1 + secret }}", "TypeError in an expression"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("{{ secret.nothing }}", "no attribute"),
    ],
)
def test_a_mistake_is_a_sentence_with_template_and_line_and_without_values(source: str, problem: str) -> None:
    begun = time.thread_time()
    with pytest.raises(TemplateProblem, match=problem) as caught:
        write("\n" + source, call=lambda: 1, secret="s3cret")
    assert str(caught.value).startswith(("x.sh.j2, line 2: ", "x.sh.j2: it writes more", "x.sh.j2, line 1: it calls or includes"))
    assert "s3cret" not in str(caught.value)
    assert time.thread_time() - begun < 2


def test_time_is_measured_too() -> None:
    ticks = iter(range(1000))
    renderer = BoundedRenderer({"x.sh.j2": "{% for a in range(9999) %}{% endfor %}"}, seconds=lambda: next(ticks) / 4)
    with pytest.raises(TemplateProblem, match=r"the processor for more than 0.5 s"):
        renderer.render("x.sh.j2", {})


def test_a_template_may_use_the_one_it_replaces_and_others_use_it() -> None:
    own = {
        "debian/answers.preseed.j2": '{% include "shipped/debian/answers.preseed.j2" %}\nd-i own string {{ options.hostname or "none" }}\n',
        "linux/_tell.sh.j2": "pxed_tell() { true; }\n",
    }
    found = Catalog(renderer=BoundedRenderer(own), resources=RESOURCES)
    files = found.preview(found.prepare("debian", None, {"hostname": "web1"}), None, URLS)
    assert files["preseed.cfg"].endswith("\nd-i own string web1\n")
    assert "preseed/late_command" in files["preseed.cfg"]
    assert "pxed_tell() { true; }" in files["late.sh"]
