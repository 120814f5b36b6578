"""Datagrams that arrive on port 69, before fbtftp sees them: bytes in, a `Request` or a reason out. No I/O.

RFC 1350 section 5 (RRQ: ``00 01 name NUL mode NUL``), RFC 2347 (``name NUL value NUL`` pairs behind it, at most 512 bytes in all).
What is refused here costs fbtftp's defects D1, D8, D14 and D21 their input.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from fbtftp import constants

from pxed.tftp.events import REMEMBERED, NotServed, Problem

MAX_REQUEST = 512
"""Bytes; RFC 2347 section 2: the maximum size of a request packet is 512 octets."""
MAX_OPTIONS = 16
"""Far above the four that are served; firmware sends up to five."""
RESERVED = frozenset({"mode", "retries", "default_timeout"})
"""Keys that fbtftp keeps in the same dictionary as the client's options (D8)."""


class Ignored(Exception):
    """A datagram that gets no answer. `reason` is the name it is counted by."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Request:
    """A read request. `name` is the file name as sent; option names are lower case, each at most once (RFC 2347), none empty."""

    name: bytes
    netascii: bool
    options: tuple[tuple[str, str], ...]

    @cached_property
    def datagram(self) -> bytes:
        """The request as fbtftp may parse it: an even number of tokens, none of them empty, no reserved name."""
        fields = [self.name, b"netascii" if self.netascii else b"octet"]
        for name, value in self.options:
            fields += [name.encode("latin-1"), value.encode("latin-1")]
        return b"\x00\x01" + b"".join(field + b"\x00" for field in fields)


@lru_cache(REMEMBERED)
def parse(datagram: bytes) -> Request:
    """Vet one datagram; the same one gives the same object. Ignored: drop it, count it.
    NotServed: answer with its ERROR. No other exception, whatever the bytes.

    Only requests are answered at all: an ERROR to a stray DATA, ACK or ERROR on port 69 could make two servers talk for ever.
    """
    if len(datagram) < 2:
        raise Ignored("short")
    opcode = int.from_bytes(datagram[:2], "big")
    if opcode == constants.OPCODE_WRQ:
        raise NotServed(Problem.WRITE)
    if opcode != constants.OPCODE_RRQ:
        raise Ignored("not a request")
    if len(datagram) > MAX_REQUEST or datagram[-1] != 0:
        raise NotServed(Problem.MALFORMED, "too long" if len(datagram) > MAX_REQUEST else "not terminated")
    name, mode, *rest = datagram[2:-1].split(b"\x00") if datagram.count(b"\x00", 2) > 1 else (b"", b"")
    if not name or not mode:
        raise NotServed(Problem.MALFORMED, "no file name or no mode")
    if mode.lower() not in (b"octet", b"netascii"):
        raise NotServed(Problem.MODE)
    return Request(name, mode.lower() == b"netascii", _options(rest))


def _options(fields: list[bytes]) -> tuple[tuple[str, str], ...]:
    """Name, value, name, value > pairs worth negotiating. Trailing NUL padding is forgiven, half a pair is not."""
    while fields and not fields[-1] and (len(fields) % 2 or not fields[-2]):
        fields.pop()
    if len(fields) % 2:
        raise NotServed(Problem.MALFORMED, "an option without a value")
    if len(fields) > 2 * MAX_OPTIONS:
        raise NotServed(Problem.MALFORMED, "too many options")
    found: dict[str, str] = {}
    for raw_name, raw_value in zip(fields[::2], fields[1::2], strict=True):
        name = raw_name.decode("latin-1").lower()
        # fbtftp lower-cases in latin-1 as well; a name it could still turn into a reserved one is reserved here too
        if name and raw_value and name not in RESERVED and name not in found:
            found[name] = raw_value.decode("latin-1")
    return tuple(found.items())
