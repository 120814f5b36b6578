"""An operator's template is rendered by another process: as here, and nothing that it does there reaches the appliance."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from pxed.oses import apart
from pxed.oses.apart import Apart
from pxed.oses.catalog import FAMILIES, Catalog
from pxed.oses.family import Family
from pxed.oses.own_build import defaulted
from pxed.oses.render import TemplateProblem
from pxed.oses.rendering import Rendering
from pxed.threads import Threads
from tests.conftest import reactor
from tests.oses.families import CASES, RESOURCES, sample
from tests.oses.samples import URLS, FakeNode, install_of

NOTHING = {"unused/x.sh.j2": ""}
LATE = "debian/late.sh.j2"
ENDLESS = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}"
DEAF = "{{ (1 | round(-400000000)) }}"
"""One operation of Python's that takes minutes and lets no other thread run; `bounded` sees none of it."""


@pytest.fixture
def apart_of() -> Iterator[Any]:
    made: list[Apart] = []

    def of(templates: dict[str, str], **settings: Any) -> Apart:
        made.append(Apart({"debian": templates}, **settings))
        return made[-1]

    yield of
    for each in made:
        each.stop()


def own(families: tuple[Family, ...], templates: dict[str, str]) -> tuple[Family, ...]:
    return tuple(replace(family, templates=templates) for family in families)


def test_every_family_comes_out_the_same() -> None:
    plain = Catalog(resources=RESOURCES)
    families = own(FAMILIES, NOTHING)
    process = Apart({family.name: NOTHING for family in families})
    other = Catalog(families, own=process.of, resources=RESOURCES)
    other.sealing = plain.sealing
    try:
        for family in FAMILIES:
            for case in CASES:
                prepared = plain.prepare(family.name, None, sample(family.name, case))
                assert other.preview(prepared, FakeNode(), URLS) == plain.preview(prepared, FakeNode(), URLS)
    finally:
        process.stop()


def test_the_options_of_an_operators_family_go_over(apart_of: Any) -> None:
    debian = FAMILIES[0]
    options = defaulted(debian.options, debian.options.model_validate({"timezone": "Europe/Berlin"}), "kiosk")
    process = apart_of({LATE: "{{ options.timezone }}"})
    family = replace(debian, options=options, templates={LATE: ""})
    catalog = Catalog((family,), own=process.of)
    install = install_of(catalog.prepare("debian", "12", {"hostname": "web1"}))
    assert catalog.file(install, FakeNode(), URLS, "late.sh").body == b"'Europe/Berlin'"


def test_a_problem_is_the_same_sentence_as_here(apart_of: Any) -> None:
    with pytest.raises(TemplateProblem, match=r"x\.sh\.j2, line 2: 'nothing' is undefined"):
        apart_of({"x.sh.j2": "\n{{ nothing }}"}).render("debian", "x.sh.j2", {})
    with pytest.raises(TemplateProblem, match="more than 20000 turns"):
        apart_of({"x.sh.j2": ENDLESS}).render("debian", "x.sh.j2", {})


def test_what_nothing_counts_is_ended_and_the_next_file_is_rendered(apart_of: Any) -> None:
    process = apart_of({"deaf.sh.j2": DEAF, "x.sh.j2": "{{ 1 }}"}, limit=1.0)
    assert process.render("debian", "x.sh.j2", {}) == "'1'"
    with pytest.raises(TemplateProblem, match=r"^deaf.sh.j2: it takes longer than 1 s$"):
        process.render("debian", "deaf.sh.j2", {})
    assert process.render("debian", "x.sh.j2", {}) == "'1'"


def test_one_that_was_killed_meanwhile_is_started_again(apart_of: Any) -> None:
    process = apart_of({"x.sh.j2": "{{ 1 }}"})
    process.render("debian", "x.sh.j2", {})
    os.kill(process._process.pid, signal.SIGKILL)
    process._process.wait()
    assert process.render("debian", "x.sh.j2", {}) == "'1'"


def test_memory_is_bounded(apart_of: Any) -> None:
    """Texts that `bounded` allows, taken apart into lists, which it does not measure: 34 MB each."""
    lists = ", ".join(["text | list"] * 40)
    assert apart.MEMORY <= 1 << 30
    with pytest.raises(TemplateProblem, match=r"^x\.sh\.j2, line 1: MemoryError in an expression$"):
        apart_of({"x.sh.j2": "{% set text = 'x' * 4194304 %}{{ [" + lists + "] | length }}"}).render("debian", "x.sh.j2", {})


@pytest.mark.parametrize(("hostile", "limit"), [(ENDLESS, 2.0), (DEAF, 0.5)])
async def test_the_reactor_keeps_time_while_a_hostile_template_is_rendered(hostile: str, limit: float, apart_of: Any) -> None:
    """A timer of 10 ms beside it; with the template rendered here, DEAF would hold it for minutes and ENDLESS for its half second."""
    process = apart_of({"debian/answers.preseed.j2": hostile}, limit=limit)
    catalog = Catalog(own(FAMILIES[:1], {"debian/answers.preseed.j2": hostile}), own=process.of)
    prepared = Catalog().prepare("debian", "12", {"hostname": "web1"})
    threads = Threads(reactor)
    threads.start()
    rendering = Rendering(catalog, ours=threads.render.do, own=threads.render_own.do)
    beats: list[float] = []
    heart = LoopingCall(lambda: beats.append(time.monotonic()))
    beating: Deferred[Any] = heart.start(0.01)
    try:
        with pytest.raises(TemplateProblem, match=r"more than 20000 turns|longer than 0.5 s"):
            await rendering.file(install_of(prepared), FakeNode(), URLS, "preseed.cfg")
    finally:
        heart.stop()
        await beating
        process.stop()
        threads.stop()
    assert max(after - before for before, after in pairwise(beats)) < 0.25  # a busy machine's own doing
