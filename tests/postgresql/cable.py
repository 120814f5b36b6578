"""The network between pxed and PostgreSQL: a Unix socket whose other end is the server's, until somebody cuts it."""

from __future__ import annotations

import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Thread

SOCKET = ".s.PGSQL.5432"


class Cable:
    """Connect to `directory` as to the server's own. `cut`: our side of each connection breaks, and the server does not hear of it."""

    def __init__(self, server: Path) -> None:
        self._server = str(server / SOCKET)
        self.directory = Path(tempfile.mkdtemp(prefix="pxed-cable-"))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.directory / SOCKET))
        self._listener.listen()
        self._ours: list[socket.socket] = []
        self._theirs: list[socket.socket] = []
        Thread(target=self._accept, daemon=True).start()

    def url(self, database: str) -> str:
        return f"postgresql://pxed@/{database}?host={self.directory}"

    def cut(self) -> None:
        ours, self._ours = self._ours, []
        for each in ours:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def remove(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for each in self._theirs:
            each.close()
        shutil.rmtree(self.directory)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.socket(socket.AF_UNIX)
                theirs.connect(self._server)
                self._ours.append(ours)
                self._theirs.append(theirs)
                for one, other in ((ours, theirs), (theirs, ours)):
                    Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if one in self._theirs or one in self._ours:
                    other.sendall(data)
        if one in self._theirs:  # the server hung up
            with suppress(OSError):
                other.shutdown(socket.SHUT_RDWR)
