"""Debian packages unpacked for a test, never installed: fetched and verified by apt, kept in the lab's cache."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab.aptroot import AptRoot
from tests.lab.assets import cache_folder
from tests.lab.process import LabProblem
from tests.lab.upstream import upstream

SUITE = "bookworm"


def unpacked(name: str, *packages: str) -> Path:
    """A folder with the files of `packages`; `name` is that of the set. Skips, with the reason, where no mirror can be asked."""
    folder = cache_folder() / "debs" / name
    done = folder / "done"
    if done.exists() and done.read_text() == " ".join(packages):
        return folder / "files"
    try:
        apt = AptRoot(folder / "apt", upstream(), SUITE, installer=False)
        apt.update()
        found = [apt.download(package, folder / "debs") for package in packages]
    except (LabProblem, OSError) as problem:
        pytest.skip(f"the Debian packages of {name} cannot be fetched: {problem}")
    for deb in found:
        subprocess.run(["dpkg-deb", "-x", deb, folder / "files"], check=True, timeout=60)
    done.write_text(" ".join(packages))
    return folder / "files"
