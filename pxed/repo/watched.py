"""The boot programs that are there now: what an operator drops below their root is offered without a restart."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from pxed.again import Again
from pxed.repo.bootprograms import BootPrograms, Rescan
from pxed.repo.chains import Chain
from pxed.repo.disk import Disk

EVERY = 30.0
"""Seconds between two looks."""

log = Logger()


class WatchedPrograms:
    """`present` is what the last look found below `root`, nothing before `load`. `reactor`: a clock with threads, which do `scan`."""

    def __init__(self, reactor: Any, root: Path, *, chain: Chain = "ipxe", scan: Callable[..., BootPrograms] | None = None) -> None:
        self.present = BootPrograms([])
        self._disk = Disk(reactor)
        self._scan = partial(scan or Rescan(), root, chain=chain)
        self._again = Again(reactor, self._look, EVERY)

    async def load(self) -> None:
        """The first look. OSError."""
        self.present = await self._disk.do(self._scan)

    def start(self) -> None:
        """Look again, now and then. After `load`."""
        self._again.start()

    def at_once(self) -> None:
        """Look again now; nothing before `start`."""
        self._again.at_once()

    def stop(self) -> None:
        """May be called twice, and without a start."""
        self._again.stop()

    def holds(self, path: str) -> bool:
        """Whether there is such a file, boot program or not."""
        return path in self.present.files

    def grub(self, arch: int | None) -> str | None:
        """The path of a GRUB that runs on firmware of client architecture `arch`."""
        program = self.present.grub(arch)
        return program.path if program is not None else None

    def _look(self) -> Deferred[None]:
        """What can't be looked at stays as it was."""
        found = partial(setattr, self, "present")
        return self._disk.do(self._scan).addCallbacks(found, lambda failure: log.failure("Boot programs can't be read", failure))
