"""Partitions > a recipe for debian-installer's partman-auto. Pure.

Source: debian-installer's doc/devel/partman-auto-recipe.txt. One recipe is a row of ``MIN PRIORITY MAX FS specifiers .``; sizes are
megabytes of 10^6 bytes; MAX -1 takes what is left. Words in braces need blanks around them.
"""

from __future__ import annotations

from collections.abc import Sequence

from pxed.oses.disk import Partition

NAME = "pxed"
ESP = "/boot/efi"
ESP_MB = 538
BOOT_MB = 1000
GROW_MINIMUM_MB = 500


def expert_recipe(partitions: Sequence[Partition], *, uefi: bool, lvm: bool) -> str:
    """The one logical line for ``partman-auto/expert_recipe``: what the firmware needs first, then `partitions` in their order.

    With UEFI a partition /boot/efi among them is the EFI system partition, which partman mounts there by itself.
    """
    if uefi:
        named = next((part.size for part in partitions if part.mountPoint == ESP), "grow")
        size = ESP_MB if named == "grow" else named
        rows = [_row(size, "free", "$iflabel{ gpt }", "$reusemethod{ }", "method{ efi }", "format{ }")]
        partitions = [part for part in partitions if part.mountPoint != ESP]
    else:
        rows = [_row(1, "free", "$iflabel{ gpt }", "$reusemethod{ }", "method{ biosgrub }")]
    if lvm and not any(part.mountPoint == "/boot" for part in partitions):
        rows.append(_file_system(Partition.model_validate({"mountPoint": "/boot", "size": BOOT_MB}), lvm=True))
    rows += [_file_system(part, lvm=lvm) for part in partitions]
    return f"{NAME} :: " + " ".join(rows)


def needed_megabytes(partitions: Sequence[Partition], *, lvm: bool) -> int:
    """What a disk must hold at least, in megabytes of 10^6 bytes, with alignment and LVM's own needs.

    partman itself, when a recipe does not fit, silently takes one of its own.
    """
    asked = sum(GROW_MINIMUM_MB if part.size == "grow" else int(part.size) for part in partitions)
    boot = BOOT_MB if lvm and not any(part.mountPoint == "/boot" for part in partitions) else 0
    esp = 0 if any(part.mountPoint == ESP for part in partitions) else ESP_MB
    return asked + boot + esp + 8 * (len(partitions) + 2)


def _file_system(part: Partition, *, lvm: bool) -> str:
    words = ["$primary{ }", "$bootable{ }"] if part.mountPoint == "/boot" else []
    if lvm:
        words.append("$defaultignore{ }" if part.mountPoint in ("/boot", ESP) else "$lvmok{ }")
    if part.fsType == "swap":
        words += ["method{ swap }", "format{ }"]
    else:
        kind = "fat32" if part.fsType == "vfat" else part.fsType
        words += ["method{ format }", "format{ }", "use_filesystem{ }", f"filesystem{{ {kind} }}", f"mountpoint{{ {part.mountPoint} }}"]
    if part.label:
        words.append(f"label{{ {part.label} }}")
    # The row's own word for the file system is only the partition's type, and Debian 12 knows neither xfs nor btrfs there.
    return _row(part.size, {"swap": "linux-swap", "vfat": "fat32"}.get(part.fsType, "ext4"), *words)


def _row(size: int | str, kind: str, *words: str) -> str:
    numbers = f"{GROW_MINIMUM_MB} 10000 -1" if size == "grow" else f"{size} {size} {size}"
    return " ".join([numbers, kind, *words, "."])
