"""What each installer's kernel must be started with, written down from the installers' documents and the samples; no template is read.

A line is what the stand-in kernel must have seen, word for word, without the kernel's name and the ``initrd=`` words that iPXE wants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.lab.network import APPLIANCE


@dataclass(frozen=True)
class Given:
    """`options` as the operator gave them; `tree`, `answers`: URLs of the repository and of the install's files; `nic`: MAC of the NIC."""

    release: str
    options: Mapping[str, Any]
    tree: str
    answers: str
    nic: str

    @property
    def console(self) -> str:
        """``com1`` is the first serial port."""
        return f"console=tty0 console=ttyS{int(self.options['comport'][-1]) - 1},115200n8"

    @property
    def mine(self) -> str:
        """The operator's own arguments for the installer."""
        return " ".join(f"{name}={value}" if value else name for name, value in self.options["kargs"].items())

    @property
    def kept(self) -> str:
        """Those that the installed system keeps."""
        return str(self.options["targetKernelArgs"])

    @property
    def bootif(self) -> str:
        chosen = self.options.get("installInterface", self.nic)
        return f"BOOTIF=01-{chosen.lower().replace(':', '-')}"


@dataclass(frozen=True)
class Expected:
    """URLs (relative ones are below the tree), and the line. `tells`: iPXE tells pxed `started` before it starts the kernel, whose
    installer cannot. `named` False: no initrd has its name in the line."""

    kernel: str
    initrds: tuple[str, ...]
    line: str
    tells: bool = False
    named: bool = True


def debian(given: Given) -> Expected:
    codename = {"13": "trixie", "12": "bookworm", "11": "bullseye"}[given.release]
    return _preseeded(given, f"dists/{codename}/main/installer-amd64/current/images/netboot/debian-installer/amd64")


def _preseeded(given: Given, images: str) -> Expected:
    options = given.options
    return Expected(
        f"{images}/linux",
        (f"{images}/initrd.gz",),
        f"auto=true priority=critical url={given.answers}/preseed.cfg interface=auto netcfg/dhcp_timeout=60"
        f" netcfg/no_default_route=true netcfg/get_nameservers={options['dnsServers'][0]}"
        f" locale={options['locale']} keymap={options['keyboard']} hostname={options['hostname']} netcfg/hostname={options['hostname']}"
        f" domain={options['domain']} log_host={APPLIANCE} log_port=514 DEBIAN_FRONTEND=text {given.mine}"
        f" {given.bootif} --- {given.console} {given.kept}",
    )


def ubuntu(given: Given) -> Expected:
    if given.release == "18.04":
        return _preseeded(given, "dists/bionic-updates/main/installer-amd64/current/images/netboot/ubuntu-installer/amd64")
    image, seed = {"20.04": ("url", "nocloud-net"), "22.04": ("url", "nocloud-net")}.get(given.release, ("iso-url", "nocloud"))
    return Expected(
        "casper/vmlinuz",
        ("casper/initrd",),
        f"ip=dhcp {image}={given.options.get('isoUrl', given.tree + '.iso')} autoinstall cloud-config-url=/dev/null"
        f" ds={seed};s={given.answers}/ root=/dev/ram0 ramdisk_size=1500000 fsck.mode=skip noprompt"
        f" {given.mine} {given.bootif} --- {given.console} {given.kept}",
    )


def redhat(given: Given) -> Expected:
    words = f"inst.ks={given.answers}/ks.cfg inst.stage2={given.tree} ip=dhcp inst.syslog={APPLIANCE}:514"
    if given.release == "6":
        words = f"ks={given.answers}/ks.cfg method={given.tree} ksdevice=bootif ip=dhcp syslog={APPLIANCE}:514"
    return Expected(
        "images/pxeboot/vmlinuz", ("images/pxeboot/initrd.img",), f"{words} {given.console} {given.kept} {given.mine} {given.bootif}"
    )


def suse(given: Given) -> Expected:
    """linuxrc and AutoYaST up to 15, dracut and Agama from 16 on."""
    words = (
        f"install={given.tree} autoyast={given.answers}/autoinst.xml netsetup=dhcp textmode=1 self_update=0 insecure=1 loghost={APPLIANCE}"
        if given.release in ("12", "15")
        else f"root=live:{given.tree}/LiveOS/squashfs.img rd.neednet=1 ip=dhcp inst.script={given.answers}/prepare.sh"
        f" inst.auto=file:///run/pxed/autoinst.json inst.install_url={given.tree}/install inst.finish=reboot inst.self_update=0"
        " inst.copy_network=0"
    )
    return Expected(
        "boot/x86_64/loader/linux",
        ("boot/x86_64/loader/initrd",),
        f"{words} {given.console} {given.kept} {given.mine} {given.bootif}",
    )


def flatcar(given: Given) -> Expected:
    return Expected(
        "flatcar_production_pxe.vmlinuz",
        ("flatcar_production_pxe_image.cpio.gz",),
        f"flatcar.first_boot=1 ignition.config.url={given.answers}/live.ign {given.console} {given.mine} {given.kept} {given.bootif}",
    )


def fcos(given: Given) -> Expected:
    return Expected(
        "images/pxeboot/vmlinuz",
        ("images/pxeboot/initrd.img",),
        f"coreos.live.rootfs_url={given.tree}/images/pxeboot/rootfs.img ip=dhcp rd.neednet=1 ignition.firstboot ignition.platform.id=metal"
        f" ignition.config.url={given.answers}/live.ign {given.console} {given.mine} {given.kept} {given.bootif}",
    )


def photon(given: Given) -> Expected:
    """Its installer runs on the last console alone, so there is one."""
    serial = given.console.removeprefix("console=tty0 ")
    return Expected(
        "isolinux/vmlinuz",
        ("isolinux/initrd.img",),
        f"root=/dev/ram0 loglevel=3 repos={given.tree}/RPMS repo={given.tree}/RPMS ks={given.answers}/ks.json insecure_installation=1"
        f" {serial} {given.mine} {given.kept} {given.bootif}",
        tells=given.release in ("3", "4"),
    )


def windows(given: Given) -> Expected:
    """wimboot has no arguments. What is given to it has the name that Windows PE looks for."""
    programs = f"http://{APPLIANCE}/b/windows"
    own = tuple(f"{given.answers}/{name}" for name in ("winpeshl.ini", "pxed.cmd"))
    return Expected(f"{programs}/wimboot", (*own, f"{programs}/curl.exe", "sources/boot.wim"), "", named=False)


def alpine(given: Given) -> Expected:
    kernel = given.options["flavour"]
    return Expected(
        f"boot/vmlinuz-{kernel}",
        (f"boot/initramfs-{kernel}",),
        f"ip=dhcp modules=loop,squashfs,sd-mod,usb-storage alpine_repo={given.tree}/apks modloop={given.tree}/boot/modloop-{kernel}"
        f" apkovl={given.answers}/pxed.apkovl.tar.gz {given.console} {given.mine} {given.kept} {given.bootif}",
    )


def proxmox(given: Given) -> Expected:
    """The image follows an archive's head that makes it a file, so the order is what counts."""
    return Expected(
        "boot/linux26",
        (f"{given.answers}/image.cpio", f"{given.tree}.iso", "boot/initrd.img"),
        f"ramdisk_size=16777216 rw quiet splash=silent proxmox-start-auto-installer {given.console} {given.mine} {given.bootif}",
    )


LINES: Mapping[str, Callable[[Given], Expected]] = {
    "debian": debian,
    "ubuntu": ubuntu,
    **dict.fromkeys(("rhel", "centos", "rocky", "alma", "oracle", "fedora"), redhat),
    **dict.fromkeys(("sles", "leap"), suse),
    "flatcar": flatcar,
    "fcos": fcos,
    "photon": photon,
    "windows": windows,
    "alpine": alpine,
    "proxmox": proxmox,
}
"""Family > what it must be. A family that is missing here is held to what is common to all (test_profiles.py), and named as skipped."""
