"""GRUB 2's script language: how one value is written in it. Pure; `Unwritable` when it has no way to say it.

This file's rules
* Everything is a word in single quotes: GRUB expands and runs nothing in there. There is no ``&&`` in GRUB, and no port in
  ``(http,IP,PORT)``: it is ``(http,IP:PORT)`` (2.12 and newer).
* GRUB puts a backslash before each ``\\``, ``'`` and ``"`` of a kernel argument, and double quotes around one that has blanks
  (`grub_create_loader_cmdline`). So double quotes, which the kernel reads, are taken off here for GRUB to put on again, and arguments with
  the other two are refused rather than changed.

Sources: GRUB manual 2.12, "Quoting" and "Device syntax"; grub-core/lib/cmdline.c, grub-core/net/http.c; what Debian's signed GRUB did.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from pxed.oses.escape import Unwritable, text

LONGEST = 4000
"""GRUB's scanner gives up, and with it GRUB, at a token of 8192 bytes; an escaped quote is four."""

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?")


def word(value: Any) -> str:
    """One word in single quotes: visible ASCII and blanks, at most `LONGEST` letters."""
    found = text(value)
    if len(found) > LONGEST:
        raise Unwritable(f"a word of a GRUB script has at most {LONGEST} letters")
    if any(not 32 <= ord(letter) < 127 for letter in found):
        raise Unwritable("a GRUB script carries visible ASCII characters only")
    return "'" + found.replace("'", "'\\''") + "'"


def says(value: Any) -> str:
    """Text for people on GRUB's screen, as one word: two lines of it, and whatever GRUB can't show becomes ``?``."""
    return word("".join(letter if 32 <= ord(letter) < 127 else "?" for letter in text(value)[:160]))


def words(value: Any) -> str:
    """A kernel command line as GRUB words; double quotes hold blanks together, as the kernel reads them."""
    found = text(value)
    if "'" in found or "\\" in found:
        raise Unwritable("GRUB cannot hand the kernel a single quote or a backslash")
    if found.count('"') % 2:
        raise Unwritable("a double quote of the kernel's command line is not closed")
    return " ".join(word(part.replace('"', "")) for part in re.findall(r'(?:"[^"]*"|[^\s"])+', found))


def place(value: Any) -> str:
    """A URL as GRUB names files: ``http://10.0.0.1:8080/linux`` > ``'(http,10.0.0.1:8080)/linux'``."""
    found = text(value)
    parts = urlsplit(found)
    if parts.scheme != "http" or not _HOST.fullmatch(parts.netloc):
        raise Unwritable("GRUB fetches files by plain http:// from a host name or an IPv4 address")
    query = f"?{parts.query}" if parts.query else ""
    return word(f"(http,{parts.netloc}){parts.path or '/'}{query}")
