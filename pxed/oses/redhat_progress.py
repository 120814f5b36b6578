"""How far anaconda is, read from the lines it sends by syslog. Pure.

Percentages lie between the recipe's milestones (`started` 5, `installed` 95). Anaconda logs as program `anaconda` with the logger's name in
front (``packaging: ...``, anaconda_logging.py); older ones with the logger's name as the program. The messages themselves are written
down from experience, not from a recorded log: a line that is worded otherwise says nothing.
"""

from __future__ import annotations

import re

_LOGGER = re.compile(r"^(?:anaconda: )?[a-z][\w.]*: ")
_COUNTED = re.compile(r"(?:Installing|Installed|Upgrading)\b.*?\((\d+)/(\d+)\)")
_DOWNLOADED = re.compile(r"Downloading .*?\b(\d{1,3})(?:\.\d+)?%")
_STAGES: tuple[tuple[re.Pattern[str], int, str], ...] = (
    (re.compile(r"(?:Creating (?:disklabel|\w+ on)|executing action: .*create)", re.IGNORECASE), 14, "Partitioning the disk"),
    (re.compile(r"(?:Downloading packages|Starting package download|checking software selection)", re.IGNORECASE), 20, "Fetching packages"),
    (re.compile(r"(?:Preparing transaction|Running transaction|starting the install)", re.IGNORECASE), 30, "Installing software"),
    (
        re.compile(r"(?:Performing post-installation setup|Post-installation setup|Configuring installed system)"),
        80,
        "Setting up the system",
    ),
    (re.compile(r"(?:Installing boot ?loader|Running boot loader)", re.IGNORECASE), 85, "Installing the boot loader"),
    (re.compile(r"(?:Generating initramfs|Creating initramfs|new-kernel-pkg)"), 88, "Making the initramfs"),
    (re.compile(r"Running post-installation scripts"), 90, "Running the scripts at the end"),
)
_PROGRAMS = frozenset({"anaconda", "packaging", "program", "storage", "dnf", "anaconda.packaging", "payload"})
INSTALLING, INSTALLED = 30, 80


def progress(program: str, message: str) -> tuple[int, str] | None:
    """(percent, text) that the line ``program: message`` stands for, None if it says nothing about progress."""
    if program not in _PROGRAMS:
        return None
    words = _LOGGER.sub("", message.strip(), count=1)
    counted = _COUNTED.match(words)
    if counted and 0 < int(counted[1]) <= int(counted[2]):
        return INSTALLING + (INSTALLED - INSTALLING) * int(counted[1]) // int(counted[2]), "Installing software"
    downloaded = _DOWNLOADED.match(words)
    if downloaded:
        return 20 + min(int(downloaded[1]), 100) // 10, "Fetching packages"
    return next(((percent, text) for pattern, percent, text in _STAGES if pattern.match(words)), None)
