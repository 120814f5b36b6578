"""Options that some families have and others don't: one definition each, and one list of every name that a request may hold.

A family mixes in what it can do: ``class RedHatOptions(Services, Security, CommonOptions)``. What it does not have is refused by name, with
its own reason (`CommonOptions.refused`) or with a general one, under each of its spellings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pxed.oses import rackhd
from pxed.oses.network import Interface, Ipv4, Ipv6
from pxed.oses.options import CommonOptions
from pxed.oses.strict import Strict, listed, names

UNIFIED: Mapping[str, str] = {
    "bonds": "bonded interfaces",
    "bridges": "bridges",
    "switchDevices": "virtual switches",
    "esxSwitchName": "virtual switches",
    "clearDisk": "the choice of disks to clear (the chosen disk is always cleared, and no other; see disk)",
    "kvm": "the kvm switch (name the packages in packages)",
    "enableServices": "a list of services to enable (scripts.post can)",
    "disableServices": "a list of services to disable (scripts.post can)",
    "groups": "package groups",
    "patterns": "package patterns",
    "installType": "installation types",
    "selinux": "SELinux",
    "firewall": "a firewall switch (scripts.post can set one up)",
    "fips": "a FIPS switch",
    "registration": "subscriptions",
    "productkey": "product keys",
    "edition": "editions",
    "smbRepo": "Windows shares",
    "smbUser": "Windows shares",
    "smbPassword": "Windows shares",
    "username": "the name of a first account (see users)",
    "password": "the password of a first account (see users)",
    "firewallDisable": "a firewall switch",
    "comportaddress": "the I/O port of a console (see console)",
    "gdbPort": "ESXi's debugger",
    "logPort": "ESXi's log on a serial line (see console)",
    "debugLogToSerial": "ESXi's log on a serial line (see console)",
    "ignitionScriptUri": "Ignition",
    "coreSshKeys": "the user core (see users)",
    "updates": "a choice of updates",
    "tasks": "tasks",
}
"""Every name of the unified model that is not in `CommonOptions` > what it stands for. Sources: RackHD's option schemas and ours."""


def refusals(options: type[CommonOptions], title: str) -> dict[str, str]:
    """Name > why the family `title` refuses it: its own reasons, which count for every spelling of a name, and a general one for whatever
    else of the unified model it lacks; and what of RackHD's nobody has any use for."""
    spellings = {name: (name, *_choices(field.validation_alias)) for name, field in options.model_fields.items()}
    known = {each for names in spellings.values() for each in names}
    lacking = {name: f"pxed's {title} profile does not know {what}" for name, what in UNIFIED.items() if name not in known}
    own = {each: reason for name, reason in options.refused.items() for each in spellings.get(name, (name,))}
    return {**rackhd.REFUSED, **lacking, **own, **options.refused}


def _choices(alias: Any) -> tuple[str, ...]:
    return tuple(str(choice) for choice in getattr(alias, "choices", [alias] if alias else []))


def _service(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9@._:-]{0,100}", value):
        raise ValueError("a service's name, like sshd or chronyd.service")
    return value


ServiceNames = Annotated[list[Annotated[str, AfterValidator(_service)]], BeforeValidator(listed)]


class Services(Strict):
    """Services to switch on and off in the installed system."""

    enableServices: ServiceNames = Field(default_factory=list)
    disableServices: ServiceNames = Field(default_factory=list)


class Kvm(Strict):
    """RackHD's switch for a host of virtual machines."""

    kvm: bool = Field(default=False, description="Also what a host of virtual machines needs")


class Security(Strict):
    """Switches that Red Hat's and SUSE's families have."""

    selinux: Literal["enforcing", "permissive", "disabled"] | None = Field(default=None, description="Default: the installer's own")
    firewall: bool | None = Field(default=None, description="Default: the installer's own")


class BondVlan(Strict):
    """A VLAN above a bond. RackHD's shape."""

    vlanid: int = Field(ge=1, le=4094)
    ipv4: Ipv4 | None = None
    ipv6: Ipv6 | None = None


def _bond_options(value: Any) -> Any:
    """RackHD writes ``miimon=100 lacp_rate=1`` (blanks or commas) > a map of texts."""
    if isinstance(value, Mapping):
        return {name: str(setting) if isinstance(setting, int) else setting for name, setting in value.items()}
    if not isinstance(value, str):
        return value
    parts = [part for part in re.split(r"[\s,]+", value) if part]
    if not all("=" in part for part in parts):
        raise ValueError("options of the bonding driver, like miimon=100")
    return dict(part.split("=", 1) for part in parts)


class Bond(Strict):
    """Several interfaces as one. RackHD's shape (``bondvlaninterfaces`` for VLANs above it)."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,12}$")] = "bond0"
    nics: Annotated[list[Interface], Field(min_length=1)]
    mode: Literal["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"] = "802.3ad"
    options: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z_0-9]+$")], Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:+-]+$")]],
        BeforeValidator(_bond_options),
    ] = Field(default_factory=lambda: {"miimon": "100"})
    ipv4: Ipv4 | None = None
    ipv6: Ipv6 | None = None
    dhcp4: bool | None = Field(default=None, description="Ask DHCP; default: yes unless an address is given")
    vlans: list[BondVlan] = Field(default_factory=list, validation_alias=names("vlans", "bondvlaninterfaces"))

    @property
    def asks_dhcp4(self) -> bool:
        """Whether IPv4 comes from DHCP."""
        return self.dhcp4 if self.dhcp4 is not None else self.ipv4 is None and self.ipv6 is None and not self.vlans


class Bonds(Strict):
    """Bonded interfaces in the installed system."""

    bonds: list[Bond] = Field(default_factory=list)
