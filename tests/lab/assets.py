"""The installer and its packages, prepared once per release into a cache directory (``make lab-assets``).

First it looks: does this mirror have all components that the installer would load? If so the installer is Debian's own, over the untouched,
signed index. If some are missing, stand-ins for just those roles are built and a reduced, unsigned index is layered before the mirror. What
is not stock is said in the output.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab import components, overlay, rebuilt, selection
from tests.lab.aptroot import AptRoot
from tests.lab.process import LabProblem, run
from tests.lab.upstream import Upstream, upstream

CODENAMES = {"12": "bookworm", "13": "trixie"}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Assets:
    """What a lab needs: `layer` is the directory before the mirror in pxed's repository; `replaced` says what is not stock."""

    release: str
    codename: str
    layer: str
    kernel: str
    replaced: tuple[str, ...]

    @property
    def stock(self) -> bool:
        return not self.replaced


def cache_folder() -> Path:
    """$PXED_LAB_CACHE, else pxed-lab below the user's cache directory."""
    given = os.environ.get("PXED_LAB_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pxed-lab")


def prepare(release: str, *, say: Say) -> Assets:
    """The assets of `release`; seconds from the cache, a minute or two when the mirror's index or the lab's recipe has changed.

    LabProblem when this host can't get what even the small installer needs.
    """
    if release not in CODENAMES:
        raise LabProblem(f"the lab knows Debian {', '.join(CODENAMES)}, not {release}")
    folder = cache_folder() / release
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        apt = AptRoot(folder / "apt", upstream(), CODENAMES[release])
        apt.update()
        key = _key(apt)
        kept = _kept(folder / "assets.json", key)
        if kept:
            return kept
        say(f"preparing Debian {release}: the installer and an index of its packages")
        assets = _make(release, apt, upstream(), folder, say)
        (folder / "assets.json").write_text(json.dumps({"key": key, **asdict(assets)}, indent=2))
        return assets


def _kept(record: Path, key: str) -> Assets | None:
    if not record.exists():
        return None
    fields = json.loads(record.read_text())
    if fields.pop("key") != key or not Path(fields["layer"]).is_dir():
        return None
    return Assets(**{**fields, "replaced": tuple(fields["replaced"])})


def describe(assets: Assets) -> list[str]:
    """What is stock and what is not, for people."""
    if assets.stock:
        return [f"Debian {assets.release}'s installer is stock, over the mirror's own signed index (kernel {assets.kernel})"]
    lines = [f"Debian {assets.release}'s installer (kernel {assets.kernel}): this mirror lacks components of it. NOT STOCK, built here:"]
    return [
        *lines,
        *(f"  {each}" for each in assets.replaced),
        "  the index: Debian's own entries for what is needed, without its signature",
    ]


def _key(apt: AptRoot) -> str:
    """Changes with the release's index and with the files that say what is made of it."""
    here = Path(__file__).parent
    digest = hashlib.sha256(apt.release.text.encode())
    for path in [
        *sorted(components.SCRIPTS.iterdir()),
        *(here / f"{name}.py" for name in ("assets", "components", "overlay", "rebuilt", "selection")),
    ]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _make(release: str, apt: AptRoot, mirror: Upstream, folder: Path, say: Say) -> Assets:
    layer = overlay.Overlay(folder / "layer", apt.suite, apt.release)
    shutil.rmtree(layer.root, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        package = apt.download(f"debian-installer-{release}-netboot-amd64", folder / "debs")
        run("dpkg-deb", "-x", str(package), scratch)
        images = components.find(Path(scratch), f"lib/debian-installer/images/{release}/amd64/text/debian-installer/amd64")
        layer.netboot(images)
        inside = selection.initrd(images / "initrd.gz")
    stock, small = selection.stock_components(apt, inside), selection.small_components(apt, inside)
    absent = mirror.absent(selection.filenames({**stock, **small}.values()))
    choice = selection.choose(stock, small, absent, rebuilt.names(inside.kernel))
    there = sum(stanza.filename not in absent for stanza in stock.values())
    say(f"of {len(stock)} components that the installer loads, the mirror has {there}: the {choice.kind} installer")
    replaced = [] if choice.kind == "stock" else _index(layer, apt, mirror, choice, inside.kernel, folder / "debs", say)
    return Assets(release, apt.suite, str(layer.root), inside.kernel, tuple(replaced))


def _index(
    layer: overlay.Overlay, apt: AptRoot, mirror: Upstream, choice: selection.Choice, kernel: str, debs: Path, say: Say
) -> list[str]:
    """Build what is missing and the reduced index; returns what is not stock, in words."""
    target = selection.target_packages(apt)
    gone = mirror.absent(selection.filenames(target))
    if gone:
        raise LabProblem(f"the mirror lacks packages of the target system: {', '.join(sorted(Path(name).name for name in gone))}")
    with tempfile.TemporaryDirectory(dir=debs.parent) as scratch:

        @functools.cache
        def unpacked(name: str) -> Path:
            tree = Path(scratch, name)
            run("dpkg-deb", "-x", str(apt.download(name, debs)), str(tree), within=120.0)
            return tree

        if choice.kind == "mended":
            own = [*rebuilt.rebuild(choice.rebuild, kernel, apt.udebs, set(choice.dropped), unpacked), rebuilt.unsigned_index()]
        else:
            own = components.stand_ins(unpacked, apt.debs["debootstrap"].version)
        layer.index(target, choice.keep.values(), [each.build(Path(scratch)) for each in own])
    say(f"index of {len(target)} packages and {len(choice.keep)} of Debian's components, {len(own)} built here")
    left_out = [f"left out, not needed here: {', '.join(sorted(choice.dropped))}"] if choice.dropped else []
    return [*(f"{each.name} in place of {each.instead}" for each in own), *left_out]


def main() -> int:
    """Prepare and say what is not stock. Exit status 2 when it can't."""
    parser = argparse.ArgumentParser(prog="lab-assets", description=prepare.__doc__)
    parser.add_argument("--release", default="12", choices=sorted(CODENAMES))
    try:
        for line in describe(prepare(parser.parse_args().release, say=print)):
            print(line)
    except LabProblem as problem:
        print(f"lab-assets: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
