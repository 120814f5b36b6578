"""The catalogue of boot programs below the boot program root: what is there, and which of them fits a client's architecture.

A program is filed under the machine in its own header, so an x86_64 binary never reaches IA32 firmware whatever it is called.
Sub-directories are kept (a chain such as ``secureboot/shimx64.efi`` beside ``secureboot/grubx64.efi`` stays together, because shim asks for
its second stage relative to its own path). No Twisted; `scan` and `link_host_programs` block.

**Copies, not symbolic links.** `link_host_programs` copies the host's programs: HTTP serves nothing that resolves to a place outside the
root (TFTP only under conditions), `/usr/lib/ipxe` is outside, and one program must be had by either road. A record of what was copied
(`.linked.json`) tells our copies from the operator's own files: ours follow the package when it is upgraded, the operator's are never
touched.

Sources: RFC 4578 2.1 with erratum 2016, IANA "Processor Architecture Types".
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pxed.errors import HostProblem
from pxed.node.identity import architecture_name
from pxed.repo import chains
from pxed.repo.bootimage import BIOS_SUFFIXES, BootImage, Kind, Machine, identify
from pxed.repo.chains import Chain

MACHINE_OF: dict[int, Machine] = {
    0: "x86-bios",
    6: "i386",
    7: "x86_64",
    9: "x86_64",
    10: "arm",
    11: "aarch64",
    15: "i386",
    16: "x86_64",
    17: "x86_64",
    18: "arm",
    19: "aarch64",
    20: "x86-bios",
    25: "riscv32",
    26: "riscv32",
    27: "riscv64",
    28: "riscv64",
    37: "loongarch32",
    38: "loongarch32",
    39: "loongarch64",
    40: "loongarch64",
    41: "rpi",
}
"""Option 93 > the machine a program must be built for. 9 and 17 say EBC and are x86_64 firmware in practice."""

HOST_DIRECTORIES = (Path("/usr/lib/ipxe"), Path("/usr/share/ipxe"), Path("/boot"), Path("/usr/lib/shim"), Path("/usr/lib/grub"))
"""Where Debian, Ubuntu and Arch, then Fedora and RHEL, then Debian's `grub-ipxe` put iPXE; where Debian and Ubuntu put shim and GRUB."""

RECORD = ".linked.json"

_MAX_FILES = 10_000
_MAX_DEPTH = 6
_PREFERENCE = ("snponly", "snp", "undionly.kpxe", "undionly.kkpxe", "undionly", "ipxe.kpxe", "ipxe")

_DEBIAN = "apt install ipxe"
_NEWER = "apt install ipxe   (Debian 13 or newer; Debian 12's package holds x86 only)"
_BUILD = "build it from iPXE's source: make bin-{target}-efi/snponly.efi, then copy it into {directory}/ below the boot program root"
REMEDIES: dict[Machine, str] = {
    "x86-bios": _DEBIAN,
    "x86_64": _DEBIAN,
    "aarch64": _NEWER,
    "riscv64": _NEWER,
    "loongarch64": _NEWER,
    "i386": _BUILD.format(target="i386", directory="i386"),
    "arm": _BUILD.format(target="arm32", directory="arm"),
}
"""Machine > what brings a program for it; no distribution packages IA32 or 32-bit ARM EFI builds of iPXE."""


@dataclass(frozen=True, slots=True)
class BootProgram:
    """One network boot program. `path` is relative to the boot program root with ``/``, as in TFTP names and URLs; `size` in bytes.

    `signed` and `http` as in `pxed.repo.bootimage.BootImage`.
    """

    path: str
    machine: Machine
    kind: Kind
    size: int
    signed: bool = False
    http: bool = True

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


@dataclass(frozen=True, slots=True)
class Missing:
    """No iPXE for firmware of `arch` (option 93); `remedy` is the command that brings one."""

    arch: int
    name: str
    machine: Machine
    remedy: str


@dataclass(frozen=True, slots=True)
class Linked:
    """What `link_host_programs` did with one file: `path` below the root, `source` on the host, `why` when it was skipped."""

    path: str
    source: str
    outcome: Literal["new", "updated", "unchanged", "skipped"]
    why: str = ""


class BootPrograms:
    """An immutable catalogue; `pick` is what DHCP asks for each packet, so it only reads memory. `chain`: what it gives unless told.

    `files`: paths of everything below the root, boot program or not.
    """

    def __init__(self, programs: Sequence[BootProgram], *, chain: Chain = "ipxe", files: frozenset[str] = frozenset()) -> None:
        self.files = files
        self._all = tuple(sorted(programs, key=_rank))
        self._chain: str = chain
        self._chains = chains.sort(self._all)

    def all(self) -> tuple[BootProgram, ...]:
        """Best first: iPXE before others, `snponly` before the full iPXE (fewer hangs at "initialising devices"), near the root first."""
        return self._all

    def pick(self, arch: int, *, prefer: str | None = None) -> BootProgram | None:
        """The program for client architecture `arch` (option 93), None if nothing here runs on it.

        `prefer` is a chain (`pxed.repo.chains`), or a path or file name that wins if its machine fits, whatever its kind. An architecture
        that the chain has nothing for is given iPXE (BIOS knows no signatures; a Raspberry Pi's boot ROM gets the board's own firmware).
        """
        machine = MACHINE_OF.get(arch)
        fitting = [each for each in self._all if each.machine == machine]
        if prefer is not None and prefer not in chains.CHAINS:
            wanted = prefer.lstrip("/")
            for each in [*(p for p in fitting if p.path == wanted), *(p for p in fitting if p.name == wanted)]:
                return each
        chain = prefer if prefer in chains.CHAINS else self._chain
        first = [*self._chains[str(chain)], *self._chains["ipxe"], *(each for each in fitting if each.machine == "rpi")]
        return next((each for each in first if each.machine == machine), None)

    def grub(self, arch: int | None) -> BootProgram | None:
        """A GRUB that runs on firmware of client architecture `arch`, None if there is none; one that fetches by HTTP before others."""
        machine = MACHINE_OF.get(-1 if arch is None else arch)
        fitting = [each for each in self._all if each.kind == "grub" and each.machine == machine]
        return next(iter(sorted(fitting, key=lambda each: not each.http)), None)

    def objection(self, wanted: str, arch: int | None) -> str:
        """Why `wanted` (a chain, a path or a file name) can't be given to a client of `arch` (None: not known); "" if it can."""
        if wanted in chains.CHAINS:
            found = self._chains[wanted]
            what = f"nothing here makes up the chain {wanted}"
        else:
            found = [each for each in self._all if wanted.lstrip("/") in (each.path, each.name)]
            what = f"there is no boot program {wanted[:80]!r} here"
        if not found:
            return what
        if arch is not None and not any(each.machine == MACHINE_OF.get(arch) for each in found):
            return f"{wanted} is here for {', '.join(sorted({each.machine for each in found}))}, not for {architecture_name(arch)}"
        return ""

    def complaints(self) -> list[str]:
        """What keeps a chain from working, a sentence each with its remedy."""
        return chains.complaints(self._all)

    def missing(self, architectures: Iterable[int] = (0, 7, 11, 6, 27, 39, 10)) -> list[Missing]:
        """Those of `architectures` that `pick` has nothing for, each with its remedy."""
        lacking = [code for code in architectures if code in MACHINE_OF and self.pick(code) is None]
        return [Missing(code, architecture_name(code), MACHINE_OF[code], REMEDIES.get(MACHINE_OF[code], "")) for code in lacking]


def _rank(program: BootProgram) -> tuple[bool, int, int, str]:
    low = program.name.lower()
    by_name = next((i for i, stem in enumerate(_PREFERENCE) if low.startswith(stem) or f"-{stem}" in low), len(_PREFERENCE))
    return (program.kind != "ipxe", by_name, program.path.count("/"), program.path)


Look = Callable[[Path], BootImage | None]


def scan(root: Path, *, chain: Chain = "ipxe", look: Look = identify) -> BootPrograms:
    """Look at every file below `root` (six levels, ten thousand files) and file the boot programs; a missing root is an empty catalogue.

    Blocking. Links that lead out of `root` are left out, as TFTP and HTTP would refuse to serve them; directories are not followed.
    """
    real_root = Path(os.path.realpath(root))
    found: list[BootProgram] = []
    files: set[str] = set()
    for path in _walk(real_root):
        inside = Path(os.path.realpath(path)).is_relative_to(real_root)
        if inside and path.is_file():
            files.add(path.relative_to(real_root).as_posix())
        image = look(path) if inside else None
        if image is not None:
            relative = path.relative_to(real_root).as_posix()
            found.append(BootProgram(relative, image.machine, image.kind, image.size, image.signed, image.http))
    return BootPrograms(found, chain=chain, files=frozenset(files))


class Rescan:
    """`scan` for who does it again and again: a boot program is read once, and again when it has changed. One call at a time.

    What was no boot program is looked at each time: that takes its first bytes only, and it may just not have been readable.
    """

    def __init__(self, look: Look = identify) -> None:
        self._identify = look
        self._known: dict[tuple[Path, Stamp], BootImage] = {}

    def __call__(self, root: Path, *, chain: Chain = "ipxe") -> BootPrograms:
        """As `scan`. Blocking."""
        before, self._known = self._known, {}

        def look(path: Path) -> BootImage | None:
            key = (path, _stamp(path))
            image = before.get(key) or self._identify(path)
            if image is not None:
                self._known[key] = image
            return image

        return scan(root, chain=chain, look=look)


Stamp = tuple[int, ...]


def _stamp(path: Path) -> Stamp:
    """Differs once another file is at `path`, or other bytes are in it; a time of change can't be set back, as one of modification can."""
    try:
        info = path.stat()
    except OSError:
        return ()
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _walk(root: Path) -> Iterable[Path]:
    seen = 0
    for directory, names, files in os.walk(root):
        here = Path(directory)
        names[:] = sorted(names) if len(here.relative_to(root).parts) < _MAX_DEPTH else []
        for name in sorted(files):
            seen += 1
            if seen > _MAX_FILES:
                return
            if not name.startswith("."):
                yield here / name


def link_host_programs(root: Path, *, host: Path = Path("/"), directories: Sequence[Path] = HOST_DIRECTORIES) -> list[Linked]:
    """Copy iPXE, shim and GRUB of the host's packages below `root`.

    iPXE of x86 goes to the top, of other machines into a directory named after them, shim and GRUB into ``secureboot/MACHINE/``.
    `directories` are looked for below `host`, so that an unpacked package does as well. Idempotent: may be called at each start. Blocking.
    HostProblem if `root` can't be written; sources that can't be read are skipped.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        record = _read_record(root)
        done: dict[str, Linked] = {}
        for source in _candidates([host / each.relative_to("/") for each in directories]):
            if not os.access(source, os.R_OK):
                why = "its link leads nowhere" if source.is_symlink() else "it can't be read"
                done[str(source)] = Linked(source.name, str(source), "skipped", why)
                continue
            image = identify(source)
            target = None if image is None else _target(source.name, image)
            if target is not None and target not in done:
                done[target] = _put(root, target, source, record)
        _replace(root / RECORD, json.dumps(record, indent=1, sort_keys=True).encode())
    except OSError as e:
        raise HostProblem(
            f"can't write boot programs to {root}: {e.strerror}", "Run as root, or give a directory that you may write"
        ) from e
    return list(done.values())


def _candidates(directories: Sequence[Path]) -> Iterable[Path]:
    """Files of the host's packages; of /boot only iPXE in its own top level, since kernels live there too."""
    for directory in directories:
        walk = sorted(directory.glob("ipxe*")) if directory.name == "boot" else _walk(directory)
        yield from (path for path in walk if path.name.endswith((".efi", ".efi.signed", *BIOS_SUFFIXES)))


def _target(name: str, image: BootImage) -> str | None:
    """``ipxe-arm64.efi`` of aarch64 > ``aarch64/ipxe.efi``, ``ipxe-snponly-x86_64.efi`` > ``snponly.efi``; BIOS names stay."""
    if image.kind != "ipxe":
        return chains.place(name, image)
    if image.machine == "x86-bios":
        return name
    stem = "snponly" if "snponly" in name else "snp" if name.startswith("snp") else "ipxe"
    return f"{stem}.efi" if image.machine == "x86_64" else f"{image.machine}/{stem}.efi"


def _put(root: Path, target: str, source: Path, record: dict[str, str]) -> Linked:
    """Copy one file, unless another's file is in its place. `record` (target > sha256 of our copy) is kept up to date."""
    path = root / target
    content = source.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return Linked(target, str(source), "skipped", "something that is not a plain file is in its place")
    present = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
    if present == digest:
        record[target] = digest
        return Linked(target, str(source), "unchanged")
    if present is not None and present != record.get(target):
        return Linked(target, str(source), "skipped", "the file in its place is the operator's own and is kept")
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, content)
    record[target] = digest
    return Linked(target, str(source), "new" if present is None else "updated")


def _replace(path: Path, content: bytes) -> None:
    """Write beside and rename, so that a transfer under way never sees half a file."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(content)
    fresh.chmod(0o644)
    fresh.replace(path)


def _read_record(root: Path) -> dict[str, str]:
    try:
        tree = json.loads((root / RECORD).read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in tree.items()} if isinstance(tree, Mapping) else {}
