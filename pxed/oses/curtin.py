"""Partitions > the actions of curtin, which subiquity (Ubuntu's installer) takes below ``storage: config:``.
Pure.

Source: curtin's documentation, "Storage"; Ubuntu's autoinstall reference, "storage". Sizes are bytes, whole MiB as
curtin wants them; ``-1`` takes what is left and so comes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pxed.oses.disk import Partition

ESP = "/boot/efi"
ESP_MB = 538
BOOT_MB = 1000
MIB = 1 << 20


def storage(partitions: Sequence[Partition], *, uefi: bool, lvm: bool, path: str) -> dict[str, Any]:
    """The whole section: what the firmware needs first, then `partitions` in their order (the one that grows last) on the disk `path`.

    With UEFI a partition /boot/efi among them is the EFI system partition.
    """
    own = next((part for part in partitions if uefi and part.mountPoint == ESP), None)
    partitions = [part for part in partitions if part is not own]
    actions = [
        {
            "type": "disk",
            "id": "disk",
            "path": path,
            "ptable": "gpt",
            "wipe": "superblock-recursive",
            "preserve": False,
            "grub_device": not uefi,
        }
    ]
    if uefi:
        actions.append(_partition("esp", own.size if own and own.size != "grow" else ESP_MB, flag="boot", grub_device=True))
    else:
        actions.append(_partition("biosgrub", 1, flag="bios_grub"))
    outside = [part for part in partitions if part.mountPoint in ("/boot", ESP)] if lvm else _last(partitions)
    if lvm and not any(part.mountPoint == "/boot" for part in outside):
        outside = [*outside, Partition.model_validate({"mountPoint": "/boot", "size": BOOT_MB})]
    actions += [_partition(f"part{place}", part.size) for place, part in enumerate(outside)]
    inside = _last([part for part in partitions if part.mountPoint not in ("/boot", ESP)]) if lvm else []
    if lvm:
        actions.append(_partition("pv", "grow"))
        actions.append({"type": "lvm_volgroup", "id": "vg", "name": "vg0", "devices": ["pv"], "preserve": False})
        actions += [_volume(place, part) for place, part in enumerate(inside)]
    if uefi:
        actions += _file_system("esp", "fat32", ESP, own.label if own else None)
    for kind, parts in (("part", outside), ("lv", inside)):
        for place, part in enumerate(parts):
            actions += _file_system(f"{kind}{place}", part.fsType, part.mountPoint, part.label)
    swap = {"swap": {"size": 0}} if any(part.fsType == "swap" for part in partitions) else {}
    return {"config": actions, **swap}


def _last(partitions: Sequence[Partition]) -> list[Partition]:
    """`partitions` with the one that takes what is left at the end."""
    return sorted(partitions, key=lambda part: part.size == "grow")


def _bytes(size: int | str) -> int:
    """Megabytes of 10^6 bytes, or ``grow`` > bytes, rounded up to whole MiB."""
    return -1 if isinstance(size, str) else -(-size * 1_000_000 // MIB) * MIB


def _partition(name: str, size: int | str, **more: Any) -> dict[str, Any]:
    return {"type": "partition", "id": name, "device": "disk", "size": _bytes(size), "wipe": "superblock", "preserve": False, **more}


def _volume(place: int, part: Partition) -> dict[str, Any]:
    name = "root" if part.mountPoint == "/" else part.mountPoint.strip("/").replace("/", "_")
    return {"type": "lvm_partition", "id": f"lv{place}", "name": name, "volgroup": "vg", "size": _bytes(part.size), "preserve": False}


def _file_system(volume: str, kind: str, mount_point: str, label: str | None) -> list[dict[str, Any]]:
    marked = {"label": label} if label else {}
    made = {"type": "format", "id": f"{volume}-fs", "volume": volume, "fstype": kind, "preserve": False, **marked}
    return [made, {"type": "mount", "id": f"{volume}-mount", "device": f"{volume}-fs", "path": "" if kind == "swap" else mount_point}]
