"""Images of every kind are read to the byte; what is damaged is said in a sentence; names are found as installers ask for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pxed.errors import NotFound
from pxed.repo.iso import Index, UnreadableImage, from_json, read_index, to_json
from pxed.repo.rooted import OutsideRoot
from tests.repo import media
from tests.repo.media import needs

FILES: dict[str, bytes | str] = {
    "Images/pxeboot/VMLinuz": os.urandom(70_001),
    ".treeinfo": "[general]\n",
    ".disk/info": "Debian\n",
    "empty": b"",
    "a name with spaces.txt": "x",
    "a/b/c/d/e/f/g/h/i/deep.txt": "deep",
}
LINKS: dict[str, bytes | str] = {
    "kernel": "-> Images/pxeboot/VMLinuz",
    "img": "-> Images",
    "Images/up": "-> ../a",
    "debian": "-> .",
    "out": "-> ../../etc",
    "etc": "-> /etc",
    "loop": "-> pool",
    "pool": "-> loop",
}


def content(image: Path, index: Index, name: str) -> bytes:
    with image.open("rb") as f:
        return b"".join(os.pread(f.fileno(), length, start) for start, length in index.find(name)[1])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return media.tree(tmp_path_factory.mktemp("tree"), FILES)


@needs("xorriso")
def test_rock_ridge_names_dotfiles_and_links(tmp_path: Path) -> None:
    image = media.rock_ridge(media.tree(tmp_path / "t", FILES | LINKS), tmp_path / "m.iso", volume="Rocky-9-4")
    index = read_index(image)
    assert (index.namespace, index.volume_id) == ("rock-ridge", "Rocky-9-4")
    assert set(index.files) == set(FILES)
    for name, body in FILES.items():
        assert content(image, index, name) == (body.encode() if isinstance(body, str) else body)
    kernel = FILES["Images/pxeboot/VMLinuz"]
    for name in ("kernel", "img/pxeboot/VMLinuz", "debian/debian/kernel", "/Images//./pxeboot/VMLinuz", "images/PXEBOOT/vmlinuz"):
        assert content(image, index, name) == kernel
    assert content(image, index, "Images/up/b/c/d/e/f/g/h/i/deep.txt") == b"deep"
    for name in ("out/passwd", "etc/passwd", "loop/x", "nothing", "Images", ""):
        with pytest.raises(NotFound):
            index.find(name)
    for name in ("../etc/passwd", "a/../../x", "a\\b", "a\0"):
        with pytest.raises(OutsideRoot):
            index.find(name)


@needs("genisoimage")
def test_a_folder_that_rock_ridge_moved_is_where_it_was(tmp_path: Path, tree: Path) -> None:
    image = media.genisoimage(tree, tmp_path / "m.iso", "-R")
    index = read_index(image)
    assert content(image, index, "a/b/c/d/e/f/g/h/i/deep.txt") == b"deep"
    assert set(index.files) == set(FILES)


@needs("genisoimage")
def test_udf_names(tmp_path: Path, tree: Path) -> None:
    image = media.udf(media.tree(tmp_path / "t", FILES | {"sources/\u00fcber \u4f60.txt": "wide"}), tmp_path / "m.iso", volume="WIN")
    index = read_index(image)
    assert (index.namespace, index.volume_id) == ("udf", "WIN")
    assert content(image, index, "Images/pxeboot/VMLinuz") == FILES["Images/pxeboot/VMLinuz"]
    assert content(image, index, "sources/\u00fcber \u4f60.txt") == b"wide"
    assert content(image, index, "empty") == b""


@needs("genisoimage")
def test_joliet_names(tmp_path: Path, tree: Path) -> None:
    image = media.genisoimage(tree, tmp_path / "m.iso", "-J")
    index = read_index(image)
    assert index.namespace == "joliet"
    assert content(image, index, "Images/pxeboot/VMLinuz") == FILES["Images/pxeboot/VMLinuz"]


@needs("genisoimage")
def test_plain_names_lose_their_version_and_are_found_in_any_case(tmp_path: Path) -> None:
    image = media.plain(media.tree(tmp_path / "t", {"B.B00": "kernel", "EFI/BOOT/BOOTX64.EFI": "MZ", "NODOT": "n"}), tmp_path / "m.iso")
    index = read_index(image)
    assert set(index.files) == {"B.B00", "EFI/BOOT/BOOTX64.EFI", "NODOT"}
    assert content(image, index, "efi/boot/bootx64.efi") == b"MZ"
    assert content(image, index, "b.b00") == b"kernel"
    assert index.names("") == ["B.B00", "EFI", "NODOT"]
    assert index.names("efi/boot") == ["BOOTX64.EFI"]


@needs("genisoimage")
def test_a_file_of_several_extents_is_whole(tmp_path: Path) -> None:
    first, second = b"1" * 6000, b"2" * 3000
    image = media.multi_extent(tmp_path, first, second)
    index = read_index(image)
    assert set(index.files) == {"BIG.BIN", "README"}
    assert len(index.files["BIG.BIN"]) == 2
    assert content(image, index, "BIG.BIN") == first + second


@pytest.mark.slow
@needs("genisoimage")
def test_a_udf_file_of_several_allocation_descriptors_is_one_stretch(tmp_path: Path) -> None:
    big = media.tree(tmp_path / "t", {"README.TXT": "r"}) / "install.wim"
    with big.open("wb") as f:
        f.truncate(1100 << 20)
        f.seek((1100 << 20) - 5)
        f.write(b"THE_E")
    image = media.udf(tmp_path / "t", tmp_path / "m.iso")
    index = read_index(image)
    ((start, length),) = index.files["install.wim"]
    assert length == 1100 << 20
    with image.open("rb") as f:
        assert os.pread(f.fileno(), 5, start + length - 5) == b"THE_E"


@pytest.mark.slow
@needs("xorriso")
@pytest.mark.parametrize("behind", [1, 100, 69_000])
def test_an_image_that_is_cut_off_in_its_last_file_is_refused_by_name(tmp_path: Path, behind: int) -> None:
    image = media.rock_ridge(media.tree(tmp_path / "t", {"a": "first", "z/last": os.urandom(70_001)}), tmp_path / "m.iso")
    os.truncate(image, read_index(image).files["z/last"][0][0] + behind)
    with pytest.raises(UnreadableImage, match=r"cut off.*z/last"):
        read_index(image)


@needs("xorriso")
def test_an_image_without_the_padding_at_its_end_is_whole(tmp_path: Path) -> None:
    image = media.rock_ridge(media.tree(tmp_path / "t", {"a": os.urandom(2048 * 3 - 1)}), tmp_path / "m.iso")
    ((start, length),) = read_index(image).files["a"]
    os.truncate(image, start + length + 1)
    assert read_index(image).files["a"] == ((start, length),)


def test_what_is_no_image_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.iso").write_bytes(b"PK" * 40_000)
    for name in ("x.iso", "gone.iso"):
        with pytest.raises(UnreadableImage, match=name):
            read_index(tmp_path / name)


@pytest.mark.slow
@needs("genisoimage")
def test_damage_anywhere_in_the_directories_is_a_sentence_or_harmless(tmp_path: Path) -> None:
    image = media.genisoimage(media.tree(tmp_path / "t", {"A/B.TXT": "b", "C.TXT": "c"}), tmp_path / "m.iso", "-R", "-udf")
    good = image.read_bytes()
    for at in range(16 * 2048, len(good), 1511):
        image.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        try:
            read_index(image)
        except UnreadableImage:
            pass


@needs("xorriso")
def test_json_and_back(tmp_path: Path) -> None:
    strange = os.fsdecode(b"caf\xe9")
    image = media.xorriso(media.tree(tmp_path / "t", {strange: "x", **LINKS}), tmp_path / "m.iso", "-R")
    index = read_index(image)
    assert content(image, index, strange) == b"x"
    assert from_json(to_json(index)) == index
    for damaged in (b"", b"[]", b"{}", to_json(index)[:-9], to_json(index).replace(b'"format":2', b'"format":1')):
        assert from_json(damaged) is None


def test_the_fixtures_say_which_package_they_need() -> None:
    assert "apt-get install" in needs("xorriso").kwargs["reason"]
    listed = (Path(__file__).parents[2] / "apt-packages-test.txt").read_text().split()
    assert set(media.TOOLS.values()) <= set(listed)
