"""The base of every option model, and the one translation from pydantic's errors to the operator's.

This file's rules
* Unknown names are refused, with the nearest known one.
* A field's first alias is its canonical name; RackHD's names follow as further aliases. An error names the field as the operator wrote it.
* Neither a repr nor an error ever shows an input value: a value may be a password.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pxed.errors import InvalidRequest

_SENTENCES = (
    ("Value error, ", ""),
    ("Input should be greater", "a number greater"),
    ("Input should be less", "a number less"),
    ("Input should be ", ""),
    ("String should match pattern ", "text that matches "),
    ("String should have ", "text of "),
    ("Field required", "a value (it is missing)"),
)

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """A model that knows all its names and shows none of its values in errors."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, validate_default=False, str_max_length=65_536)


def names(*aliases: str) -> AliasChoices:
    """The canonical name first, then the other spellings that are accepted for it."""
    return AliasChoices(*aliases)


def refusal(option: str, problem: str, expected: str) -> InvalidRequest:
    """What is raised for `option` (its path below ``options``), which this family, release or medium can't do."""
    return InvalidRequest(f"options.{option}: {problem}", field=f"options.{option}", expected=expected)


def listed(value: Any) -> Any:
    """One text where a list is expected, separated by blanks or commas (as RackHD has NTP servers) > its parts."""
    return [part for part in re.split(r"[\s,]+", value) if part] if isinstance(value, str) else value


def lines(value: Any) -> Any:
    """One text where a list is expected, an entry per line > its lines, without empty ones."""
    return [line for line in value.splitlines() if line.strip()] if isinstance(value, str) else value


def parse(model: type[M], given: Mapping[str, Any], *, field: str, refused: Mapping[str, str] | None = None) -> M:
    """`given` as a `model`. InvalidRequest for the first thing wrong; `field` is the path that `given` stands at, e.g. ``options``.

    `refused` names options of the unified model that this family has no use for, with the reason.
    """
    for name, reason in (refused or {}).items():
        if given.get(name) is not None:
            raise InvalidRequest(f"{field}.{name} cannot be used here: {reason}", field=f"{field}.{name}", expected=f"no {name}")
    try:
        return model.model_validate({name: value for name, value in given.items() if name not in (refused or {})})
    except ValidationError as wrong:
        raise _translated(model, wrong.errors(include_url=False, include_input=False, include_context=True), field) from None


def _translated(model: type[BaseModel], errors: Sequence[ErrorDetails], field: str) -> InvalidRequest:
    # An unknown name first: it usually explains the value that is "missing" beside it.
    first = min(errors, key=lambda error: error["type"] != "extra_forbidden")
    where = ".".join([field, *(str(part) for part in first["loc"])]) if field else ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = sorted(_known(_model_at(model, first["loc"][:-1])))
        if first["loc"][-1] in known:
            expected = "either this name of the option or its other one, which is also given"
            return InvalidRequest(f"{where}: expected {expected}", field=where, expected=expected)
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.5)
        expected = f"perhaps {near[0]}" if near else f"one of {', '.join(known)}"
        return InvalidRequest(f"{where} is not a known option; {expected}", field=where, expected=expected)
    expected = _expected(first["msg"])
    return InvalidRequest(f"{where}: expected {expected}", field=where, expected=expected)


def _expected(message: str) -> str:
    """Pydantic's sentence > what was expected, as it follows the word 'expected'."""
    for start, plain in _SENTENCES:
        if message.startswith(start):
            return plain + message.removeprefix(start)
    return message[:1].lower() + message[1:]


def _model_at(model: type[BaseModel], path: Iterable[int | str]) -> type[BaseModel]:
    """The model that stands at `path` below `model`."""
    for part in path:
        if isinstance(part, int):
            continue
        for name, info in model.model_fields.items():
            if part in {name, *_aliases(info.validation_alias)}:
                model = next(_models(info.annotation), model)
                break
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The option models inside an annotation such as ``list[User] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _known(model: type[BaseModel]) -> set[str]:
    return {name for field, info in model.model_fields.items() for name in (_aliases(info.validation_alias) or {field})}


def _aliases(alias: str | AliasPath | AliasChoices | None) -> set[str]:
    if isinstance(alias, AliasChoices):
        return {choice for choice in alias.choices if isinstance(choice, str)}
    return {alias} if isinstance(alias, str) else set()
