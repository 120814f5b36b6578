"""What an Agama profile may hold, as far as pxed writes it: a reader of our own, for want of a schema that a package brings.

Names, types and choices are those that the profile's JSON schemas of SLES 16.0 and of its successor have in common (Agama's profile
reference). Everything unknown is refused, as both refuse it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Product(_Part):
    id: Literal["SLES", "openSUSE_Leap"]


class Questions(_Part):
    policy: Literal["auto", "user"]


class Hostname(_Part):
    static: str


class Localization(_Part):
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}_[A-Z]{2}(\.UTF-8)?(@[a-z]+)?$")]
    keyboard: str
    timezone: str


class Root(_Part):
    password: Annotated[str, Field(min_length=1)]
    hashedPassword: Literal[True]


class FileSystem(_Part):
    path: Annotated[str, Field(pattern=r"^(/|swap)")]
    type: Literal["btrfs", "ext2", "ext3", "ext4", "vfat", "xfs", "swap"]
    mountBy: Literal["device", "id", "label", "path", "uuid"]
    label: str | None = None


class Range(_Part):
    min: Annotated[int, Field(gt=0)]
    max: int | None = None


Size = Annotated[int, Field(gt=0)] | Range


class Cleared(_Part):
    search: Literal["*"]
    delete: Literal[True]


class Generated(_Part):
    generate: Literal["default", "mandatory"]


class NewPartition(_Part):
    filesystem: FileSystem | None = None
    alias: str | None = None
    id: Literal["linux", "swap", "lvm", "raid", "esp", "prep", "bios_boot"] | None = None
    size: Size

    @model_validator(mode="after")
    def _of_some_use(self) -> NewPartition:
        assert (self.filesystem is None) == (self.id == "lvm")
        return self


class Drive(_Part):
    search: Annotated[str, Field(pattern=r"^/dev/")]
    alias: str
    ptableType: Literal["gpt", "msdos", "dasd"]
    partitions: list[Cleared | Generated | NewPartition]


class Volume(_Part):
    name: Annotated[str, Field(pattern=r"^[^/]+$")]
    filesystem: FileSystem
    size: Size


class VolumeGroup(_Part):
    name: Annotated[str, Field(pattern=r"^[^/]+$")]
    physicalVolumes: list[str]
    logicalVolumes: list[Generated | Volume]


class Boot(_Part):
    configure: bool
    device: str


class Storage(_Part):
    boot: Boot
    drives: list[Drive]
    volumeGroups: list[VolumeGroup] = []

    @model_validator(mode="after")
    def _aliases_exist(self) -> Storage:
        parts = [part.alias for drive in self.drives for part in drive.partitions if isinstance(part, NewPartition)]
        assert all(volume in parts for group in self.volumeGroups for volume in group.physicalVolumes)
        assert self.boot.device in [drive.alias for drive in self.drives]
        return self


class Patterns(_Part):
    add: list[str]


class Software(_Part):
    patterns: list[str] | Patterns | None = None
    packages: list[str]


class Bootloader(_Part):
    extraKernelParams: str


class Script(_Part):
    name: Annotated[str, Field(pattern=r"^[a-z-]+$")]
    content: Annotated[str, Field(pattern=r"^#!/bin/sh\n")]


class PostScript(Script):
    chroot: bool


class Scripts(_Part):
    postPartitioning: list[Script]
    post: list[PostScript]


class Profile(_Part):
    product: Product
    questions: Questions
    hostname: Hostname | None = None
    localization: Localization
    root: Root
    storage: Storage
    software: Software
    bootloader: Bootloader | None = None
    scripts: Scripts
