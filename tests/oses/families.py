"""Samples of every family: the least and the most that can be asked of it, and everything hostile that it accepts."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pxed.oses.catalog import Catalog, Prepared, Resources, Urls
from tests.oses import samples
from tests.oses.samples import FakeNode, install_of

KEPT = ("productkey", "activationKey")
CASES = ("minimal", "full", "hostile")


def sample(family: str, case: str, release: str | None = None) -> dict[str, Any]:
    """A fresh copy of the family's sample `case`; a `release` with other options has samples of its own (samples_ubuntu_18_04)."""
    name = f"tests.oses.samples_{family.replace('-', '_')}"
    own = f"{name}_{(release or '').replace('.', '_')}"
    found_as = next((each for each in (own, name) if find_spec(each)), None)
    module = import_module(found_as) if found_as else samples
    found = {
        "minimal": getattr(module, "MINIMAL", {}),
        "full": module.FULL,
        "hostile": module.HOSTILE if module is not samples else samples.hostile(),
    }[case]
    return copy.deepcopy(found)


def media(name: str) -> Mapping[str, Any]:
    """What is known of the media that the samples need: `MEDIA` of each samples_*.py, by the name of the repository."""
    found: dict[str, Any] = {}
    for path in Path(__file__).parent.glob("samples_*.py"):
        found.update(getattr(import_module(f"tests.oses.{path.stem}"), "MEDIA", {}))
    medium: Mapping[str, Any] = found.get(name, {})
    return medium


RESOURCES = Resources(media=media)


def delivered(catalog: Catalog, prepared: Prepared, node: FakeNode, urls: Urls) -> dict[str, str]:
    """Every file as the node is given it: those that may hold kept secrets with them, which a preview masks."""
    install = install_of(prepared)
    opened = {name: catalog.file(install, node, urls, name).body.decode() for name in catalog.plain_secrets(install)}
    return {**catalog.preview(prepared, node, urls), **opened}


def secrets_of(options: Any) -> list[str]:
    """Every plain password in a request, also of its URLs, and what else is kept sealed."""
    return list(_secrets(options))


def passwords_of(options: Mapping[str, Any]) -> list[str]:
    """The plain passwords of accounts in a request: what is hashed wherever it can be."""
    users = options.get("users", [])
    return [each["password"] for each in users if "password" in each] + [options[name] for name in ("rootPassword",) if name in options]


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if isinstance(inner, str) and (name.lower().endswith("password") or name in KEPT):
                yield inner
            elif isinstance(inner, str) and (found := re.search(r"://[^/@]*:([^/@]+)@", inner)):
                yield found[1]
            else:
                yield from _secrets(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets(inner)
