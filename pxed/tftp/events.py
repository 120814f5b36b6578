"""What the rest of the appliance hears of a transfer, and the fixed texts a client may be told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Literal

from fbtftp import constants

REMEMBERED = 256
"""Requests: a rack of machines asks for the same file in the same words, and so do several racks."""
Outcome = Literal["request", "sent", "failed"]


@dataclass(slots=True)
class TransferEvent:
    """One line of a transfer's story.

    ``request`` when a read request is accepted, then at most one of ``sent`` (the client acknowledged all) and ``failed``. A client
    that only asked for the size and hung up (OVMF does that on purpose, ERROR 8) gives neither. `file` is printable text, `bytes`
    what was acknowledged, `seconds` counts from the request, `reason` is a sentence, empty unless failed.
    """

    peer_ip: str
    file: str
    outcome: Outcome
    bytes: int = 0
    seconds: float = 0.0
    reason: str = ""

    def text(self, node: str) -> str:
        """What the timeline says of it; `node` is the label of the one that asked."""
        if self.outcome == "request":
            return f"{node} asks for {self.file} by TFTP"
        if self.outcome == "sent":
            return f"{node} has {self.file} ({self.bytes} bytes in {self.seconds:.1f} s)"
        return f"{self.file} did not reach {node} by TFTP: {self.reason}"


class Problem(Enum):
    """An ERROR a client may get: (code of RFC 1350, text). Never a path, an exception or anything else of ours (D11, D16)."""

    NOT_FOUND = (constants.ERR_FILE_NOT_FOUND, "File not found")
    ACCESS = (constants.ERR_ACCESS_VIOLATION, "Access violation")
    WRITE = (constants.ERR_ILLEGAL_OPERATION, "Writing is not served")
    MALFORMED = (constants.ERR_ILLEGAL_OPERATION, "Malformed request")
    MODE = (constants.ERR_ILLEGAL_OPERATION, "Unknown transfer mode")
    OPERATION = (constants.ERR_ILLEGAL_OPERATION, "Illegal operation")
    BUSY = (constants.ERR_UNDEFINED, "Busy, try again")
    NETASCII = (constants.ERR_UNDEFINED, "Too large for netascii, use octet")
    READ = (constants.ERR_UNDEFINED, "Read error")
    TIMEOUT = (constants.ERR_UNDEFINED, "Timed out")
    STOPPING = (constants.ERR_UNDEFINED, "Server is stopping")
    INTERNAL = (constants.ERR_UNDEFINED, "Internal error")

    @property
    def code(self) -> int:
        code: int = self.value[0]
        return code

    @property
    def text(self) -> str:
        text: str = self.value[1]
        return text


class NotServed(Exception):
    """The request can't be served; `problem` is what the client is told, `detail` what our log says."""

    def __init__(self, problem: Problem, detail: str = "") -> None:
        super().__init__(detail or problem.text)
        self.problem = problem


@lru_cache(REMEMBERED)
def printable(raw: bytes | str, limit: int = 160) -> str:
    """A client's text made safe for logs, events and the console: printable ASCII, everything else as ``\\xNN`` (D19)."""
    data = raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
    text = "".join(chr(byte) if 32 <= byte < 127 and byte != 0x5C else f"\\x{byte:02x}" for byte in data[: limit + 1])
    return text if len(data) <= limit else text[:limit] + "..."
