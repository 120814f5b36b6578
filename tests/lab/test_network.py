"""The wires themselves: closed, and gone afterwards."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.network import APPLIANCE, DHCP_SERVER, Network, inside, sweep
from tests.lab.process import Child, alive, eventually

pytestmark = pytest.mark.lab

HOLD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell's children are born deaf to it
from pathlib import Path
from tests.lab.network import Network
from tests.lab.process import Child
with Network() as network:
    child = Child("sleep", ["sleep", "300"], namespace=network.switch, log=Path(sys.argv[1]))
    print(child.pid, network.switch, flush=True)
    {signals}
    time.sleep(300)
"""


def _names() -> set[str]:
    return {path.name for path in Path("/run/netns").iterdir()}


def _hold(folder: Path, signals: str = "") -> tuple[subprocess.Popen[str], int, str]:
    """A lab in a process of its own that sits there; (process, its child's pid, its switch's name)."""
    argv = [sys.executable, "-c", HOLD.format(signals=signals), str(folder / "log")]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    pid, name = process.stdout.readline().split()
    eventually("the child itself", lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", within=5.0)
    return process, int(pid), name


def test_there_is_no_way_out() -> None:
    """From the appliance's namespace the DHCP server can be reached, the host and the world can't. Fails with a default route."""
    with Network() as network, inside(network.appliance):
        near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        near.connect((DHCP_SERVER, 67))
        assert near.getsockname()[0] == APPLIANCE
        far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with pytest.raises(OSError, match="unreachable"):
            far.connect(("198.51.100.1", 80))
        near.close()
        far.close()


def test_nothing_is_left_behind() -> None:
    """Namespaces and processes inside are gone after the ``with``, also after an error. Fails without `Network.remove`."""
    before = _names()
    children = []

    def broken() -> None:
        with Network() as network:
            network.tap()
            children.append(Child("sleep", ["sleep", "300"], namespace=network.appliance, log=Path(os.devnull)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert _names() <= before
    assert eventually("the child's end", lambda: not children[0].alive, within=5.0)


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """SIGINT unwinds. Fails when `Network` does not remove itself."""
    process, pid, name = _hold(tmp_path)
    process.send_signal(signal.SIGINT)
    process.wait(10)
    assert name not in _names()
    assert not alive(pid)


def test_a_killed_lab_takes_its_children_along_and_the_next_one_sweeps(tmp_path: Path) -> None:
    """After ``kill -9`` of a lab no child lives on, and `sweep` removes its namespaces. Fails without the parent-death signal."""
    process, pid, name = _hold(tmp_path)
    process.kill()
    process.wait(10)
    assert eventually("the child's end", lambda: not alive(pid), within=5.0)
    assert name in _names()
    assert name in sweep()
    assert name not in _names()


def test_the_labs_of_living_processes_are_left_alone(tmp_path: Path) -> None:
    """`sweep` takes dead labs only: several may run at a time. Fails when it goes by the prefix alone."""
    process, pid, name = _hold(tmp_path)
    assert name not in sweep()
    assert alive(pid)
    process.send_signal(signal.SIGINT)
    process.wait(10)
