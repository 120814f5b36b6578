"""The real runner, in processes of their own: it may start the reactor only once in each."""

from __future__ import annotations

import subprocess
import sys

PREAMBLE = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell's children are born deaf to it
from twisted.internet import task
from pxed.cli.invocation import run_reactor
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PREAMBLE + code], capture_output=True, text=True, timeout=90, check=False)


def test_a_result_comes_back_and_an_exception_is_raised() -> None:
    done = run("""
async def work(reactor):
    await task.deferLater(reactor, 0.01)
    raise LookupError("from inside")
try:
    run_reactor(work)
except LookupError as e:
    print("raised", e)
""")
    assert done.stdout == "raised from inside\n"
    assert run("async def work(reactor): return 7\nprint(run_reactor(work))").stdout == "7\n"


def test_control_c_runs_the_coroutines_clean_up_and_is_a_keyboard_interrupt() -> None:
    """Otherwise `pxed watch` leaves the terminal without a cursor."""
    done = run("""
async def work(reactor):
    reactor.callLater(0.05, os.kill, os.getpid(), signal.SIGINT)
    try:
        await task.deferLater(reactor, 60)
    finally:
        print("cleaned up")
try:
    run_reactor(work)
except KeyboardInterrupt:
    print("interrupted")
""")
    assert done.stdout == "cleaned up\ninterrupted\n"
    assert "Traceback" not in done.stderr


def test_control_c_comes_before_the_loss_of_the_connections_that_it_closes() -> None:
    """Otherwise `pxed watch` says at its end that the appliance broke the connection off."""
    done = run("""
from twisted.internet import endpoints, protocol
class Told(protocol.Protocol):
    def connectionLost(self, reason):
        print("lost", flush=True)
async def work(reactor):
    port = reactor.listenTCP(0, protocol.Factory.forProtocol(protocol.Protocol), interface="127.0.0.1")
    client = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
    await client.connect(protocol.Factory.forProtocol(Told))
    reactor.callLater(0.05, os.kill, os.getpid(), signal.SIGINT)
    try:
        await task.deferLater(reactor, 60)
    finally:
        print("cleaned up", flush=True)
try:
    run_reactor(work)
except KeyboardInterrupt:
    print("interrupted")
""")
    assert done.stdout == "cleaned up\nlost\ninterrupted\n"
