"""Installation media made at test time: trees of small files, and images of them by xorriso, genisoimage and wimlib."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from pxed.repo.recognise import SMALL

TOOLS = {"xorriso": "xorriso", "genisoimage": "genisoimage", "wimlib-imagex": "wimtools"}
"""Program > the Debian package that has it."""


def needs(program: str) -> pytest.MarkDecorator:
    """Skips the test, with the package's name, where the program is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not here: apt-get install {TOOLS[program]}")


def tree(root: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write the files below `root`; a text that begins with ``->`` is a symbolic link."""
    root.mkdir(parents=True, exist_ok=True)
    for name, body in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(body, str) and body.startswith("->"):
            path.symlink_to(body[2:].strip())
        else:
            path.write_bytes(body.encode() if isinstance(body, str) else body)
    return root


def genisoimage(root: Path, image: Path, *options: str, volume: str = "MEDIUM") -> Path:
    return _run(image, "genisoimage", "-quiet", "-V", volume, *options, "-o", str(image), str(root))


def xorriso(root: Path, image: Path, *options: str, volume: str = "MEDIUM") -> Path:
    return _run(image, "xorriso", "-as", "mkisofs", "-quiet", "-V", volume, *options, "-o", str(image), str(root))


def rock_ridge(root: Path, image: Path, *, volume: str = "MEDIUM") -> Path:
    """As Linux distributions make theirs."""
    return xorriso(root, image, "-R", "-J", volume=volume)


def udf(root: Path, image: Path, *, volume: str = "MEDIUM") -> Path:
    """As Windows media are: names in UDF alone."""
    return genisoimage(root, image, "-udf", "-iso-level", "3", "-allow-limited-size", volume=volume)


def plain(root: Path, image: Path, *, volume: str = "MEDIUM") -> Path:
    """As ESXi's are: upper-case names of ISO 9660 and nothing else."""
    return genisoimage(root, image, "-iso-level", "2", volume=volume)


def multi_extent(work: Path, first: bytes, second: bytes) -> Path:
    """An image whose ``BIG.BIN`` has two extents with another file between them, as a file beyond 4 GiB has them without.

    Made of three files by what the directory says of them: BIG.BIN gets the flag "not the last extent", BIH.BIN its name.
    """
    root = tree(work / "multi", {"BIG.BIN": first, "BIH.BIN": second, "README": b"another"})
    image = genisoimage(root, work / "multi.iso", "-iso-level", "1", "-sort", str(_order(work, root)))
    data = bytearray(image.read_bytes())
    one, other = data.index(b"BIG.BIN;1"), data.index(b"BIH.BIN;1")
    data[one - 33 + 25] |= 0x80
    data[other : other + 9] = b"BIG.BIN;1"
    image.write_bytes(data)
    return image


def _order(work: Path, root: Path) -> Path:
    order = work / "order"
    order.write_text(f"{root}/BIG.BIN 3\n{root}/README 2\n{root}/BIH.BIN 1\n")
    return order


def _run(image: Path, *command: str) -> Path:
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return image


@dataclass(frozen=True)
class FixedTree:
    """A medium in memory: its files by their paths."""

    files: Mapping[str, bytes]
    volume_id: str = ""

    def read(self, path: str, start: int = 0, most: int = SMALL) -> bytes | None:
        data = next((body for name, body in self.files.items() if name.lower() == path.lower()), None)
        return None if data is None else data[start : start + most]

    def has(self, path: str) -> bool:
        return self.read(path, 0, 0) is not None

    def names(self, folder: str) -> list[str]:
        inside = f"{folder}/".lower() if folder else ""
        return sorted({name[len(inside) :].partition("/")[0] for name in self.files if name.lower().startswith(inside)})
