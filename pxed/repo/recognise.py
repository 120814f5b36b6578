"""Which operating system a medium installs: an image, a directory or a server's tree, judged by a few small files. Pure.

A `Tree` lists folders and reads small files; it looks names up without regard to case. Each rule looks for files that only its system
has; the first that fits wins. The facts are what installers need of the medium besides its files: see docs/repositories.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from pxed.errors import InvalidRequest
from pxed.repo import wim

SMALL = 1 << 20
"""Bytes; nothing that is read whole is larger."""


class Tree(Protocol):
    """What is asked of a medium. Paths are relative, with ``/``."""

    @property
    def volume_id(self) -> str:
        """Of the image; "" where there is none."""
        ...

    def read(self, path: str, start: int = 0, most: int = SMALL) -> bytes | None:
        """At most `most` bytes from `start`; None if there is no such file."""
        ...

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        ...

    def names(self, folder: str) -> Sequence[str]:
        """What is in a folder (``""``: the root); nothing if it does not exist or can't be listed."""
        ...


class Unrecognised(InvalidRequest):
    """No rule fits. The sentence says what was looked for."""


@dataclass(frozen=True, slots=True)
class Medium:
    """What was recognised. `release` is how families name it ("" where there is only one), `version` is all the medium says.

    `facts`: JSON values by name. `notes`: sentences for the operator.
    """

    family: str
    release: str
    version: str
    arch: str
    title: str
    volume_id: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def repository(self) -> str:
        """The name that families look for: FAMILY-RELEASE, with the architecture behind it unless it is x86_64."""
        return "-".join(part for part in (self.family, self.release, "" if self.arch == "x86_64" else self.arch) if part)


Rule = Callable[[Tree], Medium | None]


def recognise(tree: Tree) -> Medium:
    """Unrecognised."""
    from pxed.repo.distributions import RULES

    for _, rule in (*OWN_RULES, *RULES):
        medium = rule(tree)
        if medium is not None:
            return medium
    looked = "; ".join(what for what, _ in (*OWN_RULES, *RULES))
    raise Unrecognised(f"This is no installation medium that pxed knows. Looked for: {looked}")


def text_of(tree: Tree, path: str) -> str | None:
    """A small text file; None if it is not there."""
    data = tree.read(path)
    return None if data is None else data.decode("utf-8-sig", "replace")


# ---- Windows

SERVERS = {9200: "2012", 9600: "2012r2", 14393: "2016", 17763: "2019", 20348: "2022", 25398: "23h2", 26100: "2025"}
"""Build of a server > its release."""
FIRST_11 = 22000
"""The first build of Windows 11."""
INSTALL_IMAGES = ("sources/install.wim", "sources/install.esd", "sources/install.swm")


def windows(tree: Tree) -> Medium | None:
    if not tree.has("sources/boot.wim"):
        return None
    for path in INSTALL_IMAGES:
        if tree.has(path):
            break
    else:
        return None
    try:
        found = wim.editions(lambda start, length: tree.read(path, start, length))
    except ValueError as e:
        raise Unrecognised(f"This has {path} as Windows media do, but {e}") from None
    systems = [each for each in found if each.build]
    if not systems:
        raise Unrecognised(f"This has {path} as Windows media do, but no Windows in it")
    first = systems[0]
    release = _windows_release(first)
    server = any(each.kind.startswith("Server") for each in systems)
    facts = {
        "installer": "windows-setup",
        "image": path,
        "editions": [{"index": each.index, "name": each.name, "edition": each.edition} for each in found],
        "build": first.build,
        "language": first.language,
    }
    title = f"Windows {'Server ' if server else ''}{release.upper()}"
    return Medium("windows", release, f"10.0.{first.build}", first.arch or "x86_64", title, tree.volume_id, facts)


def _windows_release(edition: wim.Edition) -> str:
    if edition.kind.startswith("Server"):
        nearest = max((build for build in SERVERS if build <= edition.build), default=min(SERVERS))
        return SERVERS[nearest]
    return "11" if edition.build >= FIRST_11 else "10" if edition.build >= 10240 else "8.1" if edition.build >= 9600 else "8"


# ---- ESXi


def esxi(tree: Tree) -> Medium | None:
    config = text_of(tree, "boot.cfg")
    if (
        config is None
        or not re.search(r"(?im)^modules\s*=", config)
        or not re.search(r"(?im)^kernel\s*=\s*/?\S*(b\.b00|tboot\.b00)", config)
    ):
        return None
    found = re.search(r"(?im)^build\s*=\s*(\d+(?:\.\d+)*)", config) or re.search(r"(?i)ESXI-(\d+(?:\.\d+)*)", tree.volume_id)
    if found is None:
        raise Unrecognised("This has a BOOT.CFG as ESXi media do, but neither it nor the volume id says which release")
    version = found[1]
    arch = "aarch64" if tree.has("efi/boot/bootaa64.efi") and not tree.has("efi/boot/bootx64.efi") else "x86_64"
    facts = {"installer": "esxi", "boot_cfg": config}
    return Medium("esxi", version.split(".")[0], version, arch, f"VMware ESXi {version}", tree.volume_id, facts)


OWN_RULES: tuple[tuple[str, Rule], ...] = (
    ("sources/boot.wim with sources/install.wim, .esd or .swm (Windows)", windows),
    ("BOOT.CFG with kernel and modules (ESXi)", esxi),
)


def to_json(medium: Medium) -> dict[str, Any]:
    """JSON values; `from_json` takes them back."""
    return {**asdict(medium), "notes": list(medium.notes)}


def from_json(value: dict[str, Any]) -> Medium:
    """TypeError, KeyError for what `to_json` did not make."""
    return Medium(**{**value, "notes": tuple(value["notes"])})
