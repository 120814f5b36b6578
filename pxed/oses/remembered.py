"""Stored options, read once: a node asks for its boot script and half a dozen files, and reading takes a third of a boot script's time."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any

from pxed.oses.options import CommonOptions
from pxed.oses.sealing import cover
from pxed.oses.strict import parse

MOST = 2000
"""Installs whose options are kept, the last that were read: 5 to 20 kB each, and a site seldom installs as many at once."""


class Remembered:
    """The options of the last installs, without their secrets. Stored options are never changed, so whatever is another object is read
    anew. Safe to call from several threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[int, tuple[Mapping[str, Any], CommonOptions]] = {}
        self._lock = Lock()

    def covered(self, model: type[CommonOptions], stored: Mapping[str, Any]) -> CommonOptions:
        """`stored` as a `model`, with a mask in place of every secret. InvalidRequest."""
        kept, options = self._known.get(id(stored), (None, None))
        if kept is stored and type(options) is model:
            return options
        options = cover(parse(model, stored, field="options"))
        with self._lock:
            self._known[id(stored)] = stored, options
            if len(self._known) > self._most:
                del self._known[next(iter(self._known))]
        return options
