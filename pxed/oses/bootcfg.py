"""ESXi's boot.cfg for a network boot, from the BOOT.CFG of the installation medium. Pure.

The file is ``key=value`` lines. ``modules`` are paths between ``---``, each perhaps with arguments behind it; mboot puts ``prefix`` before
every path that begins with neither ``/`` nor ``http://``, so a medium's leading slashes must go. The medium's names are in lower case
here and in upper case in its ISO 9660 directory: pxed serves them in any case, and asks for them in lower.

Sources: VMware's "About the boot.cfg File" and "Boot the Installer from the Network" (vSphere 6.5, 7.0, 8.0 documentation), esx-boot's
mboot (options it does not know it skips, as it does `build` and `updated`).
"""

from __future__ import annotations

from collections.abc import Sequence

SEPARATOR = " --- "
INSTALLER = "runweasel"
"""The kernel option that starts the installer; without it an installed system would be expected."""
ERROR_SHOWN = "30"
"""Seconds for which mboot shows an error before it gives up, so that who started it goes on; without this it stands there for ever."""
DROPPED = frozenset({"cdromboot"})
"""Kernel options (lower case) that make sense on a CD only."""


def network_boot(text: str, *, prefix: str, options: Sequence[str]) -> str:
    """The medium's boot.cfg `text` with `prefix` (the URL of its tree) and the kernel options `options` behind its own.

    An option of ours replaces the medium's of the same name. ValueError if `text` names no kernel or no modules, or an option has a blank.
    """
    for word in (prefix, *options):
        if not word or not word.isprintable() or len(word.split()) != 1:
            raise ValueError(f"boot.cfg can't hold {word[:80]!r}: a word without blanks is wanted")
    settings = _settings(text)
    for key in ("kernel", "modules"):
        if not settings.get(key):
            raise ValueError(f"this boot.cfg has no {key}=")
    settings["prefix"] = prefix
    settings["kernel"] = _path(settings["kernel"])
    settings["modules"] = SEPARATOR.join(_module(each) for each in settings["modules"].split("---") if each.strip())
    settings.setdefault("errtimeout", ERROR_SHOWN)
    settings["kernelopt"] = " ".join(_options(settings.get("kernelopt", ""), options))
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def _settings(text: str) -> dict[str, str]:
    """Keys in lower case, in the file's order; ``prefix`` and ``kernelopt`` before the modules where the medium has none."""
    found: dict[str, str] = {}
    for line in text.removeprefix("\ufeff").splitlines():
        key, equals, value = line.strip().partition("=")
        key = key.strip().lower()
        if not equals or key.startswith("#"):
            continue
        if key in ("kernel", "modules"):
            found.setdefault("prefix", "")
        if key == "modules":
            found.setdefault("kernelopt", "")
        found[key] = value.strip()
    return found


def _module(entry: str) -> str:
    path, _, arguments = entry.strip().partition(" ")
    return f"{_path(path)} {arguments.strip()}".strip()


def _path(path: str) -> str:
    return path if path.lower().startswith(("http://", "https://")) else path.lstrip("/").lower()


def _options(mediums: str, ours: Sequence[str]) -> list[str]:
    replaced = {_name(word) for word in ours}
    kept = [word for word in mediums.split() if _name(word) not in DROPPED | replaced]
    words = [*kept, *ours]
    return words if INSTALLER in map(_name, words) else [INSTALLER, *words]


def _name(option: str) -> str:
    return option.partition("=")[0].lower()
