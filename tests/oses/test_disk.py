"""Disks and partitions: RackHD's spellings, and the recipe that partman reads."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from pxed.oses.curtin import storage
from pxed.oses.disk import Disk, Partition, check_partitions, disk_choice
from pxed.oses.partman import expert_recipe, needed_megabytes


def partition(**given: Any) -> Partition:
    return Partition.model_validate({"mountPoint": "/", "size": 1000, **given})


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ("/dev/sda", {"path": "/dev/sda"}),
        ("sdb", {"path": "/dev/sdb"}),
        ("nvme0n1", {"path": "/dev/nvme0n1"}),
        (2, {"index": 2}),
        ("2", {"index": 2}),
        ("largest", {"size": "largest"}),
        ("wwn-0x5000c500a", {"wwn": "wwn-0x5000c500a"}),
        ("/dev/disk/by-id/ata-X_1", {"path": "/dev/disk/by-id/ata-X_1"}),
    ],
)
def test_rackhds_install_disk_in_every_form(given: object, chosen: dict[str, Any]) -> None:
    assert disk_choice(given) == chosen
    Disk.model_validate(chosen)


@pytest.mark.parametrize(
    "given",
    [
        {"path": "sda"},
        {"path": "/dev/../etc"},
        {"path": "/dev/sda", "serial": "x"},
        {"index": 1, "size": "largest"},
        {"serial": "a\nb"},
        {"serial": "$(x)"},
        {"index": -1},
        {"size": "huge"},
    ],
)
def test_a_disk_that_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Disk.model_validate(given)


@pytest.mark.parametrize(
    ("size", "megabytes"), [(500, 500), ("500", 500), ("500M", 500), ("20G", 20_000), ("2 TB", 2_000_000), ("auto", "grow"), (-1, "grow")]
)
def test_sizes_in_every_spelling(size: object, megabytes: object) -> None:
    assert partition(size=size).size == megabytes


@pytest.mark.parametrize(
    "given",
    [
        {"size": "50%"},
        {"size": 0},
        {"size": True},
        {"size": "1.5G"},
        {"mountPoint": "var"},
        {"mountPoint": "/a b"},
        {"mountPoint": "/a{ }"},
        {"mountPoint": "/../x"},
        {"fsType": "ntfs"},
        {"label": "a b"},
    ],
)
def test_a_partition_that_cannot_be_made_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        partition(**given)


def test_the_mount_point_swap_means_the_file_system_swap() -> None:
    assert partition(mountPoint="swap").fsType == "swap"
    assert partition(mountPoint="swap", fsType="ext4").fsType == "swap"


def test_partitions_must_hold_a_root_once_and_one_that_grows_at_most() -> None:
    for wrong in (
        [partition(mountPoint="/var")],
        [partition(), partition()],
        [partition(size="auto"), partition(mountPoint="/v", size="auto")],
    ):
        with pytest.raises(ValueError, match=r"mount point|at most one"):
            check_partitions(wrong)


def rows(recipe: str) -> list[str]:
    assert "\n" not in recipe
    name, rest = recipe.split(" :: ")
    assert name == "pxed"
    return [row.strip() for row in re.findall(r"(.*?) \.(?: |$)", rest)]


def test_a_recipe_has_what_the_firmware_needs_first() -> None:
    parts = [partition(size="auto")]
    assert "method{ efi }" in rows(expert_recipe(parts, uefi=True, lvm=False))[0]
    assert "method{ biosgrub }" in rows(expert_recipe(parts, uefi=False, lvm=False))[0]


def test_a_recipe_keeps_sizes_order_and_file_systems() -> None:
    parts = [
        partition(mountPoint="/boot", size=500, fsType="ext3"),
        partition(mountPoint="swap", size="2G"),
        partition(size="auto", fsType="xfs", label="r"),
    ]
    found = rows(expert_recipe(parts, uefi=True, lvm=False))[1:]
    assert [row.split(" ")[:4] for row in found] == [["500"] * 3 + ["ext4"], ["2000"] * 3 + ["linux-swap"], ["500", "10000", "-1", "ext4"]]
    assert "mountpoint{ /boot }" in found[0]
    assert "method{ swap }" in found[1]
    assert "filesystem{ xfs }" in found[2]
    assert "label{ r }" in found[2]


def test_lvm_keeps_boot_outside_and_makes_one_if_there_is_none() -> None:
    found = rows(expert_recipe([partition(size="auto"), partition(mountPoint="/var", size=100)], uefi=True, lvm=True))
    assert "mountpoint{ /boot }" in found[1]
    assert "$lvmok{ }" not in found[1]
    assert all("$lvmok{ }" in row for row in found[2:])


@pytest.mark.parametrize(("point", "kind"), [("swap", "swap"), ("/boot/efi", "vfat"), ("/boot/efi/", "vfat")])
def test_swap_and_the_efi_system_partition_have_one_file_system_however_it_is_written(point: str, kind: str) -> None:
    for more in ({}, {"fsType": "ext4"}, {"filesystem": kind}, {"filesystem": "ext4"}):
        assert Partition.model_validate({"mountPoint": point, "size": 600, **more}).fsType == kind


@pytest.mark.parametrize("lvm", [False, True])
def test_an_efi_system_partition_of_ones_own_is_the_only_one_for_partman(*, lvm: bool) -> None:
    parts = [partition(mountPoint="/boot/efi", size=600), partition(mountPoint="/boot", size=500), partition(size="auto")]
    found = rows(expert_recipe(parts, uefi=True, lvm=lvm))
    assert [row.split(" ")[0] for row in found] == ["600", "500", "500"]
    assert ["method{ efi }" in row for row in found] == [True, False, False]
    assert "/boot/efi" not in " ".join(found)
    assert needed_megabytes(parts, lvm=lvm) == needed_megabytes(parts[1:], lvm=lvm) - 538 + 600 + 8
    bios = rows(expert_recipe(parts, uefi=False, lvm=lvm))
    assert [("method{ biosgrub }" in row, "$lvmok{ }" in row) for row in bios] == [
        (True, False),
        (False, False),
        (False, False),
        (False, lvm),
    ]
    grows = [partition(mountPoint="/boot/efi", size="auto"), partition(size=20_000)]
    assert rows(expert_recipe(grows, uefi=True, lvm=lvm))[0].startswith("538 538 538 free ")


@pytest.mark.parametrize("lvm", [False, True])
def test_an_efi_system_partition_of_ones_own_is_the_only_one_for_curtin(*, lvm: bool) -> None:
    parts = [partition(mountPoint="/boot/efi", size=600, label="esp"), partition(size="auto")]
    actions = storage(parts, uefi=True, lvm=lvm, path="/dev/sda")["config"]
    (esp,) = (each for each in actions if each.get("grub_device"))
    assert (esp["flag"], esp["size"]) == ("boot", 573 * 2**20)
    (form,) = (each for each in actions if each.get("fstype") in ("fat32", "vfat"))
    assert (form["volume"], form["label"]) == (esp["id"], "esp")
    assert [each["path"] for each in actions if each["type"] == "mount" and "efi" in each["path"]] == ["/boot/efi"]
    bios = storage(parts, uefi=False, lvm=lvm, path="/dev/sda")["config"]
    (form,) = (each for each in bios if each.get("fstype") == "vfat")
    assert {each["id"]: each["type"] for each in bios}[form["volume"]] == "partition"
    grows = [partition(mountPoint="/boot/efi", size="auto"), partition(size=20_000)]
    assert -1 not in [each.get("size") for each in storage(grows, uefi=True, lvm=False, path="/dev/sda")["config"]]


def test_models_share_the_strict_base() -> None:
    assert issubclass(Disk, BaseModel)
    with pytest.raises(ValidationError, match="extra"):
        Disk.model_validate({"pth": "/dev/sda"})
