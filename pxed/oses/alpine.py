"""Alpine Linux: a system in memory that installs itself with Alpine's own setup-alpine.

What the node does: kernel and initramfs from the repository; the initramfs takes the base system from the tree's packages and lays
`pxed.apkovl.tar.gz` over it, an archive whose one service fetches and runs `install.sh`. That tells us `started`, chooses the disk, runs
setup-alpine with `answers.sh`, then `post.sh` on the new system below /mnt (accounts, network, the operator's commands; tells us
`installed`); after the restart OpenRC's `local` service runs `firstboot.sh`, which tells us `booted`.

Sources: mkinitfs (initramfs-init), alpine-conf (setup-alpine, setup-disk).
Traps: setup-disk copies /etc of the system in memory to the disk, so the service that starts the installer removes itself first, and
post.sh makes sure of it; setup-alpine ends with status 0 whatever happened, and asks when it has no answer, so it reads from nowhere, for a
limited time, and its last words tell how it went; setup-disk puts kernel arguments into a sed script between colons (for syslinux), so
theirs have a backslash, which GRUB takes off where it reads them instead; an archive without ``.default_boot_services`` would boot without
any.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from pxed.oses.family import Family, NodeView, Release, Resources, Urls, repository
from pxed.oses.features import Services
from pxed.oses.ifupdown import stanzas
from pxed.oses.linux import LinuxBoot, boot_context, boot_mac, console_arguments, linux_context
from pxed.oses.options import CommonOptions, Url
from pxed.oses.strict import refusal
from pxed.workflow.recipe import HOUR, MINUTE, Milestone, Recipe, RecipeNode

# The deadlines stand in the journals of running installs: another value is another version of the recipe.
START = 30 * MINUTE
"""From the assignment to the first word of the system in memory."""
INSTALL = HOUR
"""From the first word to the last; setup-alpine itself is given 45 minutes of it."""
BOOT = 30 * MINUTE
"""From the installer's last word to the installed system's first; its hook tries for 25 minutes."""

MILESTONES = (
    Milestone("started", 10, "The system in memory runs"),
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


async def install_and_stop(node: RecipeNode) -> None:
    """The same for a node that is switched off at the end."""
    await node.boot("installer")
    await node.notification("started", within=START)
    await node.notification("installed", within=INSTALL)
    await node.boot("disk")


KEYMAPS = ("us", "at", "be", "br", "ch", "cz", "de", "dk", "es", "fi", "fr", "gb", "hu", "it", "nl", "no", "pl", "pt", "ru", "se", "tr")
"""Layouts that Alpine has a keymap of the same name for; setup-keymap would ask about any other."""


class AlpineOptions(Services, CommonOptions):
    """What Alpine adds to the common options."""

    refused: ClassVar[Mapping[str, str]] = {
        "locale": "Alpine's C library knows no locales",
        "installPartitions": "setup-disk divides the disk itself; see layout and filesystem",
        "proxy": "the installer takes everything from this appliance; scripts.post can set one up",
        "remoteLogging": "the system in memory sends no log; its hook tells what goes wrong",
        "kvm": "name the packages in packages",
        "selinux": "Alpine has no SELinux",
        "groups": "see packages",
    }

    after: Literal["reboot", "poweroff"] = Field(default="reboot", description="What the node does when the installer ends")
    layout: Literal["auto", "plain", "lvm"] = Field(default="auto", description="auto: plain")
    filesystem: Literal["ext4", "xfs", "btrfs"] = "ext4"
    flavour: Literal["lts", "virt"] = Field(default="lts", description="The kernel: lts, or virt for virtual machines")
    apkRepos: list[Url] = Field(
        default_factory=list, description="Package repositories besides the tree's own apks/, like http://mirror/alpine/v3.22/main"
    )


def boot(release: Release, options: AlpineOptions, node: NodeView, urls: Urls, _resources: Resources) -> dict[str, Any]:
    """The names that the boot scripts use. InvalidRequest: an interface or a keymap that Alpine's programs cannot be told."""
    _check(options)
    tree = urls.tree(options.repo, repository("alpine", release, node.arch))
    arguments = [
        *("ip=dhcp", "modules=loop,squashfs,sd-mod,usb-storage", f"alpine_repo={tree}/apks"),
        *(f"modloop={tree}/boot/modloop-{options.flavour}", f"apkovl={urls.answer('pxed.apkovl.tar.gz')}"),
        *console_arguments(options),
        *options.kernelArgs.split(),
        *options.targetKernelArgs.split(),
    ]
    linux = LinuxBoot(
        kernel=f"{tree}/boot/vmlinuz-{options.flavour}",
        initrds=(f"{tree}/boot/initramfs-{options.flavour}",),
        arguments=" ".join(arguments),
        boot_mac=boot_mac(options),
    )
    return boot_context(release, node, urls, linux)


def context(release: Release, options: AlpineOptions, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
    """The names that templates/alpine/ uses. InvalidRequest as `boot`."""
    tree = urls.tree(options.repo, repository("alpine", release, node.arch))
    kernel_words = ["quiet", *console_arguments(options), *options.targetKernelArgs.split()]
    return {
        **linux_context(release, options, node, urls),
        **boot(release, options, node, urls, resources),
        "render": resources.render,
        "apk_repos": [f"{tree}/apks", *options.apkRepos],
        "packages": _packages(options),
        "kernel_words": " ".join(kernel_words).replace(":", "\\:"),
        "keymap": f"{options.keyboard} {options.keyboard}",
        "full_name": ".".join(part for part in (options.hostname, options.domain) if part) if options.hostname else "",
        "interfaces": stanzas(options.networkDevices),
        "interfaces_source": False,
        "resolv": "\n".join(
            ([f"search {' '.join(options.dnsSearch)}"] if options.dnsSearch else [])
            + [f"nameserver {server}" for server in options.dnsServers]
        ),
        "services": {"enable": options.enableServices, "disable": options.disableServices},
    }


def _check(options: AlpineOptions) -> None:
    if options.installInterface is not None and ":" not in options.installInterface:
        raise refusal(
            "installInterface", "expected a MAC address, since Alpine's initramfs takes no name together with DHCP", "a MAC address"
        )
    if options.keyboard not in KEYMAPS:
        raise refusal("keyboard", f"pxed knows no keymap of Alpine's for {options.keyboard}", f"one of {', '.join(KEYMAPS)}")
    if options.dnsSearch and not options.dnsServers:
        raise refusal("dnsServers", "the domains to search are written together with the name servers", "at least one address")


def _packages(options: AlpineOptions) -> list[str]:
    """The operator's, and what accounts and options need. They are installed in memory, and setup-disk takes them over."""
    shells = {user.shell for user in options.users}
    needed = [
        "shadow",
        *(["bash"] if "/bin/bash" in shells else []),
        *(["sudo"] if any(user.sudo for user in options.users) else []),
        *(["tzdata"] if options.timezone != "UTC" else []),
    ]
    return list(dict.fromkeys([*options.packages, *needed]))


def overlay(given: Mapping[str, Any]) -> bytes:
    """The apkovl: what is laid over the system in memory. The same bytes for the same install."""
    starter = given["render"]("alpine/start.sh.j2", given)
    files = {
        "etc/.default_boot_services": ("", 0o644),
        "etc/hostname": ("pxed-installer\n", 0o644),
        "etc/local.d/pxed-install.start": (starter, 0o755),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (text, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uname, entry.gname = len(text.encode()), mode, "root", "root"
            archive.addfile(entry, io.BytesIO(text.encode()))
        service = tarfile.TarInfo("etc/runlevels/default/local")
        service.type, service.linkname, service.mode = tarfile.SYMTYPE, "/etc/init.d/local", 0o777
        archive.addfile(service)
    return gzip.compress(packed.getvalue(), mtime=0)


def _release(name: str) -> Release:
    needs = "the files of the netboot archive (boot/) and the packages of the .iso (apks/) in one repository (docs/os/alpine.md)"
    return Release(name, f"Alpine Linux {name}", {"needs": needs})


ALPINE = Family(
    name="alpine",
    title="Alpine Linux",
    releases={release.name: release for release in (_release("3.22"), _release("3.21"), _release("3.20"))},
    options=AlpineOptions,
    recipe=Recipe("alpine", 1, install, MILESTONES),
    recipe_off=Recipe("alpine-off", 1, install_and_stop, MILESTONES[:2]),
    profile="boot/linux.ipxe.j2",
    files={
        "install.sh": "alpine/install.sh.j2",
        "answers.sh": "alpine/answers.sh.j2",
        "post.sh": "alpine/post.sh.j2",
        "firstboot.sh": "linux/firstboot.sh.j2",
    },
    made={"pxed.apkovl.tar.gz": overlay},
    context=context,
    boot=boot,
)
