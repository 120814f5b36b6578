"""How one value is written in each text format. Pure: value in, text out; `Unwritable` when the format has no way to say it.

This file's rules
* An escape returns the text of one whole value (with the quotes the format wants), or raises. It never drops or replaces a character,
  except `echo`, which is for people to read.
* NUL is refused everywhere: no shell, kernel command line or installer can carry it.

Sources: POSIX.1-2017 XCU 2.2 (shell quoting); debian-installer's `debconf-set-selections` (one logical line, a final backslash
continues it, carriage returns are dropped, leading blanks are skipped); iPXE `src/core/exec.c` (`${` expands and cannot be quoted; the
words ``#``, ``||``, ``&&`` and ``;`` end a command); RFC 8259; XML 1.0; TOML 1.0; pykickstart (`shlex.split` of each line).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

IPXE_OPERATORS = frozenset({"#", "||", "&&", ";"})

_BREAK_OR_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")
_NOT_VISIBLE = re.compile("[^ -~]")
_IPXE_WORDS = re.compile("[A-Za-z0-9(][!-#%-~]*+(?: [A-Za-z0-9(][!-#%-~]*+)*+")
"""What iPXE takes as it is, without a second look: no operator begins so, and nothing expands without a ``$``."""


class Unwritable(ValueError):
    """The format cannot carry this value. The message says why and never holds the value itself."""


def text(value: Any) -> str:
    """The plain text of `value`: str, int, float or bool (as ``true``/``false``). Anything else is a template's mistake."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise Unwritable(f"a {type(value).__name__} is no single value")
    found = str(value)
    if "\0" in found:
        raise Unwritable("a NUL byte cannot be written in any installer file")
    return found


def sh(value: Any) -> str:
    """One shell word in single quotes; newlines and every other byte stay what they are."""
    return "'" + text(value).replace("'", "'\"'\"'") + "'"


def preseed(value: Any) -> str:
    """The value part of one preseed line: no line break or control character, no blank at its ends, no final backslash."""
    found = text(value)
    if _BREAK_OR_CONTROL.search(found):
        raise Unwritable("a preseed value is one line: no line breaks and no control characters")
    if found != found.strip():
        raise Unwritable("a preseed value cannot begin or end with a blank")
    if found.endswith("\\"):
        raise Unwritable("a preseed value cannot end with a backslash (it would continue the line)")
    return found


def line(value: Any) -> str:
    """Text in a format that is read line by line and knows no quotes: no line break and no control character."""
    found = text(value)
    if _BREAK_OR_CONTROL.search(found):
        raise Unwritable("a value of one line: no line breaks and no control characters")
    return found


def kickstart(value: Any) -> str:
    """One word of a kickstart command. Anaconda splits a line as a shell does (Python's shlex), but never beyond its end."""
    return sh(line(value))


def xml(value: Any) -> str:
    """Character data or an attribute's value in double quotes, XML 1.0 (section 2.2, 2.4): what it cannot carry is refused.

    Line breaks and tabs are written as references: in an attribute, and from a carriage return, they would become blanks and newlines.
    """
    found = text(value)
    if any(
        (ord(letter) < 32 and letter not in "\t\n\r") or 0xD800 <= ord(letter) <= 0xDFFF or letter in "\ufffe\uffff" for letter in found
    ):
        raise Unwritable("XML cannot carry control characters")
    for letter, written in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ('"', "&quot;"),
        ("\t", "&#9;"),
        ("\n", "&#10;"),
        ("\r", "&#13;"),
    ):
        found = found.replace(letter, written)
    return found


def cmd(value: Any) -> str:
    """One word of a batch file in double quotes, in which cmd.exe leaves ``& | < > ^ ( )`` alone; ``%`` is doubled.

    For scripts with ``DisableDelayedExpansion`` (else ``!`` would expand). A quote can't be written, nor a backslash before the last quote
    (programs would take that for their own escape), nor what is no visible ASCII (batch files are read in the code page of the machine).
    Not for the words of ``call``, which reads them once more.
    """
    found = text(value)
    if any(not 32 <= ord(letter) < 127 for letter in found):
        raise Unwritable("a batch file carries visible ASCII characters only")
    if '"' in found:
        raise Unwritable("a batch file has no way to write a double quote within quotes")
    if found.endswith("\\"):
        raise Unwritable("a quoted word of a batch file cannot end with a backslash")
    return '"' + found.replace("%", "%%") + '"'


def toml(value: Any) -> str:
    """A TOML 1.0 value: basic string, integer, float, boolean, array or inline table of such."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{toml(str(name))} = {toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    if isinstance(value, bool | int | float):
        return text(value)
    written = json.dumps(text(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in written):
        raise Unwritable("half of a surrogate pair is no character")
    return written


def ipxe(value: Any) -> str:
    """Words of an iPXE command (a kernel argument, a URL): visible ASCII and single spaces, nothing iPXE would expand or run."""
    if type(value) is str and _IPXE_WORDS.fullmatch(value):
        return value
    found = text(value)
    if _NOT_VISIBLE.search(found):
        raise Unwritable("an iPXE script carries visible ASCII characters only")
    if "${" in found:
        raise Unwritable("iPXE expands '${' wherever it stands; it cannot be quoted")
    if IPXE_OPERATORS.intersection(found.split()):
        raise Unwritable("a word of its own that iPXE takes for an operator (# || && ;)")
    return found


def echo(value: Any) -> str:
    """Text for people on an iPXE screen: whatever iPXE would expand, run or not show becomes ``?``."""
    if type(value) is str and _IPXE_WORDS.fullmatch(value):
        return value
    shown = _NOT_VISIBLE.sub("?", text(value)).replace("${", "?{")
    return " ".join("?" if word in IPXE_OPERATORS else word for word in shown.split())


def json_value(value: Any) -> str:
    """A JSON value (also a YAML one), ASCII only, safe inside HTML and XML text."""
    try:
        return json.dumps(value, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    except (TypeError, ValueError) as wrong:
        raise Unwritable("not a JSON value") from wrong


def plain(value: Any) -> str:
    """No escaping: for text that no program parses."""
    return text(value)
