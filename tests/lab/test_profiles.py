"""Every boot profile of every release, executed by real iPXE on BIOS and on UEFI, up to the kernel's start.

On BIOS every install takes its files from the appliance's own repository, on UEFI from where the sample says: another server, or a
repository of another name. The kernels are stand-ins that tell how they were started; everything before is real: iPXE from firmware or
from pxed, profiles of a running pxed, installs ordered through its API with all that can be asked of the family.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pxed.oses.catalog import Catalog
from tests.lab.expected import LINES, Given
from tests.lab.machine import Plain
from tests.lab.network import APPLIANCE, DHCP_SERVER
from tests.lab.process import eventually
from tests.lab.profiles import Bench, Case, Outcome, node_mac
from tests.lab.standinserver import BASE
from tests.oses.families import sample
from tests.oses.samples_esxi import BOOT_CFG
from tests.repo import media

pytestmark = [
    pytest.mark.lab,
    media.needs("xorriso"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="the stand-in kernel needs gcc: apt-get install build-essential"),
]

CATALOG = Catalog()
EVERY = [(family["name"], release["name"]) for family in CATALOG.list() for release in family["releases"]]
SAMPLE_SERVER = "mirror.example.com"
"""The samples' other server; in the lab it is the one with the stand-ins."""
BIOS_ONLY = {("rhel", "6"), ("centos", "6")}
"""Kernels without an EFI stub: on UEFI the profile says so, tells pxed and starts nothing."""
PROBE = (r"http://\S+/probe\.c32", f"{BASE}/ends-well.c32")
"""Debian's iPXE cannot run COM32 programs. So that ESXi's BIOS profile gets past its probe and as far as mboot.c32, the probe is one that
this iPXE can run; mboot.c32 is the stand-in kernel, which iPXE tells by its content."""
STARTED = "started?status=ok&loader=1&message=The+node+has+the+kernel+and+initrd+of+the+installer"
NO_COMBOOT = "esxi 8, unchanged"
NO_KERNEL = "debian 12, without a kernel"


def options_of(family: str, release: str, firmware: Plain) -> dict[str, Any]:
    """All that can be asked of the family."""
    options = sample(family, "full", release)
    if firmware == "bios":
        options = {name: value for name, value in options.items() if name not in ("repo", "isoUrl")}
    options = dict(json.loads(json.dumps(options).replace(SAMPLE_SERVER, DHCP_SERVER)))
    if family == "esxi":
        options["repo"] = f"esxi-{release}"
    return options


def tree_of(family: str, release: str, options: dict[str, Any]) -> str:
    """Where the install's files are, as docs/repositories.md says."""
    first = {"debian": "debian", "flatcar stable": "flatcar", "fcos stable": "fcos"}
    name = options.get("repo") or first.get(family) or first.get(f"{family} {release}") or f"{family}-{release}"
    return str(name) if "://" in name else f"http://{APPLIANCE}/repo/{name}"


def cases(firmware: Plain) -> list[Case]:
    made = []
    for family, release in EVERY:
        changed = PROBE if (family, firmware) == ("esxi", "bios") else None
        made.append(Case(f"{family} {release}", family, release, options_of(family, release, firmware), changed))
    if firmware == "bios":
        made.append(Case(NO_COMBOOT, "esxi", "8", options_of("esxi", "8", firmware)))
    return made


def repositories(folder: Path) -> dict[str, list[str]]:
    """Every repository that the cases name, each a mirror of the stand-ins, below a medium where pxed must know one."""
    names = {tree_of(family, release, {}).rpartition("/")[2] for family, release in EVERY}
    names |= {repo for family, release in EVERY if "://" not in (repo := sample(family, "full", release).get("repo", "debian"))}
    found = {name: [f"{BASE}/tree/{name}"] for name in sorted(names)}
    for name in names:
        family, _, release = name.partition("-")
        if family in MEDIA:
            found[name].insert(0, str(MEDIA[family](folder / name, release)))
    (folder / "empty").mkdir()
    return {**found, "empty": [str(folder / "empty")]}


def _esxi_medium(folder: Path, release: str) -> Path:
    return media.tree(folder, {"boot.cfg": re.sub(r"build=\S+", f"build={release}.0", BOOT_CFG)})


def _proxmox_medium(folder: Path, release: str) -> Path:
    """An image as proxmox-auto-install-assistant leaves it, without its kernel."""
    info = f"PRODUCT='pve'\nPRODUCTLONG='Proxmox VE'\nRELEASE='{release}.1'\n"
    root = media.tree(
        folder, {".cd-info": info, "auto-installer-mode.toml": 'mode = "http"\n', "boot/initrd.img": "stand-in of the image\n"}
    )
    return media.rock_ridge(root, folder.with_suffix(".iso"))


MEDIA: Mapping[str, Callable[[Path, str], Path]] = {"esxi": _esxi_medium, "proxmox": _proxmox_medium}
"""Family whose media pxed must know > what makes one, for (place, release): a directory or an image."""


@dataclass(frozen=True)
class Series:
    """All that one machine did."""

    firmware: Plain
    outcomes: dict[str, Outcome]


@pytest.fixture(scope="module", params=["bios", "uefi"])
def series(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]) -> Iterator[Series]:
    firmware: Plain = request.param
    folder = tmp_path_factory.mktemp(f"profiles-{firmware}")
    with Bench(folder, firmware=firmware, repositories=repositories(folder)) as bench:
        missing = _begin_without_kernel(bench) if firmware == "bios" else None
        outcomes = bench.series(bench.machine(), cases(firmware), say)
        if missing is not None:
            outcomes[NO_KERNEL] = missing()
        yield Series(firmware, outcomes)


def _begin_without_kernel(bench: Bench) -> Callable[[], Outcome]:
    """A second machine, whose kernel is not there: it waits and tries again for half a minute while the first works. Returns what waits for
    its end."""
    number = len(EVERY) + 10
    case = Case(NO_KERNEL, "debian", "12", {"repo": "empty"})
    token = bench.order(case, node_mac(number))
    machine = bench.machine(1)
    address = bench.send(machine, case, number)

    def wait() -> Outcome:
        outcome = Outcome(case, machine.mac, token)

        def told() -> bool:
            outcome.asked = bench.ear.heard(address)
            return bool(outcome.told)

        with suppress(TimeoutError):  # the test says what it did instead
            eventually("the machine without a kernel to give up", told, within=120.0)
        outcome.answered = [(bench.appliance.node(node_mac(number))["verdict"], 0)]
        return outcome

    return wait


@pytest.mark.parametrize(("family", "release"), EVERY)
def test_ipxe_executes_the_profile_as_far_as_the_kernel(series: Series, family: str, release: str) -> None:
    """Everything that it names is there; the kernel gets each initrd, the operator's arguments, and a line without anything unexpanded.

    Fails when a template names a file wrongly, gives an initrd another name than the kernel's line has, or forgets `|| goto`.
    """
    outcome = series.outcomes[f"{family} {release}"]
    assert not outcome.refused, outcome.refused
    assert {status for _, status in outcome.fetched} == {200}, outcome.report()
    if series.firmware == "uefi" and (family, release) in BIOS_ONLY:
        assert outcome.boot is None, outcome.report()
        assert outcome.told == ["started?status=fail&message=This+release+starts+from+BIOS+only,+and+the+node+booted+by+UEFI"]
        return
    boot = outcome.boot
    assert boot is not None, outcome.report()
    assert boot.firmware == ("bios" if series.firmware == "bios" else "efi")
    assert not [told for told in outcome.told if "status=ok" not in told], outcome.report()
    assert "${" not in boot.line
    assert outcome.answered or any(url.startswith(outcome.answers) for url, _ in outcome.fetched), f"no answers: {outcome.report()}"
    assert {status for _, status in outcome.answered} <= {200}, outcome.answered
    _has_its_initrds(outcome)


def _has_its_initrds(outcome: Outcome) -> None:
    """What iPXE fetched beside the kernel is where the kernel looks for it; the line's ``initrd=`` words are its names on UEFI."""
    assert outcome.boot is not None
    if outcome.case.family == "windows":
        _has_its_files(outcome)
        return
    named = re.findall(r"(?<!\S)initrd=(\S+)", outcome.boot.line)
    assert len(named) == len(outcome.initrds), outcome.report()
    assert outcome.boot.holds(list(zip(named, outcome.initrds, strict=True))), outcome.report()


def _has_its_files(outcome: Outcome) -> None:
    """wimboot looks for files by name: on BIOS in archives that iPXE wraps them in, on UEFI beside itself."""
    assert outcome.boot is not None
    names = [url.rpartition("/")[2] for url, _ in outcome.fetched[2:]]
    given = dict(zip(names, outcome.initrds, strict=True))
    if outcome.boot.firmware == "bios":
        assert outcome.boot.wrapped == given, outcome.report()
    else:
        assert outcome.boot.holds(list(given.items())), outcome.report()


@pytest.mark.parametrize(("family", "release"), EVERY)
def test_the_kernel_is_started_with_exactly_the_line_that_its_installer_wants(series: Series, family: str, release: str) -> None:
    """Files in their order, every word of the line. Fails when a word is lost, added or moved."""
    outcome = series.outcomes[f"{family} {release}"]
    if series.firmware == "uefi" and (family, release) in BIOS_ONLY:
        assert [url for url, _ in outcome.fetched[1:]] == [f"{outcome.answers}/notify/{outcome.told[0]}"]
        return
    options = options_of(family, release, series.firmware)
    tree = tree_of(family, release, options)
    assert outcome.boot is not None, outcome.report()
    if family == "esxi":
        _esxi(series, outcome, tree)
        return
    if family not in LINES:
        pytest.skip(f"what {family}'s kernel must be started with is not written down in tests/lab/expected.py")
    expected = LINES[family](Given(release, options, tree, outcome.answers, outcome.mac))
    told = [f"{outcome.answers}/notify/{STARTED}"] if expected.tells else []
    files = [path if "://" in path else f"{tree}/{path}" for path in (expected.kernel, *expected.initrds)]
    assert [url for url, _ in outcome.fetched[1:]] == [*files, *told]
    words = [f"initrd={path.rpartition('/')[2]}" for path in expected.initrds if expected.named]
    name = [("linux" if expected.named else "wimboot")] if series.firmware == "uefi" else []
    assert outcome.boot.line.rstrip() == " ".join([*name, *words, expected.line]).rstrip()


def _esxi(series: Series, outcome: Outcome, tree: str) -> None:
    """mboot of either firmware is told where its boot.cfg is; that of ESXi 7 and 8 also to give up after an error."""
    assert outcome.boot is not None
    fetched = [url for url, _ in outcome.fetched[1:]]
    gives_up = " -e" if outcome.case.release in ("7", "8") else ""
    line = f"-c {outcome.answers}/boot.cfg{gives_up} BOOTIF=01-{outcome.mac.replace(':', '-')}"
    if series.firmware == "uefi":
        assert fetched == [f"{tree}/efi/boot/bootx64.efi"]
        assert outcome.boot.line == f"bootx64.efi {line}"
    else:
        assert fetched == [PROBE[1], f"{tree}/mboot.c32"]
        assert outcome.boot.line == line


def test_the_profile_is_the_first_thing_that_is_fetched(series: Series) -> None:
    """From the node's own path. Fails when the lab itself sends machines elsewhere."""
    for number, case in enumerate(cases(series.firmware)):
        base = BASE if case.changed else f"http://{APPLIANCE}"
        assert series.outcomes[case.name].fetched[0] == (f"{base}/p/{node_mac(number).replace(':', '')}", 200)


def test_an_ipxe_without_comboot_tells_pxed_instead_of_starting_esxis_loader(series: Series) -> None:
    """Debian's is one: it would take mboot.c32 for a raw PXE program. Fails when the probe is left out."""
    if series.firmware == "uefi":
        assert NO_COMBOOT not in series.outcomes  # mboot.c32 is BIOS's
        return
    outcome = series.outcomes[NO_COMBOOT]
    assert outcome.boot is None
    assert [url for url, _ in outcome.fetched[1:]] == [f"{outcome.answers}/probe.c32", f"{outcome.answers}/notify/{outcome.told[0]}"]
    assert outcome.told[0].startswith("started?status=fail&message=This+iPXE+cannot+start+mboot.c32")


def test_a_kernel_that_is_not_there_is_tried_four_times_and_told_to_pxed(series: Series) -> None:
    """With iPXE's error, and the install says so. Fails when the profile gives up without a word or boots something else."""
    if series.firmware == "uefi":
        assert NO_KERNEL not in series.outcomes  # the script is the same, and half a minute is long
        return
    outcome = series.outcomes[NO_KERNEL]
    assert outcome.told, outcome.report()
    kernel = f"http://{APPLIANCE}/repo/empty/dists/bookworm/main/installer-amd64/current/images/netboot/debian-installer/amd64/linux"
    assert outcome.fetched[1:] == [
        *[(kernel, 404)] * 4,
        (f"{outcome.answers}/notify/{outcome.told[0]}", 200),
    ]
    # ipxe.org/2d0c613b: HTTP 404
    assert outcome.told == ["started?status=fail&message=iPXE+could+not+fetch+or+start+the+installer,+error+2d0c613b"]
    assert "iPXE could not fetch or start the installer, error 2d0c613b" in outcome.answered[0][0]
