"""Looks whether an installed system is there: does a TCP port answer at its node's address, and is it that node that answers.

An address may have been given to another machine meanwhile. On our own network the kernel's ARP table says whose network card answered,
and a card that is none of the node's counts for nothing. Behind a router that can't be seen, and an answer counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from pxed.workflow.evidence import Look
from pxed.workflow.install import Install

TIMEOUT = 5
"""Seconds for an answer: room for three SYNs."""
_COMPLETE = 0x2
"""ATF_COM in the flags of /proc/net/arp: the address is known."""

Whereabouts = tuple[Sequence[str], Sequence[str]]
"""The IP addresses where a node may be, and its MAC addresses (``aa:bb:..``)."""


class PortProbe:
    """A `pxed.workflow.evidence.Probe`. `arp` is the kernel's ARP table, which costs no disk."""

    def __init__(self, reactor: Any, whereabouts: Callable[[Install], Whereabouts], *, arp: Path = Path("/proc/net/arp")) -> None:
        self._reactor = reactor
        self._whereabouts = whereabouts
        self._arp = arp

    async def __call__(self, install: Install, ports: tuple[int, ...]) -> Look:
        addresses, macs = self._whereabouts(install)
        asked = [(address, port) for address in addresses for port in ports]
        outcomes = await DeferredList([self._connect(*each) for each in asked], consumeErrors=True)
        answered = [each for each, (connected, _) in zip(asked, outcomes, strict=True) if connected]
        cards = neighbours(self._arp) if answered else {}
        others = [(address, port) for address, port in answered if cards.get(address, macs[0]) not in macs]
        remarks = (
            f"{address} answers on TCP port {port} as {cards[address]}, which is no network card of this node" for address, port in others
        )
        return Look(frozenset(asked), frozenset(answered) - frozenset(others), tuple(remarks))

    def _connect(self, address: str, port: int) -> Any:
        kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        return kind(self._reactor, address, port, timeout=TIMEOUT).connect(Factory.forProtocol(_Knock))


class _Knock(Protocol):
    """Says nothing and goes."""

    def connectionMade(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr]


def neighbours(table: Path) -> dict[str, str]:
    """IPv4 address > MAC address, as the kernel has seen them. Nothing if there is no such table."""
    try:
        lines = table.read_text("ascii").splitlines()[1:]
    except OSError:
        return {}
    rows = [line.split() for line in lines]
    return {row[0]: row[3].lower() for row in rows if len(row) >= 4 and int(row[2], 16) & _COMPLETE}
