"""Hostile text goes into every option of every system: it is refused by that option's name, or the family's samples have some there.

What is done with those samples: test_every_family.py, each family's own tests, and the validators and shells that read the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from pxed.cli.os_commands import describe
from pxed.errors import InvalidRequest
from pxed.oses.catalog import FAMILIES, Catalog
from pxed.oses.features import refusals
from pxed.oses.strict import parse
from tests.oses.families import sample
from tests.oses.samples import HOSTILE

CATALOG = Catalog()
EVERY = [(family.name, next(iter(installer.releases))) for family in FAMILIES for installer in family.installers]
TEXTS = ("text", "secret", "list of text", "text or integer", "integer or text")
KINDS: Mapping[str, Callable[[str], bool]] = {
    "quotes": lambda text: "'" in text or '"' in text,
    "$(...)": lambda text: "$(" in text,
    "]]>": lambda text: "]]>" in text,
    "a new line": lambda text: "\n" in text,
    "non-ASCII": lambda text: not text.isascii(),
    "64 KB": lambda text: len(text) > 60_000,
}
BESIDE: Mapping[str, dict[str, Any]] = {
    "users": {"name": "ann"},
    "networkDevices": {"device": "eth0"},
    "ipv4": {"ipAddr": "10.0.0.2", "prefixlen": 24},
    "ipv6": {"ipAddr": "2001:db8::2", "prefixlen": 64},
    "installPartitions": {"mountPoint": "/", "size": "auto"},
    "bonds": {"nics": ["eth4"]},
    "vlans": {"vlanid": 5},
    "extraRepos": {"name": "epel", "url": "http://mirror.example.com/epel"},
    "registration": {"org": "1", "activationKey": "k"},
    "switchDevices": {"switchName": "vSwitch1"},
    "console": {"device": "ttyS0"},
}
"""What must stand beside an option below these."""
ARGUMENTS = {"a new line", "64 KB"}
WITHOUT = {"kernelArgs": ARGUMENTS, "targetKernelArgs": ARGUMENTS, "smbUser": {"64 KB", "non-ASCII"}, "smbPassword": {"64 KB"}}
"""Kinds that need not be in the samples: what a kernel's command line or cmd.exe cannot hold is refused when it is rendered, and a new line
between kernel arguments becomes a blank."""


def request(path: Sequence[str], text: str | list[str]) -> Any:
    """The least that can be asked with `text` at `path`."""
    if not path:
        return text
    name, *rest = path
    if rest[:1] == ["N"]:
        return {name: [{**BESIDE.get(name, {}), **request(rest[1:], text)}]}
    inner = request(rest, text)
    return {name: {**BESIDE.get(name, {}), **inner} if isinstance(inner, dict) else inner}


def held(value: Any, path: Sequence[str]) -> Iterator[str]:
    """Every text that stands at `path` in options."""
    if isinstance(value, list):
        for each in value:
            yield from held(each, path[1:] if path[:1] == ["N"] else path)
    elif isinstance(value, BaseModel):
        yield from held(getattr(value, path[0]), path[1:])
    elif value is not None:
        yield value.get_secret_value() if isinstance(value, SecretStr) else str(value)


@pytest.mark.parametrize(("family", "release"), EVERY)
def test_each_option_refuses_hostile_text_or_is_tried_with_it(family: str, release: str) -> None:
    """Fails for a new option that takes quotes (or any other of the kinds), until the family's samples have some there."""
    options = CATALOG.families[family].installer(release).options
    refused = refusals(options, family)
    tried = [parse(options, sample(family, case, release), field="options", refused=refused) for case in ("full", "hostile")]
    untried, elsewhere = [], []
    for path, kind, _, _ in describe(CATALOG.schema(family, release)):
        parts = path.split(".")
        taken: set[str] = set()
        for text in HOSTILE if kind in TEXTS else ():
            try:
                parse(options, request(parts, [text] if kind.startswith("list") else text), field="options", refused=refused)
            except InvalidRequest as refusal:
                if text in str(refusal) or not f"options.{path.replace('.N.', '.0.')}".startswith(refusal.field.removesuffix(".0")):
                    elsewhere.append(f"{path}: {refusal}")
            else:
                taken |= {name for name, holds in KINDS.items() if holds(text)}
        there = {name for name, holds in KINDS.items() for each in tried for text in held(each, parts) if holds(text)}
        untried += [f"{path}: {name}" for name in sorted(taken - there - WITHOUT.get(path, set()))]
    assert (untried, elsewhere) == ([], [])
