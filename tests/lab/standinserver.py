"""A web server beside the appliance: stand-ins for every installer's files, and what each machine's iPXE is to do next.

::

    /driver.ipxe       what iPXE runs first: ask for /next until there is something
    /next/<mac>        the script that was set for that machine, once; else 404
    /<anything else>   a stand-in: the kernel where the name is a kernel's, else one line with the path in it
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.lab.network import DHCP_SERVER, Network, inside

PORT = 81
BASE = f"http://{DHCP_SERVER}:{PORT}"
READY = "lab: ready for the next profile"
KERNEL = re.compile(r"/(vmlinuz[^/]*|linux(26)?|[^/]*\.vmlinuz|kernel|wimboot[^/]*|mboot\.c32|bootx64\.efi)$", re.IGNORECASE)
DRIVER = f"""#!ipxe
:ready
prompt --timeout 500 {READY} ||
chain --autofree {BASE}/next/${{net0/mac:hexraw}} || goto ready
"""
ENDS_WELL = bytes.fromhex("31c0cb") + bytes(2045)
"""A raw PXE program that gives the machine back at once with success (``xor ax, ax; retf``)."""


def content(path: str) -> bytes:
    """The stand-in for a file that is no kernel."""
    return f"stand-in for {path}\n".encode()


class StandinServer:
    """Serves on the DHCP server's address from its construction until `stop`. `files`: path > bytes, beside the stand-ins."""

    def __init__(self, network: Network, kernel: bytes) -> None:
        self.files: dict[str, bytes] = {"/driver.ipxe": DRIVER.encode(), "/ends-well.c32": ENDS_WELL}
        self._kernel = kernel
        self._next: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_GET(self) -> None:
                body = outer._body(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                if self.path.startswith("/next/"):
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(b"" if body is None or self.command == "HEAD" else body)
                if self.path.startswith("/next/"):
                    self._forget()

            do_HEAD = do_GET

            def _forget(self) -> None:
                """A machine that is set back to where it was will ask again from the same port: nothing of this connection may linger."""
                self.wfile.flush()
                self.connection.settimeout(0.2)
                try:
                    self.connection.recv(1)
                except OSError:
                    pass
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

            def log_message(self, *_: Any) -> None:
                pass

        with inside(network.dhcp):
            self._server = ThreadingHTTPServer((DHCP_SERVER, PORT), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="stand-ins", daemon=True)
        self._thread.start()

    def set_next(self, mac: str, script: str) -> None:
        self._next[mac.replace(":", "")] = script

    def stop(self) -> None:
        """May be called twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _body(self, path: str) -> bytes | None:
        if path.startswith("/next/"):
            script = self._next.pop(path.removeprefix("/next/"), None)
            return None if script is None else script.encode()
        return self.files.get(path) or (self._kernel if KERNEL.search(path) else content(path))
