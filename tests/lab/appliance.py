"""A real pxed in the lab: started as an operator starts it, asked as an operator asks it, killed as no operator should."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.lab.network import Network, inside
from tests.lab.process import Child, LabProblem, eventually, tail

ROOT = Path(__file__).resolve().parents[2]


class Refused(Exception):
    """pxed said no: a CLI command that failed, or an API answer of 4xx or 5xx. Its text is pxed's own."""


class Appliance:
    """One state directory, and the process that runs on it, if it does. `layers` make up the repository ``debian`` (none: those of the
    `config`, which is TOML)."""

    def __init__(self, network: Network, folder: Path, *, layers: Sequence[str] = (), config: str = "") -> None:
        self._network = network
        self._state = folder / "state"
        self._layers = ",".join(layers)
        self._config = folder / "pxed.toml"
        self._config.write_text(config)
        self.log = folder / "pxed.log"
        self._child: Child | None = None
        self.starts = 0

    # ---- the process ----------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """``pxed up``, until its API answers. LabProblem with its own words when it ends instead."""
        words = ["up", "--config", str(self._config), "--interface", "eth0"]
        words += ["--repository", f"debian={self._layers}"] if self._layers else []
        self._child = Child("pxed", self._argv(words), namespace=self._network.appliance, log=self.log, cwd=ROOT, env=_environment())
        self.starts += 1
        try:
            eventually("pxed's API", lambda: self._answers(), within=120.0)
        except TimeoutError as error:
            raise LabProblem(f"pxed does not answer; it said:\n{self._child.tail(10)}") from error

    def _answers(self) -> bool:
        if self._child is None or not self._child.alive:
            raise LabProblem(f"pxed ended; it said:\n{tail(self.log, 10)}")
        try:
            return bool(self.api("GET", "health"))
        except (OSError, http.client.HTTPException, Refused):
            return False

    @property
    def state(self) -> Path:
        """Its state directory."""
        return self._state

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.alive

    def kill(self) -> None:
        """``kill -9``: no goodbye, nothing flushed."""
        if self._child is None:
            raise LabProblem("pxed does not run")
        os.kill(self._child.pid, signal.SIGKILL)
        self._child.kill()

    def hang_up(self) -> None:
        """SIGHUP, as ``systemctl reload`` would."""
        if self._child is None:
            raise LabProblem("pxed does not run")
        os.kill(self._child.pid, signal.SIGHUP)

    def stop(self) -> int | None:
        """SIGTERM, as systemd would; returns the exit status. May be called twice."""
        return self._child.stop(within=20.0) if self._child is not None else None

    # ---- the operator ---------------------------------------------------------------------------------------------------------
    def cli(self, *words: str, stdin: str = "") -> str:
        """The `pxed` command in the appliance's namespace; returns what it printed. Refused with its own words when it fails."""
        argv = ["ip", "netns", "exec", self._network.appliance, *self._argv(words)]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=120, cwd=ROOT, env=_environment())
        if done.returncode:
            raise Refused(f"pxed {' '.join(words)}: exit status {done.returncode}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """One request below /api/v1/; returns the JSON answer. Refused for 4xx and 5xx; OSError when nobody answers."""
        with inside(self._network.appliance), closing(http.client.HTTPConnection("127.0.0.1", 80, timeout=30)) as connection:
            headers = {"Authorization": f"Bearer {self._token()}"}
            connection.request(method, f"/api/v1/{path}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        if answer.status >= 400:
            raise Refused(f"{method} {path}: {answer.status} {text.strip()}")
        return json.loads(text) if text.strip() else None

    def node(self, mac: str) -> dict[str, Any]:
        """The node as the API shows it, its verdict included. Refused when nobody has seen it."""
        return dict(self.api("GET", f"nodes/{mac}"))

    def install(self, install_id: str) -> dict[str, Any]:
        return dict(self.api("GET", f"installs/{install_id}"))

    def events(self, mac: str, *, after: int = 0) -> list[dict[str, Any]]:
        """The node's timeline behind event `after`, oldest first; [] while nobody has seen the node."""
        try:
            return list(self.api("GET", f"nodes/{mac}/events?after={after}&limit=500")["events"])
        except Refused as refusal:
            if ": 404 " in str(refusal):
                return []
            raise

    def _argv(self, words: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "pxed", "--state-dir", str(self._state), *words]

    def _token(self) -> str:
        try:
            return (self._state / "api.token").read_text().strip()
        except FileNotFoundError:
            return ""


def _environment() -> dict[str, str]:
    """Ours without what would change pxed's mind."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PXED_") and not name.lower().endswith("_proxy")}
    return {**kept, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "160"}
