"""A run of pytest that is told to end by SIGTERM cleans up, whatever it is at."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CONFTEST = """
from pathlib import Path
import pytest
from twisted.internet import reactor
from tests.lab.interrupt import unwinding

@pytest.fixture(scope="session", autouse=True)
def _able():
    with unwinding(reactor):
        yield

@pytest.fixture(scope="module")
def scene():
    yield
    Path("cleaned").touch()
"""
TESTS = {
    "test": """
        def test_first(scene): pass
        def test_long(scene): Path("up").touch(); time.sleep(60)
    """,
    "fixture": """
        def test_first(scene): pass
        @pytest.fixture
        def slow(scene): Path("up").touch(); time.sleep(60)
        def test_long(slow): pass
    """,
}
WITHIN = 120.0
"""Seconds, on a busy host; an idle one needs four."""


@pytest.mark.parametrize("at", TESTS)
def test_sigterm_unwinds_the_fixtures(tmp_path: Path, at: str) -> None:
    """The process ends at once, as interrupted, and the fixture of the module has cleaned up."""
    lines = [line.removeprefix("        ") for line in TESTS[at].splitlines()]
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text("\n".join(["import time", "from pathlib import Path", "import pytest", *lines]))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    root = str(Path(__file__).parents[2])
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": root},
    )
    try:
        deadline = time.monotonic() + WITHIN
        while not (tmp_path / "up").exists():
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        run.send_signal(signal.SIGTERM)
        assert run.wait(WITHIN) == pytest.ExitCode.INTERRUPTED
    finally:
        run.kill()
        run.wait()
    assert (tmp_path / "cleaned").exists()
