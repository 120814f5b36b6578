"""What pxed answers to a packet: a pure function from packet, arrival, assigned boot and policy to a `Reply` or a `Silence`. No I/O.

`SHAPES` is the whole policy on one screen: client class > what its offer looks like, the usual shape first, then what is tried on
firmware that ignores it (`pxed.dhcp.adapt`). Which row a client is in says `pxed.dhcp.client`. Sources: PXE 2.1, RFC 4578, RFC 5970,
UEFI HTTP Boot, and what EDK2, iPXE and ROMs were seen to do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from socket import inet_aton, inet_ntoa
from typing import Final, Literal, NamedTuple, Protocol
from urllib.parse import quote

from pxed.dhcp import options as opt
from pxed.dhcp.client import Client, ClientClass, Silence, classify
from pxed.dhcp.packet import ACK, BOOTREQUEST, DISCOVER, INFORM, OFFER, REQUEST, Packet, build
from pxed.node.identity import architecture_name
from pxed.node.model import Boot

FileKind = Literal["name", "tftp-url", "http-url", "profile", "none"]


class Shape(NamedTuple):
    """What an offer looks like. `vendor_class`: option 60; `file`: what the boot file name is; `vendor`: option 43, None leaves it out."""

    name: str
    vendor_class: bytes
    file: FileKind
    vendor: bytes | None


_PXE, _HTTP = b"PXEClient", b"HTTPClient"
_USE_FILE = opt.encode_suboptions((opt.PXE_DISCOVERY_CONTROL, bytes((opt.USE_FILE_NAME,))))
_PI_MENU = (opt.PXE_BOOT_MENU, b"\x00\x00\x11Raspberry Pi Boot"), (opt.PXE_MENU_PROMPT, b"\x00PXE")
_PI_8 = opt.encode_suboptions((opt.PXE_DISCOVERY_CONTROL, b"\x08"), *_PI_MENU)
_PI_3 = opt.encode_suboptions((opt.PXE_DISCOVERY_CONTROL, b"\x03"), *_PI_MENU)

SHAPES: Final[Mapping[ClientClass, tuple[Shape, ...]]] = {
    # class           name of shape, option 60, boot file,  option 43
    "http-boot": (Shape("plain", _HTTP, "http-url", None),),
    "ipxe-http": (Shape("binl", _PXE, "profile", None), Shape("pxe10", _PXE, "profile", _USE_FILE)),
    "raspberry-pi": (Shape("menu", _PXE, "none", _PI_8), Shape("menu3", _PXE, "none", _PI_3)),
    "bios": (Shape("pxe10", _PXE, "name", _USE_FILE), Shape("binl", _PXE, "name", None), Shape("bare", _PXE, "none", None)),
    "ipxe": (Shape("pxe10", _PXE, "tftp-url", _USE_FILE), Shape("binl", _PXE, "tftp-url", None)),
    "uefi": (Shape("binl", _PXE, "name", None), Shape("pxe10", _PXE, "name", _USE_FILE), Shape("bare", _PXE, "none", None)),
}
"""``binl``: no 43, so UEFI comes back to port 4011; ``pxe10``: 43.6 = 8, so the file is taken at once; ``bare``: all is said on 4011."""

TELL: Final = "?m=${manufacturer:hexraw}&p=${product:hexraw}&s=${serial:hexraw}"
"""iPXE puts its SMBIOS strings in there, as hexadecimal digits: as text, iPXE of 2019 mangles what is not ASCII and `&`."""

_NO_ADDRESS = bytes(4)
_ANYWHERE = "255.255.255.255"
CLIENT_PORT, SERVER_PORT, PXE_PORT = 68, 67, 4011


class BootProgramPath(Protocol):
    @property
    def path(self) -> str: ...


class Programs(Protocol):
    """The part of `pxed.repo.bootprograms.BootPrograms` that an offer asks."""

    def pick(self, arch: int, *, prefer: str | None = None) -> BootProgramPath | None: ...


class Picked:
    """`Programs` that remembers its answers; for as long as the catalogue is the same one."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._picked: dict[tuple[int, str | None], BootProgramPath | None] = {}

    def pick(self, arch: int, *, prefer: str | None = None) -> BootProgramPath | None:
        key = (arch, prefer)
        if key not in self._picked:
            self._picked[key] = self._programs.pick(arch, prefer=prefer)
        return self._picked[key]


class Link(Protocol):
    """The part of `pxed.dhcp.interfaces.Interface` that an offer asks."""

    @property
    def name(self) -> str: ...

    @property
    def broadcasts(self) -> Collection[bytes]:
        """The broadcast addresses (4 bytes each) of its subnets."""

    def reaches(self, address: bytes) -> bool:
        """Whether `address` (4 bytes) is a host's in one of its subnets."""


class Arrival(NamedTuple):
    """How a packet came in. `port` is the door (67 or 4011, whatever number it listens on); `server` the 4-byte address we answer as."""

    port: int
    link: Link
    server: bytes
    source: str
    source_port: int
    own: Collection[bytes] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """What this appliance offers. `unknown`: ``ignore`` or ``discover`` (offer to nodes nobody has armed: they get a waiting script)."""

    programs: Programs
    http_port: int = 80
    unknown: str = "ignore"


class Treatment(NamedTuple):
    """How one client is treated unlike its class: `shape` by name, `program` a file name to prefer. None is the usual."""

    shape: str | None = None
    program: str | None = None


USUAL = Treatment()


class Reply(NamedTuple):
    """Bytes to send, where to, and what they say. `file` is the boot file name or URL ("" when the shape leaves it to port 4011)."""

    message: int
    client: Client
    shape: str
    file: str
    destination: tuple[str, int]
    data: bytes


def decide(
    packet: Packet,
    arrival: Arrival,
    boot: Boot | None,
    policy: Policy,
    *,
    client: Client | Silence | None = None,
    treatment: Treatment = USUAL,
) -> Reply | Silence:
    """Answer one packet. `boot` is what the node is assigned, None for a node nobody has armed or named.

    `client` is what `classify` said of the same packet, to save asking twice. Never raises for any packet that `parse` returned.
    """
    misplaced = _not_ours(packet, arrival)
    if misplaced is not None:
        return misplaced
    if client is None:
        client = classify(packet)
    if isinstance(client, Silence):
        return client
    if boot is None:
        if policy.unknown != "discover":
            return Silence("unknown", "nobody has said what this node is to boot", client)
    elif boot.kind != "installer":
        return Silence(*_nothing(boot), client)
    destination = _destination(packet, arrival)
    if isinstance(destination, Silence):
        return destination._replace(client=client)
    shape = shape_of(client.kind, treatment.shape)
    if arrival.port == PXE_PORT:
        return _acknowledge(packet, arrival, policy, client, treatment, shape, destination)
    return _compose(packet, arrival, policy, client, treatment, shape, OFFER, destination)


def _nothing(boot: Boot) -> tuple[str, str]:
    """Reason and text of the silence towards a node that is not to boot its installer."""
    if boot.kind == "disk":
        return "disk", "it boots its own disk"
    return ("begun", "its installer has begun, and is not started again") if boot.install else ("silent", "nothing to install")


_BY_NAME: dict[tuple[ClientClass, str | None], Shape] = {(kind, shape.name): shape for kind, its in SHAPES.items() for shape in its}


def shape_of(kind: ClientClass, name: str | None) -> Shape:
    """The shape called `name` of that class, its usual one when `name` is None or none of its own."""
    return _BY_NAME.get((kind, name)) or SHAPES[kind][0]


def _not_ours(packet: Packet, arrival: Arrival) -> Silence | None:
    """Packets that ask another server, or nothing of a proxy. Port 67: DISCOVER only, the REQUEST there belongs to the DHCP server.

    Port 4011: REQUEST and INFORM. A DISCOVER there stays unanswered: no specification has it, EDK2 takes OFFERs from port 67 alone.
    """
    if packet.op != BOOTREQUEST:
        return Silence("not-a-request", "a reply of some server")
    message = packet.message
    if message == 0:
        return Silence("bootp", "BOOTP, no option 53")
    if arrival.port != PXE_PORT:
        return None if message == DISCOVER else Silence("other-message", f"message type {message} on port 67 is for the DHCP server")
    if message not in (REQUEST, INFORM):
        return Silence("other-message", f"message type {message} on port 4011")
    server = packet.options.get(opt.SERVER_IDENTIFIER)
    if server is not None and server != arrival.server and server not in arrival.own:
        return Silence("other-server", "option 54 names another server")
    return None


def _destination(packet: Packet, arrival: Arrival) -> tuple[str, int] | Silence:
    """Where the answer goes (UDP address and port), `Silence` when it would go where nothing that asked can be.

    A node without an address can't answer ARP and yiaddr is 0, so on port 67 it is the relay or everybody.
    """
    if arrival.port != PXE_PORT:
        giaddr = packet.giaddr
        if giaddr == _NO_ADDRESS:
            return _ANYWHERE, CLIENT_PORT
        if not _is_unicast(giaddr) or giaddr in arrival.own:
            return Silence("giaddr", f"relay address {inet_ntoa(giaddr)} is no relay's")
        return inet_ntoa(giaddr), SERVER_PORT
    source = inet_aton(arrival.source)
    if source != _NO_ADDRESS and (not _is_unicast(source) or source in arrival.link.broadcasts):
        return Silence("source", f"source address {arrival.source} is no host's")
    if packet.ciaddr in (source, _NO_ADDRESS):
        return (_ANYWHERE, CLIENT_PORT) if source == _NO_ADDRESS else (arrival.source, arrival.source_port)
    if not arrival.link.reaches(packet.ciaddr):
        ciaddr = inet_ntoa(packet.ciaddr)
        return Silence("spoofed", f"ciaddr {ciaddr} is not the source {arrival.source} and in no subnet of {arrival.link.name}")
    return inet_ntoa(packet.ciaddr), CLIENT_PORT


def _is_unicast(address: bytes) -> bool:
    """Not 0/8, not loopback, not multicast, reserved or 255.255.255.255."""
    return 0 < address[0] < 224 and address[0] != 127


def _acknowledge(
    packet: Packet, arrival: Arrival, policy: Policy, client: Client, treatment: Treatment, shape: Shape, destination: tuple[str, int]
) -> Reply | Silence:
    """The ACK of port 4011: the boot file always, option 43 only to give a boot item (43.71) back as it was asked for."""
    if client.kind == "http-boot":
        return Silence("other-message", "HTTP Boot has no port 4011", client)
    file: FileKind = next(each.file for each in SHAPES[client.kind] if each.file != "none" or client.kind == "raspberry-pi")
    vendor = None
    item = (opt.suboptions(packet.options.get(opt.VENDOR_SPECIFIC, b"")) or {}).get(opt.PXE_BOOT_ITEM)
    if item is not None:
        if len(item) != 4 or item[2] & 0x80:
            return Silence("boot-item", "the boot item (43.71) asks for BIS credentials or is malformed", client)
        if item[:2] != b"\0\0":
            return Silence("boot-item", f"boot item type {int.from_bytes(item[:2], 'big')} (43.71) is not ours", client)
        vendor = opt.encode_suboptions((opt.PXE_BOOT_ITEM, item))
    return _compose(packet, arrival, policy, client, treatment, shape._replace(file=file, vendor=vendor), ACK, destination)


def _compose(
    packet: Packet,
    arrival: Arrival,
    policy: Policy,
    client: Client,
    treatment: Treatment,
    shape: Shape,
    message: int,
    destination: tuple[str, int],
) -> Reply | Silence:
    """Put the reply together once it is known that there is to be one."""
    server = inet_ntoa(arrival.server)
    file = _boot_file(packet, client, server, policy, treatment, shape.file)
    if isinstance(file, Silence):
        return file
    given = packet.options
    optional: tuple[tuple[int, bytes], ...] = ()
    if shape.vendor is not None:
        optional = ((opt.VENDOR_SPECIFIC, shape.vendor),)
    if client.kind == "raspberry-pi":
        optional += ((opt.TFTP_SERVER_NAME, server.encode()),)
    guid = given.get(opt.CLIENT_GUID)
    data = build(
        packet,
        message,
        arrival.server,
        vendor_class=shape.vendor_class,
        file=file.encode(),
        sname=server.encode(),
        optional=optional,
        guid=guid if opt.is_echoable_guid(guid) else None,
        relay=given.get(opt.RELAY_INFORMATION),
        ciaddr=packet.ciaddr if message == ACK else _NO_ADDRESS,
        broadcast=destination[0] == _ANYWHERE or arrival.port != PXE_PORT,
    )
    return Reply(message, client, shape.name, file, destination, data)


def _boot_file(packet: Packet, client: Client, server: str, policy: Policy, treatment: Treatment, kind: FileKind) -> str | Silence:
    """The boot file name or URL of that kind; "" for none. `Silence` when the node's architecture has no boot program here."""
    if kind == "profile":
        if packet.hlen != 6:
            return Silence("hardware", f"a boot profile goes by a 6-byte MAC address, this one has {packet.hlen} bytes", client)
        return f"http://{server}{_port(policy.http_port)}/p/{packet.hardware.hex()}{TELL}"
    if client.kind == "raspberry-pi" or client.arch is None:
        return ""
    program = policy.programs.pick(client.arch, prefer=treatment.program)
    if program is None:
        return Silence("no-program", f"no boot program for {architecture_name(client.arch)}", client)
    if kind == "none":
        return ""
    if kind == "http-url":
        return f"http://{server}{_port(policy.http_port)}/b/{quote(program.path)}"
    if kind == "tftp-url":
        return f"tftp://{server}/{quote(program.path)}"
    return program.path


def _port(number: int) -> str:
    return "" if number == 80 else f":{number}"
