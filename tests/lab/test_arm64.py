"""64-bit ARM: UEFI for aarch64 network-boots to its profile, with iPXE and, Secure Boot on, with shim and GRUB."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.lab import chains
from tests.lab.assets import Assets
from tests.lab.journey import OFFER, PROFILE, Journey
from tests.lab.machine import Firmware, Machine
from tests.lab.scene import Scene

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SECURE = "52:54:00:77:ff:02"
CONFIG = f"""
[[dhcp.quirks]]
name = "the machine with Secure Boot"
mac = "{SECURE}"
boot_program = "shim-grub"
"""
NOWHERE = "http://10.77.0.1/repo/debian/nowhere"
"""No mirror has arm64's installer at hand; what a failed fetch does is seen instead."""


@pytest.fixture(scope="module")
def arm(request: pytest.FixtureRequest, debian: Assets, say: Callable[[str], None]) -> Iterator[Scene]:
    tree = chains.unpacked("arm64", say=say)
    failed = request.session.testsfailed
    with Scene(debian, name="arm64", say=say, config=CONFIG) as scene:
        chains.give(scene.appliance, tree, awaited="secureboot/aarch64/shimaa64.efi")
        yield scene
        if request.session.testsfailed > failed:
            scene.keep_artifacts()


def _armed(scene: Scene, firmware: Firmware, mac: str | None = None) -> Machine:
    machine = scene.machine(firmware)
    if mac is not None:
        machine.mac = mac
    options = {**scene.options(machine.name), "repo": NOWHERE}
    scene.appliance.cli("install", machine.mac, "debian", "--release", "12", "--options-file", "-", stdin=json.dumps(options))
    machine.power_on()
    return machine


def test_arm64_boots_ipxe_to_its_profile(arm: Scene, say: Callable[[str], None]) -> None:
    """Client architecture 11 gets the arm64 iPXE, and that the script with arm64's kernel. iPXE asks for autoexec.ipxe and is answered.

    Fails (at `offer`) when there is no program for architecture 11; (on the console) when the x86_64 one is given.
    """
    machine = _armed(arm, "arm64")
    Journey(arm.appliance, machine, say=say).through(OFFER, PROFILE)
    machine.await_console(r"starting the installer of Debian 12", within=60)
    asked = [said.text for said in arm.wire.heard(what="RRQ")]
    assert "aarch64/ipxe.efi" in asked
    assert any(name.endswith("autoexec.ipxe") for name in asked)
    node = arm.appliance.node(machine.mac)
    assert node["arch"]["code"] == 11
    machine.await_console(r"installer-arm64", within=60)
    machine.power_off()


def test_arm64_with_secure_boot_gets_its_profile_through_shim_and_grub_and_a_failed_fetch_is_told(
    arm: Scene, say: Callable[[str], None]
) -> None:
    """shim and GRUB of Debian 13 on firmware with Microsoft's keys; GRUB cannot fetch the kernel and says so to pxed."""
    machine = _armed(arm, "arm64-secure", SECURE)
    Journey(arm.appliance, machine, say=say).through(OFFER, PROFILE)
    machine.await_console(r"starting the installer of Debian 12", within=60)
    machine.await_console(r"GRUB could not fetch or start the installer; telling pxed", within=240)
    assert any(event["kind"] == "install.failed" for event in arm.appliance.events(machine.mac))
    assert "secureboot/aarch64/grubaa64.efi" in [said.text for said in arm.wire.heard(what="RRQ")]
    machine.power_off()
