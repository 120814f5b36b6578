"""Every client architecture that the appliance knows, in packets, against a catalogue of real PE headers: its own machine's program, or
silence and one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pxed.repo.bootprograms import MACHINE_OF, scan
from tests.dhcp import clients
from tests.dhcp.world import World
from tests.repo.images import bios, ipxe

PE = {
    "i386": 0x014C,
    "x86_64": 0x8664,
    "arm": 0x01C2,
    "aarch64": 0xAA64,
    "riscv64": 0x5064,
    "loongarch32": 0x6232,
    "loongarch64": 0x6264,
}
PXE = (0, 6, 7, 9, 10, 11, 27, 37, 39)
HTTP = (15, 16, 18, 19, 28, 38, 40)


def _world(root: Path, *machines: str) -> World:
    for machine in machines:
        (root / machine).mkdir(parents=True)
        if machine == "x86-bios":
            (root / machine / "undionly.kpxe").write_bytes(bios())
        else:
            (root / machine / "snponly.efi").write_bytes(ipxe(PE[machine]))
    programs: Any = scan(root)
    return World(programs=programs)


def _asks(arch: int) -> bytes:
    if arch not in HTTP:
        return clients.rom(arch)
    vendor = f"HTTPClient:Arch:{arch:05}:UNDI:003000".encode()
    return clients.packet([(code, vendor if code == 60 else value) for code, value in clients.pxe_options(arch)])


@pytest.mark.parametrize("arch", [*PXE, *HTTP])
def test_each_architecture_is_offered_the_program_of_its_own_machine(tmp_path: Path, arch: int) -> None:
    machine = MACHINE_OF[arch]
    file = f"{machine}/{'undionly.kpxe' if arch == 0 else 'snponly.efi'}"
    world = _world(tmp_path, "x86-bios", *PE)
    assert world.answer(_asks(arch)).boot_file == (f"http://10.0.0.1/b/{file}" if arch in HTTP else file)


@pytest.mark.parametrize("arch", [*PXE, *HTTP])
def test_without_a_program_of_its_machine_there_is_silence_and_one_line(tmp_path: Path, arch: int) -> None:
    """All other machines' programs are there. Four repetitions of one DISCOVER are told once."""
    others = [machine for machine in ("x86-bios", *PE) if machine != MACHINE_OF[arch]]
    world = _world(tmp_path, *others)
    for _ in range(4):
        assert world.silent(_asks(arch)) == "no-program"
    (problem,) = world.told("dhcp.problem")
    assert "no boot program for" in problem.text


@pytest.mark.parametrize("arch", [1, 2, 8, 12, 31, 99])
def test_an_architecture_that_nothing_exists_for_is_told_once_and_not_answered(tmp_path: Path, arch: int) -> None:
    world = _world(tmp_path, "x86-bios", *PE)
    for _ in range(4):
        assert world.silent(_asks(arch)) == "architecture"
    (silent,) = world.told("dhcp.silent")
    assert f"client architecture {arch} (option 93)" in silent.text


def test_a_raspberry_pis_boot_rom_is_told_its_menu(tmp_path: Path) -> None:
    assert b"Raspberry Pi Boot" in _world(tmp_path).answer(clients.rom(41))[43]
