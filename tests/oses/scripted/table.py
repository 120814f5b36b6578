"""Which scripted node stands for which family. A family without one fails loudly."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pxed.oses.catalog import Catalog
from pxed.oses.family import Family
from tests.oses.families import RESOURCES
from tests.oses.scripted.agama import Agama
from tests.oses.scripted.alpine import Alpine
from tests.oses.scripted.coreos import Fcos, Flatcar
from tests.oses.scripted.debian import Bionic, Debian
from tests.oses.scripted.esxi import Esxi
from tests.oses.scripted.node import Node
from tests.oses.scripted.photon import OldPhoton, Photon
from tests.oses.scripted.proxmox import Proxmox
from tests.oses.scripted.redhat import OldRedHat, RedHat
from tests.oses.scripted.suse import Suse
from tests.oses.scripted.ubuntu import Ubuntu
from tests.oses.scripted.windows import Windows
from tests.repo.media import tree

CATALOG = Catalog(resources=RESOURCES)

NODES: Mapping[str, type[Node]] = {
    "debian": Debian,
    "ubuntu": Ubuntu,
    "ubuntu 18.04": Bionic,
    **dict.fromkeys(("rhel", "centos", "rocky", "alma", "oracle", "fedora"), RedHat),
    **dict.fromkeys(("rhel 6", "centos 6"), OldRedHat),
    **dict.fromkeys(("sles", "leap"), Suse),
    **dict.fromkeys(("sles 16", "leap 16"), Agama),
    "esxi": Esxi,
    "flatcar": Flatcar,
    "fcos": Fcos,
    "alpine": Alpine,
    "photon": Photon,
    **dict.fromkeys(("photon 3", "photon 4"), OldPhoton),
    "proxmox": Proxmox,
    "windows": Windows,
}
"""Family, or family and release, > its node."""

OPTIONS: Mapping[str, Any] = {"hostname": "web1", "scripts": {"firstboot": ['echo ran >>"$PXED_ROOT/ran"']}}


class Behaviour(NamedTuple):
    """One way in which firmware, installer and system behave: a release that stands for all like it. `arch`: 0 BIOS, 7 UEFI."""

    family: str
    release: str
    arch: int

    @property
    def phases(self) -> list[str]:
        return [each.phase for each in self.installer.recipe.milestones]

    @property
    def installer(self) -> Family:
        return CATALOG.families[self.family].installer(self.release)

    @property
    def options(self) -> dict[str, Any]:
        return {**OPTIONS, **node_of(self.family, self.release).needed(self.release)}


BEHAVIOURS = (
    Behaviour("debian", "12", 0),
    Behaviour("ubuntu", "24.04", 7),
    Behaviour("centos", "6", 0),
    Behaviour("rocky", "9", 7),
    Behaviour("sles", "15", 7),
    Behaviour("leap", "16", 7),
    Behaviour("esxi", "8", 7),
    Behaviour("esxi", "6.7", 0),
    Behaviour("flatcar", "stable", 0),
    Behaviour("fcos", "stable", 7),
    Behaviour("alpine", "3.22", 7),
    Behaviour("photon", "5", 7),
    Behaviour("photon", "4", 0),
    Behaviour("proxmox", "9", 7),
    Behaviour("windows", "2022", 7),
)
"""For what takes long; the straight walk takes every release."""

EVERY = [
    (family.name, release) for family in CATALOG.families.values() for installer in family.installers for release in installer.releases
]


def node_of(family: str, release: str) -> type[Node]:
    """Fails the test if nobody has written one."""
    found = NODES.get(f"{family} {release}", NODES.get(family))
    if found is None:
        pytest.fail(f"there is no scripted node for {family}: write one in tests/oses/scripted")
    return found


def runnable(family: str, release: str) -> type[Node]:
    """The same; skips the test if what it needs is not installed."""
    found = node_of(family, release)
    if found.missing:
        pytest.skip(found.missing)
    return found


def repository(family: str, release: str) -> str:
    """The name of the repository that an install takes its files from."""
    found = CATALOG.families[family].installer(release)
    return str(node_of(family, release).needed(release).get("repo", found.repository(found.releases[release])))


def made(folder: Path, family: str, release: str) -> Path:
    """The medium of a release: a directory, or an image if its node wants the whole of it."""
    kind = node_of(family, release)
    root = tree(folder / repository(family, release), kind.medium(family, release))
    if not kind.imaged:
        return root
    image = root.with_suffix(".iso")
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", image, root], check=True, capture_output=True, timeout=60)
    return image
