"""How the media of Linux distributions are recognised. Pure; see `recognise`.

Sources: the media themselves and their makers' documents: productmd's .treeinfo and .discinfo, debian-cd's .disk/info, casper, SUSE's
media.1 and content files, kiwi's live images, coreos-assembler, Flatcar's and Photon's release files, pve-installer's .cd-info.
"""

from __future__ import annotations

import re
from configparser import ConfigParser, Error
from typing import Any

from pxed.repo.recognise import Medium, Rule, Tree, text_of

DEBIAN_ARCH = {"amd64": "x86_64", "arm64": "aarch64", "i386": "i386"}
EL_FAMILIES = (
    ("rocky", "rocky"),
    ("almalinux", "alma"),
    ("centos", "centos"),
    ("red hat enterprise linux", "rhel"),
    ("redhat", "rhel"),
    ("rhel", "rhel"),
    ("oracle", "oracle"),
    ("fedora", "fedora"),
)
"""How a .treeinfo, .discinfo or release package names it (lower case, its beginning) > our family."""


def coreos(tree: Tree) -> Medium | None:
    """Fedora CoreOS and RHEL CoreOS, as an image or as the folder of its network boot files."""
    names = " ".join([tree.volume_id, *(name for name in tree.names("") if "live-rootfs" in name)])
    found = re.search(r"(fedora-coreos|rhcos)-(\d[\w.-]*?\d)(?:-live|\s|$)", names)
    if found is None or not (tree.has("images/pxeboot/rootfs.img") or "live-rootfs" in names):
        return None
    family, title = ("fcos", "Fedora CoreOS") if found[1] == "fedora-coreos" else ("rhcos", "Red Hat Enterprise Linux CoreOS")
    arch = "aarch64" if "aarch64" in names or tree.has("EFI/BOOT/BOOTAA64.EFI") else "x86_64"
    return Medium(family, "", found[2], arch, f"{title} {found[2]}", tree.volume_id, {"installer": "coreos-installer"})


def flatcar(tree: Tree) -> Medium | None:
    if not tree.has("flatcar_production_pxe.vmlinuz"):
        return None
    said = _assignments(text_of(tree, "version.txt") or "")
    version = said.get("FLATCAR_VERSION", "")
    arch = "aarch64" if said.get("FLATCAR_BOARD", "").startswith("arm64") else "x86_64"
    return Medium("flatcar", "", version, arch, f"Flatcar {version}".strip(), tree.volume_id, {"installer": "flatcar-install"})


def disk_info(tree: Tree) -> Medium | None:
    """Ubuntu and Debian media: ``Ubuntu-Server 24.04.1 LTS "Noble Numbat" - Release amd64 (20240827)``."""
    said = (text_of(tree, ".disk/info") or "").strip()
    found = re.match(r"(\S*ubuntu\S*|Debian(?: GNU/Linux)?) (\d+(?:\.\d+)*)", said, re.IGNORECASE)
    if found is None:
        return None
    arch = next((DEBIAN_ARCH[word] for word in re.findall(r"\b(?:amd64|arm64|i386)\b", said)), "x86_64")
    title = said.split(" - ")[0].replace('"', "")
    make = _debian if found[1].startswith("Debian") else _ubuntu
    return make(tree, found[2], arch, title, said)


def _ubuntu(tree: Tree, version: str, arch: str, title: str, said: str) -> Medium:
    live = tree.has("casper/vmlinuz") or tree.has("casper/hwe-vmlinuz")
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = {"installer": "subiquity" if live else "d-i"}
    if live:
        facts["kernel"] = "casper/vmlinuz" if tree.has("casper/vmlinuz") else "casper/hwe-vmlinuz"
        if not said.lower().startswith("ubuntu-server") and not tree.has("casper/install-sources.yaml"):
            notes = ("This is no server medium: its installer may not take automatic answers.",)
    return Medium("ubuntu", ".".join(version.split(".")[:2]), version, arch, title, tree.volume_id, facts, notes)


def _debian(tree: Tree, version: str, arch: str, title: str, said: str) -> Medium:
    notes = ["pxed boots Debian's installer from its netboot images, which are on a mirror and not on this medium."]
    if "NETINST" in said.upper():
        notes.append("This medium holds the base system only.")
    return Medium("debian", version.split(".")[0], version, arch, title, tree.volume_id, {"installer": "d-i"}, tuple(notes))


def archive(tree: Tree) -> Medium | None:
    """A Debian or Ubuntu mirror: it holds many releases, so it has no release of its own."""
    for suite in ("stable", "trixie", "bookworm", "bullseye", "resolute", "noble", "jammy", "focal", "bionic"):
        said = text_of(tree, f"dists/{suite}/Release")
        origin = re.search(r"(?m)^Origin: (Debian|Ubuntu)\s*$", said or "")
        if origin is not None:
            return Medium(origin[1].lower(), "", "", "x86_64", f"{origin[1]} mirror", tree.volume_id, {"installer": "d-i"})
    return None


def suse(tree: Tree) -> Medium | None:
    """openSUSE Leap and SLES: linuxrc and AutoYaST up to 15, Agama from 16 on."""
    arch = next((each for each in ("x86_64", "aarch64") if tree.has(f"boot/{each}/loader/linux") or tree.has(f"boot/{each}/linux")), None)
    if arch is None:
        return None
    files = ("media.1/products", "content", "LiveOS/.info", "install/media.1/products")
    said = " ".join([tree.volume_id, *(text_of(tree, path) or "" for path in files)])
    for pattern, family, title in (
        (r"(?i)\bleap[-_: ]*(\d+)\.?(\d*)", "leap", "openSUSE Leap"),
        (r"(?i)\b(?:suse:)?sle[sd]?[-_: ]*(?:full|online)?[-_: ]*(\d+)(?:[-_:. ]*(?:SP)?(\d+))?\b", "sles", "SUSE Linux Enterprise"),
    ):
        found = re.search(pattern, said)
        if found is not None:
            version = f"{found[1]}.{found[2]}" if found[2] else found[1]
            agama = tree.has("LiveOS/squashfs.img")
            facts = {"installer": "agama" if agama else "linuxrc", "kernel": f"boot/{arch}/loader/linux"}
            return Medium(family, found[1], version, arch, f"{title} {version}", tree.volume_id, facts)
    return None


def treeinfo(tree: Tree) -> Medium | None:
    """Fedora, RHEL and its kin."""
    said = text_of(tree, ".treeinfo")
    parser = ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(said or "")
    except Error:
        return None
    if not parser.has_section("general"):
        return None
    general = parser["general"]
    named = general.get("family", "")
    family = _el_family(named)
    version, arch = general.get("version", ""), general.get("arch", "x86_64")
    if family is None or not version[:1].isdigit():
        return None
    images = parser[f"images-{arch}"] if parser.has_section(f"images-{arch}") else {}
    facts = {"installer": "anaconda", **{key: images[key] for key in ("kernel", "initrd") if key in images}}
    return _el(tree, family, version, arch, f"{named} {version}", facts)


def discinfo(tree: Tree) -> Medium | None:
    """The same where there is only a .discinfo: time stamp, name and version, architecture; or a release package."""
    lines = [line.strip() for line in (text_of(tree, ".discinfo") or "").splitlines()]
    if len(lines) < 3:
        return None
    packages = (name for folder in ("Packages", "BaseOS/Packages", "Packages/r", "BaseOS/Packages/r") for name in tree.names(folder))
    for said in (lines[1], *packages):
        found = re.match(r"([a-zA-Z][a-zA-Z ]*?)(?: Linux)?(?:-stream|-linux)?(?:-release)?[ -](?:release )?(\d+(?:\.\d+)*)", said)
        family = _el_family(found[1]) if found is not None else None
        if found is not None and family is not None and (said is lines[1] or "-release-" in said):
            version = found[2] if said is lines[1] or not lines[1][:1].isdigit() else lines[1]
            return _el(tree, family, version, lines[2] or "x86_64", f"{found[1].title()} {version}", {"installer": "anaconda"})
    return None


def _el_family(named: str) -> str | None:
    return next((family for begin, family in EL_FAMILIES if named.lower().startswith(begin)), None)


def _el(tree: Tree, family: str, version: str, arch: str, title: str, facts: dict[str, Any]) -> Medium:
    packages = any(tree.has(f"{folder}repodata/repomd.xml") for folder in ("", "BaseOS/", "Server/"))
    notes = () if packages else ("This medium holds the installer and no packages: name a tree that has them, too.",)
    return Medium(family, version.split(".")[0], version, arch, title, tree.volume_id, facts, notes)


def photon(tree: Tree) -> Medium | None:
    if not tree.has("isolinux/initrd.img"):
        return None
    packages = " ".join(name for folder in ("RPMS", "RPMS/noarch") for name in tree.names(folder) if name.startswith("photon-release"))
    found = re.search(r"photon-release-(\d+(?:\.\d+)*)", packages) or re.search(r"(?i)PHOTON_(\d+(?:\.\d+)?)", tree.volume_id)
    if found is None:
        return None
    arch = "aarch64" if tree.has("EFI/BOOT/bootaa64.efi") else "x86_64"
    return Medium(
        "photon", found[1].split(".")[0], found[1], arch, f"Photon OS {found[1]}", tree.volume_id, {"installer": "photon-installer"}
    )


def proxmox(tree: Tree) -> Medium | None:
    said = _assignments(text_of(tree, ".cd-info") or "")
    families = {"pve": "proxmox", "pbs": "proxmox-backup", "pmg": "proxmox-mail"}
    family = families.get(said.get("PRODUCT", ""))
    version = said.get("RELEASE", "")
    if family is None or not version:
        return None
    title = f"{said.get('PRODUCTLONG') or 'Proxmox'} {version}"
    prepared = tree.has("auto-installer-mode.toml")
    facts = {"installer": "proxmox-auto-installer", "kernel": "boot/linux26", "initrd": "boot/initrd.img", "prepared": prepared}
    notes = () if prepared else ("Its installer asks questions until proxmox-auto-install-assistant prepare-iso has prepared the image.",)
    return Medium(family, version.split(".")[0], version, "x86_64", title, tree.volume_id, facts, notes)


def alpine(tree: Tree) -> Medium | None:
    found = re.search(r"(\d+\.\d+)(\.\d+)?", text_of(tree, ".alpine-release") or "")
    if found is None:
        return None
    arch = next((each for each in ("x86_64", "aarch64") if tree.has(f"apks/{each}/APKINDEX.tar.gz")), "x86_64")
    flavour = next((each for each in ("lts", "virt") if tree.has(f"boot/vmlinuz-{each}")), "lts")
    facts = {"installer": "setup-alpine", "kernel": f"boot/vmlinuz-{flavour}", "initrd": f"boot/initramfs-{flavour}"}
    return Medium("alpine", found[1], found[0], arch, f"Alpine Linux {found[0]}", tree.volume_id, facts)


def _assignments(text: str) -> dict[str, str]:
    """``NAME='value'`` lines of a shell file."""
    return {name: value.strip().strip("'\"") for name, value in re.findall(r"(?m)^(\w+)=(.*)$", text)}


RULES: tuple[tuple[str, Rule], ...] = (
    ("a volume id fedora-coreos-* or rhcos-* with images/pxeboot/rootfs.img (CoreOS)", coreos),
    ("flatcar_production_pxe.vmlinuz (Flatcar)", flatcar),
    (".disk/info (Ubuntu, Debian)", disk_info),
    ("boot/x86_64/loader/linux with media.1/products, content or LiveOS (SLES, openSUSE Leap)", suse),
    (".treeinfo (RHEL, CentOS, Rocky, Alma, Oracle, Fedora)", treeinfo),
    (".discinfo (the same, older)", discinfo),
    ("isolinux/initrd.img with RPMS (Photon)", photon),
    (".cd-info (Proxmox)", proxmox),
    (".alpine-release (Alpine)", alpine),
    ("dists/*/Release (a Debian or Ubuntu mirror)", archive),
)
