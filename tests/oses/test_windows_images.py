"""Which image of the medium is installed: by number, name or edition, out of real WIM files."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pxed.oses.catalog import Catalog, Resources
from pxed.repo.recognise import recognise, to_json
from pxed.repo.trees import DirectoryTree
from tests.oses.families import RESOURCES, sample
from tests.oses.windows_files import refused, rendered, values


@pytest.mark.parametrize(
    ("release", "edition", "index"),
    [
        ("2022", None, 2), ("2022", "SERVERDATACENTERCORE", 3), ("2022", 4, 4), ("2022", "windows server 2022 serverstandardcore", 1),
        ("11", None, 2), ("11", "Core", 1), ("10", "Windows 10 Home", 1), ("10", "professional", 2),
    ],
)  # fmt: skip
def test_the_image_is_chosen_by_number_name_or_edition(release: str, edition: Any, index: int) -> None:
    options = sample("windows", "minimal") | ({"edition": edition} if edition is not None else {})
    assert f'"/Index:{index}"' in rendered(release, options)["pxed.cmd"]


def test_an_edition_that_may_be_several_or_none_is_refused_with_the_list() -> None:
    assert "no image of the medium can be meant by Education" in str(refused("2022", edition="Education"))
    assert "4: Windows Server 2022 SERVERDATACENTER (ServerDatacenter)" in str(refused("2022", edition="Education"))
    images = [{"index": number, "name": name, "edition": "Twice"} for number, name in ((1, "A"), (2, "B"))]
    medium = {**RESOURCES.media("windows-11"), "facts": {"editions": images}}
    assert "several images" in str(refused("11", Catalog(resources=Resources(media=lambda _: medium)), edition="Twice"))


def test_from_a_share_or_an_unknown_tree_the_image_is_named_to_dism_itself() -> None:
    options = sample("windows", "minimal") | {"repo": "http://mirror.example.com/win"}
    assert '"/Name:Windows Server 2019 SERVERSTANDARD"' in rendered("2019", options)["pxed.cmd"]
    assert '"http://mirror.example.com/win/sources/install.wim"' in rendered("2019", options)["pxed.cmd"]
    share = {"smbRepo": "\\\\10.0.2.4\\win", "smbUser": "u", "smbPassword": "p"}
    assert '"/Name:Windows 11 Pro"' in rendered("11", sample("windows", "minimal") | share)["pxed.cmd"]


def test_another_medium_than_the_release_is_refused() -> None:
    assert "holds Windows Server 2022, not Windows Server 2019" in str(refused("2019", repo="windows-2022"))
    assert "not Windows 11" in str(refused("11", repo="esxi-8"))


needs_wimtools = pytest.mark.skipif(shutil.which("wimcapture") is None, reason="wimcapture is not installed (apt: wimtools)")


def make_medium(folder: Path, *, editions: tuple[tuple[str, str], ...], build: int, kind: str, image: str = "install.wim") -> None:
    """A tree like that of a Windows medium, with real WIM files made by wimlib."""
    sources, system = folder / "sources", folder / "system"
    sources.mkdir(parents=True)
    (system / "Windows/System32").mkdir(parents=True)
    (system / "Windows/System32/ntoskrnl.exe").write_bytes(b"MZ" + bytes(100))
    for number, (name, edition) in enumerate(editions):
        target = sources / image
        words = ["wimcapture" if number == 0 else "wimappend", str(system), str(target), name]
        values = [
            "WINDOWS/ARCH=9", f"WINDOWS/EDITIONID={edition}", f"WINDOWS/INSTALLATIONTYPE={kind}", f"WINDOWS/VERSION/BUILD={build}",
            "WINDOWS/LANGUAGES/DEFAULT=de-DE",
        ]  # fmt: skip
        properties = [f"--image-property={each}" for each in values]
        subprocess.run([*words, *properties], check=True, capture_output=True)
    subprocess.run(["wimcapture", str(system), str(sources / "boot.wim"), "Microsoft Windows Setup (x64)"], check=True, capture_output=True)
    shutil.rmtree(system)


@needs_wimtools
@pytest.mark.parametrize(
    ("release", "build", "kind", "editions", "index"),
    [
        ("2022", 20348, "Server", (("S SERVERSTANDARDCORE", "ServerStandard"), ("S SERVERSTANDARD", "ServerStandard")), 2),
        ("2012r2", 9600, "Server", (("W SERVERSTANDARD", "ServerStandard"),), 1),
        (
            "11",
            26100,
            "Client",
            (("Windows 11 Home", "Core"), ("Windows 11 Pro N", "ProfessionalN"), ("Windows 11 Pro", "Professional")),
            3,
        ),
        ("10", 19045, "Client", (("Windows 10 Enterprise", "Enterprise"),), 1),
    ],
)
def test_a_real_wim_file_is_recognised_and_its_image_chosen(
    tmp_path: Path, release: str, build: int, kind: str, editions: tuple[tuple[str, str], ...], index: int
) -> None:
    make_medium(tmp_path / "medium", editions=editions, build=build, kind=kind)
    medium = to_json(recognise(DirectoryTree(tmp_path / "medium")))
    catalog = Catalog(resources=Resources(media=lambda name: json.loads(json.dumps(medium)) if name == f"windows-{release}" else {}))
    made = rendered(release, sample("windows", "minimal"), catalog=catalog)
    assert f'"/Index:{index}"' in made["pxed.cmd"]
    assert values(made["unattend.xml"], "oobeSystem", "Microsoft-Windows-International-Core")["UILanguage"] == ["de-DE"]


@needs_wimtools
def test_a_split_image_is_refused_with_the_way_out(tmp_path: Path) -> None:
    make_medium(tmp_path, editions=(("Windows 11 Pro", "Professional"),), build=26100, kind="Client", image="install.swm")
    medium = to_json(recognise(DirectoryTree(tmp_path)))
    assert "wimjoin" in str(refused("11", Catalog(resources=Resources(media=lambda _: medium))))
