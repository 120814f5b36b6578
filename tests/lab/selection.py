"""Which packages: what the stock installer would load, what the small one takes, what the target is made of. Reads indices; asks nobody."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.lab.aptroot import AptRoot, Stanza, closure
from tests.lab.process import LabProblem

STANDARD = ("required", "important", "standard")
STOCK = ("base-installer", "bootstrap-base")
"""What the small installer loads from Debian at run time, besides what its initrd holds and these kernel modules."""
MODULES = ("ext4", "crc", "crypto", "scsi-core", "scsi", "fat", "efi")

TARGET = """
linux-image-cloud-amd64 initramfs-tools busybox zstd locales console-setup keyboard-configuration kbd debconf-i18n usr-is-merged
systemd-sysv ifupdown isc-dhcp-client ca-certificates eject laptop-detect installation-report tasksel curl openssh-server sudo gnupg
gpgv efibootmgr dosfstools pciutils debian-archive-keyring discover
""".split()  # noqa: SIM905 - a list to read
"""What a small install may ask for beyond the release's required and important packages."""
LOADERS = (("grub-pc",), ("grub-efi-amd64", "grub-efi-amd64-signed", "shim-signed"))
"""Each in a solution of its own: they conflict."""
SPARE = re.compile(
    r"(ata|cdrom-core|firewire-core|isofs|jfs|loop|pata|pcmcia-storage|sata|xfs)-modules-.*|(ntfs-3g|xfsprogs|jfsutils|kickseed).*"
)
"""Components for hardware and file systems that the lab's machines have not."""


@dataclass(frozen=True)
class Initrd:
    """What the network installer's initrd says of itself: its kernel's version and the components in it."""

    kernel: str
    components: frozenset[str]


def initrd(path: Path) -> Initrd:
    """Look into a gzipped cpio archive (newc). LabProblem if it is none of Debian's installer."""
    content = gzip.decompress(path.read_bytes())
    kernel = re.search(rb"lib/modules/([0-9][^/\0]+)\0", content)
    header = re.search(rb"07070[12][0-9A-Fa-f]{48}([0-9A-Fa-f]{8})[0-9A-Fa-f]{48}var/lib/dpkg/status\0", content)
    if not kernel or not header:
        raise LabProblem(f"{path.name} is no initrd of debian-installer")
    start = (header.end() + 3) & ~3
    status = content[start : start + int(header[1], 16)].decode()
    return Initrd(kernel[1].decode(), frozenset(re.findall(r"^Package: (\S+)", status, re.MULTILINE)))


def stock_components(apt: AptRoot, inside: Initrd) -> dict[str, Stanza]:
    """What anna would load over the network: standard priority or more, of this kernel or of none, with dependencies; not what is there."""
    chosen = [
        name
        for name, stanza in apt.udebs.items()
        if stanza.field("Priority") in STANDARD and stanza.field("Kernel-Version") in ("", inside.kernel)
    ]
    return closure(chosen, apt.udebs, present=inside.components)


def small_components(apt: AptRoot, inside: Initrd) -> dict[str, Stanza]:
    """Debian's own share of the small installer: modules that this release's kernel has built in are not in its index."""
    names = [*STOCK, *(f"{module}-modules-{inside.kernel}-di" for module in MODULES)]
    return {name: apt.udebs[name] for name in names if name in apt.udebs}


@dataclass(frozen=True)
class Choice:
    """Which installer this mirror allows, and what of it comes from where.

    ``stock``: Debian's own over the untouched index. ``mended``: Debian's own, where `rebuild` (names) are built here and `dropped` is
    left out. ``small``: Debian's `keep` and the lab's stand-ins.
    """

    kind: Literal["stock", "mended", "small"]
    keep: Mapping[str, Stanza]
    rebuild: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()


def choose(stock: Mapping[str, Stanza], small: Mapping[str, Stanza], absent: Set[str], rebuildable: Set[str]) -> Choice:
    """The best of the three. `absent`: file names that the mirror lacks. LabProblem when even the small one can't be had."""
    lacking = {name for name, stanza in stock.items() if stanza.filename in absent}
    if not lacking:
        return Choice("stock", stock)
    spare = {name for name in lacking if SPARE.fullmatch(name)}
    if lacking <= spare | rebuildable:
        spare |= stock.keys() & {"partman-jfs", "partman-xfs"}
        kept = {name: stanza for name, stanza in stock.items() if name not in lacking | spare}
        return Choice("mended", kept, frozenset(lacking - spare), frozenset(spare))
    needed = [name for name, stanza in small.items() if stanza.filename in absent]
    if needed:
        raise LabProblem(f"the mirror lacks even {', '.join(needed)}: no installer can run from it")
    return Choice("small", small)


def target_packages(apt: AptRoot) -> list[Stanza]:
    """All that debootstrap, base-installer and the boot loaders may want for a small system."""
    base = [name for name, stanza in apt.debs.items() if stanza.field("Priority") in ("required", "important")]
    wanted = [*base, *(name for name in TARGET if name in apt.debs)]
    every = {stanza.name: stanza for loader in LOADERS for stanza in apt.closure([*wanted, *loader])}
    return [every[name] for name in sorted(every)]


def filenames(stanzas: Iterable[Stanza]) -> list[str]:
    return [stanza.filename for stanza in stanzas]
