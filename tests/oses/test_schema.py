"""The JSON Schema of each system's options: a validator can read it, it takes what pxed takes, and it refuses what no system has."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, SecretStr

from pxed.oses.catalog import FAMILIES, Catalog
from pxed.oses.family import Family
from pxed.oses.features import refusals
from pxed.oses.strict import parse
from tests.oses.families import CASES, sample

CATALOG = Catalog()
EVERY = [(family.name, next(iter(installer.releases))) for family in FAMILIES for installer in family.installers]
every = pytest.mark.parametrize(("family", "release"), EVERY)


def installer(family: str, release: str) -> Family:
    return CATALOG.families[family].installer(release)


@cache
def validator(family: str, release: str) -> Draft202012Validator:
    return Draft202012Validator(CATALOG.schema(family, release))


def canonical(family: str, release: str, case: str) -> dict[str, Any]:
    """A sample under the names and in the shapes that the schema has."""
    options = installer(family, release).options
    found: dict[str, Any] = written(parse(options, sample(family, case, release), field="options", refused=refusals(options, family)))
    return found


def written(value: Any) -> Any:
    """What of an option was given, as JSON values."""
    if isinstance(value, BaseModel):
        given = {name: getattr(value, name) for name in sorted(value.model_fields_set)}
        return {name: written(each) for name, each in given.items() if each is not None}
    if isinstance(value, list):
        return [written(each) for each in value]
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def wrong(family: str, release: str, options: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(family, release).iter_errors(options)]


@every
def test_it_is_a_json_schema_of_the_draft_that_it_names(family: str, release: str) -> None:
    schema = CATALOG.schema(family, release)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(schema)


@every
@pytest.mark.parametrize("case", CASES)
def test_it_takes_what_pxed_takes(family: str, release: str, case: str) -> None:
    assert wrong(family, release, canonical(family, release, case)) == []


@every
def test_it_refuses_names_that_nobody_knows_and_values_of_other_types(family: str, release: str) -> None:
    options = canonical(family, release, "full")
    assert len(wrong(family, release, {**options, "hostnam": "web1"})) == 1
    for name, value in options.items():
        assert wrong(family, release, {**options, name: {"no": {"such": "thing"}}}), f"{name}: {value!r}"


@every
def test_sizes_and_editions_may_be_written_as_the_documents_have_them(family: str, release: str) -> None:
    options = canonical(family, release, "full")
    known = CATALOG.schema(family, release)["properties"]
    for size in ("500", 500, "20G", "2T", "auto") if "installPartitions" in known else ():
        given = copy.deepcopy(options) | {"installPartitions": [{"mountPoint": "/", "size": size}]}
        assert wrong(family, release, given) == []
    for edition in (2, "2", "Professional") if family == "windows" else ():
        assert wrong(family, release, options | {"edition": edition}) == []
