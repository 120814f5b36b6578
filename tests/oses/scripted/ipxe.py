"""iPXE, as far as pxed's boot scripts use it: commands, `&&` and `||`, labels, settings. What it fetches, it really fetches."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pxed.oses.esxi import PROBE

RETURNS = PROBE
"""How a COM32 program begins that gives the machine back at once."""


@dataclass(frozen=True)
class Booted:
    """What was started: the URL of its image, its command line, and the initrds as name > URL in the order of their loading."""

    url: str
    arguments: str
    initrds: dict[str, str] = field(default_factory=dict)

    def word(self, *names: str) -> str:
        """The value of the last ``name=value`` of the command line; KeyError."""
        found = [word.split("=", 1)[1] for word in self.arguments.split() if word.split("=", 1)[0] in names and "=" in word]
        if not found:
            raise KeyError(f"{names} in {self.arguments}")
        return found[-1]


@dataclass(frozen=True)
class Left:
    """The machine went on without an installer: ``exit 1``, ``exit 0``, ``sanboot``, ``poweroff``."""

    how: str


class Wrong(Exception):
    """The script has what iPXE does not know, or never comes to an end."""


Fetch = Callable[[str], bytes | None]
"""URL > body, None if that failed."""


class Ipxe:
    """`platform`: ``efi`` or ``pcbios``; `sleep` lets seconds pass."""

    def __init__(self, *, mac: str, platform: str, fetch: Fetch, sleep: Callable[[float], None]) -> None:
        hexraw = {f"{name}:hexraw": name.encode().hex() for name in ("manufacturer", "product", "serial")}
        self._settings = {"platform": platform, "netX/mac:hexhyp": mac.replace(":", "-"), "errno:hexraw": "2d0c613b", **hexraw}
        self._fetch, self._sleep = fetch, sleep
        self._images: dict[str, tuple[str, bytes, str]] = {}
        self._selected: str | None = None

    def chain(self, url: str) -> Booted | Left:
        """Fetch a script and run it; a machine whose script can't be fetched goes on."""
        body = self._fetch(self.expanded(url))
        return self.run(body.decode()) if body is not None else Left("exit 1")

    def run(self, script: str) -> Booted | Left:
        """Until something is started or iPXE is left. Wrong."""
        lines = script.splitlines()
        if lines[:1] != ["#!ipxe"]:
            raise Wrong("no iPXE script")
        labels = {line[1:].strip(): number for number, line in enumerate(lines) if line.startswith(":")}
        at = 0
        for _ in range(1000):
            if at >= len(lines):
                return Left("exit 0")
            outcome = self._line(lines[at])
            if isinstance(outcome, Booted | Left):
                return outcome
            if isinstance(outcome, str):
                if outcome not in labels:
                    raise Wrong(f"no label {outcome}")
                at = labels[outcome]
            elif not outcome:
                return Left("exit 1")
            at += 1
        raise Wrong("the script goes round in circles")

    def expanded(self, text: str) -> str:
        """With the settings in place of ``${name}``."""
        return re.sub(r"\$\{([^}]*)\}", lambda found: self._settings.get(found[1], ""), text)

    def _line(self, line: str) -> bool | str | Booted | Left:
        """Whether it went well; or the label to go on at; or the end."""
        if line.startswith((":", "#")):
            return True
        good = True
        operator = "&&"
        for part in re.split(r"\s(\|\||&&)(?:\s|$)", line):
            if part in ("||", "&&"):
                operator = part
            elif (operator == "&&") == good:
                outcome = self._command(self.expanded(part).split()) if part.strip() else True
                if not isinstance(outcome, bool):
                    return outcome
                good = outcome
        return good

    def _command(self, words: list[str]) -> bool | str | Booted | Left:
        match words:
            case ["set", name]:
                self._settings.pop(name, None)
            case ["set", name, *value]:
                self._settings[name] = " ".join(value)
            case ["echo", *_]:
                pass
            case ["goto", label]:
                return label
            case ["iseq", *pair]:
                return len(pair) == 2 and pair[0] == pair[1]
            case ["isset", *what]:
                return bool(what)
            case ["sleep", seconds]:
                self._sleep(float(seconds))
            case ["imgfree"]:
                self._images.clear()
                self._selected = None
            case ["imgfree", name]:
                self._images.pop(name, None)
            case ["kernel" | "initrd" | "imgfetch" as verb, *rest]:
                return self._load(verb, rest)
            case ["imgexec", name, *arguments]:
                return self._start(name, " ".join(arguments))
            case ["boot"]:
                return self._start(self._selected, None)
            case ["exit", *status]:
                return Left(f"exit {status[0] if status else 0}")
            case ["sanboot", *_]:
                return Left("sanboot")
            case ["poweroff"]:
                return Left("poweroff")
            case _:
                raise Wrong(f"iPXE has no {' '.join(words)[:80]}")
        return True

    def _load(self, verb: str, words: list[str]) -> bool:
        name = None
        while words and words[0].startswith("--"):
            if words[0] == "--name":
                name = words[1]
            words = words[2:]
        url, *arguments = words
        body = self._fetch(url)
        if body is None:
            return False
        name = name or url.rsplit("/", 1)[-1]
        self._images[name] = (url, body, " ".join(arguments))
        if verb == "kernel":
            self._selected = name
        return True

    def _start(self, name: str | None, arguments: str | None) -> bool | Booted:
        if name not in self._images:
            return False
        url, body, given = self._images[name]
        if body.startswith(RETURNS):
            return True
        return Booted(
            url, given if arguments is None else arguments, {other: image[0] for other, image in self._images.items() if other != name}
        )
