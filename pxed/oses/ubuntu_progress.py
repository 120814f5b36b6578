"""How far Ubuntu's installer is, read from what subiquity and curtin tell a webhook (``reporting:``). Pure.

One event is a JSON object ``{name, description, event_type: start|finish|info|warning|error, origin, timestamp, level[, result]}``; names
are paths, and subiquity puts its own controllers in front of curtin's. Percentages lie between the recipe's milestones (`started` 5,
`installed` 95) and only say the order of things. Sources: subiquity's server/controllers (install, cmdlist, reporting), curtin's commands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pxed.oses.reports import Report

STAGES: tuple[tuple[re.Pattern[str], int, str], ...] = tuple(
    (re.compile(pattern), percent, text)
    for pattern, percent, text in (
        (r"configure_apt", 12, "Setting up the package sources"),
        (r"partitioning|stage-partitioning|block-meta", 18, "Partitioning the disk"),
        (r"formatting", 20, "Making the file systems"),
        (r"stage-extract|cmd-extract|/extract", 25, "Copying the system"),
        (r"installing-kernel|install_kernel", 55, "Installing the kernel"),
        (r"stage-curthooks|curthooks", 50, "Configuring the system"),
        (r"install-grub|installing-grub", 65, "Installing the boot loader"),
        (r"postinstall/install_", 72, "Installing software"),
        (r"postinstall", 68, "Finishing the system"),
        (r"unattended_upgrades|run_unattended", 80, "Installing updates"),
        (r"subiquity/Late", 88, "Running the last commands"),
    )
)
"""A part of an event's name > where that is. The first that fits, so the narrower ones stand first."""


def webhook(event: Mapping[str, Any]) -> Report | None:
    """What one event says about progress, None if nothing.

    A step that failed is no failed install (subiquity looks for mirrors and updates that need not be there): error.sh tells of those.
    """
    if event.get("event_type") != "start":
        return None
    name = str(event.get("name", ""))
    return next((Report(percent, text) for pattern, percent, text in STAGES if pattern.search(name)), None)
