"""Our batch files run for real: cmd.exe of Wine, drives made of directories, and fake programs that note every call.

The fake of each program is one small C program under many names. It appends its arguments to ``calls``, then does what the first line
of ``rules/NAME.txt`` says that fits: ``TIMES|TEXT|STATUS|OUTPUT``: TEXT is contained in an argument or in a file that an argument names,
OUTPUT is a file whose text it prints; a rule with TIMES is used that often. No rule: status 0. curl also is the appliance: it serves
``www/NAME`` to ``-o`` and keeps what it is given for notifications. findstr does what Wine's, which is a stub, does not: it looks for a
literal text. Where ``LINE`` is set, every fake that no rule has ended asks there for its status (tests/oses/scripted/line.py) and waits.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

COMPILER = "x86_64-w64-mingw32-gcc"
MISSING = "wine64 or the compiler for its fakes is not installed (apt: wine, gcc-mingw-w64-x86-64-win32)"
HERE = shutil.which("wine") is not None and shutil.which(COMPILER) is not None

FAKE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#define HOME "F:\\"
static char words[400000];

static char *slurp(const char *path) {
    static char text[100000];
    FILE *file = fopen(path, "rb");
    size_t length;
    if (!file) return NULL;
    length = fread(text, 1, sizeof text - 1, file);
    text[length] = 0;
    fclose(file);
    return text;
}

static void add(const char *text) {
    if (strlen(words) + strlen(text) + 2 < sizeof words) { strcat(words, text); strcat(words, "\x1e"); }
}

static int rule(const char *name) {
    char path[300], rules[20000], out[20000] = "", *line, *times, *text, *status, *output;
    int found = 0, done = 0;
    FILE *file;
    sprintf(path, HOME "rules\\%s.txt", name);
    if (!slurp(path)) return 0;
    strcpy(rules, slurp(path));
    for (line = strtok(rules, "\n"); line; line = strtok(NULL, "\n")) {
        char copy[2000];
        strcpy(copy, line);
        times = copy;
        text = strchr(times, '|'); *text++ = 0;
        status = strchr(text, '|'); *status++ = 0;
        output = strchr(status, '|'); *output++ = 0;
        if (!done && (!*times || atoi(times) > 0) && (!*text || strstr(words, text))) {
            done = 1;
            found = atoi(status);
            if (*output) { sprintf(path, HOME "%s", output); if (slurp(path)) fputs(slurp(path), stdout); }
            if (*times) { sprintf(out + strlen(out), "%d|%s|%s|%s\n", atoi(times) - 1, text, status, output); continue; }
        }
        sprintf(out + strlen(out), "%s\n", line);
    }
    sprintf(path, HOME "rules\\%s.txt", name);
    file = fopen(path, "wb");
    fputs(out, file);
    fclose(file);
    return found;
}

static HANDLE line(const char *end, DWORD access) {
    char path[300];
    sprintf(path, "Z:%s/%s", getenv("LINE"), end);
    return CreateFileA(path, access, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
}

static int ask(const char *name) {
    char text[120];
    DWORD done = 0;
    HANDLE there = line("ask", GENERIC_WRITE), back = line("answer", GENERIC_READ);
    sprintf(text, "%s\n", name);
    if (!WriteFile(there, text, strlen(text), &done, NULL) || !ReadFile(back, text, sizeof text - 1, &done, NULL)) return 99;
    text[done] = 0;
    return atoi(text);
}

static int curl(int count, char **given) {
    const char *to = NULL, *url = given[count - 1], *part;
    char path[300], *text;
    FILE *file;
    int i;
    for (i = 1; i < count - 1; i++) if (!strcmp(given[i], "-o")) to = given[i + 1];
    if (strstr(url, "/notify/") || strstr(url, "/progress")) return 0;
    part = strrchr(url, '/') + 1;
    sprintf(path, HOME "www\\%s", part);
    text = slurp(path);
    if (!text) { fputs("curl: (22) The requested URL returned error: 404\n", stderr); return 22; }
    file = fopen(to, "wb");
    if (!file) { fputs("curl: (23) Failure writing output to destination\n", stderr); return 23; }
    fputs(text, file);
    fclose(file);
    return 0;
}

static int findstr(int count, char **given) {
    int i, not_ = 0, any_case = 0, found = 0;
    const char *wanted = NULL, *path = NULL;
    char *text, *line;
    for (i = 1; i < count; i++) {
        if (!strcmp(given[i], "/v")) not_ = 1;
        else if (!strcmp(given[i], "/i")) any_case = 1;
        else if (!strcmp(given[i], "/l")) continue;
        else if (!strncmp(given[i], "/c:", 3)) wanted = given[i] + 3;
        else if (!wanted) wanted = given[i];
        else path = given[i];
    }
    if (!path || !(text = slurp(path))) return 2;
    for (line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        char *here = line;
        int has = 0;
        for (; *here && !has; here++)
            has = any_case ? !strnicmp(here, wanted, strlen(wanted)) : !strncmp(here, wanted, strlen(wanted));
        if (has != not_) { puts(line); found = 1; }
    }
    return !found;
}

int main(int count, char **given) {
    char name[100], *slash, *dot, *text;
    FILE *calls;
    int i, status;
    slash = strrchr(given[0], '\\');
    strcpy(name, slash ? slash + 1 : given[0]);
    dot = strrchr(name, '.');
    if (dot) *dot = 0;
    if (!strcmp(name, "findstr")) return findstr(count, given);
    add(name);
    for (i = 1; i < count; i++) {
        add(given[i]);
        if (!strcmp(given[i - 1], "/s") && (text = slurp(given[i]))) add(text);
        if (!strncmp(given[i], "message@", 8) && (text = slurp(given[i] + 8))) add(text);
    }
    calls = fopen(HOME "calls", "ab");
    fprintf(calls, "%s\x1d", words);
    fclose(calls);
    status = rule(name);
    if (!status && getenv("LINE")) status = ask(name);
    if (status) return status;
    return strcmp(name, "curl") ? 0 : curl(count, given);
}
"""
_FIXED = ("setarch", "-R")
"""Runs a program without address space randomisation: with it, one start of a program in 7000 has its heap where Wine must map the user
shared data, and cmd.exe says that there is no such program."""
LINGER = 300
"""Seconds for which its server waits for the next program, so that not each of them has to start Windows' services again."""
PROGRAMS = ("findstr", "curl", "wpeinit", "wpeutil", "diskpart", "dism", "bcdboot", "net", "ping", "reg", "w32tm", "sc")

UEFI = "\nHKEY_LOCAL_MACHINE\\System\\CurrentControlSet\\Control\n    PEFirmwareType    REG_DWORD    0x2\n\n"
USB = "\nCruzer Blade USB Device\nDisk ID: 1\nType   : USB\n"
SATA = "\nWDC #1 =x/y:z@+ 10EZEX\nDisk ID: 2\nType   : SATA\n"
"""What reg and diskpart say."""


@dataclass(frozen=True)
class Call:
    """One call of a fake: what it was given, and the texts of files that it was given the names of, behind each name."""

    name: str
    words: tuple[str, ...]

    @property
    def url(self) -> str:
        return self.words[-1]


class Prefix:
    """A Windows of Wine's, with the fakes in its System32; made once, since that takes seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "WINEPREFIX": str(folder / "prefix"),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": f"mscoree,mshtml=;{','.join(f'{name}.exe' for name in PROGRAMS)}=n",
        }  # fmt: skip
        fixed = subprocess.run([*_FIXED, "true"], check=False, capture_output=True).returncode == 0  # not everybody may, in a container
        self._start = (*_FIXED, "wine") if fixed else ("wine",)
        (folder / "prefix").mkdir()
        subprocess.run(["wineserver", f"-p{LINGER}"], env=self.environment, check=True)
        self.run(self.command("cmd", "/c", "exit 0"))
        (folder / "fake.c").write_text(FAKE)
        subprocess.run([COMPILER, "-O1", "-w", "-s", "-o", str(folder / "fake.exe"), str(folder / "fake.c")], check=True)
        system = self.drive_c / "windows/system32"
        for name in PROGRAMS:
            (system / f"{name}.exe").unlink(missing_ok=True)
            shutil.copy(folder / "fake.exe", system / f"{name}.exe")

    @property
    def drive_c(self) -> Path:
        return self.folder / "prefix/drive_c"

    def command(self, *words: str) -> dict[str, Any]:
        """What `subprocess` needs to run a program: its keywords ``args`` and ``env``."""
        return {"args": [*self._start, *words], "env": self.environment}

    def run(self, command: dict[str, Any]) -> str:
        """What a program prints. Into a file: Wine's services outlive it, and would keep a pipe open."""
        printed = self.folder / "printed"
        with printed.open("wb") as out:
            subprocess.run(**command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=300, check=False)
        return printed.read_bytes().decode("utf-8", "replace")

    def close(self) -> None:
        """End its server, and remove it."""
        subprocess.run(["wineserver", "-k"], env=self.environment, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def shared() -> Prefix:
    """The one that all tests of this process use."""
    made = Prefix(Path(tempfile.mkdtemp(prefix="pxed-wine-")))
    atexit.register(made.close)
    return made


class Machine:
    """A machine that has started Windows PE, or Windows: drives S, W and Y, the fakes' home F, and a script."""

    def __init__(self, prefix: Prefix, folder: Path) -> None:
        self.prefix, self.folder = prefix, folder
        self.home = folder / "F"
        for name in ("F/rules", "F/www", "S", "W/Windows", "Y"):
            (folder / name).mkdir(parents=True)

    def start(self, system: str = "") -> None:
        """Its drives are those of the prefix now, and nothing is left in memory. `system`: the letter of the drive whose own system is
        started, to which that drive is C:; else Windows PE, whose C: is the prefix's."""
        drives = {letter: self.folder / letter for letter in "FSWY"} | {"C": self.folder / system if system else self.prefix.drive_c}
        for letter, folder in drives.items():
            link = self.prefix.folder / "prefix/dosdevices" / f"{letter.lower()}:"
            new = self.prefix.folder / "link"
            new.symlink_to(folder)
            new.replace(link)  # C: is never away: Wine's services run on
        for left in (self.prefix.drive_c / "users").rglob("Temp/*"):
            left.unlink()

    def apply(self, letter: str) -> None:
        """The drive gets a system to start: all that Wine's own has, the fakes with it."""
        drive, own = self.folder / letter, self.prefix.drive_c
        for source, target in ((own, drive), (own / "windows", drive / "Windows")):
            target.mkdir(exist_ok=True)
            for each in source.iterdir():
                if each.name != "windows":
                    (target / each.name).symlink_to(each)

    def serve(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.home / "www" / name).write_bytes(text.encode())

    def rule(self, name: str, *, text: str = "", status: int = 0, output: str = "", times: int | None = None) -> None:
        """What the fake `name` does when `text` is among its words; earlier rules first."""
        with (self.home / "rules" / f"{name}.txt").open("a") as rules:
            said = f"said-{name}-{rules.tell()}"
            rules.write(f"{'' if times is None else times}|{text}|{status}|{said if output else ''}\n")
        if output:
            (self.home / said).write_text(output)

    def run(self, script: str, *, name: str = "script.cmd", at: Path | None = None, system: str = "") -> str:
        """Start, and run the text of a batch file, `at` a place below a drive if it minds; what it prints."""
        return self.prefix.run(self.command(script, name=name, at=at, system=system))

    def command(self, script: str, *, name: str = "script.cmd", at: Path | None = None, system: str = "") -> dict[str, Any]:
        """Start; what `subprocess` needs to run the text of a batch file."""
        self.start(system)
        place = (at or self.folder / "W") / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(script.encode())
        letter, *path = place.relative_to(self.folder).parts
        return self.prefix.command("cmd", "/d", "/c", "\\".join((f"{letter}:", *path)))

    def calls(self, name: str | None = None) -> list[Call]:
        """Every call so far (of one program), in order."""
        log = self.home / "calls"
        records = log.read_bytes().decode("utf-8", "replace").split("\x1d")[:-1] if log.exists() else []
        found = [record.split("\x1e")[:-1] for record in records]
        return [Call(each[0], tuple(each[1:])) for each in found if name in (None, each[0])]

    def told(self) -> list[tuple[str, str, str]]:
        """(phase, status, message) of every notification that was tried."""
        found = []
        for call in self.calls("curl"):
            parts = urlsplit(call.url)
            if "/notify/" in parts.path:
                message = next(call.words[place + 1] for place, word in enumerate(call.words) if word.startswith("message@"))
                found.append((parts.path.rsplit("/", 1)[1], parse_qs(parts.query)["status"][0], message))
        return found
