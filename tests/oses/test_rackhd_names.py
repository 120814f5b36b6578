"""RackHD's names are taken as they are: every option of every graph does what it says here, or is refused by name with a reason.

The table is `rackhd_rows`; docs/os/rackhd-names.md is written from it: ``PXED_RECORD=1 pytest tests/oses/test_rackhd_names.py``.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pxed.errors import InvalidRequest, NotFound
from pxed.oses import rackhd
from pxed.oses.catalog import Catalog, Prepared
from pxed.oses.family import Family
from pxed.oses.features import refusals
from tests.oses.families import RESOURCES
from tests.oses.rackhd_rows import EVERY_OPTION, SYSTEMS, Row, System
from tests.oses.samples import KEY, URLS, FakeNode, install_of

CATALOG = Catalog(resources=RESOURCES)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "os" / "rackhd-names.md"
BEGIN = "<!-- written by tests/oses/test_rackhd_names.py -->\n"


def file_of(prepared: Prepared, name: str) -> str:
    """As it is previewed, so with masks in place of secrets; behind it what it carries inside."""
    if name == "boot.ipxe":
        return CATALOG.profile(install_of(prepared), FakeNode(), URLS)
    if name in CATALOG.plain_secrets(install_of(prepared)):
        return CATALOG.preview(prepared, FakeNode(), URLS)[name]
    text = CATALOG.file(install_of(prepared), FakeNode(), URLS, name).body.decode()
    return text + "".join(base64.b64decode(found).decode() for found in re.findall(r"base64,([A-Za-z0-9+/=]+)", text))


@cache
def without(graph: str, file: str) -> str:
    """`file` of an install without the option."""
    (system,) = [each for each in SYSTEMS if each.graph == graph]
    prepared = CATALOG.prepare(graph, None, system.least)
    return file_of(prepared, file) if file in {"boot.ipxe", *CATALOG.families[prepared.family].files} else ""


def request(system: System, row: Row) -> dict[str, Any]:
    least = {name: value for name, value in system.least.items() if row.option != "rootPassword" or name != "rootPasswordHash"}
    return {**least, **row.beside, row.option: row.value}


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.graph)
def test_an_option_does_what_it_says_or_is_refused_by_name(system: System) -> None:
    wrong = [problem for row in system.rows for problem in problems(system, row)]
    assert not wrong, "\n".join(wrong)


def problems(system: System, row: Row) -> Iterator[str]:
    shown = f"{row.option}={json.dumps(row.value)}"
    try:
        prepared = CATALOG.prepare(system.graph, None, request(system, row))
    except (InvalidRequest, NotFound) as refusal:
        if row.file or row.text not in str(refusal) or not str(refusal).startswith("options"):
            yield f"{shown} is refused: {refusal}"
        return
    if not row.file:
        yield f"{shown} is accepted"
    elif row.text not in file_of(prepared, row.file):
        yield f"{shown}: {row.file} does not hold {row.text!r}"
    elif row.text in without(system.graph, row.file) and not row.usual:
        yield f"{shown}: {row.file} holds {row.text!r} without it, too"


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.graph)
def test_every_other_option_of_rackhds_is_refused_by_name_too(system: System) -> None:
    for name in others(system):
        if not canonical(family_of(system), name):
            with pytest.raises(InvalidRequest, match=f"^options.{name}( cannot be used here)?: .") as caught:
                CATALOG.prepare(system.graph, None, {**system.least, name: "x"})
            assert caught.value.field == f"options.{name}"


def family_of(system: System) -> Family:
    return CATALOG.families[rackhd.candidates(system.graph)[0]]


def others(system: System) -> list[str]:
    """RackHD's options that `system` has no row for."""
    return [name for name in EVERY_OPTION if name not in {row.option for row in system.rows}]


def canonical(family: Family, option: str) -> str:
    """pxed's name of RackHD's `option`; "" if this family has none."""
    if option in ("version", "osName"):
        return {"version": "release", "osName": "os"}[option]
    if option == "postInstallCommands":
        return "scripts.firstboot" if family.name == "esxi" else "scripts.post"
    for name, info in family.options.model_fields.items():
        if option in (name, *getattr(info.validation_alias, "choices", ())):
            return "" if option in refusals(family.options, family.title) else name
    return ""


# graphs


@pytest.mark.parametrize(
    ("asked", "release", "options", "found"),
    [
        ("Graph.InstallCentOS", None, {"version": "7"}, ("centos", "7")),
        ("InstallCentOS", None, {"version": "6.5"}, ("centos", "6")),
        ("Graph.InstallCentos", "9", {}, ("centos", "9")),
        ("Graph.InstallRHEL", None, {"version": "7.2"}, ("rhel", "7")),
        ("Graph.InstallSUSE", None, {}, ("leap", "15")),
        ("Graph.InstallSUSE", None, {"version": "12"}, ("sles", "12")),
        ("Graph.InstallUbuntu", None, {"version": "noble"}, ("ubuntu", "24.04")),
        ("Graph.InstallUbuntu", None, {"version": "bookworm"}, ("debian", "12")),
        ("Graph.InstallDebian", None, {"osName": "ubuntu"}, ("ubuntu", "24.04")),
        ("InstallCoreOS", None, {"version": None}, ("flatcar", "stable")),
        ("Graph.InstallPhotonOS", None, {"version": "5.0"}, ("photon", "5")),
        ("debian", "12", {"version": "12", "osName": "debian"}, ("debian", "12")),
    ],
)
def test_a_graph_and_a_version_are_a_family_and_a_release(
    asked: str, release: str | None, options: Mapping[str, Any], found: tuple[str, str]
) -> None:
    prepared = CATALOG.prepare(asked, release, options)
    assert (prepared.family, prepared.release) == found
    assert not {"version", "osName"} & set(prepared.options)
    assert CATALOG.schema(asked) == CATALOG.schema(family_named(asked))


def family_named(asked: str) -> str:
    return rackhd.candidates(asked)[0]


@pytest.mark.parametrize(
    ("asked", "release", "options", "said"),
    [
        ("Graph.InstallDebain", None, {}, r"There is no operating system 'Graph.InstallDebain' \(perhaps Graph.InstallDebian\)"),
        ("Graph.InstallCentOS", None, {"version": "5"}, "CentOS has no release '5'"),
        ("Graph.InstallCoreOS", None, {"version": "899.17.0"}, "Flatcar has no release '899.17.0'"),
        ("Graph.InstallCentOS", "9", {"version": "7"}, "options.version: the release is '9' already"),
        ("Graph.InstallCentOS", None, {"osName": "debian"}, "options.osName: Graph.InstallCentOS does not install 'debian'"),
        ("debian", None, {"version": ["12"]}, "options.version: expected text"),
    ],
)
def test_what_cannot_be_meant_is_said(asked: str, release: str | None, options: Mapping[str, Any], said: str) -> None:
    with pytest.raises((InvalidRequest, NotFound), match=said):
        CATALOG.prepare(asked, release, options)


def test_every_graph_has_rows_and_leads_to_families_that_exist() -> None:
    assert {each.graph.removeprefix("Graph.") for each in SYSTEMS} == set(rackhd.GRAPHS)
    assert {name for families in rackhd.GRAPHS.values() for name in families} <= set(CATALOG.families)


# the document


def written() -> str:
    by_rows: dict[int, list[System]] = {}
    for system in SYSTEMS:
        by_rows.setdefault(id(system.rows), []).append(system)
    return "\n".join(line for alike in by_rows.values() for line in section(alike))


def title(system: System) -> str:
    names = rackhd.GRAPHS[system.graph.removeprefix("Graph.")]
    return f"{system.graph}: {' or '.join(f'`{name}`' for name in names)}"


def section(alike: list[System]) -> Iterator[str]:
    """The lines about systems that take the same."""
    system = alike[0]
    family = family_of(system)
    yield f"\n## {'; '.join(map(title, alike))}\n"
    yield "| RackHD's option | for example | here | what comes of it |"
    yield "|---|---|---|---|"
    for row in system.rows:
        value = f"`{cell(shortened(row.value))}`"
        name = f"`{canonical(family, row.option)}`" if row.file else "refused"
        result = f"`{row.file}`: `{cell(row.text.strip())}`" if row.file else cell(row.text)
        yield f"| `{row.option}` | {value} | {name} | {result} |"
    more = [name for name in others(system) if canonical(family, name)]
    if more:
        yield f"\nAlso taken: {', '.join(f'`{name}`' for name in more)}."
    rest = [name for name in others(system) if not canonical(family, name)]
    yield f"\nRefused by name: {', '.join(f'`{name}`' for name in rest)}."


def shortened(value: Any) -> str:
    return json.dumps(value).replace(KEY, "ssh-ed25519 ...")


def cell(text: str) -> str:
    return text.replace(KEY, "ssh-ed25519 ...").replace("|", "\\|").replace("\n", " ").replace("`", "'")


def test_the_document_is_this_table() -> None:
    head, mark, _ = DOCUMENT.read_text().partition(BEGIN)
    assert mark
    text = head + BEGIN + written() + "\n"
    if os.environ.get("PXED_RECORD"):
        DOCUMENT.write_text(text)
    assert DOCUMENT.read_text() == text, "PXED_RECORD=1 pytest tests/oses/test_rackhd_names.py writes it"
