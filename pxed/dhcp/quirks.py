"""Firmware that needs to be treated unlike its class, as data: `quirks.toml` and tables of the same shape in the configuration.
(`pxed.config.Quirk` is one table: so that every command that reads the configuration refuses a wrong one.)

A table matches when everything that it names matches. For each of its three consequences the first matching table that has it wins, the
operator's tables before the shipped ones. Pure; `load` reads the shipped file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from pxed.config import Quirk

_REMEMBERED = 16384


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


def load(operators: Iterable[Quirk] = ()) -> Quirks:
    """The operator's tables (``[[dhcp.quirks]]``), then the shipped ones."""
    shipped = tomllib.loads(files("pxed.dhcp").joinpath("quirks.toml").read_text(encoding="utf-8"))["quirk"]
    return Quirks([*operators, *map(Quirk.model_validate, shipped)])
