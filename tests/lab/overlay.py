"""The directory layered before the mirror: a reduced index of the release, the lab's own components, the installer's kernel and initrd.

Package files are not here: their stanzas are Debian's, with Debian's paths and hashes, so they come through pxed's proxy of the mirror.

What choose-mirror and debootstrap insist on: ``Suite`` is one that they know or the name they ask for (so it is the official one, and there
is no ``dists/stable``), and ``dists/SUITE/main/binary-ARCH/Release`` exists ("architecture not supported" otherwise).
"""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import lzma
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.aptroot import Stanza
from tests.lab.process import run

NETBOOT = "main/installer-{arch}/current/images/netboot/debian-installer/{arch}"
"""Where an archive keeps the network installer, below dists/SUITE."""


@dataclass(frozen=True)
class Overlay:
    """`root` is the layer, `official` holds the fields of the release's official Release. Call `netboot`, and `index` if needed."""

    root: Path
    codename: str
    official: Stanza
    arch: str = "amd64"

    @property
    def dists(self) -> Path:
        return self.root / "dists" / self.codename

    def netboot(self, images: Path) -> None:
        """Put the installer's kernel and initrd where the archive has them (this mirror may not)."""
        place = self.dists / NETBOOT.format(arch=self.arch)
        place.mkdir(parents=True, exist_ok=True)
        for name in ("linux", "initrd.gz"):
            shutil.copyfile(images / name, place / name)

    def index(self, debs: Iterable[Stanza], udebs: Iterable[Stanza], own: Sequence[Path]) -> None:
        """Write an unsigned Release over just these packages; `own` are built udebs, copied into pool/."""
        every = {
            f"main/binary-{self.arch}/Packages": [stanza.text for stanza in debs],
            f"main/debian-installer/binary-{self.arch}/Packages": [*(stanza.text for stanza in udebs), *map(self._adopt, own)],
        }
        files: dict[str, bytes] = {}
        for name, stanzas in every.items():
            packages = ("\n\n".join(stanzas) + "\n").encode()
            files |= {name: packages, f"{name}.gz": gzip.compress(packages, mtime=0), f"{name}.xz": lzma.compress(packages)}
            files[name.replace("Packages", "Release")] = self._release(per_index=True).encode()
        for name, content in files.items():
            (self.dists / name).parent.mkdir(parents=True, exist_ok=True)
            (self.dists / name).write_bytes(content)
        (self.dists / "Release").write_text(self._release() + _hashes(files))

    def _adopt(self, udeb: Path) -> str:
        place = f"pool/pxlab/{udeb.name}"
        (self.root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(udeb, self.root / place)
        content = udeb.read_bytes()
        control = run("dpkg-deb", "-f", str(udeb)).strip()
        return f"{control}\nFilename: {place}\nSize: {len(content)}\nMD5sum: {_md5(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}"

    def _release(self, *, per_index: bool = False) -> str:
        fields = {name: self.official.field(name) for name in ("Origin", "Label", "Suite", "Version", "Codename")}
        if per_index:
            fields = {"Archive": fields["Suite"], "Component": "main", "Architecture": self.arch, **fields}
        else:
            fields |= {"Date": email.utils.formatdate(usegmt=True).replace("GMT", "UTC"), "Architectures": f"all {self.arch}"}
            fields |= {"Components": "main", "Description": "what one small install needs, for the lab of pxed"}
        return "".join(f"{name}: {value}\n" for name, value in fields.items())


def _hashes(files: Mapping[str, bytes]) -> str:
    lines: list[str] = []
    for title, digest in (("MD5Sum", _md5), ("SHA256", lambda content: hashlib.sha256(content).hexdigest())):
        lines += [f"{title}:", *(f" {digest(content)} {len(content):>10} {name}" for name, content in sorted(files.items()))]
    return "\n".join(lines) + "\n"


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
