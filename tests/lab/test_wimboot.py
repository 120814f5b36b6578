"""Windows' boot profile with the operator's own wimboot: what it says it injects into Windows PE, and that it starts the boot manager.

Everything is real up to there: firmware, iPXE, a running pxed with a Windows medium (an image whose WIM files wimlib made), an install
ordered through its API, and wimboot. Only Windows' own files in boot.wim are stand-ins. pxed ships no wimboot; without one this is skipped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from pxed.config import DEFAULT_STATE_DIR
from pxed.oses.windows import WIMBOOT
from tests.lab import bootmanager
from tests.lab.machine import Plain
from tests.lab.process import eventually, run
from tests.lab.profiles import Bench, Case, node_mac
from tests.repo import media, test_wim

GIVEN = os.environ.get("PXED_WIMBOOT", "")
PLACES = [Path(__file__).parents[2] / "tftproot", DEFAULT_STATE_DIR / "tftproot"]
"""Boot program roots: of the checkout, of an installed pxed."""
OWN = Path(GIVEN) if GIVEN else next((path for root in PLACES if (path := root / WIMBOOT["amd64"]).is_file()), None)

pytestmark = [
    pytest.mark.lab,
    media.needs("wimlib-imagex"),
    media.needs("genisoimage"),
    pytest.mark.skipif(
        OWN is None,
        reason="wimboot's log of injected files was not looked at, for pxed may not ship wimboot: name yours (2.7.1 or newer, see "
        "docs/os/windows.md) in PXED_WIMBOOT, or put it into tftproot/windows/wimboot",
    ),
]

INJECTED = {"winpeshl.ini", "pxed.cmd", "curl.exe"}
"""What Windows PE must find in its System32: the first is what it runs, which runs the second, which needs the third."""
REACHED = "lab: the boot manager runs"
GIVEN_UP = re.compile(r"FATAL|^Could not ", re.MULTILINE)
WITHIN = 300.0
"""From power on to the boot manager."""


@dataclass(frozen=True)
class Log:
    """What wimboot said. `served`: name > bytes that pxed gives out under the profile's name for it."""

    firmware: Plain
    text: str
    served: Mapping[str, bytes]

    @property
    def found(self) -> dict[str, int]:
        """Name > length of every file that it took, out of iPXE's hands or of boot.wim."""
        return {name: int(length, 16) for name, length in re.findall(r"Using (\S+) via \S+ len 0x([0-9a-f]+)", self.text)}

    @property
    def injected(self) -> dict[str, int]:
        """Name > length of every file that it appends to the image: what stands between the header and the lookup table."""
        regions = re.findall(r"\.\.\.patching WIM (\S+) at \[(\S+),0x([0-9a-f]+)\)", self.text)
        names = [name for name, _, _ in regions]
        added = regions[names.index("header") + 1 : names.index("lookup.copy")]
        return {name: int(end, 16) - int(start, 16) for name, start, end in added}


def boot_wim(folder: Path) -> Path:
    """Two images as Microsoft's boot.wim has, compressed as it is; the second is started. It has a curl.exe of its own, as new ones do."""
    root = media.tree(
        folder / "pe",
        {
            "Windows/System32/winload.exe": "stand-in\n",
            "Windows/System32/curl.exe": "the medium's own\n",
            "Windows/Boot/PXE/bootmgr.exe": bootmanager.image(REACHED, bits=32),
            "Windows/Boot/EFI/bootmgfw.efi": bootmanager.image(REACHED, bits=64),
            **{f"Windows/Boot/DVD/{kind}/{name}": f"{kind} {name}\n" * 3000 for kind in ("PCAT", "EFI") for name in ("BCD", "boot.sdi")},
        },
    )
    path = folder / "boot.wim"
    run("wimlib-imagex", "capture", str(media.tree(folder / "other", {"a": "x"})), str(path), "Windows PE", "--compress=LZX")
    run("wimlib-imagex", "append", str(root), str(path), "Windows Setup", "--boot")
    return path


def medium(folder: Path) -> Path:
    """Windows Server 2022, as an image."""
    root = media.tree(folder / "medium", {"setup.exe": "MZ", "sources/boot.wim": boot_wim(folder).read_bytes()})
    test_wim.make(root / "sources/install.wim", media.tree(folder / "new", {"a": "y"}), ("Windows Server 2022 SERVERSTANDARD",))
    return media.udf(root, folder / "windows-2022.iso", volume="SSS_X64FRE_EN-US_DV9")


@pytest.fixture(scope="module", params=["bios", "uefi"])
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]) -> Iterator[Log]:
    assert OWN is not None
    firmware: Plain = request.param
    folder = tmp_path_factory.mktemp(f"wimboot-{firmware}")
    repositories = {"windows-2022": [str(medium(folder))]}
    case = Case("windows 2022", "windows", "2022", {"rootPassword": "S3cret-word"})
    with Bench(folder, firmware=firmware, repositories=repositories, wimboot=OWN.read_bytes()) as bench:
        token = bench.order(case, node_mac(0))
        machine = bench.machine()
        address = bench.send(machine, case, 0)

        def over() -> bool:
            said = machine.said()
            return (
                REACHED in said or GIVEN_UP.search(said) is not None or any("status=fail" in each.url for each in bench.ear.heard(address))
            )

        try:
            eventually("the boot manager", over, within=WITHIN)
        except TimeoutError as error:
            raise AssertionError(f"{error}; console: {machine.console()}\nwimboot: {machine.said()}") from None
        say(machine.said())
        urls = {name: f"/i/{token}/{name}" for name in ("winpeshl.ini", "pxed.cmd")} | {"curl.exe": "/b/windows/curl.exe"}
        yield Log(firmware, machine.said(), {name: bench.get(url)[1] for name, url in urls.items()})


def test_every_file_of_the_profile_is_injected_whole_and_nothing_else(log: Log) -> None:
    """Fails when the profile gives a file a name that wimboot keeps for itself, forgets one, or brings one that Windows PE never sees."""
    lengths = {name: len(content) for name, content in log.served.items()}
    assert set(lengths) == INJECTED
    assert {name: length for name, length in log.found.items() if name in INJECTED} == lengths, log.text
    assert log.injected == lengths, log.text


def test_they_are_injected_into_system32(log: Log) -> None:
    """Of the image that is started: the other one has no such directory, and wimboot would end."""
    assert re.search(r"\.\.\.patching WIM \\Windows\\System32 at \[", log.text), log.text
    assert len(re.findall(r"\.\.\.patching WIM dir\.file at \[", log.text)) == len(INJECTED), log.text


def test_what_starts_windows_is_taken_out_of_boot_wim_and_reached(log: Log) -> None:
    """No bootmgr, BCD or boot.sdi beside it is needed: the profile names none."""
    manager = "bootmgr.exe" if log.firmware == "bios" else "bootmgfw.efi"
    assert {"BCD", "boot.sdi"} <= set(log.found), log.text
    assert "found WIM file boot.wim" in log.text
    assert re.search(rf"\.\.\.extracted \S*{re.escape(manager)}", log.text), log.text
    assert REACHED in log.text, log.text
