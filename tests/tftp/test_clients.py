"""Three clients that others wrote: tftp-hpa, atftp and curl, IPv4 and IPv6, as programs against the service on high ports."""

from __future__ import annotations

import select
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.tftp.appliance import Appliance, content
from tests.tftp.badline import BadLine

SIZES = {"one": 1, "exact": 1024, "small.efi": 60_001, "boot.efi": 300_001}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    for name, size in SIZES.items():
        (tmp_path / "root" / name).write_bytes(content(size))
    return tmp_path / "root"


def run(appliance: Appliance, *command: str, seconds: float = 90.0, line: BadLine | None = None) -> subprocess.CompletedProcess[str]:
    """Run a client and serve it, in real time; `line`: what is between the two."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as client:
        last = start = time.monotonic()
        while client.poll() is None:
            waiting = [reader.fileno() for reader in appliance.clock.readers]
            select.select([*waiting, *(line.fileno() if line else ())], [], [], line.next_due() if line else 0.01)
            if line is not None:
                line.turn()
            appliance.settle()
            appliance.clock.advance(time.monotonic() - last)
            last = time.monotonic()
            if last - start > seconds:
                client.kill()
                pytest.fail(f"{command[0]} did not end within {seconds} s")
        assert client.stdout is not None
        return subprocess.CompletedProcess(command, client.returncode, client.stdout.read(), "")


@pytest.mark.parametrize("name", list(SIZES))
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_tftp_hpa(root: Path, tmp_path: Path, name: str, address: str) -> None:
    with Appliance(root, addresses=(address,), seconds=time.monotonic) as appliance:
        got = tmp_path / "got"
        run(appliance, "tftp", "-m", "octet", address, str(appliance.service.ports[0]), "-c", "get", name, str(got))
        assert got.read_bytes() == content(SIZES[name])


def test_tftp_hpa_translates_netascii_back(root: Path, tmp_path: Path) -> None:
    (root / "text").write_bytes(b"one\ntwo\n\nthree")
    with Appliance(root, seconds=time.monotonic) as appliance:
        got = tmp_path / "got"
        run(appliance, "tftp", "-m", "netascii", "127.0.0.1", str(appliance.service.ports[0]), "-c", "get", "text", str(got))
        assert got.read_bytes() == b"one\ntwo\n\nthree"


@pytest.mark.parametrize("name", list(SIZES))
@pytest.mark.parametrize("options", [(), ("blksize 1428", "tsize"), ("windowsize 8", "blksize 1468", "timeout 2")])
def test_atftp(root: Path, tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    with Appliance(root, seconds=time.monotonic) as appliance:
        got = tmp_path / "got"
        said = [word for option in options for word in ("--option", option)]
        run(appliance, "atftp", "--get", "-r", name, "-l", str(got), *said, "127.0.0.1", str(appliance.service.ports[0]))
        assert got.read_bytes() == content(SIZES[name])


@pytest.mark.parametrize("name", list(SIZES))
@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("blksize", ["512", "1468", "8192"])
def test_curl(root: Path, tmp_path: Path, name: str, address: str, blksize: str) -> None:
    with Appliance(root, addresses=(address.strip("[]"),), seconds=time.monotonic) as appliance:
        got = tmp_path / "got"
        url = f"tftp://{address}:{appliance.service.ports[0]}/{name}"
        ended = run(appliance, "curl", "-sS", "--tftp-blksize", blksize, "-o", str(got), url)
        assert (ended.returncode, ended.stdout) == (0, "")
        assert got.read_bytes() == content(SIZES[name])


def test_curl_and_hpa_are_told_what_is_wrong(root: Path, tmp_path: Path) -> None:
    with Appliance(root, seconds=time.monotonic) as appliance:
        port = str(appliance.service.ports[0])
        assert run(appliance, "curl", "-sS", "-o", str(tmp_path / "got"), f"tftp://127.0.0.1:{port}/nothing").returncode == 68
        (tmp_path / "mine").write_text("x")
        put = run(appliance, "tftp", "-m", "octet", "127.0.0.1", port, "-c", "put", str(tmp_path / "mine"), "x")
        assert "Writing is not served" in put.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("tftp", "-m", "octet", "127.0.0.1", "PORT", "-c", "get", "small.efi", "GOT"),
        ("atftp", "--get", "-r", "small.efi", "-l", "GOT", "--option", "blksize 1428", "127.0.0.1", "PORT"),
        ("atftp", "--get", "-r", "small.efi", "-l", "GOT", "--option", "windowsize 8", "127.0.0.1", "PORT"),
        ("curl", "-sS", "--tftp-no-options", "-o", "GOT", "tftp://127.0.0.1:PORT/small.efi"),
    ],
    ids=["tftp-hpa", "atftp", "atftp-window", "curl"],
)
def test_every_byte_reaches_every_client_over_a_bad_line(root: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    """Packets are lost, doubled, late and out of turn, both ways: the whole service against clients that others wrote.

    curl asks for options with a time-out of six seconds, which it is granted to the letter: so it asks for none here.
    """
    happened: Counter[tuple[str, str]] = Counter()
    for seed in range(20):  # until everything has happened at least once
        got = tmp_path / f"got{seed}"
        with Appliance(root, seconds=time.monotonic) as appliance:
            line = BadLine(("127.0.0.1", appliance.service.ports[0]), seed=seed, loss=0.04, twice=0.1, late=0.1)
            try:
                run(appliance, *(word.replace("PORT", str(line.port)).replace("GOT", str(got)) for word in command), line=line)
            finally:
                line.close()
            assert got.read_bytes() == content(SIZES["small.efi"])
        happened += line.happened
        if len(happened) == 8:
            break
    assert len(happened) == 8, happened


@pytest.mark.slow
def test_a_file_of_100_mb_at_512_rolls_its_block_numbers_over_three_times(root: Path, tmp_path: Path) -> None:
    unit = content(1 << 19)
    with (root / "huge").open("wb") as huge:
        for _ in range(200):
            huge.write(unit)
    with Appliance(root, seconds=time.monotonic) as appliance:
        got = tmp_path / "got"
        url = f"tftp://127.0.0.1:{appliance.service.ports[0]}/huge"
        assert run(appliance, "curl", "-sS", "--tftp-blksize", "512", "-o", str(got), url, seconds=300).returncode == 0
        with got.open("rb") as file:
            for _ in range(200):
                assert file.read(1 << 19) == unit
            assert not file.read(1)
