"""What can be said about a Windows install. RackHD's names are accepted unchanged.

No password of Windows can be a hash: its answer file takes them as they are (written in base64, which hides nothing). They are kept
sealed (`sealing`), and so are product keys and the password of a share.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from pxed.oses.accounts import User
from pxed.oses.disk import Disk, disk_choice
from pxed.oses.network import NetworkDevice, interface
from pxed.oses.options import CommonOptions
from pxed.oses.sealing import Kept, Reversible, plain
from pxed.oses.strict import names
from pxed.oses.windows_names import KEYBOARDS, time_zone

COMPUTER_NAME = 15
"""Characters: NetBIOS."""
USER_NAME = 20
BUILT_IN = frozenset({"administrator", "guest", "defaultaccount", "wdagutilityaccount", "system", "none"})

_EDITION = r"^[A-Za-z0-9][A-Za-z0-9 ._()+-]{0,100}$"
_GIVEN_EDITION = WithJsonSchema({"anyOf": [{"type": "string", "pattern": _EDITION}, {"type": "integer", "minimum": 1}]})


def _password(value: str) -> str:
    if not 1 <= len(value) <= 127 or not value.isprintable():
        raise ValueError("a password of 1 to 127 printable characters")
    return value


def _share_password(value: str) -> str:
    if not 1 <= len(value) <= 127 or any(not 32 <= ord(letter) < 127 or letter == '"' for letter in value) or value.endswith("\\"):
        raise ValueError(
            "a password of 1 to 127 visible ASCII characters without double quotes and without a backslash at its end "
            "(a batch file has to hold it)"
        )
    return value


def _product_key(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]{5}(?:-[A-Za-z0-9]{5}){4}", value.strip()):
        raise ValueError("a product key of five groups of five letters and digits, with hyphens")
    if set(value.strip().upper()) == {"X", "-"}:
        raise ValueError("a product key, which rows of X stand for; without productkey the medium's own is used")
    return value.strip().upper()


def _share(value: str) -> str:
    if not re.fullmatch(r"\\\\[A-Za-z0-9._:-]+(?:\\[A-Za-z0-9 ._$()-]+)+\\?", value):
        raise ValueError(r"a share like \\server\windows, or a folder on it")
    return value.rstrip("\\")


def _group(value: str) -> str:
    if not re.fullmatch(r"[^\W_](?:[\w -]{0,60}\w)?", value):
        raise ValueError("a local group's name, like Administrators or Remote Desktop Users")
    return value


def _keyboard(value: str) -> str:
    if value not in KEYBOARDS:
        raise ValueError(f"a keyboard that Windows has: {', '.join(KEYBOARDS)}")
    return value


def _account_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", value) or len(value) > USER_NAME or value.endswith("."):
        raise ValueError(f"a user name of letters, digits, '_', '-' and '.', up to {USER_NAME} long, with no dot at its end")
    if value.lower() in BUILT_IN:
        raise ValueError("a name that Windows has not taken itself; the Administrator's password is rootPassword")
    return value


def _disk(value: Any) -> Any:
    chosen = disk_choice(value)
    given = {name for name, each in chosen.items() if each is not None} if isinstance(chosen, dict) else set()
    if given & {"path", "serial", "wwn"} or (isinstance(chosen, dict) and chosen.get("size") not in (None, "first")):
        raise ValueError("a disk's number or model: Windows PE's diskpart shows neither serial numbers nor names of devices")
    return chosen


def _connection(value: str) -> str:
    try:
        return interface(value)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9 ._()#-]{0,60}[A-Za-z0-9)])?", value):
            raise ValueError("a connection's name, like Ethernet 4, or a MAC address") from None
        return value


WindowsPassword = Annotated[Kept, Reversible(_password)]


class WindowsDevice(NetworkDevice):
    """One connection, by Windows' name for it or by MAC address."""

    device: Annotated[str, AfterValidator(_connection)]


class WindowsUser(User):
    """A local account. Its password is kept sealed, since Windows takes no hash."""

    name: Annotated[str, AfterValidator(_account_name)]
    password: WindowsPassword | None = Field(  # type: ignore[assignment]  # read only
        default=None, repr=False, description="Needed; kept sealed"
    )
    groups: list[Annotated[str, AfterValidator(_group)]] = Field(default_factory=list, description="Further local groups")
    sudo: bool = Field(default=False, description="Member of Administrators instead of Users")

    @model_validator(mode="after")
    def _fits_windows(self) -> Self:
        if self.password is None:
            raise ValueError("a password: without one anybody can log in, and with a hash nobody")
        if self.sshKeys or self.uid is not None or self.shell != "/bin/bash":
            raise ValueError("a user without sshKeys, uid and shell, which Windows does not have")
        return self


class WindowsOptions(CommonOptions):
    """What Windows takes."""

    refused: ClassVar[Mapping[str, str]] = {
        "rootPasswordHash": "Windows' answer file takes no hash; give rootPassword, which is kept sealed",
        "rootSshKeys": "Windows has no SSH server by itself; scripts.firstboot can install one",
        "packages": "scripts.firstboot can install software",
        "layout": "pxed divides the disk as Windows expects it: system partition and Windows",
        "installPartitions": "pxed divides the disk as Windows expects it; scripts.firstboot can make further partitions (diskpart)",
        "proxy": "the installer takes everything from this appliance or the share",
        "console": "Windows PE has no serial console",
        "kernelArgs": "Windows has no kernel arguments",
        "targetKernelArgs": "Windows has no kernel arguments",
        "installInterface": "Windows PE uses every interface",
        "remoteLogging": "Windows PE has no syslog; a failure brings its log along",
        "enableServices": "scripts.firstboot can (sc config NAME start= auto)",
        "disableServices": "scripts.firstboot can (sc config NAME start= disabled)",
        "firewall": "Windows' own name for it is firewallDisable",
        "bonds": "scripts.firstboot can (New-NetLbfoTeam, New-VMSwitch)",
    }

    hidden: ClassVar[tuple[str, ...]] = (
        *(f"WindowsUser.{name}" for name in ("passwordHash", "sshKeys", "uid", "shell")),
        *(f"Disk.{name}" for name in ("path", "serial", "wwn", "size")),
        *(f"{model}.{name}" for model in ("Ipv4", "Ipv6") for name in ("vlanIds", "mtu")),
    )

    rootPassword: WindowsPassword | None = Field(  # type: ignore[assignment]  # read only
        default=None, repr=False, description="The Administrator's; kept sealed. Default: password"
    )
    users: list[WindowsUser] = Field(default_factory=list)  # type: ignore[assignment]  # read only, so narrower is safe
    username: Annotated[str, AfterValidator(_account_name)] | None = Field(
        default=None, description="RackHD's: an account in Administrators, with password"
    )
    password: WindowsPassword | None = Field(
        default=None, repr=False, description="RackHD's: of username, and of the Administrator unless rootPassword is given"
    )
    keyboard: Annotated[str, AfterValidator(_keyboard)] = "us"
    networkDevices: list[WindowsDevice] = Field(  # type: ignore[assignment]  # read only, so narrower is safe
        default_factory=list, description="The installed system's connections; none: every one asks DHCP"
    )
    disk: Annotated[Disk, BeforeValidator(_disk)] | None = Field(
        default=None,
        validation_alias=names("disk", "installDisk"),
        description="index (counted over the disks that are not USB) or model; default: the first",
    )
    edition: Annotated[str, Field(pattern=_EDITION), _GIVEN_EDITION] | None = Field(
        default=None,
        validation_alias=names("edition", "imageIndex", "imageName"),
        description="Number, name or edition of the image on the medium; default: Standard with desktop, or Pro",
    )
    productkey: Annotated[Kept, Reversible(_product_key)] | None = Field(
        default=None, repr=False, description="Kept sealed. Without it the medium's own, or that of the firmware"
    )
    firewallDisable: bool = Field(default=False, description="Switch Windows' firewall off")
    remoteDesktop: bool = Field(default=False, description="Allow Remote Desktop, and let it through the firewall")
    smbRepo: Annotated[str, AfterValidator(_share)] | None = Field(
        default=None, description=r"Take the image from this share (\\server\share, which holds sources\install.wim) instead of by HTTP"
    )
    smbUser: Annotated[str, Field(pattern=r"^[A-Za-z0-9._@\\ -]{1,100}$")] | None = None
    smbPassword: Annotated[Kept, Reversible(_share_password)] | None = Field(default=None, repr=False, description="Kept sealed")

    @model_validator(mode="before")
    @classmethod
    def _plain_number(cls, given: Any) -> Any:
        """``imageIndex: 2`` is a number in JSON."""
        if not isinstance(given, Mapping):
            return given
        numbers = [name for name in ("edition", "imageIndex") if isinstance(given.get(name), int) and not isinstance(given[name], bool)]
        return {**given, **{name: str(given[name]) for name in numbers}}

    @field_validator("timezone")
    @classmethod
    def _known_to_windows(cls, zone: str) -> str:
        time_zone(zone)
        return zone

    @model_validator(mode="after")
    def _fits_windows(self) -> Self:
        if self.hostname is not None and (len(self.hostname) > COMPUTER_NAME or self.hostname.isdigit()):
            raise ValueError(f"a hostname of up to {COMPUTER_NAME} characters that are not all digits: Windows takes no other")
        if self.username is not None and self.username.lower() in {user.name.lower() for user in self.users}:
            raise ValueError("users with different names (username is one of them)")
        for device in self.networkDevices:
            _fits_windows(device)
        return self

    def lacking(self) -> tuple[str, str] | None:
        """What belongs to an option that is given."""
        if self.username is not None and self.password is None:
            return "password", "a password, since username is given"
        share = {"smbRepo": self.smbRepo, "smbUser": self.smbUser, "smbPassword": self.smbPassword}
        missing = next((name for name, value in share.items() if value is None), None)
        if missing is not None and any(value is not None for value in share.values()):
            return missing, "smbRepo, smbUser and smbPassword together: Windows' clients refuse to be guests"
        return super().lacking()

    def warnings(self) -> list[str]:
        """As for other systems; Windows' own words for it."""
        administrators = [user for user in self.users if user.sudo or "Administrators" in user.groups]
        if administrators or self.username or self.rootPassword or self.password:
            return []
        return ["Nobody is an administrator of the installed system. Give a user sudo, or rootPassword"]

    def sealed(self) -> Self:
        """As they are: nothing here can be hashed."""
        return self

    @property
    def accounts(self) -> list[tuple[str, str, str, str]]:
        """(name, password, groups as ``A;B``, full name) of every local account. For revealed options."""
        first = [(self.username, plain(self.password), "Administrators", self.username)] if self.username else []
        return [
            *first,
            *(
                (
                    user.name,
                    plain(user.password),
                    ";".join(dict.fromkeys(["Administrators" if user.sudo else "Users", *user.groups])),
                    user.gecos or user.name,
                )
                for user in self.users
            ),
        ]


def _fits_windows(device: NetworkDevice) -> None:
    """ValueError for what the answer file cannot say of an interface."""
    for given in (device.ipv4, device.ipv6):
        if given is not None and (given.vlanIds or given.mtu):
            raise ValueError(
                f"the network device {device.device} without vlanIds and mtu: Windows sets both in the driver of the card; "
                "scripts.firstboot can (Set-NetAdapter -VlanID, netsh interface ipv4 set subinterface)"
            )
