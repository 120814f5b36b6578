"""Windows' recipe, and a node walked through it: however often it restarts, and with pxed killed each time."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from pxed.node.guard import Guard
from pxed.node.model import Boot
from pxed.oses.catalog import Catalog, Urls
from pxed.oses.scripts import BootScripts
from pxed.oses.windows import PORTS, WINDOWS
from pxed.testing import MemoryAppliance, result_of, walk
from pxed.workflow.recipe import Notification
from pxed.workflow.replay import Done, Failed
from tests.oses.families import RESOURCES, sample
from tests.oses.samples_windows import PASSWORD


def test_a_system_that_never_calls_back_is_done_by_its_port_and_without_that_it_is_not() -> None:
    by_port = Notification("configured", proof="TCP port 3389 answers")
    assert walk(WINDOWS.recipe, {"configured": by_port, "booted": "missed"}).outcome == Done()
    assert walk(WINDOWS.recipe, {"booted": "missed"}).outcome == Failed("missed")
    assert 3389 in PORTS


class Node:
    """Firmware, Windows PE and Windows, as far as pxed can see: profiles, files, notifications."""

    def __init__(self) -> None:
        self.catalog = Catalog(resources=RESOURCES)
        self.appliance = MemoryAppliance(self.catalog.recipes)
        prepared = self.catalog.prepare("windows", "2022", sample("windows", "full"))
        self.node = self.appliance.inventory.seen("52:54:00:12:34:56")
        self.id = result_of(
            self.appliance.engine.create(
                self.node.id, family="windows", release=prepared.release, recipe=prepared.recipe, options=prepared.options
            )
        ).id

    @property
    def install(self) -> Any:
        return self.appliance.engine.get(self.id)

    def restart_pxed(self) -> None:
        """A new process: nothing is left but the database and the key."""
        sealing = self.catalog.sealing
        self.catalog = Catalog(resources=RESOURCES)
        self.catalog.sealing = sealing
        self.appliance = self.appliance.restart(down=3)

    def network_boot(self) -> str:
        """What iPXE is told when this node has come that far."""
        here = self.appliance
        guard = Guard(inventory=here.inventory, timeline=here.timeline, seconds=here.clock.seconds)
        scripts = BootScripts(
            inventory=here.inventory, timeline=here.timeline, engine=here.engine, catalog=self.catalog, urls=Urls, guard=guard
        )  # fmt: skip
        return result_of(scripts.of(self.node.mac, "10.0.0.77", "http://10.0.2.2", "ipxe"))

    def fetch(self, name: str) -> str:
        token = self.install.token
        return self.catalog.file(self.install, self.node, Urls("http://10.0.2.2", token), name).body.decode()

    def say(self, phase: str, status: str = "ok", message: str = "") -> None:
        result_of(self.appliance.engine.deliver(self.install.token, phase, status=status, message=message))

    def windows_pe(self) -> None:
        """Boot by the profile and follow the URLs: what iPXE lays into Windows PE, and what pxed.cmd fetches then."""
        laid = re.findall(r"/i/[^/]+/(\S+) \S+ \|\|", self.network_boot())
        assert laid == ["winpeshl.ini", "pxed.cmd"]
        _, batch = [self.fetch(name) for name in laid]
        self.say("started")
        self.restart_pxed()
        fetched = [self.fetch(name) for name in re.findall(r"call :get ([\w.]+\.(?:xml|cmd)) ", batch)]
        assert len(fetched) == 4
        assert any(PASSWORD_IN_BASE64 in each for each in fetched)


PASSWORD_IN_BASE64 = base64.b64encode((PASSWORD + "Password").encode("utf-16-le")).decode()
LOCAL = ("sanboot", "exit")


def is_local(script: str) -> bool:
    return "wimboot" not in script and any(word in script for word in LOCAL)


@pytest.mark.parametrize("network_boots", [1, 3, 6])
def test_however_often_windows_restarts_it_is_sent_to_its_disk_and_pxed_may_be_killed_each_time(network_boots: int) -> None:
    node = Node()
    assert "wimboot" in node.network_boot()
    node.restart_pxed()
    assert "wimboot" in node.network_boot()  # a node that lost its power in Windows PE starts anew
    node.windows_pe()
    node.restart_pxed()
    node.say("installed")
    for _ in range(network_boots):
        node.restart_pxed()
        assert is_local(node.network_boot())
        assert node.appliance.inventory.seen(node.node.mac).boot == Boot("disk", node.id)
    node.say("configured")
    node.restart_pxed()
    assert is_local(node.network_boot())
    node.say("booted")
    assert (node.install.state, node.install.percent) == ("done", 100)
    assert is_local(node.network_boot())


def test_a_failure_in_windows_pe_ends_it_with_dism_s_own_words() -> None:
    node = Node()
    node.say("started")
    node.restart_pxed()
    node.say("installed", "fail", "The image cannot be applied:\nError: 112\nThere is not enough space on the disk.")
    assert node.install.state == "failed"
    assert "not enough space" in node.install.reason
    assert is_local(node.network_boot())


def test_without_any_word_after_the_restart_it_is_unproven_never_installed_again() -> None:
    node = Node()
    node.say("started")
    node.say("installed")
    node.appliance.clock.pump([600] * 20)
    assert node.install.state == "unproven"
    assert is_local(node.network_boot())
    node.say("booted")
    assert node.install.state == "done"


def test_a_windows_that_shows_a_port_and_says_nothing_is_done_with_that_as_its_proof() -> None:
    node = Node()
    node.say("started")
    node.say("installed")
    node.appliance.clock.pump([15] * 10)
    node.appliance.ports.open.add(3389)
    node.appliance.clock.pump([15] * 300)
    assert node.install.state == "done"
    assert "3389" in node.install.proof
