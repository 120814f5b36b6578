"""Case 106: real firmware, a plain dnsmasq that leases, pxed beside it. The machines are the lab's (tests/lab)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab import assets, host
from tests.lab.conftest import tell
from tests.lab.journey import OFFER, PROFILE, Journey
from tests.lab.machine import Firmware
from tests.lab.scene import Scene

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    if problem := host.missing():
        pytest.skip(problem)
    with Scene(assets.prepare("12", say=tell), name="dhcp-firmware", say=tell) as built:
        yield built


@pytest.mark.parametrize("firmware", ["bios", "uefi", "uefi-http"])
def test_case_106_real_firmware_reaches_its_profile(scene: Scene, firmware: Firmware) -> None:
    """SeaBIOS with iPXE's ROM, OVMF by PXE and OVMF by HTTP Boot: each takes the offer meant for it and ends at the node's profile."""
    machine = scene.machine(firmware)
    options = json.dumps(scene.options(machine.name.replace("_", "-")))
    scene.appliance.cli("install", machine.mac, "debian", "--release", "12", "--options-file", "-", stdin=options)
    machine.power_on()
    Journey(scene.appliance, machine, say=tell).through(OFFER, PROFILE)
    machine.power_off()
    facts = scene.appliance.node(machine.mac)["facts"]
    assert facts["product"].startswith("Standard PC"), "iPXE puts what SMBIOS says into the profile's URL"
    offers = [event["data"] for event in scene.appliance.events(machine.mac) if event["kind"] == "dhcp.offer"]
    first, last = offers[0], offers[-1]
    expected = {"bios": ("ipxe-http", "binl"), "uefi": ("uefi", "binl"), "uefi-http": ("http-boot", "plain")}
    assert (first["class"], first["shape"]) == expected[firmware]
    assert last["class"] == "ipxe-http"
    acks = [event["data"]["file"] for event in scene.appliance.events(machine.mac) if event["kind"] == "dhcp.ack"]
    assert acks == (["snponly.efi"] if firmware == "uefi" else []), "only UEFI's own PXE comes to port 4011"
