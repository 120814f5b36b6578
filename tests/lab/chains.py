"""Signed boot chains for the lab: Debian 13's shim, GRUB and arm64 iPXE, fetched by apt from the host's own mirror.

Debian 12's packages will not do: its GRUB has no HTTP, knows no proxy-DHCP, and its iPXE is x86 only.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.lab.appliance import Appliance
from tests.lab.aptroot import AptRoot
from tests.lab.assets import Say, cache_folder
from tests.lab.process import eventually, run
from tests.lab.upstream import upstream

SUITE = "trixie"
PACKAGES = {"amd64": ("shim-signed", "grub-efi-amd64-signed"), "arm64": ("shim-signed", "grub-efi-arm64-signed", "ipxe")}


def unpacked(architecture: str, *, say: Say) -> Path:
    """A tree with the packages' files; the .debs are kept between runs. LabProblem when the mirror has no Debian 13."""
    folder = cache_folder() / "chains" / architecture
    apt = AptRoot(folder / "apt", upstream(), SUITE, arch=architecture, installer=False)
    apt.update()
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for package in PACKAGES[architecture]:
        run("dpkg-deb", "-x", str(apt.download(package, folder / "debs")), str(tree))
    say(f"boot chain of Debian 13 ({architecture}): {', '.join(f'{name} {apt.debs[name].version}' for name in PACKAGES[architecture])}")
    return tree


def give(appliance: Appliance, tree: Path, *, awaited: str) -> None:
    """``pxed bootloaders --from``, and wait until the running pxed has found `awaited` (it looks twice a minute)."""
    appliance.cli("bootloaders", "--from", str(tree))
    eventually(
        f"pxed to find {awaited}", lambda: awaited in appliance.api("GET", "health")["services"]["boot_programs"], within=60, every=1.0
    )
