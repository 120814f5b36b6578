"""Replies as another implementation reads them: scapy decodes, nothing of pxed is used here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scapy.layers.dhcp import BOOTP, DHCP, DHCPOptions
from scapy.packet import Raw

_TABLE: dict[Any, Any] = DHCPOptions
_CODES = {(each if isinstance(each, str) else each.name): code for code, each in _TABLE.items() if isinstance(code, int)}
OFFER, ACK = 2, 5


@dataclass(frozen=True)
class Answer:
    """What the client would see. `options` in order of appearance, by code, PAD as 0 and END as 255."""

    op: int
    xid: int
    flags: int
    hlen: int
    htype: int
    hops: int
    secs: int
    ciaddr: str
    yiaddr: str
    siaddr: str
    giaddr: str
    chaddr: bytes
    sname: bytes
    file: bytes
    options: list[tuple[int, Any]]
    size: int

    def __getitem__(self, code: int) -> Any:
        """The value of an option; KeyError when it is not there, ValueError when it is there twice."""
        found = [value for each, value in self.options if each == code]
        if not found:
            raise KeyError(code)
        if len(found) > 1:
            raise ValueError(f"option {code} is there {len(found)} times")
        return found[0]

    def __contains__(self, code: int) -> bool:
        return any(each == code for each, _ in self.options)

    @property
    def message(self) -> int:
        return int(self[53])

    @property
    def codes(self) -> list[int]:
        """Option codes in order, up to and without END."""
        codes = [code for code, _ in self.options]
        return codes[: codes.index(255)]

    @property
    def boot_file(self) -> str:
        """As EDK2 reads it: option 67, else `file`."""
        text = self[67] if 67 in self.codes else self.file
        return str(text.rstrip(b"\0").decode())


def decoded(data: bytes) -> Answer:
    """Decode with scapy; fails if scapy finds anything behind the options but padding."""
    packet = BOOTP(data)
    dhcp = packet[DHCP]
    assert Raw not in packet or not packet[Raw].load.strip(b"\0")
    return Answer(
        op=packet.op,
        xid=packet.xid,
        flags=int(packet.flags),
        hlen=packet.hlen,
        htype=packet.htype,
        hops=packet.hops,
        secs=packet.secs,
        ciaddr=packet.ciaddr,
        yiaddr=packet.yiaddr,
        siaddr=packet.siaddr,
        giaddr=packet.giaddr,
        chaddr=bytes(packet.chaddr),
        sname=bytes(packet.sname).rstrip(b"\0"),
        file=bytes(packet.file).rstrip(b"\0"),
        options=[_pair(option) for option in dhcp.options],
        size=len(data),
    )


def _pair(option: Any) -> tuple[int, Any]:
    if option == "end":
        return 255, b""
    if option == "pad":
        return 0, b""
    name, *values = option
    value = values[0] if len(values) == 1 else tuple(values)
    return (name if isinstance(name, int) else _CODES[name]), value
