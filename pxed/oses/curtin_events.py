"""What subiquity (Ubuntu's installer) and curtin post to a webhook (`reporting: {type: webhook}`). A `WebhookReader`. Pure.

One JSON object per event: ``name`` (a path of contexts, outermost first), ``event_type`` ``start`` or ``finish``, ``description``, with
``finish`` also ``result`` ``SUCCESS``, ``WARN`` or ``FAIL``; it may carry ``files``. Names look like
``subiquity/Install/install/curtin_install/cmd-install/stage-extract/builtin/cmd-extract``, or like the same from ``cmd-install`` on.

A failure passes through every context that it leaves, from the innermost out, and some inner ones are caught (updates that can't be
fetched, a mirror that is probed). So only the FAIL of a whole stage ends an install: the installation, or the early or late commands.
Percentages lie between the milestones `started` (5) and `installed` (95) and only say the order of things.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pxed.oses.reports import Report

STAGES: tuple[tuple[str, int, str], ...] = (
    ("stage-early", 8, "Preparing the installation"),
    ("stage-partitioning", 12, "Partitioning the disk"),
    ("stage-network", 18, "Setting up the network"),
    ("stage-extract", 20, "Unpacking the base system"),
    ("stage-curthooks", 55, "Setting up the base system"),
    ("stage-hook", 70, "Setting up the base system"),
    ("stage-late", 72, "Running late commands"),
    ("configure_apt", 16, "Setting up the package sources"),
    ("configure_cloud_init", 75, "Setting up the first boot"),
    ("run_unattended_upgrades", 85, "Installing updates"),
    ("restore_apt_config", 84, "Setting up the package sources"),
    ("unmount_target", 92, "Finishing the installation"),
)
"""Part of the name of a context > where that is."""
_PACKAGE = re.compile(r"/postinstall/install_")
_FATAL = re.compile(r"cmd-install|subiquity/(Install/install|Early/run|Late/run)")
_BOOT_LOADER = re.compile(r"/(configuring-bootloader|install-grub)\b")
LONGEST = 1000


def read(event: Mapping[str, Any]) -> Report | None:
    """What one event says; None for those that only fill the log."""
    name, kind = _text(event, "name"), _text(event, "event_type")
    if kind == "finish" and _text(event, "result").upper() == "FAIL" and _FATAL.fullmatch(name):
        words = _text(event, "description").strip()
        return Report(0, f"{name} failed{f': {words}' if words else ', without a word why'}"[:LONGEST], failed=True)
    if kind != "start":
        return None
    if _PACKAGE.search(name):
        return Report(80, "Installing software")
    if _BOOT_LOADER.search(name):
        return Report(65, "Installing the boot loader")
    parts = set(name.split("/"))
    return next((Report(percent, text) for part, percent, text in STAGES if part in parts), None)


def _text(event: Mapping[str, Any], key: str) -> str:
    value = event.get(key)
    return value if isinstance(value, str) else ""
