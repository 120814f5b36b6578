"""A syslog datagram > who said what. Pure; never raises, whatever arrives.

RFC 5424: ``<PRI>1 TIMESTAMP HOST APP PROCID MSGID STRUCTURED-DATA MSG``. RFC 3164: ``<PRI>Mmm dd hh:mm:ss HOST TAG[PID]: MSG``; busybox
(which debian-installer uses) leaves HOST out, others put an ISO date in front. Anything else is all message. Their times are not believed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 900
"""Characters kept of a message."""
USER_NOTICE = 13
"""The priority of a line that names none (RFC 3164 4.3.3)."""

_PRI = re.compile(rb"<(\d{1,3})>")
_5424 = re.compile(r"1 (\S{1,64}) (\S{1,255}) (\S{1,128}) (\S{1,128}) (\S{1,128}) ?")
_SD = re.compile(r"-|(?:\[[^\]\"\\]*(?:\"(?:[^\"\\]|\\.)*\"[^\]\"\\]*)*\])+")
_DATE = re.compile(
    r"(?:[A-Z][a-z]{2} [ \d]?\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,9})?|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?) "
)
_TAG = re.compile(r"([^\s:\[\]<]{1,64})(?:\[([^\]\s]{0,32})\])?:(?: |$)")
_HOST = re.compile(r"\S{1,255} ")


@dataclass(frozen=True, slots=True)
class Line:
    """One message. `facility` 0-23, `severity` 0 (emergency) to 7 (debug); `program` and `host` may be ""; `text` is printable."""

    facility: int
    severity: int
    host: str
    program: str
    text: str


def parse(datagram: bytes) -> Line:
    """Whatever arrived > a Line."""
    priority, rest = _priority(datagram.rstrip(b"\0\r\n \t"))
    whole = rest.decode("utf-8", "backslashreplace")
    host, program, message = _new(whole) or _old(whole)
    return Line(priority >> 3, priority & 7, _printable(host), _printable(program), _cut(_printable(message)))


def _priority(data: bytes) -> tuple[int, bytes]:
    match = _PRI.match(data)
    if match is None or int(match[1]) > 191:
        return USER_NOTICE, data
    return int(match[1]), data[match.end() :]


def _new(text: str) -> tuple[str, str, str] | None:
    match = _5424.match(text)
    if match is None:
        return None
    data = _SD.match(text, match.end())
    if data is None:
        return None
    message = text[data.end() :].removeprefix(" ").removeprefix("\ufeff").removeprefix(" ")  # rsyslog's %msg% brings a blank of its own
    return _given(match[2]), _given(match[3]), message


def _old(text: str) -> tuple[str, str, str]:
    date = _DATE.match(text)
    start = date.end() if date is not None else 0
    tag = _TAG.match(text, start)
    if tag is not None:
        return "", tag[1], text[tag.end() :]
    host = _HOST.match(text, start) if date is not None else None
    tag = _TAG.match(text, host.end()) if host is not None else None
    if host is None or tag is None:
        return "", "", text[start:]
    return host[0].strip(), tag[1], text[tag.end() :]


def _given(value: str) -> str:
    return "" if value == "-" else value


def _cut(text: str) -> str:
    """What is kept of a message, without the word that would be cut in two: of half a URL nobody could see that a password stands in it."""
    if len(text) <= LONGEST:
        return text
    kept = text[:LONGEST]
    return kept if text[LONGEST] == " " else kept.rpartition(" ")[0] or kept


def _printable(text: str) -> str:
    """Control characters and lone surrogates as escapes, so that no terminal and no log obeys them."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text[: LONGEST + 1])


def _escaped(char: str) -> str:
    return " " if char in "\t\n" else char.encode("unicode_escape").decode("ascii")
