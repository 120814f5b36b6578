"""A private apt root for one Debian release, over the host's own apt configuration (proxies, authentication, mirror).

Apt itself fetches and verifies the indices and the packages; the lab only reads them. Blocking.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from tests.lab.process import LabProblem, run
from tests.lab.upstream import Upstream

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Stanza:
    """One package's paragraph of an official index, as it stands there."""

    text: str

    def field(self, name: str) -> str:
        """The field's first line, "" if it is absent."""
        found = re.search(rf"^{name}: *(.*)$", self.text, re.MULTILINE)
        return found[1] if found else ""

    @property
    def name(self) -> str:
        return self.field("Package")

    @property
    def version(self) -> str:
        return self.field("Version")

    @property
    def filename(self) -> str:
        """Its path below the archive: ``pool/...``."""
        return self.field("Filename")

    @property
    def depends(self) -> list[str]:
        """The first alternative of each dependency, without versions."""
        return [re.split(r"[ (|:]", part.strip())[0] for part in self.field("Depends").split(",") if part.strip()]

    @property
    def provides(self) -> list[str]:
        return [re.split(r"[ (]", part.strip())[0] for part in self.field("Provides").split(",") if part.strip()]


class AptRoot:
    """`folder` is kept between runs: apt then fetches only what changed. The mirror's address is in there and nowhere else.

    `installer`: with the index of the installer's components (udebs); who needs none is spared a mirror where that one is out of step.
    """

    def __init__(self, folder: Path, mirror: Upstream, suite: str, *, arch: str = "amd64", installer: bool = True) -> None:
        self.suite = suite
        self.arch = arch
        self._folder = folder
        for part in ("lists/partial", "archives/partial"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        signed = f"signed-by={KEYRING} " if KEYRING.exists() else ""
        components = "main main/debian-installer" if installer else "main"
        (folder / "sources.list").write_text(f"deb [{signed}arch={arch}] {mirror.base.geturl()} {suite} {components}\n")
        (folder / "status").touch()

    def update(self) -> None:
        """Fetch the release's indices, verified by apt. LabProblem, without the mirror's name, if that fails."""
        self._apt("update")

    @cached_property
    def debs(self) -> dict[str, Stanza]:
        """Packages by name; call `update` first."""
        return self._index(f"_main_binary-{self.arch}_Packages")

    @cached_property
    def udebs(self) -> dict[str, Stanza]:
        """The installer's components by name; the newest where there are several."""
        return self._index(f"_main_debian-installer_binary-{self.arch}_Packages")

    @cached_property
    def release(self) -> Stanza:
        """The fields of the release's official Release file."""
        ends = (f"_dists_{self.suite}_InRelease", f"_dists_{self.suite}_Release")
        found = [path for path in (self._folder / "lists").iterdir() if path.name.endswith(ends)]
        if not found:
            raise LabProblem(f"apt has no Release of {self.suite}")
        return Stanza(found[0].read_text(encoding="utf-8"))

    def closure(self, packages: Sequence[str]) -> list[Stanza]:
        """`packages` with all they depend on, as apt would install them on an empty system. Nothing is downloaded."""
        printed = self._apt("install", "--yes", "--print-uris", *packages)
        names = [unquote(found[1]).split("_")[0] for found in re.finditer(r"^'[^']+' (\S+)", printed, re.MULTILINE)]
        return [self.debs[name] for name in sorted(set(names))]

    def download(self, package: str, into: Path) -> Path:
        """The .deb of `package`, hash-checked by apt. Kept: a second call returns the same file."""
        into.mkdir(parents=True, exist_ok=True)
        version = (self.debs.get(package) or _absent(package, self.suite)).version.replace(":", "%3a")
        found = list(into.glob(f"{package}_{version}_*.deb"))
        if not found:
            self._apt("download", package, within=600.0, cwd=into)
            found = list(into.glob(f"{package}_{version}_*.deb"))
        return found[0]

    def _index(self, suffix: str) -> dict[str, Stanza]:
        suffix = f"_dists_{self.suite}{suffix}"
        found = [path for path in (self._folder / "lists").iterdir() if path.name.endswith(suffix)]
        if not found:
            raise LabProblem(f"apt has no index {suffix} of {self.suite}")
        stanzas = (Stanza(text.strip()) for text in found[0].read_text(encoding="utf-8").split("\n\n") if text.strip())
        return {stanza.name: stanza for stanza in stanzas}

    def _apt(self, verb: str, *words: str, within: float = 300.0, cwd: Path | None = None) -> str:
        here = self._folder
        options = {
            "Dir::Etc::sourcelist": here / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": here / "lists",
            "Dir::State::status": here / "status",
            "Dir::Cache::archives": here / "archives",
            "Dir::Cache::pkgcache": here / "packages.bin",
            "Dir::Cache::srcpkgcache": here / "sources.bin",
            "Acquire::GzipIndexes": "false",
            "APT::Architecture": self.arch,
            "APT::Architectures::": self.arch,
            "APT::Sandbox::User": "root",
            "APT::Install-Recommends": "false",
        }
        given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        try:
            return run("apt-get", "-qq", *given, verb, *words, within=within, cwd=cwd)
        except LabProblem as problem:
            trouble = re.sub(r"\S*://\S+|\S*/lists/\S+", "<mirror>", str(problem).split(": ", 1)[-1])
            raise LabProblem(f"apt-get {verb} {' '.join(words[:3])} for {self.suite}: {trouble}") from None


def closure(names: Iterable[str], index: dict[str, Stanza], *, present: Iterable[str] = ()) -> dict[str, Stanza]:
    """`names` and their dependencies within `index`, by name; virtual ones are skipped, as are those already `present`."""
    known = set(present)
    out: dict[str, Stanza] = {}
    queue = list(names)
    while queue:
        name = queue.pop()
        if name in out or name in known or name not in index:
            continue
        out[name] = index[name]
        queue += index[name].depends
    return out


def _absent(package: str, suite: str) -> Stanza:
    raise LabProblem(f"{suite} has no package {package}")
