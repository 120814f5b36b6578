"""One machine's way from power-on to the installed system's own word, stage by stage, as the timeline and the serial console tell it."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.lab.appliance import Appliance, Refused
from tests.lab.machine import Machine
from tests.lab.process import patience, tail

Event = dict[str, Any]
WAITS = "it waits for somebody at its console"
"""pxed's words for an installer that stopped with a question."""
MINUTE = 60.0


def _kind(*kinds: str) -> Callable[[Event], bool]:
    return lambda event: event["kind"] in kinds


def _told(phase: str) -> Callable[[Event], bool]:
    return lambda event: event["kind"] == "notification" and event["data"].get("phase") == phase


def _file(part: str) -> Callable[[Event], bool]:
    return lambda event: event["kind"] == "http.file" and part in event["text"]


@dataclass(frozen=True)
class Stage:
    """`within`: seconds that it may take after the stage before, on a busy host without KVM. `text` completes "at this point ..."."""

    name: str
    text: str
    reached: Callable[[Event], bool]
    within: float


OFFER = Stage("offer", "the firmware asked, pxed made an offer", _kind("dhcp.offer", "dhcp.ack"), 4 * MINUTE)
PROFILE = Stage("profile", "iPXE has its boot profile", _kind("http.profile"), 5 * MINUTE)
KERNEL = Stage("kernel", "the installer's kernel and initrd are loaded", _file("initrd"), 10 * MINUTE)
ANSWERS = Stage("answer file", "the installer has its answer file", _kind("http.answer"), 25 * MINUTE)
STARTED = Stage("started", "the installer says that it has started", _told("started"), 15 * MINUTE)
INSTALLED = Stage("installed", "the installer says that it has finished", _told("installed"), 90 * MINUTE)
BOOTED = Stage("booted", "the installed system, booted from its disk, has called back", _kind("install.done"), 25 * MINUTE)

TO_THE_INSTALLER = (OFFER, PROFILE, KERNEL, ANSWERS)
ALL = (*TO_THE_INSTALLER, STARTED, INSTALLED, BOOTED)


class Stuck(Exception):
    """The journey ended before its goal: at `stage`, because of `reason` (one sentence, pxed's own where it has one)."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        self.reason = reason


class Journey:
    """Follows the install that is armed for `machine`. A pxed that was killed and started again meanwhile is the same to it.

    `took` maps the stages that were reached to seconds since the journey began; begin it at power-on.
    """

    def __init__(self, appliance: Appliance, machine: Machine, *, say: Callable[[str], None]) -> None:
        self._appliance = appliance
        self._machine = machine
        self._say = say
        self._began = time.monotonic()
        self._last = 0
        self._waiting: list[Event] = []
        self.took: dict[str, float] = {}

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def through(self, *stages: Stage, meanwhile: Callable[[], None] | None = None) -> None:
        """Wait for each stage in turn. Stuck, when the install fails, the machine dies or a stage takes too long.

        `meanwhile` is called about once a second.
        """
        for stage in stages:
            self._reach(stage, meanwhile)

    def _reach(self, stage: Stage, meanwhile: Callable[[], None] | None) -> None:
        deadline = time.monotonic() + stage.within * patience()
        while True:
            event = self._next()
            if event is None:
                self._check(stage, deadline)
                if meanwhile:
                    meanwhile()
                time.sleep(0.5)
                continue
            self._tell(event)
            if stage.reached(event):
                self.took[stage.name] = self.elapsed
                self._say(f"{self.elapsed:7.1f} s  {self._machine.name}: {stage.name:<12} {stage.text}")
                return
            if event["kind"] in ("install.failed", "install.parked", "install.cancelled") or WAITS in event["text"]:
                raise Stuck(stage.name, event["text"])

    def _next(self) -> Event | None:
        if not self._waiting:
            try:
                self._waiting = self._appliance.events(self._machine.mac, after=self._last)
            except (OSError, http.client.HTTPException):
                return None  # pxed is away; `_check` has the last word
        if not self._waiting:
            return None
        event = self._waiting.pop(0)
        self._last = event["id"]
        return event

    def _tell(self, event: Event) -> None:
        if event["kind"] in ("install.progress", "dhcp.problem", "http.failed", "tftp.failed", "tftp.sent"):
            self._say(f"{self.elapsed:7.1f} s  {self._machine.name}:   {event['text']}")

    def _check(self, stage: Stage, deadline: float) -> None:
        if not self._machine.on:
            raise Stuck(stage.name, "QEMU ended")
        if not self._appliance.running:
            raise Stuck(stage.name, f"pxed ended; it said: {tail(self._appliance.log, 3)}")
        if time.monotonic() > deadline:
            raise Stuck(stage.name, f"not within {stage.within * patience():.0f} s. {self._verdict()}")

    def _verdict(self) -> str:
        try:
            return str(self._appliance.node(self._machine.mac)["verdict"])
        except (OSError, http.client.HTTPException, Refused) as error:
            return f"pxed has no verdict ({type(error).__name__})"
