"""What can be said about an ESXi install. RackHD's names are accepted unchanged.

ESXi divides its disk itself, counts in UTC and has no packages: such options are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pxed.oses.accounts import User
from pxed.oses.disk import Disk, disk_choice
from pxed.oses.network import Interface, NetworkDevice
from pxed.oses.options import CommonOptions
from pxed.oses.strict import Strict, names

KEYBOARDS: Mapping[str, str] = {
    "us": "US Default", "be": "Belgian", "br": "Brazilian", "ch": "Swiss German", "ch-fr": "Swiss French", "cz": "Czechoslovakian",
    "de": "German", "dk": "Danish", "ee": "Estonian", "es": "Spanish", "fi": "Finnish", "fr": "French", "gb": "United Kingdom",
    "gr": "Greek", "hr": "Croatian", "is": "Icelandic", "it": "Italian", "jp": "Japanese", "latam": "Latin American", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ru": "Russian", "se": "Swedish", "si": "Slovenian", "tr": "Turkish", "us-dvorak": "US Dvorak",
}  # fmt: skip
"""XKB's name of a layout > the installer's."""
UARTS = ("0x3f8", "0x2f8", "0x3e8", "0x2e8")
"""I/O ports of com1 to com4."""
CRYPT = ("$6$", "$5$")
"""What ESXi can verify of crypt(3)."""

_DISK = re.compile(r"(?:/vmfs/devices/disks/)?((?:t10|naa|eui|mpx|vml)\.[A-Za-z0-9._:+-]{1,200})")
_FIRST = r"firstdisk(?:=[A-Za-z0-9_.,-]{1,100})?"
_SWITCH = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,30}$"


def _esx_disk(value: Any) -> Any:
    """ESXi's own names of disks > ``esx``; everything else as for other systems, but ESXi has no device paths."""
    if isinstance(value, str) and (found := re.fullmatch(_FIRST, value) or _DISK.fullmatch(value)):
        return {"esx": found[found.lastindex or 0]}
    chosen = disk_choice(value)
    if isinstance(chosen, dict) and chosen.get("path") is not None:
        raise ValueError("a disk as ESXi names it (firstdisk, naa..., t10..., mpx...), or its serial, wwn, model, size or index")
    return chosen


def _cleared(value: str) -> str:
    parts = [part.strip().removeprefix("/vmfs/devices/disks/") for part in value.split(",")]
    if value not in ("alldrives", "firstdisk") and not all(_DISK.fullmatch(part) for part in parts):
        raise ValueError("alldrives, firstdisk, or names of disks as ESXi has them (naa..., t10..., mpx...), separated by commas")
    return ",".join(parts)


class EsxDisk(Disk):
    """The disk to install on: by ESXi's own name for it (`esx`), or by what it is; then it is chosen on the node."""

    path: None = None
    esx: Annotated[str, Field(pattern=rf"^(?:{_FIRST}|(?:t10|naa|eui|mpx|vml)\.[A-Za-z0-9._:+-]{{1,200}})$")] | None = Field(
        default=None, description="firstdisk, firstdisk=local, naa.600508b1001c..., t10.ATA..., mpx.vmhba0:C0:T0:L0"
    )

    @model_validator(mode="after")
    def _esx_alone(self) -> Self:
        if self.esx is not None and any(each is not None for each in (self.serial, self.wwn, self.model, self.size, self.index)):
            raise ValueError("esx alone, or serial, wwn, model, size, index without it")
        return self


class Switch(Strict):
    """A virtual switch; uplinks are vmnic names or MAC addresses."""

    switchName: Annotated[str, Field(pattern=_SWITCH)]
    uplinks: list[Interface] = Field(default_factory=list)
    failoverPolicy: Literal["explicit", "iphash", "mac", "portid"] | None = None


class EsxDevice(NetworkDevice):
    """A VMkernel interface above the NIC `device` (vmnic0, or its MAC address); the first one is for management."""

    esxSwitchName: Annotated[str, Field(pattern=_SWITCH)] | None = Field(
        default=None, description="Its virtual switch; default: vSwitch0 for the first device, vSwitch1 for the second ..."
    )


class EsxiOptions(CommonOptions):
    """What ESXi takes."""

    refused: ClassVar[Mapping[str, str]] = {
        "packages": "ESXi has no packages; scripts.firstboot can install VIBs (esxcli software vib install)",
        "layout": "ESXi divides its disk itself",
        "installPartitions": "ESXi divides its disk itself; kernelArgs systemMediaSize=small makes less of it",
        "locale": "ESXi speaks English",
        "timezone": "ESXi keeps its clock in UTC",
        "proxy": "ESXi's installer takes everything from pxed itself",
        "targetKernelArgs": "scripts.firstboot can change kernel settings (esxcli system settings kernel set)",
        "after": "ESXi's installer restarts the machine",
        "bonds": "ESXi has switchDevices with several uplinks instead",
        "enableServices": "scripts.firstboot can (/etc/init.d/... or vim-cmd hostsvc)",
        "disableServices": "scripts.firstboot can (/etc/init.d/... or vim-cmd hostsvc)",
        "productkey": "scripts.firstboot can set the licence (vim-cmd vimsvc/license --set=...)",
    }

    hidden: ClassVar[tuple[str, ...]] = ("User.uid", "User.groups", "User.shell", "Scripts.post", "EsxDisk.path")
    post_install: ClassVar[str] = "firstboot"

    disk: Annotated[EsxDisk, BeforeValidator(_esx_disk)] | None = Field(
        default=None,
        validation_alias=names("disk", "installDisk"),
        description="Without it the first disk as ESXi counts: local ones first",
    )
    networkDevices: list[EsxDevice] = Field(  # type: ignore[assignment]  # read only, so narrower is safe
        default_factory=list, description="VMkernel interfaces; none: the installer's NIC with DHCP"
    )
    clearDisk: Annotated[str, AfterValidator(_cleared)] | None = Field(
        default=None, description="alldrives, or names of disks; default: the disk that is installed on"
    )
    vmfs: Literal["overwrite", "preserve", "none"] = Field(
        default="overwrite", description="The datastore on the disk: made new, kept if there is one, or not made"
    )
    switchDevices: list[Switch] = Field(default_factory=list)
    allowUnsupported: bool = Field(default=False, description="Install although ESXi warns of this machine (old processor, little memory)")
    comportaddress: Literal["0x3f8", "0x2f8", "0x3e8", "0x2e8"] | None = Field(
        default=None, description="The console's I/O port, com1's unless another console is named; default: that console's usual one"
    )
    gdbPort: Literal["com1", "com2", "none", "default"] = "default"
    logPort: Literal["com1", "com2", "none", "default"] | None = None
    debugLogToSerial: Literal["0", "1", "2"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _com1_at_that_port(cls, given: Any) -> Any:
        """RackHD's console is com1 unless another is named, so that its ``comportaddress`` alone asks for one."""
        if not isinstance(given, Mapping) or given.get("comportaddress") is None or {"console", "comport"} & set(given):
            return given
        return {**given, "comport": "com1"}

    @model_validator(mode="after")
    def _fits_esxi(self) -> Self:
        hashes = [self.rootPasswordHash, *(user.passwordHash for user in self.users)]
        if any(each is not None and not each.startswith(CRYPT) for each in hashes):
            raise ValueError("password hashes that begin with $6$ or $5$; ESXi knows no others")
        if self.scripts.post:
            raise ValueError("scripts.firstboot instead of scripts.post: ESXi's installer has no way into the new system")
        if self.keyboard not in KEYBOARDS:
            raise ValueError(f"a keyboard that ESXi has: {', '.join(KEYBOARDS)}")
        for user in self.users:
            _fits_esxi(user)
        return self

    def lacking(self) -> tuple[str, str] | None:
        """Root's password."""
        if self.rootPassword is None and self.rootPasswordHash is None:
            return "rootPassword", "a password, or rootPasswordHash: ESXi's installer does not go on without one"
        return super().lacking()

    @property
    def keyboard_name(self) -> str:
        """As the installer spells it."""
        return KEYBOARDS[self.keyboard]

    @property
    def esx_disk(self) -> str | None:
        """``--firstdisk`` or ``--disk=...``; None if the disk has to be chosen on the node."""
        if self.disk is None:
            return "--firstdisk"
        if self.disk.esx is None:
            return None
        return f"--{self.disk.esx}" if self.disk.esx.startswith("firstdisk") else f"--disk={self.disk.esx}"

    @property
    def cleared(self) -> str | None:
        """Which disks clearpart clears: ``--alldrives``, ``--firstdisk``, ``--drives=...``; None: the one chosen on the node."""
        if self.clearDisk is not None:
            return f"--{self.clearDisk}" if self.clearDisk in ("alldrives", "firstdisk") else f"--drives={self.clearDisk}"
        return self.esx_disk.replace("--disk=", "--drives=") if self.esx_disk is not None else None

    @property
    def install_words(self) -> list[str]:
        """The rest of the install command."""
        kept = {"overwrite": ["--overwritevmfs"], "preserve": ["--preservevmfs"], "none": ["--overwritevmfs", "--novmfsondisk"]}[self.vmfs]
        return [*kept, *(["--forceunsupportedinstall"] if self.allowUnsupported else [])]

    @property
    def serial_arguments(self) -> list[str]:
        """Boot options of RackHD's vocabulary for a serial console; none without one."""
        if self.console is None:
            words = [
                *([f"logPort={self.logPort}"] if self.logPort else []),
                *([f"gdbPort={self.gdbPort}"] if self.gdbPort != "default" else []),
            ]
        else:
            number = int(re.sub(r"\D", "", self.console.device))
            port = self.comportaddress or UARTS[min(number, 3)]
            com = f"com{number + 1}" if self.comportaddress is None else "com1"
            words = [
                f"{com}_baud={self.console.baud}", f"{com}_Port={port}", f"tty2Port={com}", f"gdbPort={self.gdbPort}",
                f"logPort={self.logPort or com}",
            ]  # fmt: skip
        debug = self.debugLogToSerial or ("1" if self.console else None)
        return [*words, *([f"debugLogToSerial={debug}"] if debug else [])]


def _fits_esxi(user: User) -> None:
    """ValueError for what ESXi's accounts don't have."""
    if user.uid is not None or user.groups or user.shell != "/bin/bash":
        raise ValueError(
            f"the user {user.name} without uid, groups and shell: ESXi numbers its accounts itself and has roles (sudo: Admin)"
        )
