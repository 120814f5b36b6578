"""Ubuntu 20.04 and later: the live server image, driven by autoinstall (subiquity) and three hooks. (18.04: `ubuntu_preseed`.)

What the node does: kernel and initrd from the image; casper, in the initrd, downloads the whole .iso into memory; cloud-init reads
`user-data`; then `early.sh` (tells us `started`), `disk.sh` (which disk; writes it into the installer's copy of the answers), `late.sh`
(accounts, network, the operator's commands; tells us `installed`), or `error.sh` if something fails; after the reboot `firstboot.sh` tells
us `booted`.

Sources: Ubuntu's autoinstall reference (after the early-commands /autoinstall.yaml is read again, so that they may change it); casper(7);
cloud-init's NoCloud documentation.
Traps: cloud-init takes ``url=`` for the address of a cloud-config and would fetch the .iso a second time, hence
``cloud-config-url=/dev/null``; casper speaks http only; with a proxy among the answers subiquity sets http_proxy for the hooks too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from pxed.oses.curtin import storage
from pxed.oses.debian import kvm_packages
from pxed.oses.disk import PLACEHOLDER
from pxed.oses.family import Family, NodeView, Release, Resources, Urls, repository
from pxed.oses.features import Bonds, Kvm
from pxed.oses.linux import LinuxBoot, boot_context, boot_mac, console_arguments, linux_context
from pxed.oses.options import CommonOptions, Url
from pxed.oses.strict import refusal
from pxed.oses.ubuntu_preseed import BIONIC
from pxed.oses.ubuntu_progress import webhook
from pxed.oses.ubuntu_target import target
from pxed.workflow.recipe import HOUR, MINUTE, Milestone, Recipe, RecipeNode

# The deadlines stand in the journals of running installs: another value is another version of the recipe.
START = 45 * MINUTE
"""From the assignment to the installer's first word: firmware, kernel, and the whole image (up to 3 GB) into memory."""
INSTALL = 2 * HOUR
"""From the first word to the last."""
BOOT = 30 * MINUTE
"""From the installer's last word to the installed system's first; its hook tries for 25 minutes."""

MILESTONES = (
    Milestone("started", 5, "The installer has its answers"),
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
    """The same for a node that is switched off at the end: done when the installer says so."""
    await node.boot("installer")
    await node.notification("started", within=START)
    await node.notification("installed", within=INSTALL)
    await node.boot("disk")


class UbuntuOptions(Bonds, Kvm, CommonOptions):
    """What Ubuntu's live installer adds to the common options."""

    refused: ClassVar[Mapping[str, str]] = {
        "groups": "name the packages in packages",
        "tasks": "the live installer has no tasks; see edition and packages",
        "firewall": "Ubuntu installs with its firewall switched off; scripts.post can run ufw",
        "selinux": "Ubuntu uses AppArmor",
        "registration": "Ubuntu Pro is not among pxed's options; scripts.firstboot can run `pro attach`",
    }

    after: Literal["reboot", "poweroff"] = Field(default="reboot", description="What the node does when the installer ends")
    edition: Literal["standard", "minimal"] = Field(default="standard", description="minimal: Ubuntu Server's smaller variant (22.04 on)")
    updates: Literal["security", "all"] = Field(
        default="security", description="What is brought up to date while installing, if Ubuntu's servers can be reached"
    )
    mirror: Url | None = Field(
        default=None, description="An Ubuntu package mirror for the installer and the installed system; default: Ubuntu's own"
    )
    isoUrl: Url | None = Field(default=None, description="The whole .iso, by http; default: the image behind the repository")


def boot(release: Release, options: UbuntuOptions, node: NodeView, urls: Urls, _resources: Resources) -> dict[str, Any]:
    """The names that the boot scripts use. InvalidRequest: a minimal 20.04, an image that casper can't fetch."""
    if options.edition == "minimal" and not release.data["sources"]:
        raise refusal("edition", f"{release.title} has no minimal edition", "standard, or release 22.04 or later")
    tree = urls.tree(options.repo, repository("ubuntu", release, node.arch))
    linux = LinuxBoot(
        kernel=f"{tree}/casper/vmlinuz",
        initrds=(f"{tree}/casper/initrd",),
        arguments=_installer_arguments(release, options, urls, _image(options, tree)),
        boot_mac=boot_mac(options),
        kept=" ".join([*console_arguments(options), *options.targetKernelArgs.split()]),
    )
    return boot_context(release, node, urls, linux)


def context(release: Release, options: UbuntuOptions, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
    """The names that templates/ubuntu/ uses. InvalidRequest as `boot`."""
    return {
        **linux_context(release, options, node, urls),
        **boot(release, options, node, urls, resources),
        "autoinstall": _autoinstall(release, options, node, urls),
        "meta": {"instance-id": "pxed-installer", **({"local-hostname": options.hostname} if options.hostname else {})},
        "live_network": {"version": 2, "ethernets": {"installer": {"match": {"name": "e*"}, "dhcp4": True, "dhcp-identifier": "mac"}}},
        "storage": _chosen_storage(options),
        "remote_log": f"{urls.host}:{urls.syslog_port}" if options.remoteLogging and ":" not in urls.host else "",
        **target(options),
    }


def _image(options: UbuntuOptions, tree: str) -> str:
    """The URL of the whole .iso. InvalidRequest if there is none that casper can fetch."""
    if options.isoUrl is None and options.repo is not None and "://" in options.repo:
        raise refusal(
            "isoUrl",
            "expected the URL of the whole .iso, since repo is a URL and not a repository of this appliance",
            "a URL like http://mirror.example.com/ubuntu-24.04-live-server-amd64.iso",
        )
    image = options.isoUrl or f"{tree}.iso"
    if not image.startswith("http://"):
        raise refusal("isoUrl", "expected http://, since Ubuntu's initrd knows no https", "http://...")
    return image


def _installer_arguments(release: Release, options: UbuntuOptions, urls: Urls, image: str) -> str:
    """The kernel's command line up to ``---``, without BOOTIF."""
    named = options.installInterface if options.installInterface and ":" not in options.installInterface else None
    return " ".join(
        [
            f"ip=:::::{named}:dhcp" if named else "ip=dhcp",
            f"{release.data['image']}={image}",
            *("autoinstall", "cloud-config-url=/dev/null", f"ds={release.data['seed']};s={urls.answers}/"),
            *("root=/dev/ram0", "ramdisk_size=1500000", "fsck.mode=skip", "noprompt"),
            *options.kernelArgs.split(),
        ]
    )


def _autoinstall(release: Release, options: UbuntuOptions, node: NodeView, urls: Urls) -> dict[str, Any]:
    """Top-level keys of ``autoinstall:`` > JSON values. Accounts, name, clock and network of the system are late.sh's."""
    layout, _, variant = options.keyboard.partition("-")
    run = "sh /run/pxed/run"
    early, failed = urls.answer("early.sh"), urls.notify("installed") + "?status=fail&message=the+installer+failed"
    fetch = "wget -q --no-proxy -T 30 -O"
    passwords = any(user.passwordHash for user in options.users)
    packages = list(dict.fromkeys([*options.packages, *(kvm_packages(node) if options.kvm else [])]))
    apt = {
        "geoip": False,
        **({"fallback": "offline-install"} if release.data["sources"] else {}),
        **({"primary": [{"arches": ["default"], "uri": options.mirror}]} if options.mirror else {}),
    }
    return {
        "version": 1,
        "early-commands": [
            f"for n in 1 2 3 4 5; do {fetch} /tmp/pxed-early.sh '{early}' && break; sleep 2; done; sh /tmp/pxed-early.sh; true",
            f"{run} disk.sh",
        ],
        "late-commands": [f"{run} late.sh; true"],
        "error-commands": [f"{run} error.sh || {fetch} /dev/null '{failed}'; true"],
        "reporting": {"pxed": {"type": "webhook", "endpoint": urls.answer("webhook"), "level": "DEBUG"}},
        "locale": options.locale,
        "keyboard": {"layout": layout, "variant": variant},
        **({"proxy": options.proxy_url} if options.proxy_url else {}),
        "apt": apt,
        **({"source": {"id": "ubuntu-server-minimal"}} if options.edition == "minimal" else {}),
        "storage": {"layout": {"name": "lvm" if options.layout == "lvm" else "direct", "match": {"path": PLACEHOLDER}}},
        "ssh": {"install-server": True, "allow-pw": passwords},
        **({"packages": packages} if packages else {}),
        "updates": options.updates,
        # Something must stand here, or subiquity wants an identity. The accounts are late.sh's; naming root keeps cloud-init from adding
        # its own user, and lock_passwd from locking root (an empty list, its schema refuses).
        "user-data": {
            "users": [{"name": "root", "lock_passwd": False}],
            "disable_root": False,
            **({"preserve_hostname": True} if options.hostname else {}),
        },
        "shutdown": options.after,
    }


def _chosen_storage(options: UbuntuOptions) -> dict[str, str]:
    """Kind of firmware > the section ``storage`` as JSON, with the placeholder for the disk."""
    if options.installPartitions:
        lvm = options.layout == "lvm"
        made = {kind: storage(options.installPartitions, uefi=kind == "uefi", lvm=lvm, path=PLACEHOLDER) for kind in ("uefi", "bios")}
    else:
        sizing = {"sizing-policy": "all"} if options.layout == "lvm" else {}
        plain = {"layout": {"name": "lvm" if options.layout == "lvm" else "direct", "match": {"path": PLACEHOLDER}, **sizing}}
        made = {"uefi": plain, "bios": plain}
    return {kind: json.dumps(each) for kind, each in made.items()}


def _release(name: str, codename: str, *, gigabytes: int, sources: bool, image: str, seed: str) -> Release:
    """`gigabytes`: memory a node needs; `sources`: the image has editions; `image`, `seed`: the words for casper and cloud-init."""
    data = {"codename": codename, "sources": sources, "image": image, "seed": seed}
    need = f"{gigabytes} GB of memory: the installer keeps its whole image (about 3 GB) there"
    return Release(name, f"Ubuntu {name} ({codename})", {**data, "needs": need})


RELEASES = {
    release.name: release
    for release in (
        _release("24.04", "noble", gigabytes=8, sources=True, image="iso-url", seed="nocloud"),
        _release("26.04", "resolute", gigabytes=8, sources=True, image="iso-url", seed="nocloud"),
        _release("22.04", "jammy", gigabytes=6, sources=True, image="url", seed="nocloud-net"),
        _release("20.04", "focal", gigabytes=4, sources=False, image="url", seed="nocloud-net"),
    )
}

UBUNTU = Family(
    name="ubuntu",
    title="Ubuntu",
    releases=RELEASES,
    options=UbuntuOptions,
    recipe=Recipe("ubuntu", 1, install, MILESTONES),
    recipe_off=Recipe("ubuntu-off", 1, install_and_stop, MILESTONES[:2]),
    profile="boot/linux.ipxe.j2",
    files={
        "user-data": "ubuntu/user-data.yaml.j2",
        "meta-data": "ubuntu/meta-data.yaml.j2",
        "vendor-data": "ubuntu/vendor-data.yaml.j2",
        "network-config": "ubuntu/network-config.yaml.j2",
        "early.sh": "ubuntu/early.sh.j2",
        "disk.sh": "ubuntu/disk.sh.j2",
        "late.sh": "ubuntu/late.sh.j2",
        "error.sh": "ubuntu/error.sh.j2",
        "firstboot.sh": "linux/firstboot.sh.j2",
        "firstboot.service": "linux/firstboot.service.j2",
    },
    plain_secrets=frozenset({"user-data"}),
    context=context,
    boot=boot,
    webhook=webhook,
    aliases={release.data["codename"]: release.name for release in RELEASES.values()},
    others=(BIONIC,),
)
