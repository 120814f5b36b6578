"""What a node is, as plain values. Nothing here does I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pxed.errors import InvalidRequest
from pxed.node.identity import Firmware

LONGEST_BOOT_PROGRAM = 255
"""Letters of `Node.boot_program`."""

BootKind = Literal["silent", "installer", "disk"]


@dataclass(frozen=True, slots=True)
class Boot:
    """What a node boots next: the one datum that workflow writes and the doors read.

    ``silent``: nothing to do, no offer. ``installer``: the boot profile of `install`. ``disk``: no offer; an iPXE that asks all the
    same gets a script that leaves it correctly. `install` is set exactly while an install runs on the node; ``silent`` with an install:
    that install has heard something and not dealt with it yet (`Inventory.hold`).
    """

    kind: BootKind = "silent"
    install: str | None = None


SILENT = Boot()


@dataclass(slots=True)
class Node:
    """One machine. Times are UTC seconds since the epoch; `macs[0]` is the NIC it was first seen with.

    `known`: an operator added, named or installed it; of the others only so many are remembered (`Inventory(max_unknown=)`).
    `boot_program`: a chain (`pxed.repo.chains`) or a program's path that the operator chose for it, None for the usual one. `facts`:
    what it told of itself besides, JSON values (``manufacturer``, ``product``, ``serial``, ``shapes``); a new dict when that changes.
    `gone`: the inventory has forgotten it. `stored`: the `last_seen` that is stored, or on its way.
    """

    id: str
    macs: tuple[str, ...]
    first_seen: float
    last_seen: float
    name: str | None = None
    arch: int | None = None
    firmware: Firmware | None = None
    vendor_class: str | None = None
    uuid: str | None = None
    interface: str | None = None
    address: str | None = None
    localboot: str | None = None
    boot_program: str | None = None
    boot: Boot = SILENT
    known: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    gone: bool = field(default=False, repr=False, compare=False)
    stored: float | None = field(default=None, repr=False, compare=False)

    @property
    def mac(self) -> str:
        return self.macs[0]

    @property
    def label(self) -> str:
        """What people call it: its name, else its MAC address."""
        return self.name or self.macs[0]


def check_boot_program(path: str) -> None:
    """InvalidRequest if `path` is too long to be kept as `Node.boot_program`."""
    if len(path) > LONGEST_BOOT_PROGRAM:
        raise InvalidRequest(
            f"The path of a node's boot program is too long: {len(path)} letters",
            field="boot_program",
            expected=f"at most {LONGEST_BOOT_PROGRAM} letters",
        )


FREQUENT = ("syslog", "install.progress")
"""Kinds of events that an install makes by the thousand."""


@dataclass(slots=True)
class Event:
    """One line of a timeline. `at` is UTC seconds; `data` holds JSON values only and never a secret.

    Nobody changes one, for it crosses threads; that dataclasses watch over it (`frozen`) makes a new one four times as dear.
    """

    id: int
    at: float
    kind: str
    text: str
    node: str | None = None
    install: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
