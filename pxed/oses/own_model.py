"""What an operator's file of releases and families may say (docs/os/own.md). Pure; errors name the field.

[family]                      a family of its own, out of pxed's own family `like`
[[release]]                   a release: of that family, or of the one that `family` names
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from pxed.oses.options import SECRETS, KernelArguments
from pxed.oses.sealing import without_login
from pxed.oses.strict import Strict

ROOT_HASH = "rootPasswordHash"
"""The one secret that a file may hold, if not everybody may read it: some installers insist on a root with a password."""
RESERVED = ("notify", "progress", "webhook", "boot.ipxe")
"""Names below an install's folder that are no files."""


def _path(value: str) -> str:
    parts = value.split("/")
    plain = value.replace("{arch}", "").replace("{machine}", "")
    if not re.fullmatch(r"[A-Za-z0-9._~+@:,/-]*", plain) or not all(parts) or {".", ".."}.intersection(parts):
        raise ValueError(
            "a path below the repository, like images/vmlinuz, with {arch} (amd64, arm64) or {machine} (x86_64, aarch64) if need be"
        )
    return value


def _public(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", value) or value in RESERVED:
        raise ValueError(f"a file's name, and none of {', '.join(RESERVED)}")
    return value


def _template(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*\.j2", value):
        raise ValueError("a template's path, like kiosk/session.sh.j2")
    return value


def no_secrets(options: Any, path: str = "options") -> Any:
    """`options`, unless a secret is among them other than the hash of root's password. ValueError names it."""
    if isinstance(options, Mapping):
        for name, value in options.items():
            if (name in SECRETS or name.lower().endswith("password")) and (path, name) != ("options", ROOT_HASH):
                raise ValueError(f"no secrets: {path}.{name} would stand in a file and in every list of options; name it when you install")
            no_secrets(value, f"{path}.{name}")
    elif isinstance(options, list):
        for number, value in enumerate(options):
            no_secrets(value, f"{path}.{number}")
    elif isinstance(options, str) and without_login(options) != options:
        raise ValueError(f"no secrets: {path} is a URL with a login in it; name it when you install")
    return options


ReleaseName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$")]
FamilyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
BelowTree = Annotated[str, AfterValidator(_path)]


class OwnRelease(Strict):
    """One release. What it does not say is as in `like`, another release of the family (default: the one of its name, else the first)."""

    family: FamilyName | None = None
    name: ReleaseName
    title: Text | None = None
    like: ReleaseName | None = None
    kernel: BelowTree | None = None
    initrds: Annotated[list[BelowTree], Field(min_length=1, max_length=8)] | None = None
    arguments: KernelArguments = ""
    repository: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")] | None = None
    aliases: list[ReleaseName] = Field(default_factory=list)
    needs: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class OwnFamily(Strict):
    """A family out of `like`: its options, templates and recipe, but for what is said here."""

    name: FamilyName
    title: Text
    like: FamilyName
    recipe: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")] | None = None
    templates: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")] | None = None
    files: dict[Annotated[str, AfterValidator(_public)], Annotated[str, AfterValidator(_template)]] = Field(default_factory=dict)
    options: Annotated[dict[str, Any], AfterValidator(no_secrets)] = Field(default_factory=dict)


class OwnFile(Strict):
    """One file."""

    family: OwnFamily | None = None
    release: list[OwnRelease] = Field(default_factory=list)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.family is None and not self.release:
            raise ValueError("[family] or [[release]]")
        return self
