"""The reduced index and the lab's own components, without a mirror."""

from __future__ import annotations

import hashlib
import lzma
from pathlib import Path

from tests.lab.aptroot import Stanza, closure
from tests.lab.components import SCRIPTS, Component
from tests.lab.overlay import Overlay
from tests.lab.process import run

OFFICIAL = Stanza("Origin: Debian\nLabel: Debian\nSuite: oldstable\nVersion: 12.9\nCodename: bookworm")
DASH = Stanza("Package: dash\nVersion: 1\nFilename: pool/main/d/dash/dash_1_amd64.deb\nSHA256: aa\nDepends: libc6 (>= 2.36), a | b:any")


def _component(name: str = "pxlab-x") -> Component:
    return Component(name, "a test", fields={"Priority": "optional"}, files={"bin/x": SCRIPTS / "mapdevfs"})


def test_every_index_file_is_in_the_release_with_its_hash(tmp_path: Path) -> None:
    """debootstrap and net-retriever compare size and hash of what they fetch. Fails when Release is written before an index."""
    Overlay(tmp_path / "layer", "bookworm", OFFICIAL).index([DASH], [], [_component().build(tmp_path)])
    dists = tmp_path / "layer/dists/bookworm"
    sums = (dists / "Release").read_text().split("SHA256:\n")[1].splitlines()
    listed = {line.split()[2]: line.split() for line in sums}
    there = {path.relative_to(dists).as_posix() for path in dists.rglob("*") if path.is_file()} - {"Release"}
    assert set(listed) == there
    for name, (digest, size, _) in listed.items():
        content = (dists / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (digest, int(size))
    assert "main/binary-amd64/Release" in there, "choose-mirror asks for it"


def test_official_entries_stay_as_they_are(tmp_path: Path) -> None:
    """A stanza is copied to the letter, so its hash is Debian's; own components are listed with theirs."""
    udeb = _component().build(tmp_path)
    layer = Overlay(tmp_path / "layer", "bookworm", OFFICIAL)
    layer.index([DASH], [], [udeb])
    packages = lzma.decompress((layer.dists / "main/binary-amd64/Packages.xz").read_bytes()).decode()
    assert packages.strip() == DASH.text
    own = Stanza((layer.dists / "main/debian-installer/binary-amd64/Packages").read_text())
    assert own.name == "pxlab-x"
    assert own.field("SHA256") == hashlib.sha256((layer.root / own.filename).read_bytes()).hexdigest()


def test_a_component_holds_its_files_and_keeps_their_mode(tmp_path: Path) -> None:
    """An executable source is executable in the udeb, everything is root's. Fails when hooks arrive as 0644 and never run."""
    listing = run("dpkg-deb", "-c", str(_component().build(tmp_path)))
    assert "-rwxr-xr-x root/root" in next(line for line in listing.splitlines() if line.endswith("./bin/x"))


def test_a_closure_follows_first_alternatives_and_stops_at_what_is_there() -> None:
    """What the initrd holds is not loaded again; unknown names are virtual and left to the installer."""
    index = {
        name: Stanza(f"Package: {name}\nDepends: {needs}") for name, needs in {"a": "b | c, d (>= 1)", "b": "", "c": "", "d": "e"}.items()
    }
    assert set(closure(["a"], index)) == {"a", "b", "d"}
    assert set(closure(["a"], index, present=["d"])) == {"a", "b"}
    assert DASH.depends == ["libc6", "a"]
