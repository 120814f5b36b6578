"""The lab's one way out: GET and HEAD of apt's Debian archive, and of nothing else.

The listening socket is born inside the appliance's namespace, on its loopback; the connections to the mirror are opened from the host's.
So the namespaces keep having no route out, no interface is added to the host, the machines can't reach the relay, and it ends with the
lab's own process.
"""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

from tests.lab.network import inside
from tests.lab.upstream import TIMEOUT, Upstream

FORWARDED = ("Range", "If-Modified-Since", "If-None-Match", "If-Range")
RETURNED = ("Content-Length", "Content-Type", "Last-Modified", "ETag", "Accept-Ranges", "Content-Range")
CHUNK = 1 << 16


class Relay:
    """Serves from its construction until `stop`. `url` is the archive as the namespace sees it; `log` gets one line per request."""

    def __init__(self, mirror: Upstream, *, namespace: str, log: Path) -> None:
        self._mirror = mirror
        self._log: IO[str] = log.open("a", buffering=1)
        with inside(namespace):
            self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.relay = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{mirror.path}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="relay", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """May be called twice. Transfers under way end with their sockets."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._log.close()

    def answer(self, handler: _Handler, method: str) -> None:
        root = self._mirror.path + "/"
        if not handler.path.startswith(root) or ".." in handler.path.split("/"):
            handler.send_error(403, "Not the Debian archive")
            return
        headers = {name: value for name in FORWARDED if (value := handler.headers.get(name))}
        try:
            connection, response = self._mirror.open(method, handler.path.removeprefix(root), headers)
        except (OSError, http.client.HTTPException) as error:
            handler.send_error(504, f"The mirror can't be reached ({type(error).__name__})")
            return
        with closing(connection):
            self._stream(handler, method, response)

    def _stream(self, handler: _Handler, method: str, response: http.client.HTTPResponse) -> None:
        handler.send_response_only(response.status)
        for name in RETURNED:
            if value := response.headers.get(name):
                handler.send_header(name, value)
        handler.send_header("Connection", "close")
        handler.end_headers()
        sent = 0
        while method == "GET" and (chunk := response.read(CHUNK)):
            handler.wfile.write(chunk)
            sent += len(chunk)
        self._log.write(f"{response.status} {method} {handler.path} {sent}\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    relay: Relay

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up, a mirror that broke off: the client sees a short body and asks again."""


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT
    server: _Server

    def do_GET(self) -> None:
        self.server.relay.answer(self, "GET")

    def do_HEAD(self) -> None:
        self.server.relay.answer(self, "HEAD")

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:
        """The relay's own log is enough."""
