"""Stopping waits for what threads are at, but not for ever: one that waits for a dead file server does not come back."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from twisted.internet.threads import deferToThreadPool
from twisted.logger import capturedLogs
from twisted.python.threadpool import ThreadPool

from pxed.threads import GRACE, Threads
from tests.conftest import reactor
from tests.test_tap import ROOT, free_port

MAC = "52:54:00:12:34:56"


async def test_what_is_being_done_is_done_when_stopping_returns() -> None:
    threads, done = Threads(reactor), list[int]()

    def work() -> None:
        time.sleep(0.1)
        done.append(1)

    threads.start()
    for each in (threads.boot, threads.media, threads.render):
        each.do(work)
    began = time.monotonic()
    with capturedLogs() as logs:
        threads.stop()
    assert (len(done), logs) == (3, [])
    assert time.monotonic() - began < GRACE


async def test_threads_that_do_not_come_back_are_named_in_one_line_and_waited_for_once() -> None:
    """Also those of a pool that the reactor stops later, as its own."""
    shared, gone = ThreadPool(0, 3, "of-the-reactor"), Event()
    shared.start()
    threads = Threads(reactor, shared=[shared], grace=0.5)
    threads.start()
    waiting = [*(threads.media.do(gone.wait) for _ in range(5)), threads.boot.do(int)]
    waiting += [deferToThreadPool(reactor, shared, gone.wait), deferToThreadPool(reactor, shared, int)]
    try:
        began = time.monotonic()
        with capturedLogs() as logs:
            threads.stop()
            shared.stop()
        assert 0.5 <= time.monotonic() - began < 2.0
        (line,) = logs
        assert re.findall(r"PoolThread-([a-z-]+)", line["left"]) == ["media-"] * 5 + ["of-the-reactor-"]
    finally:
        gone.set()
        for each in waiting:
            await each


STUCK = """
import sys
from twisted.application.service import Application
from twisted.internet import reactor
from pxed.options import Options
from pxed.tap import makeService

options = Options()
options.parseOptions({words!r})
appliance = makeService(options)
application = Application("pxed")
appliance.setServiceParent(application)
reactor.addSystemEventTrigger("before", "shutdown", appliance.timeline.record, "test.last", "What happened last")

def get_stuck():
    for threads in (appliance.threads.boot, appliance.threads.media):
        threads.do(open, {fifo!r})
    reactor.callInThread(open, {fifo!r})

reactor.callWhenRunning(get_stuck)
"""
"""pxed as twistd runs it, and what a thread does whose file server has died: it waits in the kernel, here for somebody to write."""


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_process_whose_threads_never_come_back_ends_by_its_signal_and_has_stored_everything(tmp_path: Path, by: signal.Signals) -> None:
    state, fifo, tac = tmp_path / "state", tmp_path / "fifo", tmp_path / "pxed.tac"
    ports = {name: free_port() for name in ("http", "dhcp", "pxe", "tftp", "syslog")}
    words = ["--interface", "lo", "--state-dir", str(state), *(f"--{name}-port={port}" for name, port in ports.items())]
    os.mkfifo(fifo)
    tac.write_text(STUCK.format(words=words, fifo=str(fifo)))
    with pxed(state, "-y", str(tac)) as stuck:
        assert api(state, ports["http"], "POST", "nodes", {"mac": MAC})["macs"] == [MAC]
        began = time.monotonic()
        status, said = end(stuck, by)
        took = time.monotonic() - began
    assert status == -by, said
    assert GRACE <= took < GRACE + 10
    (line,) = [line for line in said.splitlines() if "left behind" in line]
    assert re.findall(r"PoolThread-([a-z.]+)", line) == ["boot", "media", "twisted.internet.reactor"]
    assert "Server Shut Down." in said
    assert "Traceback" not in said
    with closing(sqlite3.connect(state / "pxed.db")) as database:
        assert database.execute("SELECT count(*) FROM events WHERE kind = 'test.last'").fetchone() == (1,)
    with pxed(state, "pxed", *words) as again:
        assert [node["macs"] for node in api(state, ports["http"], "GET", "nodes")["nodes"]] == [[MAC]]
        began = time.monotonic()
        status, said = end(again, signal.SIGTERM)
        took = time.monotonic() - began
    assert (status, "left behind" in said, "Traceback" in said) == (-signal.SIGTERM, False, False), said
    assert took < GRACE


@contextmanager
def pxed(state: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """twistd with these, up; killed at the end, if it is still there."""
    (state / "endpoint.json").unlink(missing_ok=True)
    command = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for _ in range(600):
            if (state / "endpoint.json").exists() or running.poll() is not None:
                break
            time.sleep(0.1)
        yield running
    finally:
        running.kill()
        running.communicate()


def end(running: subprocess.Popen[str], by: signal.Signals) -> tuple[int, str]:
    """Its status and all that it said."""
    running.send_signal(by)
    said, _ = running.communicate(timeout=GRACE + 30)
    return running.returncode, said


def api(state: Path, port: str, method: str, path: str, body: Any = None) -> Any:
    with closing(HTTPConnection("127.0.0.1", int(port), timeout=20)) as asking:
        token = (state / "api.token").read_text().strip()
        asking.request(method, f"/api/v1/{path}", json.dumps(body) if body else None, {"Authorization": f"Bearer {token}"})
        return json.loads(asking.getresponse().read())
