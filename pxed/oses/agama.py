"""SLES 16 and openSUSE Leap 16: Agama, driven by a JSON profile and by scripts of its live system.

What the node does: kernel and initrd from the repository; the initrd downloads the live system (LiveOS/squashfs.img) into memory;
`prepare.sh` (tells us `started`, fetches the profile and the other scripts, chooses the disk and writes it into the profile); Agama
installs; `post.sh` (network, accounts, the operator's commands; tells us `installed`), or `watch.sh` if Agama stops without it; after the
reboot `firstboot.sh` tells us `booted`.

It is the second installer of the families `sles` and `leap` (`Family.others`) and no family of its own: the names and options that an
operator knows stay the same, while recipe, files and hooks have nothing in common with AutoYaST's.

Sources: Agama's user documentation (boot options, unattended installation, profile reference, network installation) and its profile's JSON
schema, of the branch for 16.0 and of the present one. What is written here is what both take: the section ``localization`` and not
``l10n``; no ``ntp``, ``proxy``, ``access``, which 16.0 refuses, so `post.sh` does these.
Traps: scripts of the profile cannot change the profile, hence ``inst.script``, which Agama runs before it reads ``inst.auto``; connections
of the profile would change the network under the running installer, hence NetworkManager's own files at the end; Agama has no hook for
failures, hence `watch.sh`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from pxed.oses.disk import PLACEHOLDER, Partition
from pxed.oses.family import ARM64, Family, NodeView, Release, Resources, Urls, repository
from pxed.oses.linux import LinuxBoot, boot_context, boot_mac, console_arguments, linux_context
from pxed.oses.netfiles import keyfiles
from pxed.oses.netplan import netplan
from pxed.oses.strict import refusal
from pxed.oses.suse_options import SuseOptions
from pxed.workflow.recipe import HOUR, MINUTE, Milestone, Recipe, RecipeNode

# The deadlines stand in the journals of running installs: another value is another version of the recipe.
START = 45 * MINUTE
"""From the assignment to Agama's first script: firmware, kernel, and the live system (about 1 GB) into memory."""
INSTALL = 2 * HOUR
"""From there to the last script."""
BOOT = 30 * MINUTE
"""The reboot and the first boot's hook, which tries for 25 minutes."""

HOME = "/run/pxed"
"""Where the scripts live on the installer's RAM disk."""
PRODUCTS = {"sles": "SLES", "leap": "openSUSE_Leap"}
"""Family > Agama's name of its product."""
GROW_MINIMUM = 1 << 30
"""Bytes that a partition which takes what is left has at least."""

MILESTONES = (
    Milestone("started", 5, "Agama runs and has its profile"),
    Milestone("installed", 95, "Agama has finished; the node restarts from its disk"),
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
    """The same for a node that is switched off at the end: done when the installer says so."""
    await node.boot("installer")
    await node.notification("started", within=START)
    await node.notification("installed", within=INSTALL)
    await node.boot("disk")


RECIPE = Recipe("agama", 1, install, MILESTONES)
RECIPE_OFF = Recipe("agama-off", 1, install_and_stop, MILESTONES[:2])


def boot(family: str, release: Release, options: SuseOptions, node: NodeView, urls: Urls, _resources: Resources) -> dict[str, Any]:
    """The names that the boot scripts use. InvalidRequest for what Agama or the release can't do."""
    _possible(release, options)
    tree = urls.tree(options.repo, repository(family, release, node.arch))
    folder = f"{tree}/boot/{'aarch64' if node.arch in ARM64 else 'x86_64'}/loader"
    linux = LinuxBoot(
        kernel=f"{folder}/linux",
        initrds=(f"{folder}/initrd",),
        arguments=" ".join([*_arguments(tree, options, urls), *_kept(options), *options.kernelArgs.split()]),
        boot_mac=boot_mac(options),
    )
    return boot_context(release, node, urls, linux)


def context(family: str, release: Release, options: SuseOptions, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
    """The names that templates/agama/ uses. InvalidRequest as `boot`."""
    return {
        **linux_context(release, options, node, urls),
        **boot(family, release, options, node, urls, resources),
        "home": HOME,
        "placeholder": PLACEHOLDER,
        "profile": _profile(PRODUCTS[family], options),
        "keyfiles": keyfiles(netplan(options.networkDevices)) if options.networkDevices else {},
        "global_dns": _global_dns(options),
        "enabled": list(dict.fromkeys([*_own_services(options), *options.enableServices])),
        "remote_log": (urls.host, urls.syslog_port) if options.remoteLogging and ":" not in urls.host else None,
    }


def _possible(release: Release, options: SuseOptions) -> None:
    if getattr(options, "modules", None) is not None:
        raise refusal("modules", f"{release.title} is not split into modules", "nothing, or release 15")
    if options.dnsSearch and not options.dnsServers:
        raise refusal("dnsSearch", "NetworkManager takes domains for the whole system only together with name servers", "dnsServers, too")


def _arguments(tree: str, options: SuseOptions, urls: Urls) -> list[str]:
    """Words for dracut and Agama. InvalidRequest: a proxy with a password, which everybody could read there."""
    proxied = options.proxy_url if options.proxy_url and not tree.startswith(urls.base + "/") else None
    if proxied and urlsplit(proxied).password is not None:
        raise refusal(
            "proxy",
            "Agama takes its proxy from the kernel's command line, where a password is no secret",
            "a proxy without a password, or a repository of this appliance",
        )
    named = options.installInterface if options.installInterface and ":" not in options.installInterface else None
    return [
        f"root=live:{tree}/LiveOS/squashfs.img",
        "rd.neednet=1",
        *([f"ip={named}:dhcp", "rd.bootif=0"] if named else ["ip=dhcp"]),
        f"inst.script={urls.answer('prepare.sh')}",
        f"inst.auto=file://{HOME}/autoinst.json",
        f"inst.install_url={tree}/install",
        f"inst.finish={options.after}",
        "inst.self_update=0",
        *(["inst.copy_network=0"] if options.networkDevices else []),
        *([f"proxy={proxied}"] if proxied else []),
    ]


def _kept(options: SuseOptions) -> list[str]:
    """Kernel arguments for the installer's and the installed kernel."""
    return [*console_arguments(options), *options.targetKernelArgs.split()]


def _profile(product: str, options: SuseOptions) -> dict[str, Any]:
    """Agama's profile, with the placeholder for the disk. Its root is as good as locked without a password: Agama insists on one."""
    name = ".".join(part for part in (options.hostname, options.domain) if part) if options.hostname else ""
    kept = " ".join(_kept(options))
    return {
        "product": {"id": product},
        "questions": {"policy": "auto"},
        **({"hostname": {"static": name}} if name else {}),
        "localization": {
            "language": options.locale,
            "keyboard": {"uk": "gb"}.get(options.keyboard, options.keyboard),
            "timezone": options.timezone,
        },
        "root": {"password": options.rootPasswordHash or "!", "hashedPassword": True},
        "storage": _storage(options.installPartitions, lvm=options.layout == "lvm"),
        "software": _software(options),
        **({"bootloader": {"extraKernelParams": kept}} if kept else {}),
        "scripts": {
            "postPartitioning": [_script("pxed-partitioned", f"sh {HOME}/say.sh 20 'The disk is divided; installing packages'")],
            "post": [{**_script("pxed-post", f"sh {HOME}/post.sh"), "chroot": False}],
        },
    }


def _script(name: str, line: str) -> dict[str, Any]:
    return {"name": name, "content": f"#!/bin/sh\n{line}\nexit 0\n"}


def _software(options: SuseOptions) -> dict[str, Any]:
    """`patterns` replaces the product's own choice, kvm adds to it."""
    needed = ["curl", "sudo", "openssh-server", *(["chrony"] if options.ntpServers else []), *(["firewalld"] if options.firewall else [])]
    more = ["kvm_server", "kvm_tools"] if options.kvm else []
    patterns: dict[str, Any] = {"patterns": list(dict.fromkeys([*options.patterns, *more]))} if options.patterns else {}
    if more and not options.patterns:
        patterns = {"patterns": {"add": more}}
    return {**patterns, "packages": list(dict.fromkeys([*needed, *options.packages]))}


def _storage(parts: Sequence[Partition], *, lvm: bool) -> dict[str, Any]:
    """The section ``storage``: everything on the disk is deleted; what the firmware needs to start from it is added by Agama."""
    disk: dict[str, Any] = {"search": PLACEHOLDER, "alias": "pxed", "ptableType": "gpt"}
    cleared: list[dict[str, Any]] = [{"search": "*", "delete": True}]
    boot = {"configure": True, "device": "pxed"}
    if not lvm:
        made = [{**_file_system(part), "size": _size(part)} for part in parts] or [{"generate": "default"}]
        return {"boot": boot, "drives": [{**disk, "partitions": [*cleared, *made]}]}
    outside = [part for part in parts if part.mountPoint in ("/boot", "/boot/efi")]
    volumes: list[dict[str, Any]] = [
        {"name": _volume_name(part, place), **_file_system(part), "size": _size(part)}
        for place, part in enumerate(part for part in parts if part not in outside)
    ]
    physical = {"alias": "pxed-lvm", "id": "lvm", "size": {"min": GROW_MINIMUM}}
    return {
        "boot": boot,
        "drives": [{**disk, "partitions": [*cleared, *({**_file_system(part), "size": _size(part)} for part in outside), physical]}],
        "volumeGroups": [{"name": "system", "physicalVolumes": ["pxed-lvm"], "logicalVolumes": volumes or [{"generate": "default"}]}],
    }


def _volume_name(part: Partition, place: int) -> str:
    if part.mountPoint == "/":
        return "root"
    return f"swap{place}" if part.mountPoint == "swap" else part.mountPoint.strip("/").replace("/", "_")


def _file_system(part: Partition) -> dict[str, Any]:
    return {
        "filesystem": {"path": part.mountPoint, "type": part.fsType, "mountBy": "uuid", **({"label": part.label} if part.label else {})}
    }


def _size(part: Partition) -> int | dict[str, int]:
    """Bytes; a mapping without ``max`` grows."""
    return {"min": GROW_MINIMUM} if isinstance(part.size, str) else part.size * 1_000_000


def _own_services(options: SuseOptions) -> list[str]:
    wanted = ["sshd", *(["chronyd"] if options.ntpServers else []), *(["firewalld"] if options.firewall else [])]
    return [service for service in wanted if service not in options.disableServices]


def _global_dns(options: SuseOptions) -> str:
    """NetworkManager.conf(5): name servers of the whole system, which win over those of every connection; "" for none."""
    if not options.dnsServers:
        return ""
    searches = [f"searches={','.join(options.dnsSearch)}"] if options.dnsSearch else []
    return "\n".join(["[global-dns]", *searches, "", "[global-dns-domain-*]", f"servers={','.join(options.dnsServers)}"])


def agama(name: str, title: str, options: type[SuseOptions]) -> Family:
    """The installer of the releases from 16 on of the family `name`; a minor release is another name of its major one."""
    need = "the whole installation medium; 4 GB of memory: the installer runs from there"
    return Family(
        name=name,
        title=title,
        releases={"16": Release("16", f"{title} 16", {"needs": need})},
        options=options,
        recipe=RECIPE,
        recipe_off=RECIPE_OFF,
        profile="boot/linux.ipxe.j2",
        files={
            "profile.json": "agama/profile.json.j2",
            "prepare.sh": "agama/prepare.sh.j2",
            "say.sh": "agama/say.sh.j2",
            "post.sh": "agama/post.sh.j2",
            "watch.sh": "agama/watch.sh.j2",
            "firstboot.sh": "linux/firstboot.sh.j2",
            "firstboot.service": "linux/firstboot.service.j2",
        },
        plain_secrets=frozenset({"post.sh"}),
        context=partial(context, name),
        boot=partial(boot, name),
        aliases={f"16.{minor}": "16" for minor in range(8)},
    )
