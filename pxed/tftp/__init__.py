"""UDP port 69: boot programs for firmware, over fbtftp's parsing and negotiation on one reactor.

Rules of the room:

* `fbtftp.BaseServer` and `fbtftp.BaseHandler` are subclassed; no process and no thread per transfer. The reactor has two kinds of
  TFTP reader: the listeners on port 69 (`server`) and one nested epoll object that holds every transfer's socket (`hub`).
* Nothing of fbtftp sees a datagram before `request` has vetted it; nothing of a client's text reaches a log or an ERROR unescaped.
* The reactor never waits for a disk: `files` reads in a thread, transfers send from memory.
* One bad datagram costs its sender one ERROR at most, and nobody else anything.

Implements RFC 1350 (read only), 2347, 2348, 2349 and 7440. Must not import another door (dhcp, web, syslog, cli), nor the reactor.
"""

from pxed.tftp.events import TransferEvent
from pxed.tftp.server import TftpService
from pxed.tftp.settings import Limits, TftpSettings

__all__ = ["Limits", "TftpService", "TftpSettings", "TransferEvent"]
