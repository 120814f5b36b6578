"""Which disk to install on and how to divide it. Nothing here knows an installer's own words.

A disk is chosen by what it is (serial number, WWN, model, size, kind) or by its device path; the choice is made on the node, by the
installer's hook, because only there the disks are known. Several criteria must all hold.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from pxed.oses.strict import Strict, names

SIZE_RULES = ("first", "smallest", "largest", "ssd")
PLACEHOLDER = "/dev/pxed-disk"
"""Stands in an installer's answers for the disk until a hook has chosen one on the node. No disk is called so: what is not replaced
fails, and installs nowhere."""
_MARK = re.compile(r"[A-Za-z0-9._:+@=/# -]{1,100}")


def _path(value: str) -> str:
    if not re.fullmatch(r"/dev/[A-Za-z0-9._:+@=/-]{1,150}", value) or ".." in value:
        raise ValueError("a device path like /dev/sda or /dev/disk/by-id/...")
    return value


def _mark(value: str) -> str:
    if not _MARK.fullmatch(value.strip()):
        raise ValueError("letters, digits, blanks and . _ : + @ = / # - as the disk itself reports them")
    return value.strip()


_GIVEN_SIZE = WithJsonSchema(
    {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^([1-9][0-9]{0,8}\s*[MGT]?|auto|grow)$"}]}
)
"""Sizes as they are written; what is stored is a number or ``grow``."""
Mark = Annotated[str, AfterValidator(_mark)]


class Disk(Strict):
    """The disk to install on: everything that is given must hold; `size` picks among what is left, else the first."""

    path: Annotated[str, AfterValidator(_path)] | None = None
    serial: Mark | None = None
    wwn: Mark | None = Field(default=None, description="World-wide name, with or without 0x, naa. or wwn-")
    model: Mark | None = Field(default=None, description="A part of the model's name, upper and lower case alike")
    size: Literal["first", "smallest", "largest", "ssd"] | None = Field(default=None, description="ssd: the first that does not rotate")
    index: int | None = Field(default=None, ge=0, le=255, description="The n-th fixed disk, counted from 0 (RackHD's drive id)")

    @model_validator(mode="after")
    def _path_alone(self) -> Disk:
        others = (self.serial, self.wwn, self.model, self.size, self.index)
        if self.path is not None and any(other is not None for other in others):
            raise ValueError("a path alone, or serial, wwn, model, size, index without a path")
        if self.index is not None and self.size is not None:
            raise ValueError("either index or size")
        return self


ANY_DISK = Disk()
"""The first that there is."""


def disk_choice(value: Any) -> Any:
    """RackHD's ``installDisk``: a device path, a bare device name, a wwid or a drive's number > the fields of `Disk`."""
    if isinstance(value, bool) or value is None or isinstance(value, dict | Disk):
        return value
    if isinstance(value, int):
        return {"index": value}
    if isinstance(value, str):
        if value in SIZE_RULES:
            return {"size": value}
        if value.startswith("/"):
            return {"path": value}
        if re.fullmatch(r"(?:[shv]d[a-z]{1,3}|xvd[a-z]|nvme\d+n\d+|mmcblk\d+)", value):
            return {"path": f"/dev/{value}"}
        return {"index": int(value)} if value.isascii() and value.isdigit() and len(value) < 4 else {"wwn": value}
    return value


def megabytes(value: Any) -> Any:
    """``500``, ``"500"`` or ``"500M"``, ``"20G"``, ``"2T"`` > whole megabytes (10^6 bytes); ``auto`` > ``grow``."""
    shown = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if shown.lower() in ("auto", "grow", "max", "-1"):
        return "grow"
    found = re.fullmatch(r"([1-9][0-9]{0,8})\s*([MGT]?)(?:i?B)?", shown, re.IGNORECASE)
    if not found:
        raise ValueError("a size in megabytes (500), with a unit (500M, 20G, 2T), or auto for what is left")
    return int(found[1]) * {"": 1, "M": 1, "G": 1000, "T": 1_000_000}[found[2].upper()]


def _mount_point(value: str) -> str:
    if value != "swap" and (not re.fullmatch(r"/[A-Za-z0-9._/-]{0,100}", value) or ".." in value or "//" in value):
        raise ValueError("an absolute path like /var, or swap")
    return value if value == "/" else value.rstrip("/")


class Partition(Strict):
    """One partition (or logical volume, if the layout is lvm)."""

    mountPoint: Annotated[str, AfterValidator(_mount_point)]
    size: Annotated[int | Literal["grow"], _GIVEN_SIZE] = Field(
        description="Megabytes of 10^6 bytes, or with a unit (500M, 20G, 2T), or auto for what is left"
    )
    fsType: Literal["ext4", "ext3", "ext2", "xfs", "btrfs", "vfat", "swap"] = Field(
        default="ext4", validation_alias=names("fsType", "filesystem")
    )
    label: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,12}$")] | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_words(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        made = {**given, "size": megabytes(given["size"])} if "size" in given else dict(given)
        only = {"swap": "swap", "/boot/efi": "vfat"}.get(str(made.get("mountPoint")).rstrip("/"))
        if only is None:
            return made
        return {name: value for name, value in made.items() if name != "filesystem"} | {"fsType": only}


def check_partitions(partitions: list[Partition]) -> list[Partition]:
    """A root, no mount point twice, at most one that takes what is left. ValueError otherwise."""
    points = [part.mountPoint for part in partitions if part.mountPoint != "swap"]
    if partitions and "/" not in points:
        raise ValueError("a partition with the mount point /")
    if len(points) != len(set(points)):
        raise ValueError("each mount point once")
    if sum(part.size == "grow" for part in partitions) > 1:
        raise ValueError("at most one partition of size auto")
    return partitions
