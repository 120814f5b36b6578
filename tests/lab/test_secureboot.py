"""Secure Boot: OVMF with Microsoft's keys, shim, Debian's GRUB and Debian's signed kernel, beside a DHCP server that knows nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.lab import chains
from tests.lab.assets import Assets
from tests.lab.journey import TO_THE_INSTALLER, Journey
from tests.lab.machine import Firmware, Machine
from tests.lab.network import APPLIANCE, DHCP_SERVER
from tests.lab.scene import Scene

pytestmark = [pytest.mark.lab, pytest.mark.slow]

UNSIGNED = "52:54:00:77:ff:01"
CONFIG = f"""
[dhcp]
boot_chain = "shim-grub"

[[dhcp.quirks]]
name = "one machine that is given iPXE all the same"
mac = "{UNSIGNED}"
boot_program = "ipxe"
"""


@pytest.fixture(scope="module")
def secure(request: pytest.FixtureRequest, debian: Assets, say: Callable[[str], None]) -> Iterator[Scene]:
    tree = chains.unpacked("amd64", say=say)
    failed = request.session.testsfailed
    with Scene(debian, name="secureboot", say=say, config=CONFIG) as scene:
        chains.give(scene.appliance, tree, awaited="secureboot/x86_64/shimx64.efi")
        yield scene
        if request.session.testsfailed > failed:
            scene.keep_artifacts()


def _armed(scene: Scene, machine: Machine) -> Machine:
    options = scene.options(machine.name)
    scene.appliance.cli("install", machine.mac, "debian", "--release", "12", "--options-file", "-", stdin=json.dumps(options))
    machine.power_on()
    return machine


def _named(scene: Scene, firmware: Firmware, mac: str) -> Machine:
    """A machine with the MAC address that pxed's configuration names."""
    machine = Machine(scene.network, scene.folder, firmware=firmware, mac=mac, name="named")
    scene.machines.append(machine)
    return machine


def _proven(machine: Machine) -> None:
    """The kernel itself says so: it was verified, and it is locked down."""
    said = machine.console()
    assert "EFI stub: UEFI Secure Boot is enabled." in said
    assert "Kernel is locked down from EFI Secure Boot" in said
    assert "secureboot: Secure boot enabled" in said


def test_by_pxe_the_signed_kernel_reaches_the_installers_answer_file(secure: Scene, say: Callable[[str], None]) -> None:
    """Firmware > shim > GRUB > Debian's kernel by proxy-DHCP, TFTP and HTTP, with a lease of another server that names no boot server.

    Fails (at `profile`) with a GRUB that takes the DHCP server for its boot server, as Debian 12's does.
    """
    machine = _armed(secure, secure.machine("uefi-secure"))
    Journey(secure.appliance, machine, say=say).through(*TO_THE_INSTALLER)
    _proven(machine)
    asked = [said.text for said in secure.wire.heard(what="RRQ") if said.target == APPLIANCE]
    mine = [name for name in asked if name.endswith(("shimx64.efi", "grubx64.efi", "grub.cfg", f"grub.cfg-01-{machine.mac}"))]
    assert list(dict.fromkeys(mine)) == [
        "secureboot/x86_64/shimx64.efi",
        "secureboot/x86_64/grubx64.efi",
        "/grub/grub.cfg",
        f"/grub/grub.cfg-01-{machine.mac}",
    ]
    assert not [said for said in secure.wire.heard(what="RRQ") if said.target == DHCP_SERVER]
    machine.power_off()


def test_by_http_boot_the_signed_kernel_reaches_the_installers_answer_file(secure: Scene, say: Callable[[str], None]) -> None:
    """The same by UEFI HTTP Boot; not one file goes by TFTP."""
    before = len(secure.wire.heard(what="RRQ"))
    machine = _armed(secure, secure.machine("uefi-secure-http"))
    Journey(secure.appliance, machine, say=say).through(*TO_THE_INSTALLER)
    _proven(machine)
    assert len(secure.wire.heard(what="RRQ")) == before
    machine.power_off()


def test_an_unsigned_ipxe_is_refused_by_the_firmware(secure: Scene, say: Callable[[str], None]) -> None:
    """So Secure Boot was on: the iPXE that boots every other machine of the lab (test_boot) is fetched and not run.

    Fails on firmware whose variables have no keys: iPXE then starts and fetches its profile.
    """
    machine = _armed(secure, _named(secure, "uefi-secure", UNSIGNED))
    machine.await_console(r'failed to load Boot\w+ "UEFI PXEv4[^\n]*: Access Denied', within=180)
    machine.await_console(r'failed to load Boot\w+ "UEFI HTTPv4[^\n]*: Access Denied', within=120)
    say(f"        {machine.name}: the firmware refuses the unsigned iPXE, by PXE and by HTTP Boot")
    assert "snponly.efi" in [said.text for said in secure.wire.heard(what="RRQ")]
    kinds = [event["kind"] for event in secure.appliance.events(machine.mac)]
    assert "tftp.sent" in kinds
    assert "http.profile" not in kinds
    machine.power_off()
