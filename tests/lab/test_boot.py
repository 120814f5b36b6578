"""Real firmware up to where the installer takes over, and machines that pxed must leave alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from tests.lab.assets import Assets
from tests.lab.bootsector import write_disk
from tests.lab.journey import TO_THE_INSTALLER, Journey
from tests.lab.machine import Firmware, Machine
from tests.lab.process import eventually
from tests.lab.scene import Scene

pytestmark = pytest.mark.lab

BOOTED = "the disk of this machine boots"
SITE_BOOT = (
    "--dhcp-match=set:ipxe,175",
    "--dhcp-boot=tag:ipxe,http://10.77.0.1/autoexec.ipxe",
    "--dhcp-boot=tag:!ipxe,snponly.efi,,10.77.0.1",
)
"""A site whose DHCP server sends every machine to pxed for good: next-server and file name set by its administrator."""


def _arm(scene: Scene, machine: Machine) -> str:
    options = scene.options(machine.name.replace("_", "-"))
    words = ("install", machine.mac, "debian", "--release", "12", "--options-file", "-", "--json")
    return str(json.loads(scene.appliance.cli(*words, stdin=json.dumps(options)))["id"])


OFFERS = {"bios": ("ipxe-http", "binl"), "uefi": ("uefi", "binl"), "uefi-http": ("http-boot", "plain")}
"""Firmware > the class and the shape of the first offer that it is made (docs/dhcp.md)."""


@pytest.mark.parametrize("firmware", list(OFFERS))
def test_case_106_real_firmware_reaches_its_profile_and_the_installer(scene: Scene, firmware: Firmware, say: Callable[[str], None]) -> None:
    """SeaBIOS with iPXE's ROM, OVMF by PXE and OVMF by HTTP Boot, beside a plain dnsmasq: each takes the offer meant for it, iPXE gets its
    profile, the kernel its initrd, the installer its answer file. BIOS ends at the profile here: the full install goes on from there.

    Fails (at `offer`) when offers lack option 60; (at `profile`) when the offer for iPXE names the boot program again.
    """
    machine = scene.machine(firmware)
    made = _arm(scene, machine)
    machine.power_on()
    Journey(scene.appliance, machine, say=say).through(*(TO_THE_INSTALLER[:2] if firmware == "bios" else TO_THE_INSTALLER))
    events, node = scene.appliance.events(machine.mac), scene.appliance.node(machine.mac)
    assert node["firmware"] == firmware.removesuffix("-http")
    assert node["facts"]["product"].startswith("Standard PC"), "iPXE puts what SMBIOS says into the profile's URL"
    offers = [event["data"] for event in events if event["kind"] == "dhcp.offer"]
    assert (offers[0]["class"], offers[0]["shape"]) == OFFERS[firmware]
    assert offers[-1]["class"] == "ipxe-http"
    acks = [event["data"]["file"] for event in events if event["kind"] == "dhcp.ack"]
    assert acks == (["snponly.efi"] if firmware == "uefi" else []), "only UEFI's own PXE comes to port 4011"
    if firmware == "uefi":
        assert "snponly.efi" in [said.text for said in scene.wire.heard(what="RRQ")]
    if firmware == "uefi-http":
        fetched = [event["text"] for event in events if event["kind"] == "http.file"]
        assert any("snponly.efi" in text for text in fetched), "HTTP Boot fetches iPXE by HTTP"
        _is_cut_off_and_ordered_again(scene, machine, made, say)
    machine.power_off()


def _is_cut_off_and_ordered_again(scene: Scene, machine: Machine, install_id: str, say: Callable[[str], None]) -> None:
    """Its installer has its answer file, so the disk may hold anything: after a restart the machine is offered nothing and its operator is
    told why (docs/adr/0015); ordered again, it is given the installer. Fails when an armed node is offered its installer until the end."""
    since, told = time.time(), scene.appliance.events(machine.mac)[-1]["id"]
    machine.reset()
    eventually("pxed says that it restarted", lambda: "install.rebooted" in _kinds(scene, machine, told), within=120)
    assert scene.wire.heard(mac=machine.mac, what="DISCOVER", since=since), "the firmware did ask"
    assert scene.wire.from_appliance(mac=machine.mac, since=since) == []
    assert scene.appliance.install(install_id)["state"] == "running"
    assert "retry" in scene.appliance.node(machine.mac)["verdict"]
    again = str(json.loads(scene.appliance.cli("install", "retry", machine.mac, "--json"))["id"])
    assert scene.appliance.install(install_id)["state"] == "cancelled"
    told = scene.appliance.events(machine.mac)[-1]["id"]
    machine.reset()
    eventually("the installer is offered again", lambda: "dhcp.offer" in _kinds(scene, machine, told), within=120)
    assert scene.appliance.node(machine.mac)["boot"]["install"] == again
    say(f"        {machine.name}: restarted while its installer worked: silence; ordered again: an offer")


def _kinds(scene: Scene, machine: Machine, after: int) -> list[str]:
    return [event["kind"] for event in scene.appliance.events(machine.mac, after=after)]


def test_an_unarmed_machine_is_listed_and_left_alone(scene: Scene, say: Callable[[str], None]) -> None:
    """Nobody armed it: the firmware asks, pxed is silent on the wire, the firmware boots the disk, the operator sees the machine.

    Fails when an offer is made to unknown machines.
    """
    machine = scene.machine("bios", disk=write_disk(scene.folder / "unarmed.disk", BOOTED))
    machine.power_on()
    machine.await_console(BOOTED, within=120)
    say(f"        {machine.name}: asked, got silence, boots its disk")
    assert scene.wire.heard(mac=machine.mac, what="DISCOVER"), "the firmware did ask"
    assert scene.wire.from_appliance(mac=machine.mac) == []
    node = scene.appliance.node(machine.mac)
    assert (node["state"], node["boot"]["kind"]) == ("new", "silent")
    assert machine.mac in scene.appliance.cli("node", "list")
    machine.power_off()


@pytest.mark.parametrize("firmware", ["bios", pytest.param("uefi", marks=pytest.mark.slow)])
def test_a_machine_that_reaches_ipxe_all_the_same_is_sent_on_to_its_disk(
    debian: Assets, firmware: Firmware, say: Callable[[str], None]
) -> None:
    """The site's own DHCP server sends every machine to pxed: iPXE's script leaves it, by sanboot on BIOS and ``exit 1`` on UEFI.

    Fails when the script says ``exit 0``: OVMF then stays in its boot manager's menu.
    """
    with Scene(debian, name=f"localboot-{firmware}", say=say, site_boot=SITE_BOOT) as scene:
        machine = scene.machine(firmware, disk=write_disk(scene.folder / "local.disk", BOOTED))
        machine.power_on()
        left = BOOTED if firmware == "bios" else r'BdsDxe: .*Boot\w+ "UEFI Misc Device'
        machine.await_console(r"pxed: nothing to install[\s\S]*" + left, within=240)
        say(f"        {machine.name}: sent on to its disk by iPXE's script")
        kinds = [event["kind"] for event in scene.appliance.events(machine.mac)]
        assert "http.localboot" in kinds
        assert scene.wire.from_appliance(mac=machine.mac) == []


def test_a_machine_whose_ipxe_cannot_switch_it_off_goes_on_to_its_disk(debian: Assets, say: Callable[[str], None]) -> None:
    """Debian's iPXE has no ``poweroff``. Fails when the script ends there: the machine then stands at iPXE's prompt."""
    with Scene(debian, name="poweroff-bios", say=say, site_boot=SITE_BOOT) as scene:
        machine = scene.machine("bios", disk=write_disk(scene.folder / "local.disk", BOOTED))
        scene.appliance.cli("node", "add", machine.mac)
        scene.appliance.cli("node", "localboot", machine.mac, "poweroff")
        machine.power_on()
        machine.await_console(rf"pxed: this iPXE cannot power off[\s\S]*{BOOTED}", within=120)
        say(f"        {machine.name}: no poweroff in this iPXE, sent on to its disk")


def test_the_clock_of_wire_and_timeline_agree(scene: Scene) -> None:
    """What pxed's timeline says of offers is on the wire: no offer is recorded that was not made. Fails when events are invented."""
    since = time.time() - 3600
    for machine in scene.machines:
        told = [event for event in scene.appliance.events(machine.mac) if event["kind"] in ("dhcp.offer", "dhcp.ack")]
        assert len(scene.wire.from_appliance(mac=machine.mac, since=since)) >= len(told)
