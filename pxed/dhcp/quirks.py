"""Firmware that needs to be treated unlike its class, as data: `quirks.toml` and tables of the same shape in the configuration.

A table matches when everything that it names matches. For each of its three consequences the first matching table that has it wins, the
operator's tables before the shipped ones. Pure; `load` reads the shipped file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pxed.errors import ConfigError

_REMEMBERED = 16384


class Quirk(BaseModel):
    """One table. Conditions: `mac` and `uuid` (option 97, as dmidecode prints it) by prefix, `vendor_class` (option 60) by beginning,
    `product` (SMBIOS product name, once the node has told it) by beginning, `arch` by code. Consequences: `boot_program` (file name),
    `shape` (a shape of `pxed.dhcp.offer.SHAPES`), `blksize_max` (bytes, TFTP)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1)]
    why: str = ""
    mac: tuple[str, ...] = ()
    vendor_class: tuple[str, ...] = ()
    uuid: tuple[str, ...] = ()
    product: tuple[str, ...] = ()
    arch: tuple[int, ...] = ()
    boot_program: str | None = None
    shape: Literal["binl", "pxe10", "bare", "menu", "menu3"] | None = None
    blksize_max: Annotated[int, Field(ge=8, le=65464)] | None = None

    @field_validator("mac", "vendor_class", "uuid", "product", "arch", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int) else value

    @field_validator("mac", "uuid")
    @classmethod
    def _lower(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not value or set(value.lower()) - set("0123456789abcdef:-"):
                raise ValueError(f"a prefix in hexadecimal digits is expected, like 'b8:27:eb', not {value!r}")
        return tuple(value.lower() for value in values)

    @model_validator(mode="after")
    def _complete(self) -> Quirk:
        if not (self.mac or self.vendor_class or self.uuid or self.product or self.arch):
            raise ValueError("names no condition: at least one of mac, vendor_class, uuid, product, arch")
        if self.boot_program is None and self.shape is None and self.blksize_max is None:
            raise ValueError("has no consequence: at least one of boot_program, shape, blksize_max")
        return self

    def may_match(self, vendor_class: str, arch: int | None) -> bool:
        """Whether a client of that vendor class and architecture can match at all."""
        return (not self.vendor_class or vendor_class.startswith(self.vendor_class)) and (not self.arch or arch in self.arch)

    def matches(self, mac: str, vendor_class: str, uuid: str, product: str, arch: int | None) -> bool:
        """All that it names, by beginning. `mac` and `uuid` lower case; "" for what is not known."""
        return (
            self.may_match(vendor_class, arch)
            and (not self.mac or mac.startswith(self.mac))
            and (not self.uuid or uuid.startswith(self.uuid))
            and (not self.product or product.startswith(self.product))
        )


@dataclass(frozen=True, slots=True)
class Special:
    """What is special about one client; all None for nearly all. `names` of the quirks that said so."""

    boot_program: str | None = None
    shape: str | None = None
    blksize_max: int | None = None
    names: tuple[str, ...] = ()


NOTHING_SPECIAL = Special()


class Quirks:
    """All tables, the operator's first."""

    def __init__(self, quirks: Iterable[Quirk]) -> None:
        self.all = tuple(quirks)
        self._likely: dict[tuple[str, int | None], tuple[Quirk, ...]] = {}
        self._found: dict[tuple[str, str, str, str, int | None], Special] = {}

    def of(self, mac: str, *, vendor_class: str = "", uuid: str = "", product: str = "", arch: int | None = None) -> Special:
        """What is special about a client. Remembers its answers: costs a dictionary look-up or two from the second packet on."""
        kind = (vendor_class, arch)
        likely = self._likely.get(kind)
        if likely is None:
            likely = tuple(quirk for quirk in self.all if quirk.may_match(vendor_class, arch))
            _remember(self._likely, kind, likely)
        if not likely:
            return NOTHING_SPECIAL
        key = (mac, vendor_class, uuid, product, arch)
        found = self._found.get(key)
        if found is None:
            found = _joined([quirk for quirk in likely if quirk.matches(*key)])
            _remember(self._found, key, found)
        return found


def _remember(memory: dict[Any, Any], key: Any, value: Any) -> None:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value


def _joined(matching: list[Quirk]) -> Special:
    """For each consequence the first table that has it."""
    if not matching:
        return NOTHING_SPECIAL
    return Special(
        next((quirk.boot_program for quirk in matching if quirk.boot_program is not None), None),
        next((quirk.shape for quirk in matching if quirk.shape is not None), None),
        next((quirk.blksize_max for quirk in matching if quirk.blksize_max is not None), None),
        tuple(quirk.name for quirk in matching),
    )


def load(operators: Iterable[Mapping[str, Any]] = ()) -> Quirks:
    """The operator's tables (``[[dhcp.quirks]]``), then the shipped ones. ConfigError names the table and key and what was expected."""
    shipped = tomllib.loads(files("pxed.dhcp").joinpath("quirks.toml").read_text(encoding="utf-8"))["quirk"]
    own = [_validated(table, f"dhcp.quirks.{at}") for at, table in enumerate(operators)]
    return Quirks([*own, *(_validated(table, f"quirk.{at}") for at, table in enumerate(shipped))])


def _validated(table: Mapping[str, Any], where: str) -> Quirk:
    try:
        return Quirk.model_validate(table)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        raise ConfigError(first["msg"], key=".".join(str(part) for part in (where, *first["loc"]))) from problem
