"""The XML of WIM files, of wimlib's own making and of damaged ones."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pxed.repo.iso import read_index
from pxed.repo.recognise import recognise
from pxed.repo.trees import ImageTree
from pxed.repo.wim import HEADER, Edition, editions, parse, xml_place
from tests.repo import media
from tests.repo.media import needs

SERVER = {"ARCH": "9", "EDITIONID": "ServerStandard", "INSTALLATIONTYPE": "Server", "VERSION/BUILD": "20348", "LANGUAGES/DEFAULT": "en-US"}


def reader(path: Path):  # type: ignore[no-untyped-def]
    data = path.read_bytes()
    return lambda start, length: data[start : start + length]


def make(
    path: Path, tree: Path, names: tuple[str, ...] = ("Windows Server 2022 SERVERSTANDARDCORE", "Windows Server 2022 & more"), **more: str
) -> Path:
    """A WIM with an image for each name, each with the properties that Windows' own have."""
    for number, name in enumerate(names):
        properties = [f"--image-property=WINDOWS/{key}={value}" for key, value in {**SERVER, **more}.items()]
        verb = "append" if number else "capture"
        subprocess.run(["wimlib-imagex", verb, str(tree), str(path), name, *properties], check=True, capture_output=True, timeout=60)
    return path


@needs("wimlib-imagex")
def test_editions_as_wimlib_wrote_them(tmp_path: Path) -> None:
    path = make(tmp_path / "install.wim", media.tree(tmp_path / "t", {"a": "x"}))
    first, second = editions(reader(path))
    assert first == Edition(1, "Windows Server 2022 SERVERSTANDARDCORE", "ServerStandard", "Server", "x86_64", 20348, "en-US")
    assert (second.index, second.name) == (2, "Windows Server 2022 & more")


@pytest.mark.parametrize(
    ("properties", "repository", "title"),
    [
        ({}, "windows-2022", "Windows Server 2022"),
        ({"VERSION/BUILD": "9600"}, "windows-2012r2", "Windows Server 2012R2"),
        ({"VERSION/BUILD": "26100"}, "windows-2025", "Windows Server 2025"),
        ({"VERSION/BUILD": "26200", "INSTALLATIONTYPE": "Client"}, "windows-11", "Windows 11"),
        ({"VERSION/BUILD": "19045", "INSTALLATIONTYPE": "Client", "ARCH": "12"}, "windows-10-aarch64", "Windows 10"),
    ],
)
@needs("wimlib-imagex")
@needs("genisoimage")
def test_a_windows_image_is_recognised_by_its_wim(tmp_path: Path, properties: dict[str, str], repository: str, title: str) -> None:
    root = media.tree(tmp_path / "t", {"sources/boot.wim": "MSWIM", "setup.exe": "MZ"})
    make(root / "sources/install.wim", media.tree(tmp_path / "c", {"a": os.urandom(5000)}), ("Standard", "Datacenter"), **properties)
    image = media.udf(root, tmp_path / "m.iso", volume="SSS_X64FRE_EN-US_DV9")
    with image.open("rb") as f:
        medium = recognise(ImageTree(f.fileno(), read_index(image)))
    assert (medium.repository, medium.title) == (repository, title)
    assert [(each["index"], each["name"]) for each in medium.facts["editions"]] == [(1, "Standard"), (2, "Datacenter")]
    assert (medium.facts["image"], medium.volume_id) == ("sources/install.wim", "SSS_X64FRE_EN-US_DV9")


def test_what_is_no_wim_or_a_damaged_one_is_a_sentence(tmp_path: Path) -> None:
    head = b"MSWIM\0\0\0" + bytes(64)
    for header in (b"", b"MZ" * 200, head + bytes(HEADER)):
        with pytest.raises(ValueError, match="it"):
            xml_place(header)
    beyond = head + (64).to_bytes(8, "little") + (1 << 40).to_bytes(8, "little") + bytes(HEADER)
    assert xml_place(beyond) == (1 << 40, 64)
    with pytest.raises(ValueError, match="cut off"):
        editions(lambda start, length: beyond[start : start + length])
    with pytest.raises(ValueError, match="entities"):
        parse('<!DOCTYPE x [<!ENTITY a "b">]><WIM/>'.encode("utf-16"))


@given(st.binary(max_size=300))
def test_no_bytes_are_more_than_a_value_error(data: bytes) -> None:
    for work in (xml_place, parse):
        try:
            work(data)
        except ValueError:
            pass
