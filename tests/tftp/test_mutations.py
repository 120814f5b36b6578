"""Mutated packets, to port 69 and into live transfers: nothing is logged as failed, and the next good request is answered.

The seeds are what firmware sent on the wire: OVMF, iPXE, a PXE ROM's doubled request, U-Boot.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pxed.tftp import Limits
from tests.tftp.appliance import Appliance, Client, ack, content, data, error, rrq

SEEDS = [
    rrq("snponly.efi", ("tsize", 0), ("blksize", 1468), ("windowsize", 4)),
    rrq("snponly.efi", ("blksize", 1432), ("tsize", 0)),
    rrq("undionly.kpxe", ("tsize", 0)),
    rrq("boot\\x64\\wdsnbp.com", ("timeout", 5), ("tsize", 0), ("blksize", 1456)),
    rrq("boot.efi", mode="netascii"),
    b"\0\2upload\0octet\0",
    ack(0),
    ack(1),
    error(8, "User aborted the transfer"),
    data(1, b"x" * 40),
    b"\0\6blksize\x001468\0",
]
WORDS = [
    b"\0",
    b"\xff",
    b"..",
    b"/",
    b"\\",
    b"blksize\0",
    b"tsize\0",
    b"windowsize\0",
    b"timeout\0",
    b"mode\0",
    b"0\0",
    b"65536\0",
    b"-1\0",
    b"%n",
]


def mutate(line: random.Random) -> bytes:
    """One seed with one to four wounds: bits, bytes, pieces cut, doubled or spliced in."""
    packet = bytearray(line.choice(SEEDS))
    for _ in range(line.randint(1, 4)):
        at = line.randrange(len(packet) + 1)
        kind = line.randrange(6)
        if kind == 0 and packet:
            packet[at % len(packet)] ^= 1 << line.randrange(8)
        elif kind == 1:
            del packet[at : at + line.randint(1, 8)]
        elif kind == 2:
            packet[at:at] = line.choice(WORDS)
        elif kind == 3:
            packet[at:at] = packet[line.randrange(len(packet) + 1) :][:40]
        elif kind == 4:
            packet[at:] = b""
        else:
            packet += line.randbytes(line.randint(1, 700))
    return bytes(packet)


def batter(root: Path, count: int, seed: int) -> None:
    """`count` mutated packets, two in three to port 69, one in three into a transfer; every 500th a good request must be served."""
    line = random.Random(seed)
    with Appliance(root, settings=Limits(max_transfers=40, per_client=4, idle_timeout=5)) as appliance:
        clients = [appliance.client(f"127.0.1.{n}") for n in range(1, 13)]
        good = appliance.client("127.0.0.1")
        for number in range(count):
            client = line.choice(clients)
            if line.randrange(3):
                client.ask(mutate(line))
            else:
                tell(client, mutate(line))
            client.hear_all()
            if number % 50 == 0:
                appliance.advance(0.3)
            if number % 500 == 499:
                appliance.advance(6)
                assert good.fetch("boot.efi", ("blksize", 1428), ("windowsize", 4)) == content(5000)
        assert not appliance.failures
        counters = appliance.service.counters()
        assert all(counters.get(reason) for reason in ("malformed", "write", "not a request", "mode", "process_count"))


def tell(client: Client, packet: bytes) -> None:
    if client.tid == client.server:
        client.ask(rrq("boot.efi", ("windowsize", 4)))
        client.hear_all()
    try:
        client.tell(packet)
    except ConnectionRefusedError:
        pass


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "boot.efi").write_bytes(content(5000))
    (tmp_path / "snponly.efi").write_bytes(content(40_000))
    return tmp_path


def test_a_thousand_mutated_packets(root: Path) -> None:
    batter(root, 1000, seed=1)


@pytest.mark.slow
def test_a_hundred_thousand_mutated_packets(root: Path) -> None:
    batter(root, 100_000, seed=2)
