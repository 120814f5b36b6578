"""What the installed system's network interfaces look like.

RackHD's shape is canonical: ``{"device": name or MAC, "ipv4": {"ipAddr", "prefixlen", "gateway", "vlanIds", "mtu"}, "ipv6": ...}``, with
``netmask`` in place of `prefixlen` if you like.
IPv6 ``netmask`` is accepted as RackHD's samples write it ("ffff.ffff.ffff.ffff.0.0.0.0") and turned into a prefix length.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from pxed.node.identity import normalise_mac
from pxed.oses.strict import Strict, names

_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,14}")


def interface(value: str) -> str:
    """An interface name (up to 15 characters) or a MAC address, which becomes lower case with colons."""
    try:
        return normalise_mac(value)
    except ValueError:
        if not _INTERFACE.fullmatch(value):
            raise ValueError("an interface name (eth0, ens3) or a MAC address") from None
        return value


def _v4(value: str) -> str:
    try:
        return str(ipaddress.IPv4Address(value.strip()))
    except ValueError:
        raise ValueError("an IPv4 address") from None


def _v6(value: str) -> str:
    try:
        return str(ipaddress.IPv6Address(value.strip()))
    except ValueError:
        raise ValueError("an IPv6 address") from None


def address(value: str) -> str:
    """An IPv4 or IPv6 address in its usual spelling."""
    try:
        return str(ipaddress.ip_address(value.strip()))
    except ValueError:
        raise ValueError("an IPv4 or IPv6 address") from None


Interface = Annotated[str, AfterValidator(interface)]
VlanIds = list[Annotated[int, Field(ge=1, le=4094)]]


class Ipv4(Strict):
    """A static IPv4 address."""

    ipAddr: Annotated[str, AfterValidator(_v4)] = Field(validation_alias=names("ipAddr", "address"))
    prefixlen: int = Field(ge=1, le=32, description="Or netmask, as 255.255.255.0")
    gateway: Annotated[str, AfterValidator(_v4)] | None = None
    vlanIds: VlanIds = Field(default_factory=list)
    mtu: int | None = Field(default=None, ge=576, le=9216)

    @model_validator(mode="before")
    @classmethod
    def _from_netmask(cls, given: Any) -> Any:
        return _with_prefix(given, _v4_prefix)


class Ipv6(Strict):
    """A static IPv6 address."""

    ipAddr: Annotated[str, AfterValidator(_v6)] = Field(validation_alias=names("ipAddr", "address"))
    prefixlen: int = Field(ge=1, le=128, description="Or netmask, as ffff:ffff:ffff:ffff::")
    gateway: Annotated[str, AfterValidator(_v6)] | None = None
    vlanIds: VlanIds = Field(default_factory=list)
    mtu: int | None = Field(default=None, ge=1280, le=9216)

    @model_validator(mode="before")
    @classmethod
    def _from_netmask(cls, given: Any) -> Any:
        return _with_prefix(given, _v6_prefix)


class NetworkDevice(Strict):
    """One interface. Without any address it asks DHCP."""

    device: Interface
    ipv4: Ipv4 | None = None
    ipv6: Ipv6 | None = None
    dhcp4: bool | None = Field(default=None, description="Ask DHCP for IPv4; default: yes unless ipv4 or ipv6 is given")
    dhcp6: bool = Field(default=False, description="Ask DHCPv6")

    @model_validator(mode="after")
    def _one_source(self) -> NetworkDevice:
        if self.ipv4 is not None and self.dhcp4:
            raise ValueError("either ipv4 or dhcp4, not both")
        if self.ipv6 is not None and self.dhcp6:
            raise ValueError("either ipv6 or dhcp6, not both")
        return self

    @property
    def asks_dhcp4(self) -> bool:
        """Whether IPv4 comes from DHCP."""
        return self.dhcp4 if self.dhcp4 is not None else self.ipv4 is None and self.ipv6 is None and not self.dhcp6


def resolved(options: Any) -> str:
    """resolved.conf(5); with name servers of our own, those are asked about everything; "" if nothing is given."""
    if not options.dnsServers and not options.dnsSearch:
        return ""
    domains = [*options.dnsSearch, *(["~."] if options.dnsServers else [])]
    servers = [f"DNS={' '.join(options.dnsServers)}"] if options.dnsServers else []
    return "\n".join(["[Resolve]", *servers, f"Domains={' '.join(domains)}"])


def _with_prefix(given: Any, read: Any) -> Any:
    """`given` with ``netmask`` turned into ``prefixlen``; both together must agree."""
    if not isinstance(given, dict) or given.get("netmask") is None:
        return {key: value for key, value in given.items() if key != "netmask"} if isinstance(given, dict) else given
    prefix = read(str(given["netmask"]))
    if given.get("prefixlen") not in (None, prefix, str(prefix)):
        raise ValueError("netmask and prefixlen that agree, or one of them")
    return {**{key: value for key, value in given.items() if key != "netmask"}, "prefixlen": prefix}


def _v4_prefix(mask: str) -> int:
    try:
        return _ones(int(ipaddress.IPv4Address(mask)), 32)
    except ValueError:
        raise ValueError("an IPv4 netmask like 255.255.255.0") from None


def _v6_prefix(mask: str) -> int:
    try:
        return _ones(int(ipaddress.IPv6Address(mask if ":" in mask else mask.replace(".", ":"))), 128)
    except ValueError:
        raise ValueError("an IPv6 netmask like ffff:ffff:ffff:ffff::, or a prefixlen") from None


def _ones(mask: int, width: int) -> int:
    """The number of leading ones of `mask`. ValueError if ones follow a zero."""
    bits = f"{mask:0{width}b}"
    if "01" in bits:
        raise ValueError
    return bits.count("1")
