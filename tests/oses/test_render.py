"""Templates escape for their own format without being asked, and every mistake is a sentence."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pxed.oses.bounded import BoundedRenderer
from pxed.oses.render import KINDS, TEMPLATES, Renderer, TemplateProblem, kind_of
from tests.oses.samples import HOSTILE


def _render(folder: Path, name: str, source: str, **context: Any) -> str:
    (folder / name).write_text(source)
    return Renderer(folder).render(name, context)


def test_a_shell_template_quotes_whatever_it_prints(tmp_path: Path) -> None:
    for value in HOSTILE:
        script = _render(tmp_path, "x.sh.j2", "printf '%s' {{ value }}\n", value=value)
        assert subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=10).stdout.decode() == value


def test_joining_or_formatting_quoted_text_quotes_again_instead_of_letting_it_through(tmp_path: Path) -> None:
    source = "printf '%s' {{ (value | sh) ~ ' x' }}\n"
    assert _render(tmp_path, "x.sh.j2", source, value="a;b").split(" ", 2)[2].strip() == "''\"'\"'a;b'\"'\"' x'"


def test_formats_nest_the_outer_one_checks_what_the_inner_one_wrote(tmp_path: Path) -> None:
    source = "d-i preseed/late_command string echo {{ value | sh }}\n"
    assert _render(tmp_path, "x.preseed.j2", source, value="it's") == "d-i preseed/late_command string echo 'it'\"'\"'s'\n"
    with pytest.raises(TemplateProblem, match=r"x.preseed.j2, line 1: a preseed value is one line"):
        _render(tmp_path, "x.preseed.j2", source, value="two\nlines")


def test_json_templates_print_values_of_every_shape(tmp_path: Path) -> None:
    value = {"a": [1, None, "</script>]]>"], "b": HOSTILE}
    assert json.loads(_render(tmp_path, "x.json.j2", '{"x": {{ value }}}', value=value)) == {"x": value}


def test_text_of_the_template_itself_and_raw_text_stay_as_they_are(tmp_path: Path) -> None:
    assert _render(tmp_path, "x.ipxe.j2", "set a ${b} || && {{ value | raw }}\n", value="${net0/ip}") == "set a ${b} || && ${net0/ip}\n"


def test_an_unknown_variable_is_named_with_template_and_line(tmp_path: Path) -> None:
    with pytest.raises(TemplateProblem, match=r"^x.sh.j2, line 3: 'missing' is undefined$"):
        _render(tmp_path, "x.sh.j2", "#!/bin/sh\n\necho {{ missing }}\n")
    with pytest.raises(TemplateProblem, match=r"has no attribute 'b'"):
        _render(tmp_path, "x.sh.j2", "echo {{ a.b }}\n", a=object())


def test_a_mistake_in_an_included_template_is_placed_there(tmp_path: Path) -> None:
    (tmp_path / "_inner.sh.j2").write_text("echo\necho {{ missing }}\n")
    with pytest.raises(TemplateProblem, match="line 2"):
        _render(tmp_path, "x.sh.j2", '{% include "_inner.sh.j2" %}\n')


def test_a_syntax_error_or_a_missing_template_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TemplateProblem, match=r"x.sh.j2, line 2"):
        _render(tmp_path, "x.sh.j2", "echo\n{% if %}\n")
    with pytest.raises(TemplateProblem, match=r"no such template"):
        Renderer(tmp_path).render("nothing.sh.j2", {})


@pytest.mark.parametrize("name", ["x.sh", "x.j2", "x.exe.j2", "sh.j2"])
def test_a_name_without_a_kind_is_refused(name: str) -> None:
    with pytest.raises(TemplateProblem, match=r"must end with .KIND.j2"):
        kind_of(name)


def test_a_template_is_compiled_once(tmp_path: Path) -> None:
    (tmp_path / "x.sh.j2").write_text("echo one\n")
    renderer = Renderer(tmp_path)
    assert renderer.render("x.sh.j2", {}) == "echo one\n"
    (tmp_path / "x.sh.j2").write_text("echo two\n")
    assert renderer.render("x.sh.j2", {}) == "echo one\n"


def test_renderers_share_what_a_text_was_compiled_to_but_not_across_kinds_names_or_texts(tmp_path: Path) -> None:
    codes = []
    for folder, name, text in (
        ("one", "x.sh.j2", "{{ 'it is' }}"),
        ("one", "x.sh.j2", "{{ 'it is' }}"),
        ("one", "y.ini.j2", "{% include 'x.sh.j2' %}"),
        ("two", "x.sh.j2", "{{ 'it was' }}"),
        ("one", "x.sh.j2", "{{ 'it was' }}"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(text)
        renderer = Renderer(tmp_path / folder)
        template = renderer._environment(kind_of(name)).get_template(name)
        codes.append((renderer.render(name, {}), template.root_render_func.__code__))
    assert [text for text, _ in codes] == ["'it is'", "'it is'", "it is", "'it was'", "'it was'"]
    assert codes[0][1] is codes[1][1]
    assert len({id(code) for _, code in codes}) == 4


def test_the_sandbox_compiles_for_itself() -> None:
    plain, sandboxed = (each._environment(KINDS["sh"]).get_template("debian/late.sh.j2") for each in (Renderer(), BoundedRenderer({})))
    assert plain.root_render_func.__code__ is not sandboxed.root_render_func.__code__


def test_every_packaged_template_has_a_kind_and_compiles() -> None:
    found = [path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.j2")]
    assert len(found) >= 8
    for name in found:
        assert kind_of(name) in KINDS.values()
        environment = Renderer()._environment(kind_of(name))
        environment.get_template(name)
