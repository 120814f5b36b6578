"""Local boot through GRUB, for firmware that will not go on to its disk when iPXE ends: iPXE loads GRUB, GRUB starts the disk's loader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab import chains
from tests.lab.assets import Assets
from tests.lab.esp import write_esp
from tests.lab.machine import DISK_BYTES
from tests.lab.process import eventually
from tests.lab.scene import Scene
from tests.lab.test_boot import SITE_BOOT

pytestmark = [pytest.mark.lab, pytest.mark.slow]

LOADER = Path("/usr/lib/ipxe/ipxe.efi")
"""Stands for the installed system's boot loader: it says on the console that it runs."""


def test_uefi_leaves_ipxe_through_grub_for_the_loader_on_its_disk(debian: Assets, say: Callable[[str], None]) -> None:
    """The site's DHCP server sends the machine to pxed for good. GRUB finds pxed by what iPXE tells it and asks for this node's script.

    Fails when iPXE hands GRUB no next-server: GRUB then asks nobody and stops at its prompt.
    """
    tree = chains.unpacked("amd64", say=say)
    with Scene(debian, name="localboot-grub", say=say, site_boot=SITE_BOOT) as scene:
        chains.give(scene.appliance, tree, awaited="secureboot/x86_64/grubx64.efi")
        disk = write_esp(scene.folder / "esp.disk", LOADER.read_bytes(), size=DISK_BYTES)
        machine = scene.machine("uefi", disk=disk)
        scene.appliance.cli("node", "add", machine.mac)
        scene.appliance.cli("node", "localboot", machine.mac, "grub")
        machine.power_on()
        machine.await_console(r"iPXE initialising devices[\s\S]*pxed: nothing to install", within=240)
        mark = machine.console_size
        machine.await_console(r"iPXE initialising devices", within=240, since=mark)
        say(f"        {machine.name}: iPXE > GRUB > the loader on its disk")
        told = [event["text"] for event in scene.appliance.events(machine.mac)]
        assert any("fetched boot program secureboot/x86_64/grubx64.efi" in text for text in told)
        asked = [said.text for said in scene.wire.heard(what="RRQ")]
        fetched = [text for text in told if "was sent on to its disk" in text]
        assert len(fetched) >= 2, f"iPXE's script, then GRUB's; TFTP was asked for {asked}"
        machine.power_off()


def test_uefi_is_switched_off_through_grub_where_ipxe_cannot(debian: Assets, say: Callable[[str], None]) -> None:
    """Debian's iPXE has no ``poweroff``, GRUB has ``halt``. Fails when the script leaves iPXE for the disk: the machine then stays on."""
    tree = chains.unpacked("amd64", say=say)
    with Scene(debian, name="poweroff-grub", say=say, site_boot=SITE_BOOT) as scene:
        chains.give(scene.appliance, tree, awaited="secureboot/x86_64/grubx64.efi")
        machine = scene.machine("uefi", disk=write_esp(scene.folder / "esp.disk", LOADER.read_bytes(), size=DISK_BYTES))
        scene.appliance.cli("node", "add", machine.mac)
        scene.appliance.cli("node", "localboot", machine.mac, "poweroff")
        machine.power_on()
        eventually(f"{machine.name} switched off", lambda: not machine.on, within=120)
        assert "pxed: this iPXE cannot power off" in machine.console()
        say(f"        {machine.name}: switched off by GRUB")
