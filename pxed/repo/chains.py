"""Boot chains: which program firmware is given first, and what has to lie beside it. Pure.

* ``ipxe``: firmware > iPXE. What a plain network boot uses; firmware with Secure Boot refuses it.
* ``shim-grub``: firmware > shim (signed by Microsoft) > GRUB (signed by the distribution) > the distribution's signed kernel.
* ``ipxe-signed``: firmware > iPXE's own shim > the signed iPXE 2.0, brought by the operator.

A chain is known by what lies together, not by its folder's name: shim asks for its second stage in its own folder, so a shim with a GRUB
of the same machine beside it is the first, a shim with an iPXE beside it the second. An iPXE beside a shim is no chain of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final, Literal, Protocol, TypeVar, get_args

from pxed.repo.bootimage import BootImage, Kind, Machine

Chain = Literal["ipxe", "shim-grub", "ipxe-signed"]
CHAINS: Final[tuple[str, ...]] = get_args(Chain)

SECOND_STAGE: Final[Mapping[str, Kind]] = {"shim-grub": "grub", "ipxe-signed": "ipxe"}

SHORT: Final[Mapping[Machine, str]] = {"x86_64": "x64", "aarch64": "aa64"}
"""Machine > how UEFI writes it in file names; the machines that Debian signs a shim for."""

REMEDY = "apt install shim-signed grub-efi-{architecture}-signed   (Debian 13 or newer), then: pxed bootloaders"


class Program(Protocol):
    """The part of `BootProgram` that counts here."""

    @property
    def path(self) -> str: ...
    @property
    def machine(self) -> Machine: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def http(self) -> bool: ...


P = TypeVar("P", bound=Program)


def sort(programs: Sequence[P]) -> dict[str, list[P]]:
    """Chain > its first stages, in the order of `programs`."""
    beside = {(_folder(each), each.machine, each.kind) for each in programs}
    found: dict[str, list[P]] = {chain: [] for chain in CHAINS}
    for each in programs:
        if each.kind == "ipxe" and (_folder(each), each.machine, "shim") not in beside:
            found["ipxe"].append(each)
        for chain, second in SECOND_STAGE.items():
            if each.kind == "shim" and (_folder(each), each.machine, second) in beside:
                found[chain].append(each)
    return found


def complaints(programs: Sequence[Program]) -> list[str]:
    """What keeps a chain from working, a sentence each with its remedy."""
    beside = {(_folder(each), each.machine, each.kind) for each in programs}
    said = []
    for each in programs:
        folder = _folder(each)
        if each.kind == "shim" and not any((folder, each.machine, second) in beside for second in SECOND_STAGE.values()):
            said.append(f"{each.path}: no GRUB and no iPXE beside it, so shim has nothing to start. {_remedy(each.machine)}")
        if each.kind == "grub" and not each.http and (folder, each.machine, "shim") in beside:
            said.append(
                f"{each.path}: this GRUB has no HTTP (Debian 12 and older), so it can't fetch an installer. {_remedy(each.machine)}"
            )
    return said


def place(name: str, image: BootImage) -> str | None:
    """Where shim and GRUB of a distribution's package belong below the boot program root; None for files that are neither.

    Debian's and Ubuntu's shim-signed (``shimx64.efi.signed``) and grub-efi-amd64-signed (``grubnetx64.efi.signed``: the network build with
    the prefix ``/grub``; its sister for the installer has another prefix).
    """
    wanted = {"shim": "shim", "grub": "grubnet"}.get(image.kind)
    if wanted is None or not image.signed or image.machine not in SHORT or not name.startswith(wanted) or "installer" in name:
        return None
    return f"secureboot/{image.machine}/{image.kind}{SHORT[image.machine]}.efi"


def _remedy(machine: Machine) -> str:
    return REMEDY.format(architecture={"aarch64": "arm64"}.get(machine, "amd64"))


def _folder(program: Program) -> str:
    return str(PurePosixPath(program.path).parent)
