"""Every medium of the table is recognised by what its makers put on it; a strange one is a sentence that says what was looked for."""

# ruff: noqa: E501  (a table is easier to read in long lines)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pxed.repo.iso import read_index
from pxed.repo.recognise import Medium, Unrecognised, from_json, recognise, to_json
from pxed.repo.trees import DirectoryTree, ImageTree, Missing, Question, RemoteTree
from tests.repo import media
from tests.repo.media import FixedTree, needs


def treeinfo(family: str, version: str, arch: str = "x86_64") -> bytes:
    return f"""[general]
name = {family} {version}
family = {family}
version = {version}
arch = {arch}
variant = BaseOS

[images-{arch}]
kernel = images/pxeboot/vmlinuz
initrd = images/pxeboot/initrd.img

[stage2]
mainimage = images/install.img
""".encode()


BOOT_CFG = b"""bootstate=0
title=Loading ESXi installer
timeout=5
prefix=
kernel=/b.b00
kernelopt=runweasel cdromBoot
modules=/jumpstrt.gz --- /useropts.gz --- /k.b00
build=8.0.2-0.0.22380479
updated=0
"""
PACKAGES = {"repodata/repomd.xml": b"<repomd/>"}
MEDIA: dict[str, tuple[str, dict[str, bytes], str, str, str]] = {
    # what: (volume id, files, repository, version, title)
    "rocky": ("Rocky-9-4-x86_64-dvd", {".treeinfo": treeinfo("Rocky Linux", "9.4"), "BaseOS/repodata/repomd.xml": b""}, "rocky-9", "9.4", "Rocky Linux 9.4"),
    "alma arm": ("AlmaLinux-9-4-aarch64-dvd", {".treeinfo": treeinfo("AlmaLinux", "9.4", "aarch64"), **PACKAGES}, "alma-9-aarch64", "9.4", "AlmaLinux 9.4"),
    "rhel": ("RHEL-8-10-0-BaseOS-x86_64", {".treeinfo": treeinfo("Red Hat Enterprise Linux", "8.10"), **PACKAGES}, "rhel-8", "8.10", "Red Hat Enterprise Linux 8.10"),
    "stream": ("CentOS-Stream-9-BaseOS-x86_64", {".treeinfo": treeinfo("CentOS Stream", "9"), **PACKAGES}, "centos-9", "9", "CentOS Stream 9"),
    "oracle": ("OL-9-4-0-BaseOS-x86_64", {".treeinfo": treeinfo("Oracle Linux", "9.4"), **PACKAGES}, "oracle-9", "9.4", "Oracle Linux 9.4"),
    "fedora": ("Fedora-S-dvd-x86_64-41", {".treeinfo": treeinfo("Fedora", "41"), **PACKAGES}, "fedora-41", "41", "Fedora 41"),
    "el6": ("CentOS_6.5_Final", {".discinfo": b"1385726732.061157\nCentOS 6.5\nx86_64\n1\n", **PACKAGES}, "centos-6", "6.5", "Centos 6.5"),
    "discinfo and package": ("X", {".discinfo": b"1700000000.0\n9.3\nx86_64\n", "BaseOS/Packages/r/rocky-release-9.3-1.2.el9.noarch.rpm": b"", **PACKAGES}, "rocky-9", "9.3", "Rocky 9.3"),
    "ubuntu": ("Ubuntu-Server 24.04.1 LTS amd64", {".disk/info": b'Ubuntu-Server 24.04.1 LTS "Noble Numbat" - Release amd64 (20240827)', "casper/vmlinuz": b"k", "casper/install-sources.yaml": b""}, "ubuntu-24.04", "24.04.1", "Ubuntu-Server 24.04.1 LTS Noble Numbat"),
    "ubuntu arm": ("Ubuntu-Server 22.04.5 LTS arm64", {".disk/info": b'Ubuntu-Server 22.04.5 LTS "Jammy Jellyfish" - Release arm64 (20240911)', "casper/vmlinuz": b"k"}, "ubuntu-22.04-aarch64", "22.04.5", "Ubuntu-Server 22.04.5 LTS Jammy Jellyfish"),
    "bionic": ("Ubuntu-Server 18.04.6 LTS amd64", {".disk/info": b'Ubuntu-Server 18.04.6 LTS "Bionic Beaver" - Release amd64 (20210915)', "install/vmlinuz": b""}, "ubuntu-18.04", "18.04.6", "Ubuntu-Server 18.04.6 LTS Bionic Beaver"),
    "debian": ("Debian 12.5.0 amd64 n", {".disk/info": b'Debian GNU/Linux 12.5.0 "Bookworm" - Official amd64 NETINST with firmware 20240210-11:27', "dists/bookworm/Release": b"Origin: Debian\n"}, "debian-12", "12.5.0", "Debian GNU/Linux 12.5.0 Bookworm"),
    "debian mirror": ("", {"dists/bookworm/Release": b"Origin: Debian\nSuite: oldstable\n"}, "debian", "", "Debian mirror"),
    "ubuntu mirror": ("", {"dists/noble/Release": b"Origin: Ubuntu\n"}, "ubuntu", "", "Ubuntu mirror"),
    "leap 15": ("openSUSE-Leap-15.6-DVD-x86_64710.3", {"media.1/products": b"/ openSUSE-Leap 15.6-1\n", "boot/x86_64/loader/linux": b"k", ".treeinfo": treeinfo("openSUSE Leap", "15.6")}, "leap-15", "15.6", "openSUSE Leap 15.6"),
    "sles 15": ("SLE-15-SP5-Full-x86_64124.1.57", {"media.1/products": b"/ SLE 15.5-0\n", "boot/x86_64/loader/linux": b"k"}, "sles-15", "15.5", "SUSE Linux Enterprise 15.5"),
    "sles 12": ("SLE-12-SP5-Server-DVD-x86_6404161", {"content": b"CONTENTSTYLE     11\nDISTRO           cpe:/o:suse:sles:12:sp5,SUSE Linux Enterprise Server 12 SP5\n", "boot/x86_64/loader/linux": b"k"}, "sles-12", "12.5", "SUSE Linux Enterprise 12.5"),
    "leap 16": ("Install-Leap-16.0-x86_64", {"LiveOS/squashfs.img": b"", "boot/x86_64/loader/linux": b"k"}, "leap-16", "16.0", "openSUSE Leap 16.0"),
    "sles 16": ("Install-SLES-16.0-x86_64", {"LiveOS/squashfs.img": b"", "boot/x86_64/loader/linux": b"k"}, "sles-16", "16.0", "SUSE Linux Enterprise 16.0"),
    "fcos": ("fedora-coreos-41.20241109.3.0", {"images/pxeboot/rootfs.img": b"", "coreos/features.json": b"{}"}, "fcos", "41.20241109.3.0", "Fedora CoreOS 41.20241109.3.0"),
    "fcos files": ("", {"fedora-coreos-41.20241109.3.0-live-rootfs.aarch64.img": b""}, "fcos-aarch64", "41.20241109.3.0", "Fedora CoreOS 41.20241109.3.0"),
    "rhcos": ("rhcos-416.94.202406251923-0", {"images/pxeboot/rootfs.img": b""}, "rhcos", "416.94.202406251923-0", "Red Hat Enterprise Linux CoreOS 416.94.202406251923-0"),
    "flatcar": ("", {"flatcar_production_pxe.vmlinuz": b"", "version.txt": b'FLATCAR_BUILD=3975\nFLATCAR_VERSION=3975.2.2\nFLATCAR_BOARD="amd64-usr"\n'}, "flatcar", "3975.2.2", "Flatcar 3975.2.2"),
    "photon": ("PHOTON_20230524", {"isolinux/initrd.img": b"", "RPMS/noarch/photon-release-5.0-1.ph5.noarch.rpm": b""}, "photon-5", "5.0", "Photon OS 5.0"),
    "proxmox": ("PVE", {".cd-info": b"ISONAME='proxmox-ve'\nPRODUCT='pve'\nPRODUCTLONG='Proxmox VE'\nRELEASE='8.2'\nISORELEASE='1'\n", "boot/linux26": b""}, "proxmox-8", "8.2", "Proxmox VE 8.2"),
    "alpine": ("alpine-std 3.20.3 x86_64", {".alpine-release": b"3.20.3\n", "boot/vmlinuz-lts": b""}, "alpine-3.20", "3.20.3", "Alpine Linux 3.20.3"),
    "esxi 8": ("ESXI-8.0U2-22380479-STANDARD", {"BOOT.CFG": BOOT_CFG, "B.B00": b"", "EFI/BOOT/BOOTX64.EFI": b""}, "esxi-8", "8.0.2", "VMware ESXi 8.0.2"),
    "esxi without build": ("ESXI-6.5.0-4564106", {"BOOT.CFG": b"title=x\r\nkernel=/tboot.b00\r\nmodules=/b.b00 --- /k.b00\r\n"}, "esxi-6", "6.5.0", "VMware ESXi 6.5.0"),
}  # fmt: skip


@pytest.mark.parametrize("what", MEDIA)
def test_a_medium_is_recognised(what: str) -> None:
    volume, files, repository, version, title = MEDIA[what]
    medium = recognise(FixedTree(files, volume))
    assert (medium.repository, medium.version, medium.title, medium.volume_id) == (repository, version, title, volume)
    assert medium.facts["installer"]
    assert from_json(json.loads(json.dumps(to_json(medium)))) == medium


def test_facts_that_installers_need() -> None:
    def facts(what: str) -> dict[str, Any]:
        volume, files, *_ = MEDIA[what]
        return recognise(FixedTree(files, volume)).facts

    assert facts("rocky") == {"installer": "anaconda", "kernel": "images/pxeboot/vmlinuz", "initrd": "images/pxeboot/initrd.img"}
    assert facts("esxi 8")["boot_cfg"] == BOOT_CFG.decode()
    assert (facts("ubuntu")["installer"], facts("bionic")["installer"]) == ("subiquity", "d-i")
    assert (facts("leap 15")["installer"], facts("leap 16")["installer"]) == ("linuxrc", "agama")


def test_a_medium_that_is_not_enough_says_so() -> None:
    boot = recognise(FixedTree({".treeinfo": treeinfo("Rocky Linux", "9.4")}))
    assert "no packages" in boot.notes[0]
    assert not recognise(FixedTree({".treeinfo": treeinfo("Rocky Linux", "9.4"), **PACKAGES})).notes
    assert "netboot images" in recognise(FixedTree(MEDIA["debian"][1])).notes[0]


def test_the_unknown_is_a_sentence_that_says_what_was_looked_for() -> None:
    with pytest.raises(Unrecognised) as caught:
        recognise(FixedTree({"readme.txt": b"hello"}))
    for word in ("boot.wim", "BOOT.CFG", ".treeinfo", ".disk/info", "Proxmox", "Alpine", "Flatcar"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"sources/boot.wim": b"x", "sources/install.wim": b"no wim"}, "no WIM file"),
        ({"boot.cfg": b"kernel=b.b00\nmodules=k.b00\n"}, "which release"),
    ],
)
def test_half_a_medium_says_what_is_wrong_with_it(files: dict[str, bytes], says: str) -> None:
    with pytest.raises(Unrecognised, match=says):
        recognise(FixedTree(files))


NAMES = sorted({name for _, files, *_ in MEDIA.values() for name in files} | {"sources/boot.wim", "sources/install.wim"})


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=400), max_size=6), st.text(max_size=40))
def test_nothing_that_a_medium_holds_is_more_than_a_sentence(files: dict[str, bytes], volume: str) -> None:
    try:
        assert isinstance(recognise(FixedTree(files, volume)), Medium)
    except Unrecognised:
        pass


@needs("genisoimage")
def test_an_image_of_upper_case_names_is_read_like_a_directory_of_them(tmp_path: Path) -> None:
    root = media.tree(tmp_path / "t", dict[str, bytes | str](MEDIA["esxi 8"][1]))
    image = media.plain(root, tmp_path / "m.iso", volume="ESXI-8.0U2-22380479")
    with image.open("rb") as f:
        of_image = recognise(ImageTree(f.fileno(), read_index(image)))
    assert of_image.volume_id == "ESXI-8.0U2-22380479"
    of_directory = recognise(DirectoryTree(root))
    assert of_image.facts == of_directory.facts == {"installer": "esxi", "boot_cfg": BOOT_CFG.decode()}


@needs("xorriso")
def test_parts_of_a_file_inside_an_image(tmp_path: Path) -> None:
    image = media.rock_ridge(media.tree(tmp_path / "t", {"a": bytes(range(256)), "d/e": b"x"}), tmp_path / "m.iso")
    with image.open("rb") as f:
        tree = ImageTree(f.fileno(), read_index(image))
        assert tree.read("a", 10, 5) == bytes(range(10, 15))
        assert (tree.read("a", 250, 50), tree.read("a", 300, 5), tree.read("b")) == (bytes(range(250, 256)), b"", None)
        assert (tree.names(""), tree.names("D"), tree.names("x"), tree.has("d/e"), tree.has("d")) == (["a", "d"], ["e"], [], True, False)


def test_a_directory_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    tree = DirectoryTree(media.tree(tmp_path / "t", {"a/b": b"x", "out": f"->{tmp_path}"}))
    assert (tree.read("out/secret"), tree.read("../secret"), tree.names("../"), tree.names("A"), tree.has("A/B")) == (
        None,
        None,
        [],
        ["b"],
        True,
    )


def test_a_remote_tree_asks_for_what_is_missing_and_never_twice() -> None:
    files = MEDIA["photon"][1]
    tree, asked = RemoteTree(), list[Question]()
    while True:
        try:
            medium = recognise(tree)
            break
        except Missing as missing:
            question = missing.question
            asked.append(question)
            if question.listing:
                tree.listings[question.path] = FixedTree(files).names(question.path)
            else:
                tree.answers[question] = FixedTree(files).read(question.path, question.start, question.most)
    assert medium.repository == "photon-5"
    assert len(asked) == len(set(asked)) < 60
