"""A directory in which the hooks run for real: fake commands on PATH, fake roots below `PXED_ROOT`.

The fakes note every call, arguments ended by NUL, in `calls/NUMBER.NAME`. The fake wget is the appliance: it serves `www/NAME` and takes
notifications; the first `refuse` fetches of it fail.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_NOTE = """#!/bin/sh
n=$(ls "$CALLS" | wc -l)
for argument in "$@"; do printf '%s\\0' "$argument"; done >"$CALLS/$(printf %05d "$n").{name}"
"""

FAKES = {
    "wget": """
for last in "$@"; do :; done
out=
while [ $# -gt 0 ]; do if [ "$1" = -O ]; then out=$2; fi; shift; done
refused=$(cat "$CALLS/../refused")
if [ "$refused" -lt "$REFUSE" ]; then echo $((refused + 1)) >"$CALLS/../refused"; exit 4; fi
case $last in
*/notify/* | */progress\\?*) exit 0 ;;
esac
cp "$CALLS/../www/${last##*/}" "$out"
""",
    "logger": "",
    "sleep": "",
    "reboot": "",
    "debconf-set-selections": 'cp "$1" "$CALLS/../selections"\n',
    "udevadm": """
for last in "$@"; do :; done
cat "$PXED_ROOT/udev/${last##*/}" 2>/dev/null
""",
    "in-target": """
target=$PXED_ROOT/target
case $1 in
useradd)
	while [ $# -gt 1 ]; do if [ "$1" = -d ]; then home=$2; fi; shift; done
	printf '%s:x:1000:1000::%s:/bin/sh\\n' "$1" "$home" >>"$target/etc/passwd"; mkdir -p "$target$home"
	;;
sh)
	cp "$target$2" "$CALLS/$(printf %05d "$n").script"
	if [ -n "$RUN" ]; then cd "$target" && sh "$target$2"; fi
	;;
esac
""",
}


@functools.cache
def _applets(busybox: str, absent: frozenset[str]) -> Path:
    """A directory in which every tool is an applet but those that are `absent`, as on the installer's RAM disk; one for the whole run."""
    tools = Path(tempfile.mkdtemp(prefix="pxoses-"))
    atexit.register(shutil.rmtree, tools, True)
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet not in absent:
            (tools / applet).symlink_to(busybox)
    return tools


@dataclass(frozen=True)
class Call:
    """One call of a fake."""

    name: str
    arguments: tuple[str, ...]

    @property
    def url(self) -> str:
        return self.arguments[-1]


class Sandbox:
    """`root` is what the hook takes for /; a new sandbox has an installed system of sorts below ``/target``."""

    def __init__(self, folder: Path, *, shell: str = "sh", refuse: int = 0, run: bool = False) -> None:
        self.root, self.www, self._calls, self._bin = (folder / name for name in ("root", "www", "calls", "bin"))
        self._shell, self._refuse, self._run, self._folder = shell, refuse, run, folder
        self.work = folder / "work"
        self._absent: set[str] = set()
        for made in (self.root / "tmp", self.root / "target/etc/dhcp", self.root / "target/root", self.www, self._calls, self._bin):
            made.mkdir(parents=True)
        (self.root / "target/etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\nanna:x:900:900::/:/bin/sh\n")
        (self.root / "target/etc/network").mkdir()
        (folder / "refused").write_text("0\n")
        for name, body in FAKES.items():
            self.fake(name, body)

    def fake(self, name: str, body: str, *, noted: bool = True) -> None:
        """A command of that name, noted when called (which costs three processes)."""
        (self._bin / name).write_text((_NOTE.replace("{name}", name) if noted else "#!/bin/sh\n") + body)
        (self._bin / name).chmod(0o755)

    def remove(self, name: str) -> None:
        """This machine has no such command."""
        (self._bin / name).unlink(missing_ok=True)
        self._absent.add(name)

    def serve(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.www / name).write_text(text)

    def net(self, name: str, mac: str) -> None:
        """A network interface of the machine."""
        (self.root / "sys/class/net" / name).mkdir(parents=True)
        (self.root / "sys/class/net" / name / "address").write_text(mac + "\n")

    def disk(self, name: str, *, gigabytes: int, udev: str = "", **attributes: str) -> None:
        """A disk of the machine; `device__model` means device/model."""
        folder = self.root / "sys/block" / name
        for attribute, value in {
            "size": str(gigabytes * 1953125),
            "removable": "0",
            "ro": "0",
            "queue__rotational": "1",
            **attributes,
        }.items():
            path = folder / attribute.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(value + "\n")
        (self.root / "udev").mkdir(exist_ok=True)
        (self.root / "udev" / name).write_text(udev)

    def run(self, script: str, *, only: tuple[str, ...] | None = None) -> subprocess.CompletedProcess[str]:
        """Run `script`; with `only`, PATH has no more than the fakes and these commands of the host."""
        return subprocess.run(
            **self.command(script, only=only), capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
        )

    def command(self, script: str, *, only: tuple[str, ...] | None = None, root: Path | None = None) -> dict[str, Any]:
        """What `subprocess` needs to run `script`: its keywords ``args``, ``env`` and ``cwd``. `root`: what the script takes for /."""
        (self._folder / "script").write_text(script)
        tools = self._folder / "tools"
        path = f"{self._bin}:/usr/bin:/bin"
        program = shutil.which(self._shell.split()[0]) or "/bin/sh"
        if program.endswith("busybox"):
            tools = _applets(program, frozenset(self._absent))
        elif only is not None and not tools.exists():
            tools.mkdir()
            for tool in only:
                (tools / tool).symlink_to(str(shutil.which(tool)))
        if tools.exists():
            path = f"{self._bin}:{tools}"
        settings = {
            "PATH": path,
            "PXED_ROOT": str(root or self.root),
            "CALLS": str(self._calls),
            "REFUSE": str(self._refuse),
            "RUN": "1" if self._run else "",
        }
        self.work.mkdir(exist_ok=True)
        return {"args": [program, *self._shell.split()[1:], str(self._folder / "script")], "env": settings, "cwd": self.work}

    def calls(self, name: str) -> list[Call]:
        """Every call of the fake `name`, in order."""
        return [Call(name, tuple(path.read_text().split("\0")[:-1])) for path in sorted(self._calls.glob(f"*.{name}"))]

    @property
    def scripts(self) -> list[str]:
        """The texts that `in-target sh` was given to run."""
        return [path.read_bytes().decode() for path in sorted(self._calls.glob("*.script"))]

    def told(self) -> list[tuple[str, str, str]]:
        """(phase, status, message) of every notification that got through or was tried."""
        found = []
        for call in self.calls("wget"):
            parts = urlsplit(call.url)
            if "/notify/" in parts.path:
                query = parse_qs(parts.query)
                found.append((parts.path.rsplit("/", 1)[1], query["status"][0], query["message"][0]))
        return found

    def target(self, path: str) -> str:
        """The text of a file of the installed system."""
        return (self.root / "target" / path.lstrip("/")).read_text()

    def mode(self, path: str) -> int:
        return os.stat(self.root / "target" / path.lstrip("/")).st_mode & 0o777

    def hook(self, files: dict[str, str], name: str) -> None:
        """Run `name` of an install's `files`, all of which are served: it ends well, says nothing, and no value of it is run."""
        self.serve(files)
        ended = self.run(files[name])
        assert (ended.returncode, ended.stderr) == (0, "")
        assert self.pwned() == []

    def pwned(self) -> list[Path]:
        """Files that only an escape too few could have made."""
        return [path for path in self._folder.rglob("*") if path.name.startswith("pwned")]
