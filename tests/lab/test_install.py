"""Whole installs on real firmware: power-on, installer, reboot, the installed system's own word, and what the machine does ever after.

``PXED_LAB_KILL_AT`` chooses when pxed is killed (``kill -9``): a stage's name (offer, profile, kernel, answer file, started, installed),
``installing`` (the default: packages are being unpacked, pxed is away for 10 s) or ``never``.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable

import pytest

from tests.lab.assets import Assets
from tests.lab.journey import ALL, BOOTED, INSTALLED, MINUTE, STARTED, TO_THE_INSTALLER, Journey, Stage
from tests.lab.machine import Firmware, Machine
from tests.lab.process import eventually
from tests.lab.scene import Scene

pytestmark = pytest.mark.lab

INSTALLING = Stage(
    "installing",
    "the base system is being unpacked",
    lambda event: event["kind"] == "install.progress" and event["data"].get("percent", 0) >= 28,
    60 * MINUTE,
)
STAGES = (*TO_THE_INSTALLER, STARTED, INSTALLING, INSTALLED, BOOTED)
assert set(ALL) <= set(STAGES)
REBOOTS = 3


@pytest.mark.parametrize("firmware", ["bios", pytest.param("uefi", marks=pytest.mark.slow)])
def test_an_install_survives_kill_9_and_the_machine_boots_its_disk_ever_after(
    debian: Assets, firmware: Firmware, say: Callable[[str], None]
) -> None:
    """One install from power-on to `done` with pxed killed and started again meanwhile; then three reboots, network first, from the disk.

    Proof of the disk: the kernel's own command line names a root file system and no answer file, the console asks for a login under the
    name that was ordered, the firmware asked for a network boot each time and the wire carries no answer of pxed's.
    Fails when the assigned boot is not turned to "disk" (the machine is offered the installer again), and when the journal is not replayed
    (the install stays at its stage after the restart).
    """
    moment = os.environ.get("PXED_LAB_KILL_AT") or "installing"
    with Scene(debian, name=f"install-{firmware}", say=say) as scene:
        machine = scene.machine(firmware, name=f"full-{firmware}")
        made = _arm(scene, machine)
        machine.power_on()
        journey = Journey(scene.appliance, machine, say=say)
        for stage in STAGES:
            journey.through(stage)
            if stage.name == moment:
                _kill_and_restart(scene, journey, made, say)
        assert scene.appliance.starts == (1 if moment == "never" else 2)
        install = scene.appliance.install(made)
        assert (install["state"], install["percent"]) == ("done", 100)
        _from_disk(scene, machine, since_byte=0, since=None)
        for number in range(1, REBOOTS + 1):
            _reboot(scene, machine, say, number)
        assert [each["state"] for each in scene.appliance.api("GET", "installs")["installs"]] == ["done"]


@pytest.mark.slow
def test_a_machine_without_the_disk_that_was_meant_restarts_untouched(debian: Assets, say: Callable[[str], None]) -> None:
    """debian-installer itself, up to where it would divide the only disk there is."""
    with Scene(debian, name="no-disk", say=say) as scene:
        machine = scene.machine("bios", name="no-disk")
        made = _arm(scene, machine, disk={"serial": "of-another-machine"})
        machine.power_on()
        journey = Journey(scene.appliance, machine, say=say)
        for stage in (*TO_THE_INSTALLER, STARTED):
            journey.through(stage)
        eventually("the install has failed", lambda: scene.appliance.install(made)["state"] == "failed", within=30 * MINUTE, every=5.0)
        assert "no disk of this machine fits the option disk" in scene.appliance.install(made)["reason"]
        since = time.time()
        eventually(
            "the firmware asks for a network boot again",
            lambda: scene.wire.heard(mac=machine.mac, what="DISCOVER", since=since),
            within=5 * MINUTE,
        )
        assert scene.wire.from_appliance(mac=machine.mac, since=since) == [], "pxed makes no offer"
        machine.power_off()
        with machine.disk.open("rb") as disk:
            assert not any(disk.read(64 << 20)), "nothing was written"


def _arm(scene: Scene, machine: Machine, **more: object) -> str:
    options = {**scene.options(machine.name), **more}
    words = ("install", machine.mac, "debian", "--release", "12", "--options-file", "-", "--json")
    return str(json.loads(scene.appliance.cli(*words, stdin=json.dumps(options)))["id"])


def _kill_and_restart(scene: Scene, journey: Journey, install_id: str, say: Callable[[str], None]) -> None:
    """The same install goes on, where it was, in another process."""
    before = scene.appliance.install(install_id)
    scene.appliance.kill()
    say(f"{journey.elapsed:7.1f} s  pxed: kill -9")
    time.sleep(10.0 if "started" in journey.took else 0.0)
    scene.appliance.start()
    after = scene.appliance.install(install_id)
    say(f"{journey.elapsed:7.1f} s  pxed: started again; its install is {after['state']}, {after['stage']}")
    assert (after["state"], after["id"]) == ("running", install_id)
    assert after["percent"] >= before["percent"] - 5, "progress is stored lazily, a few seconds may be lost"


def _reboot(scene: Scene, machine: Machine, say: Callable[[str], None], number: int) -> None:
    mark, since = machine.console_size, time.time()
    machine.reset()
    _from_disk(scene, machine, since_byte=mark, since=since)
    say(f"        {machine.name}: reboot {number}, network first: silence, booted from its disk in {time.time() - since:.0f} s")


def _from_disk(scene: Scene, machine: Machine, *, since_byte: int, since: float | None) -> None:
    """The machine is up from its disk; `since` (UTC seconds of the reset) also checks the wire."""
    machine.await_console(rf"Debian GNU/Linux 12 {machine.name} ttyS0[\s\S]*login:", within=300, since=since_byte)
    lines = re.findall(r"Command line: (.*)", machine.console(since=since_byte))
    assert lines, "the kernel says how it was started"
    assert "root=UUID=" in lines[-1]
    assert "preseed" not in lines[-1]
    if since is not None:
        assert scene.wire.heard(mac=machine.mac, what="DISCOVER", since=since), "the firmware asked for a network boot"
        assert scene.wire.from_appliance(mac=machine.mac, since=since) == [], "pxed makes no offer"
