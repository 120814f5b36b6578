"""Secrets in what installers say (their logs, their notifications), made unreadable. Pure.

Password hashes in crypt(3) form, the token in an install's URLs (debian-installer logs its kernel's command line), the user and password
of a URL, and what stands behind the word password in an answer or an assignment.
"""

from __future__ import annotations

import re

HIDDEN = "***"

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\$(?:1|2[abxy]?|5|6|7|y|gy|sha1|md5)\$)[A-Za-z0-9./,=$+-]+"), rf"\g<1>{HIDDEN}"),
    (re.compile(r"(/i/)[^/\s\"']+"), rf"\g<1>{HIDDEN}"),
    (re.compile(r"(\w://)[^/\s@]+@"), rf"\g<1>{HIDDEN}@"),
    (re.compile(r"(?i)(passw(?:or)?d[\w/-]{0,64}+[ \t]+(?:password|string)[ \t]+)\S+"), rf"\g<1>{HIDDEN}"),
    (re.compile(r"(?i)((?:passw(?:or)?d|passphrase|secret|token)[\w-]{0,64}+[\"']?[ \t]*[=:][ \t]*)(?!\*\*\*)[^\s,;]+"), rf"\g<1>{HIDDEN}"),
)


def mask(text: str) -> str:
    """`text` without what looks like a secret."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
