"""Which kind of boot client sent a packet: `classify`, from options 60, 77, 93, 97 and 175 alone. Pure, no Twisted.

The classes are the rows of `pxed.dhcp.offer.SHAPES`, tested in that order: HTTP Boot, an iPXE that can do the rest itself, Raspberry Pi,
and what is left by its architecture. Sources: RFC 3004, RFC 4578, PXE 2.1, UEFI HTTP Boot; iPXE's raw user class; rpi-eeprom#182.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from pxed.dhcp import options as opt
from pxed.dhcp.packet import MalformedPacket, Packet
from pxed.node.identity import ARCHITECTURES, architecture_name

ClientClass = Literal["http-boot", "ipxe-http", "raspberry-pi", "bios", "ipxe", "uefi"]

_PXE, _HTTP = b"PXEClient", b"HTTPClient"
_OWN_CLASS = b"pxed"
_PI_OUIS = tuple(bytes.fromhex(oui) for oui in ("b827eb", "dca632", "e45f01", "d83add", "28cdc1", "2ccf67"))
_EBC_HTTP = 17


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: `kind` is its row in `SHAPES`, `arch` the option 93 code that was taken, `notes` what is odd about it, for the log."""

    kind: ClientClass
    arch: int | None
    ipxe: str | None = None
    notes: tuple[str, ...] = ()


class Silence(NamedTuple):
    """No answer. `reason` is a slug to count by; `text` says it to people; `client` is set when it was a boot client of ours."""

    reason: str
    text: str = ""
    client: Client | None = None


_NO_VENDOR_CLASS = Silence("not-pxe", "no option 60")


def classify(packet: Packet) -> Client | Silence:
    """Which kind of boot client sent this? `Silence` when it is none, or one that nothing can be offered to."""
    get = packet.options.get
    vendor = get(opt.VENDOR_CLASS)
    if vendor is None:
        return _NO_VENDOR_CLASS
    client = _by_options(vendor, get(opt.CLIENT_ARCHITECTURE), get(opt.USER_CLASS), get(opt.IPXE))
    if isinstance(client, Client) and client.kind in ("bios", "uefi") and _is_raspberry_pi(packet, client.arch):
        return Client("raspberry-pi", client.arch, None, client.notes)
    return client


@lru_cache(maxsize=1024)
def _by_options(vendor: bytes, codes: bytes | None, user: bytes | None, features: bytes | None) -> Client | Silence:
    """The class by options 60, 93, 77 and 175. Machines of one model send the same, so most answers are remembered ones."""
    http = vendor.startswith(_HTTP)
    if not http and not vendor.startswith(_PXE):
        return Silence("not-pxe", f"option 60 is {opt.printable(vendor)!r}")
    try:
        architectures = opt.architectures(codes) if codes is not None else ()
    except MalformedPacket as bad:
        return Silence("malformed-" + bad.reason, str(bad))
    arch = next((code for code in architectures if code in ARCHITECTURES or code == _EBC_HTTP), None)
    notes = _oddities(vendor, arch, http)
    if not http and user is not None:
        classes = opt.user_classes(user)
        ipxe = opt.ipxe_features(features or b"")
        if _OWN_CLASS in classes or (b"iPXE" in classes and ipxe.boots_from_http):
            return Client("ipxe-http", arch, ipxe.version or "", notes)
        if b"iPXE" in classes and arch is not None:
            return Client("ipxe", arch, ipxe.version or "", notes)
    if arch is None:
        what = f"client architecture {architectures[0]} (option 93)" if architectures else "no client architecture (option 93)"
        return Silence("architecture", f"{what}: nothing to offer")
    return Client("http-boot" if http else "bios" if arch == 0 else "uefi", arch, None, notes)


def _is_raspberry_pi(packet: Packet, arch: int | None) -> bool:
    """Its boot ROM says arch 41, or 0 by mistake (rpi-eeprom#182); UEFI on the same board says 11 and is served as UEFI."""
    if arch == 41:
        return True
    guid = packet.options.get(opt.CLIENT_GUID, b"")
    return arch == 0 and (packet.chaddr.startswith(_PI_OUIS) or guid[1:4] == b"RPi")


def _oddities(vendor: bytes, arch: int | None, http: bool) -> tuple[str, ...]:
    """Sentences on what does not fit in this client's options; () for nearly all."""
    named = opt.vendor_class_architecture(vendor)
    if named is not None and arch is not None and named != arch:
        return (f"option 60 says architecture {named}, option 93 says {arch}: taking option 93",)
    if arch is not None and not http and "HTTP" in ARCHITECTURES.get(arch, ""):
        return (f"PXEClient with {architecture_name(arch)}: answered as PXE",)
    return ()
