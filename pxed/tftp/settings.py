"""What an operator may limit. `pxed.config` holds the values; `Limits` are the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

MIB = 1 << 20


class TftpSettings(Protocol):
    """The part of the configuration this room reads."""

    @property
    def max_transfers(self) -> int:
        """Transfers at once, all clients together; one more is told "Busy"."""

    @property
    def per_client(self) -> int:
        """Transfers at once of one address."""

    @property
    def blksize_max(self) -> int:
        """Largest block granted, bytes (RFC 2348: 8..65464); the interface's MTU lowers it further."""

    @property
    def window_max(self) -> int:
        """Largest window granted, blocks (RFC 7440: 1..65535); 1 turns windows off."""

    @property
    def idle_timeout(self) -> float:
        """Seconds without progress after which a transfer is given up."""

    @property
    def cache_bytes(self) -> int:
        """Memory for prepared files, bytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Defaults that fit a rack of machines on a small appliance."""

    max_transfers: int = 2000
    per_client: int = 16
    blksize_max: int = 65464
    window_max: int = 64
    idle_timeout: float = 30.0
    cache_bytes: int = 64 * MIB
