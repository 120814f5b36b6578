"""The Debian mirror that apt on this host is configured for: plain GET and HEAD, by apt's own proxy if it has one."""

from __future__ import annotations

import functools
import http.client
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from pxed.repo.aptsource import debian_mirror
from tests.lab.process import LabProblem, run

TIMEOUT = 30.0
"""Seconds without a byte from the mirror."""


@dataclass(frozen=True)
class Upstream:
    """`base` never shows in a repr or a message: whose mirror this host uses is nobody's business."""

    base: SplitResult
    proxy: SplitResult | None

    def __repr__(self) -> str:
        return "<apt's mirror>"

    @property
    def path(self) -> str:
        """The archive's path on its host, e.g. ``/debian``."""
        return self.base.path.rstrip("/")

    def open(
        self, method: str, path: str, headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Ask for `path` below the archive ("dists/..."). The caller closes the connection. OSError, HTTPException."""
        via = self.proxy or self.base
        kind = http.client.HTTPSConnection if via.scheme == "https" else http.client.HTTPConnection
        connection = kind(via.hostname or "", via.port, timeout=TIMEOUT)
        target = f"{self.path}/{path.lstrip('/')}"
        if self.proxy:
            target = f"{self.base.scheme}://{self.base.netloc}{target}"
        connection.request(method, target, headers={"Host": self.base.netloc, "User-Agent": "pxed-lab", **(headers or {})})
        return connection, connection.getresponse()

    def status(self, path: str) -> int:
        connection, response = self.open("HEAD", quote(path, safe="/+~:%"))
        with closing(connection):
            return response.status

    def absent(self, paths: Iterable[str]) -> set[str]:
        """Those of `paths` that the mirror lists and doesn't have (404, 410). LabProblem for every other trouble."""
        every = list(paths)
        with ThreadPoolExecutor(6) as pool:
            try:
                found = list(pool.map(self.status, every))
            except (OSError, http.client.HTTPException) as error:
                raise LabProblem(f"the Debian mirror can't be asked: {type(error).__name__}") from error
        strange = {code for code in found if code not in (200, 404, 410)}
        if strange:
            raise LabProblem(f"the Debian mirror answers {sorted(strange)}")
        return {path for path, code in zip(every, found, strict=True) if code != 200}


@functools.cache
def upstream() -> Upstream:
    """The Debian archive that ``PXED_LAB_MIRROR`` names, else apt's, and apt's proxy. LabProblem when this host has none (Ubuntu)."""
    uri = os.environ.get("PXED_LAB_MIRROR") or debian_mirror()
    if uri is None:
        raise LabProblem(
            "apt on this host has no Debian archive to install Debian from. Name one: make demo PXED_LAB_MIRROR=http://.../debian"
        )
    base = urlsplit(uri)
    if base.scheme not in ("http", "https") or not base.hostname:
        raise LabProblem("PXED_LAB_MIRROR is no http:// or https:// URL of a Debian archive")
    proxy = urlsplit(_proxy(base.scheme, base.hostname or ""))
    return Upstream(base, proxy if proxy.hostname else None)


def _proxy(scheme: str, host: str) -> str:
    """apt.conf(5) Acquire::http::Proxy (per host first, DIRECT = none), else the environment's ``http_proxy``."""
    keys = (f"Acquire::{scheme}::Proxy::{host}", f"Acquire::{scheme}::Proxy", "Acquire::http::Proxy")
    settings = dict(re.findall(r'^(\S+) "(.*)";$', run("apt-config", "dump"), re.MULTILINE))
    for key in keys:
        if settings.get(key):
            return "" if settings[key].upper() == "DIRECT" else str(settings[key])
    return os.environ.get(f"{scheme}_proxy", "")
