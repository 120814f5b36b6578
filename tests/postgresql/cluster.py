"""PostgreSQL as Debian packages it: a cluster of its own in a temporary directory, on a Unix socket, that dies with the tests.

PostgreSQL refuses root, so root's tests run it as `nobody`. Nothing is flushed to the disk: no test here pulls the power.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

USER = "nobody"
_QUICK = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=20", "autovacuum=off")


def programs() -> Path | None:
    """Where ``initdb`` and ``postgres`` are; None if they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


class Cluster:
    """Made and started; `stop` and `start` as often as you like, `remove` at the end. `listen`: an IP address beside its socket."""

    def __init__(self, bin_: Path, listen: str = "") -> None:
        self._bin = bin_
        self._settings = (*_QUICK, f"listen_addresses={listen}")
        self.directory = Path(tempfile.mkdtemp(prefix="pxed-pg-"))
        self._as_root = os.getuid() == 0
        if self._as_root:
            user = pwd.getpwnam(USER)
            os.chown(self.directory, user.pw_uid, user.pw_gid)
        self._postgres: subprocess.Popen[bytes] | None = None
        self._number = 0
        data = self.directory / "data"
        initdb = [bin_ / "initdb", "--no-sync", "--auth=trust", "--username=pxed", "--encoding=UTF8", "--locale=C.UTF-8", "-D", data]
        subprocess.run(self._command([str(part) for part in initdb]), check=True, capture_output=True, cwd=self.directory)
        (data / "pg_hba.conf").write_text("local all guarded scram-sha-256\nlocal all all trust\nhost all all samenet trust\n")
        self.start()

    def _command(self, words: Sequence[str]) -> list[str]:
        """`words` as `USER`; who dies first takes it along."""
        user = ["--reuid", USER, "--regid", str(pwd.getpwnam(USER).pw_gid), "--clear-groups"] if self._as_root else []
        return ["setpriv", *user, "--pdeathsig", "QUIT", "--", *words]

    def start(self) -> None:
        """Return when it answers."""
        words = [str(self._bin / "postgres"), "-D", str(self.directory / "data"), "-k", str(self.directory)]
        for setting in self._settings:
            words += ["-c", setting]
        log = (self.directory / "log").open("ab")
        with log:
            self._postgres = subprocess.Popen(self._command(words), stdout=log, stderr=log, cwd=self.directory)
        until = time.monotonic() + 60
        while True:
            try:
                self.ask("SELECT 1")
                return
            except psycopg.OperationalError:
                assert self._postgres.poll() is None, self.log()
                assert time.monotonic() < until, self.log()
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: connections are closed; SIGQUIT: as if it had crashed. May be called twice."""
        if self._postgres is not None:
            self._postgres.send_signal(how)
            assert self._postgres.wait(60) is not None
            self._postgres = None

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        for _ in range(20):  # the last of its processes may still tidy up
            shutil.rmtree(self.directory, ignore_errors=True)
            if not self.directory.exists():
                return
            time.sleep(0.1)
        raise AssertionError(f"{self.directory} can't be removed")

    def url(self, database: str, *, user: str = "pxed", password: str = "") -> str:
        return f"postgresql://{user}{':' * bool(password)}{password}@/{database}?host={self.directory}"

    def ask(self, query: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What another program sees or does."""
        with psycopg.connect(host=str(self.directory), user="pxed", dbname=database, autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def database(self, *, more: str = "") -> str:
        """A new empty database; its name."""
        self._number += 1
        name = f"db{self._number}"
        self.ask(f"CREATE DATABASE {name} {more}")
        return name

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")[-4000:]
