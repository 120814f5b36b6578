"""Photon OS 3, 4 and 5: its own installer, driven by a kickstart that is JSON.

What the node does: kernel and initrd from the repository, `ks.json`. Photon 5's installer then runs `pre.sh` (tells us `started`, chooses
the disk), beside which `watch.sh` reads its log and tells us how it failed; those of 3 and 4 run nothing of ours before they have
finished, so there the boot script tells us `started`. `post.sh` runs in the new system (accounts, network, the operator's commands; tells
us `installed`); after the reboot `firstboot.sh` tells us `booted`.

Sources: photon-os-installer and its ks_config.md; the installer of Photon 3 in Photon's own repository.
Traps: an unknown key ends the install; the installer starts on one console only, so the kernel must be given no more than one; a value
that begins with ``$`` is a variable of the preinstall script, a password's hash as well; a script's output becomes the environment, so
pre.sh has none; the modules that finish the system run in no certain order, so root's password and keys are also in the kickstart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pxed.oses import escape
from pxed.oses.disk import Partition, check_partitions
from pxed.oses.family import Family, NodeView, Release, Resources, Urls, repository
from pxed.oses.features import Services
from pxed.oses.linux import LinuxBoot, boot_context, boot_mac, console_arguments, linux_context
from pxed.oses.netfiles import networkd
from pxed.oses.netplan import netplan
from pxed.oses.network import resolved
from pxed.oses.options import CommonOptions
from pxed.oses.strict import refusal
from pxed.workflow.recipe import HOUR, MINUTE, Milestone, Recipe, RecipeNode

# The deadlines stand in the journals of running installs: another value is another version of the recipe.
START = 30 * MINUTE
"""From the assignment to the installer's first word (3 and 4: to its kernel's start): firmware, kernel and an initrd that is all of it."""
INSTALL = 2 * HOUR
"""From the first word to the last."""
BOOT = 30 * MINUTE
"""From the installer's last word to the installed system's first; its hook tries for 25 minutes."""

MILESTONES = (
    Milestone("started", 5, "The installer is started"),
    Milestone("installed", 95, "The installer has finished; the node restarts from its disk"),
    Milestone("booted", 100, "The installed system runs"),
)


async def install(node: RecipeNode) -> None:
    """Network boot, install, boot from disk, and the installed system says so itself."""
    await node.boot("installer")
    await node.notification("started", within=START)
    await node.notification("installed", within=INSTALL)
    await node.boot("disk")
    await node.notification("booted", within=BOOT)


FLAVOURS = ("linux-esx", "linux-aws", "linux-secure", "linux-rt")
"""Kernels beside `linux`, of which the installer takes one."""


def _rest(value: Any) -> Any:
    """Photon's own word for what is left, the size 0, which RackHD's payloads have > ``auto``."""
    if not isinstance(value, list):
        return value
    return [{**each, "size": "auto"} if isinstance(each, Mapping) and each.get("size") in ("0", 0) else each for each in value]


class PhotonOptions(Services, CommonOptions):
    """What Photon adds to the common options."""

    lost_in_arguments = "'\\"  # our own hook writes them, each in single quotes
    refused: ClassVar[Mapping[str, str]] = {
        "locale": "Photon's installer sets en_US.UTF-8; packages and scripts.post can add another",
        "keyboard": "Photon installs without keyboard layouts; packages and scripts.post can add some",
        "proxy": "Photon's installer knows no proxy; scripts.post can set one up",
        "remoteLogging": "Photon's installer sends no log; pxed's hook tells what it says when it fails (Photon 5)",
        "after": "Photon's installer always restarts the node; scripts.firstboot can switch it off",
        "installInterface": "Photon's installer asks DHCP on every interface",
        "kvm": "name the packages in packages",
        "groups": "see installType and packages",
        "selinux": "Photon installs without SELinux; packages and scripts.post can add it",
        "firewall": "Photon installs with its firewall on, which lets ssh in; scripts.post can change that",
        "fips": "FIPS mode is chosen with targetKernelArgs fips=1",
    }

    hidden: ClassVar[tuple[str, ...]] = ("Partition.label",)

    installPartitions: Annotated[list[Partition], BeforeValidator(_rest), AfterValidator(check_partitions)] = Field(default_factory=list)
    installType: Literal["minimal", "full"] = Field(
        default="minimal", description="minimal, or full: what Photon's own installer calls developer"
    )


def boot(release: Release, options: PhotonOptions, node: NodeView, urls: Urls, _resources: Resources) -> dict[str, Any]:
    """The names that the boot scripts use."""
    tree = urls.tree(options.repo, repository("photon", release, node.arch))
    linux = LinuxBoot(
        kernel=f"{tree}/isolinux/vmlinuz",
        initrds=(f"{tree}/isolinux/initrd.img",),
        arguments=_arguments(options, urls, tree),
        boot_mac=boot_mac(options),
        tells=not release.data["preinstall"],
    )
    return boot_context(release, node, urls, linux)


def context(release: Release, options: PhotonOptions, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
    """The names that templates/photon/ uses. InvalidRequest: a disk, a partition or a package that this release cannot do."""
    kept = [*console_arguments(options), *options.targetKernelArgs.split()]
    network = networkd(netplan(options.networkDevices)) if options.networkDevices else {}
    return {
        **linux_context(release, options, node, urls),
        **boot(release, options, node, urls, resources),
        "kickstart": _kickstart(release, options, urls),
        "kept": " ".join(kept),
        "network": network,
        "resolved": resolved(options),
        "services": {"enable": options.enableServices, "disable": options.disableServices},
    }


def _arguments(options: PhotonOptions, urls: Urls, tree: str) -> str:
    """The kernel's command line. `repo` is what the older installers read, `repos` the newer."""
    return " ".join(
        [
            *("root=/dev/ram0", "loglevel=3", f"repos={tree}/RPMS", f"repo={tree}/RPMS"),
            *(f"ks={urls.answer('ks.json')}", "insecure_installation=1"),
            *([f"console={options.console.argument}"] if options.console else []),
            *options.kernelArgs.split(),
            *options.targetKernelArgs.split(),
        ]
    )


def _kickstart(release: Release, options: PhotonOptions, urls: Urls) -> dict[str, Any]:
    """The installer's configuration; every key is known to all three releases, but for `preinstall`."""
    early = bool(release.data["preinstall"])
    partitions = _partitions(release, options, hashlib.sha256(urls.token.encode()).hexdigest()[:6])
    packages = ["minimal", "linux", "initramfs"] if options.installType == "minimal" else []
    secret = options.rootPasswordHash or "*"
    name = ".".join(part for part in (options.hostname, options.domain) if part) if options.hostname else ""
    return {
        **({"hostname": name} if name else {}),
        "password": {"crypted": True, "text": "$pxed_root" if early else secret, "age": -1},
        "disk": "$pxed_disk" if early else _disk_path(release, options),
        **({"partitions": partitions} if partitions else {}),
        **({"packagelist_file": "packages_developer.json"} if options.installType == "full" else {}),
        "packages": list(dict.fromkeys([*packages, *_packages(options)])),
        **({"public_key": "\n".join(options.rootSshKeys)} if options.rootSshKeys else {}),
        **({"preinstall": _preinstall(urls, secret)} if early else {}),
        "postinstall": ["#!/bin/bash", f"{_fetched('/root/.pxed-post.sh', urls.answer('post.sh'))} && bash /root/.pxed-post.sh", "exit 0"],
    }


def _preinstall(urls: Urls, secret: str) -> list[str]:
    """Lines of one script. Its variables are what values that begin with ``$`` stand for; without them the installer ends."""
    fetch = _fetched("/tmp/pxed-pre.sh", urls.answer("pre.sh"))  # noqa: S108  (on the installer's own RAM disk)
    return [
        "#!/bin/bash",
        f"pxed_root={escape.sh(secret)}",
        f"{fetch} && bash /tmp/pxed-pre.sh $PPID >/dev/null 2>&1 </dev/null && . /tmp/pxed-disk",
    ]


def _fetched(file: str, url: str) -> str:
    return f"curl -fsS --noproxy '*' --retry 5 -m 60 -o {file} {url}"


def _disk_path(release: Release, options: PhotonOptions) -> str:
    """The path that the operator names. InvalidRequest if none: this installer cannot be told to look for a disk."""
    if options.disk is None or options.disk.path is None:
        raise refusal(
            "disk",
            f"expected a path like /dev/sda, since the installer of {release.title} runs nothing that could choose a disk",
            "a device path like /dev/sda",
        )
    return options.disk.path


def _packages(options: PhotonOptions) -> list[str]:
    """The operator's, and what pxed's own scripts need. InvalidRequest: a second kernel."""
    for place, name in enumerate(options.packages):
        if name in FLAVOURS:
            raise refusal(f"packages.{place}", f"{name} is a second kernel beside linux, and Photon's installer takes one", "no kernel")
    sudo = any(user.sudo for user in options.users)
    return [*options.packages, "curl", *(["sudo"] if sudo else [])]


def _partitions(release: Release, options: PhotonOptions, mark: str) -> list[dict[str, Any]]:
    """Photon's partitions in MiB; the one that grows has the size 0. [] for the installer's own: one that is all of the disk.

    `mark` makes the volume group's name one that no other disk has: the installer refuses a name that is in use. InvalidRequest.
    """
    lvm, given = options.layout == "lvm", options.installPartitions
    if not given:
        given = [Partition(mountPoint="/boot", size=512), Partition(mountPoint="/", size="grow")] if lvm else []
    for place, part in enumerate(options.installPartitions):
        _check(release, part, f"installPartitions.{place}")
    return [_partition(part, f"photon-{mark}" if lvm and _in_a_volume(part) else "", place) for place, part in enumerate(given)]


def _check(release: Release, part: Partition, option: str) -> None:
    """InvalidRequest for what this release's installer cannot make."""
    known = release.data["file_systems"]
    if part.fsType not in known:
        raise refusal(f"{option}.fsType", f"{release.title} cannot be installed on {part.fsType}", f"one of {', '.join(known)}")
    if part.label is not None:
        raise refusal(f"{option}.label", "Photon's installer names no file systems", "no label")


def _in_a_volume(part: Partition) -> bool:
    return part.mountPoint not in ("/boot", "/boot/efi", "swap")


def _partition(part: Partition, group: str, place: int) -> dict[str, Any]:
    size = 0 if part.size == "grow" else max(1, part.size * 1_000_000 // 2**20)
    name = part.mountPoint.strip("/").replace("/", "_") or "root"
    return {
        **({"mountpoint": part.mountPoint} if part.mountPoint != "swap" else {}),
        "size": size,
        "filesystem": part.fsType,
        **({"lvm": {"vg_name": group, "lv_name": f"{name}{place}"}} if group else {}),
    }


def _release(name: str, *, preinstall: bool, file_systems: tuple[str, ...], needs: str) -> Release:
    """`preinstall`: its installer runs a script of ours before it touches a disk."""
    return Release(name, f"Photon OS {name}", {"preinstall": preinstall, "file_systems": file_systems, "needs": needs})


EXT = ("ext4", "ext3", "vfat", "swap")
MEDIUM = "the full .iso"

PHOTON = Family(
    name="photon",
    title="Photon OS",
    releases={
        release.name: release
        for release in (
            _release("5", preinstall=True, file_systems=(*EXT, "xfs", "btrfs"), needs=MEDIUM),
            _release("4", preinstall=False, file_systems=EXT, needs=f"{MEDIUM}; the option disk with a path"),
            _release("3", preinstall=False, file_systems=EXT, needs=f"{MEDIUM}; the option disk with a path"),
        )
    },
    options=PhotonOptions,
    recipe=Recipe("photon", 1, install, MILESTONES),
    profile="boot/linux.ipxe.j2",
    files={
        "ks.json": "photon/answers.json.j2",
        "pre.sh": "photon/pre.sh.j2",
        "watch.sh": "photon/watch.sh.j2",
        "post.sh": "photon/post.sh.j2",
        "firstboot.sh": "linux/firstboot.sh.j2",
        "firstboot.service": "linux/firstboot.service.j2",
    },
    context=context,
    boot=boot,
    aliases={"5.0": "5", "4.0": "4", "3.0": "3"},
)
