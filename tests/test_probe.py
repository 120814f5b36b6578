"""The probe: which of a node's ports answer, and that it is the node that answers."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock

from pxed.probe import TIMEOUT, PortProbe, neighbours
from pxed.testing import NOON
from pxed.workflow.evidence import NOTHING
from pxed.workflow.install import Install

INSTALL = Install("i1", "n1", "esxi", "8", "esxi", 1, {}, "token", NOON)
reactor: Any = installed_reactor
OURS, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"
ARP = """IP address       HW type     Flags       HW address            Mask     Device
127.0.0.1        0x1         0x2         {card}     *        eth0
192.0.2.7        0x1         0x0         00:00:00:00:00:00     *        eth0
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.slow
@pytest.mark.parametrize(("card", "counts"), [(OURS.upper(), True), (OTHER, False), (None, True)])
async def test_an_open_port_counts_unless_another_machine_has_the_address(tmp_path: Path, card: str | None, counts: bool) -> None:
    arp = tmp_path / "arp"
    if card is not None:
        arp.write_text(ARP.format(card=card))
    listening: Any = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
    opened, shut = listening.getHost().port, free_port()
    try:
        look = await PortProbe(reactor, lambda install: (["127.0.0.1"], (OURS,)), arp=arp)(INSTALL, (opened, shut))
    finally:
        await listening.stopListening()
    assert look.asked == {("127.0.0.1", opened), ("127.0.0.1", shut)}
    assert look.answered == ({("127.0.0.1", opened)} if counts else set())
    assert list(look.remarks) == (
        [] if counts else [f"127.0.0.1 answers on TCP port {opened} as {OTHER}, which is no network card of this node"]
    )


def test_a_silent_address_is_given_up_after_some_seconds_and_a_stopped_look_leaves_nothing(tmp_path: Path) -> None:
    clock = MemoryReactorClock()
    probe = PortProbe(clock, lambda install: (["192.0.2.9", "2001:db8::9"], (OURS,)), arp=tmp_path / "none")
    looks = Deferred.fromCoroutine(probe(INSTALL, (443,)))
    assert [client[0] for client in clock.tcpClients] == ["192.0.2.9", "2001:db8::9"]
    assert {client[3] for client in clock.tcpClients} == {TIMEOUT}
    looks.addErrback(lambda _failure: None)
    looks.cancel()
    assert clock.getDelayedCalls() == []


def test_a_node_without_an_address_is_asked_nothing(tmp_path: Path) -> None:
    seen: list[Any] = []
    Deferred.fromCoroutine(PortProbe(MemoryReactorClock(), lambda install: ((), ()))(INSTALL, (443,))).addCallback(seen.append)
    assert seen == [NOTHING]


def test_the_arp_table_is_read_and_need_not_be_there(tmp_path: Path) -> None:
    (tmp_path / "arp").write_text(ARP.format(card=OURS.upper()))
    assert neighbours(tmp_path / "arp") == {"127.0.0.1": OURS}
    assert neighbours(tmp_path / "none") == {}
    assert all(mac.count(":") for mac in neighbours(Path("/proc/net/arp")).values())
