"""Where sendfile can't be, files are copied: under TLS or another wrapped transport, from a file system that has none."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import ssl, tcp
from twisted.internet.task import Clock
from twisted.internet.utils import getProcessValue
from twisted.protocols.policies import WrappingFactory

from pxed.web import sendfile
from tests.web.real import Client, descriptors, reactor, serving, until


def wrapped(site: Any) -> Any:
    """Listen so that the site's transports are not plain TCP connections."""
    return reactor.listenTCP(0, WrappingFactory(site), interface="127.0.0.1")


async def test_through_a_wrapped_transport_the_file_is_copied(big: Path, sent: list[int]) -> None:
    async with serving(big.parent, listen=wrapped) as port:
        client = Client(port)
        client.get("/b/big.bin")
        client.get("/b/big.bin", Range="bytes=7-8")
        assert (await client.response())[1] == big.read_bytes()
        assert (await client.response())[1] == big.read_bytes()[7:9]
        client.close()
    assert sent == []
    assert descriptors(big) == 0


def test_a_transport_without_the_private_names_is_recognised() -> None:
    transport = tcp.Connection.__new__(tcp.Connection)
    assert not sendfile.can_sendfile(transport)
    transport._tempDataBuffer = []
    assert sendfile.can_sendfile(transport)
    transport.TLS = True
    assert not sendfile.can_sendfile(transport)
    assert not sendfile.can_sendfile(object())


async def test_a_file_system_without_sendfile_is_copied_from_where_it_stopped(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.sendfile
    calls: list[int] = []

    def failing(*args: Any) -> int:
        calls.append(1)
        if len(calls) > 2:
            raise OSError(22, "Invalid argument")
        return original(*args)

    monkeypatch.setattr(os, "sendfile", failing)
    async with serving(big.parent) as port:
        client = Client(port)
        client.get("/b/big.bin")
        client.get("/b/big.bin", Range="bytes=0-4")
        assert (await client.response())[1] == big.read_bytes()
        assert (await client.response())[1] == big.read_bytes()[:5]
        client.close()
    assert descriptors(big) == 0


async def test_copying_too_survives_slow_leaving_and_stalled_clients(big: Path) -> None:
    clock = Clock()
    async with serving(big.parent, clock=clock, listen=wrapped) as port:
        slow = Client(port, receive_buffer=4096)
        slow.get("/b/big.bin", Range="bytes=0-1999999")
        await slow.head()
        assert await slow.read(2_000_000) == big.read_bytes()[:2_000_000]
        slow.close()
        leaving = Client(port, receive_buffer=4096)
        leaving.get("/b/big.bin")
        await leaving.read(1000)
        leaving.close()
        await until(lambda: descriptors(big) == 0)
        stalled = Client(port, receive_buffer=4096)
        stalled.get("/b/big.bin")
        await stalled.read(1000)
        await until(lambda: bool(clock.getDelayedCalls()))
        clock.advance(sendfile.STALL)
        clock.advance(sendfile.STALL)
        await until(lambda: descriptors(big) == 0)
        stalled.close()
    assert not clock.getDelayedCalls()


async def test_over_tls_the_file_is_copied(big: Path, sent: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    key, certificate = _self_signed(tmp_path_factory.mktemp("tls"))
    context = ssl.DefaultOpenSSLContextFactory(str(key), str(certificate))
    async with serving(big.parent, listen=lambda site: reactor.listenSSL(0, site, context, interface="127.0.0.1")) as port:
        out = tmp_path_factory.mktemp("out") / "big"
        code = await _curl("-sk", "-o", str(out), f"https://127.0.0.1:{port}/b/big.bin")
        assert code == 0
        assert out.read_bytes() == big.read_bytes()
    assert sent == []


async def _curl(*arguments: str) -> int:
    return int(await getProcessValue("/usr/bin/curl", arguments, reactor=reactor))


def _self_signed(directory: Path) -> tuple[Path, Path]:
    key, certificate = directory / "key.pem", directory / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=pxed"),
            *("-keyout", str(key), "-out", str(certificate), "-days", "2"),
        ],
        check=True,
        capture_output=True,
    )
    return key, certificate
