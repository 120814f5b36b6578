"""How far debian-installer is, read from the lines it sends by syslog. Pure.

Percentages lie between the recipe's milestones (`started` 5, `installed` 95) and only say the order of things. One text per stage: a
text per package would fill the timeline. Sources: main-menu (``Menu item 'X' selected``, ``Configuring 'X' failed``), debootstrap's and
apt's own words behind the tags ``debootstrap`` and ``in-target``.
"""

from __future__ import annotations

import re

STAGES: dict[str, tuple[int, str]] = {
    "choose-mirror": (7, "Looking at the mirror"),
    "download-installer": (8, "Downloading the installer's parts"),
    "anna": (8, "Downloading the installer's parts"),
    "load-cdrom": (8, "Loading the installer's parts"),
    "clock-setup": (11, "Setting the clock"),
    "disk-detect": (12, "Looking for disks"),
    "partman-base": (14, "Partitioning the disk"),
    "live-installer": (20, "Installing the base system"),
    "bootstrap-base": (20, "Installing the base system"),
    "user-setup-udeb": (55, "Setting up accounts"),
    "apt-setup-udeb": (58, "Setting up the package sources"),
    "apt-mirror-setup": (58, "Setting up the package sources"),
    "pkgsel": (62, "Installing software"),
    "grub-installer": (82, "Installing the boot loader"),
    "systemd-boot-installer": (82, "Installing the boot loader"),
    "finish-install": (88, "Finishing the installation"),
}
"""Item of the installer's main menu > where that is."""

_PACKAGES: tuple[tuple[str, re.Pattern[str], int, str], ...] = (
    ("debootstrap", re.compile(r"(?:I: )?(?:Retrieving|Validating)\b"), 22, "Fetching the base system"),
    ("debootstrap", re.compile(r"(?:I: )?Extracting\b"), 28, "Unpacking the base system"),
    ("debootstrap", re.compile(r"(?:I: )?Unpacking\b"), 32, "Unpacking the base system"),
    ("debootstrap", re.compile(r"(?:I: )?(?:Setting up|Configuring)\b"), 38, "Configuring the base system"),
    ("in-target", re.compile(r"(?:Unpacking|Setting up) linux-image-"), 48, "Installing the kernel"),
    ("base-installer", re.compile(r".*\bkernel\b"), 46, "Installing the kernel"),
    ("grub-installer", re.compile(r"."), 84, "Installing the boot loader"),
)

_SELECTED = re.compile(r"Menu item '([a-z0-9-]+)' selected")
_FAILED = re.compile(r"(?:Configuring|Menu item) '([a-z0-9-]+)' failed")


def progress(program: str, message: str) -> tuple[int, str] | None:
    """(percent, text) that the line ``program: message`` stands for, None if it says nothing about progress.

    `program` is the syslog tag without its process id. A failed step keeps the percentage of that step: the installer then waits at its
    console, and the text says so.
    """
    words = message.strip()
    if program == "main-menu":
        failed = _FAILED.search(words)
        if failed:
            return STAGES.get(failed[1], (0, ""))[0], f"The installer's step {failed[1]} failed; it waits for somebody at its console"
        selected = _SELECTED.search(words)
        return STAGES.get(selected[1]) if selected else None
    for tag, pattern, percent, text in _PACKAGES:
        if program == tag and pattern.match(words):
            return percent, text
    return None
