"""Proxmox VE 8 and 9: Proxmox's automated installer, driven by answer.toml.

What the node does: kernel, and as initrds the whole prepared image (as the file ``proxmox.iso``) and the installer's own initrd. The
installer asks this appliance for its answers by POST, at the address that the image was prepared with (`pxed.web.answers`, which tells us
`started`), installs, and posts to `post-installation-webhook`, which is our `installed`. It fetches `firstboot.sh`, which the new system
runs once: accounts, clock, the operator's commands; it tells us `booted`.

Sources: pve-installer (answer.rs, utils.rs, fetch-answer, post-hook, proxmox-first-boot) and Proxmox's page on automated installation.
Traps: an unknown key ends the install; keys with underscores are those that every release from 8.2 on knows; a filter takes the first disk
that fits any of its conditions, with ZFS all that fit, so only one condition is ever written; the installer's initrd is compressed with
zstd, behind which the kernel finds no other archive, so the image comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pxed.errors import InvalidRequest
from pxed.oses import cpio
from pxed.oses.disk import ANY_DISK, Disk
from pxed.oses.family import Family, NodeView, Release, Resources, Urls, repository
from pxed.oses.linux import LinuxBoot, boot_context, boot_mac, console_arguments, linux_context
from pxed.oses.network import NetworkDevice
from pxed.oses.options import CommonOptions
from pxed.oses.strict import refusal
from pxed.workflow.recipe import HOUR, MINUTE, Milestone, Recipe, RecipeNode

# The deadlines stand in the journals of running installs: another value is another version of the recipe.
START = 45 * MINUTE
"""From the assignment to the installer's question for its answers: firmware, and an image of up to 2 GB into memory."""
INSTALL = HOUR
"""From its question to its last word."""
BOOT = 30 * MINUTE
"""From the installer's last word to the installed system's first; its hook tries for 25 minutes."""

ANSWER = "answer.toml"
IMAGE = "proxmox.iso"
"""What the installer's initrd looks for at its root."""

MILESTONES = (
    Milestone("started", 15, "The installer has its answers"),
    Milestone("installed", 90, "The installer has finished; the node restarts from its disk"),
    Milestone("booted", 100, "The installed system runs"),
)


async def install(node: RecipeNode) -> None:
    """Network boot, install, boot from disk, and the installed system says so itself."""
    await node.boot("installer")
    await node.notification("started", within=START)
    await node.notification("installed", within=INSTALL)
    await node.boot("disk")
    await node.notification("booted", within=BOOT)


KEYBOARDS: Mapping[str, str] = {
    **{name: name for name in ("de", "de-ch", "dk", "es", "fi", "fr", "hu", "is", "it", "jp", "lt", "mk", "nl", "no", "pl", "pt", "se")},
    "si": "si",
    "tr": "tr",
    "us": "en-us",
    "gb": "en-gb",
    "ch": "de-ch",
    "ch-fr": "fr-ch",
    "be": "fr-be",
    "ca": "fr-ca",
    "br": "pt-br",
}
"""Our names > Proxmox's."""

_NONE = "nothing of pxed's runs in the new system before it first boots; use scripts.firstboot"


class ProxmoxOptions(CommonOptions):
    """What Proxmox VE adds to the common options."""

    refused: ClassVar[Mapping[str, str]] = {
        "locale": "Proxmox VE installs in English; see country",
        "packages": "Proxmox VE's own package sources need a subscription, or a change; scripts.firstboot can install some",
        "layout": "Proxmox VE divides its disk itself; see filesystem",
        "installPartitions": "Proxmox VE divides its disk itself; see filesystem",
        "postInstallCommands": _NONE,
        "proxy": "the installer takes everything from its image; scripts.firstboot can set one up",
        "remoteLogging": "the installer sends no log",
        "after": "the installer always restarts the node; scripts.firstboot can switch it off",
        "installInterface": "the installer asks DHCP on every interface; see networkDevices",
        "targetKernelArgs": "the installer takes none; scripts.firstboot can change /etc/default/grub or /etc/kernel/cmdline",
        "kvm": "Proxmox VE is what the switch stands for",
        "bridges": "the installer makes vmbr0; scripts.firstboot can make others",
        "enableServices": "scripts.firstboot can",
        "disableServices": "scripts.firstboot can",
    }

    hidden: ClassVar[tuple[str, ...]] = (
        *("Scripts.post", "User.sudo", "Disk.size", "Disk.index"),
        *(f"{model}.{name}" for model in ("Ipv4", "Ipv6") for name in ("vlanIds", "mtu")),
        *("NetworkDevice.dhcp4", "NetworkDevice.dhcp6"),
    )

    country: Annotated[str, Field(pattern=r"^[a-z]{2}$")] = Field(default="us", description="Two letters, as the installer knows them")
    mailto: Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,190}$")] | None = Field(
        default=None, description="Where the system sends its mail; default: root at its own name"
    )
    filesystem: Literal["ext4", "xfs", "zfs", "btrfs"] = Field(
        default="ext4", description="ext4 and xfs: on LVM. zfs and btrfs: on the one disk, as raid0"
    )


def boot(release: Release, options: ProxmoxOptions, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
    """The names that the boot scripts use, and `image_bytes`. InvalidRequest: what answer.toml can't say, a medium that can't be used."""
    _check(options)
    name = options.repo or repository("proxmox", release, node.arch)
    tree = urls.tree(options.repo, name)
    arguments = [
        *("ramdisk_size=16777216", "rw", "quiet", "splash=silent", "proxmox-start-auto-installer"),
        *console_arguments(options),
        *options.kernelArgs.split(),
    ]
    linux = LinuxBoot(
        kernel=f"{tree}/boot/linux26",
        initrds=(urls.answer("image.cpio"), f"{tree}.iso", f"{tree}/boot/initrd.img"),
        arguments=" ".join(arguments),
        boot_mac=boot_mac(options),
    )
    return {**boot_context(release, node, urls, linux), "image_bytes": _image_bytes(release, name, resources)}


def context(release: Release, options: ProxmoxOptions, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
    """The names that templates/proxmox/ uses. InvalidRequest as `boot`."""
    return {
        **linux_context(release, options, node, urls),
        **boot(release, options, node, urls, resources),
        "answer": _answer(options, urls),
        "resolv": _resolv(options),
    }


def _check(options: ProxmoxOptions) -> None:
    """InvalidRequest for what no answer file can hold."""
    if options.hostname is None or options.hostname.isdigit():
        raise refusal("hostname", "expected a name with a letter, since Proxmox VE never changes its name again", "a host name")
    if options.scripts.post:
        raise InvalidRequest(f"options.scripts.post cannot be used here: {_NONE}", field="options.scripts.post", expected="no post")
    if options.keyboard not in KEYBOARDS:
        raise refusal("keyboard", "Proxmox's installer does not know this layout", f"one of {', '.join(KEYBOARDS)}")
    for place, user in enumerate(options.users):
        if user.sudo:
            raise refusal(f"users.{place}.sudo", "Proxmox VE installs without sudo; scripts.firstboot can install it", "false")


def _image_bytes(release: Release, name: str, resources: Resources) -> int:
    """The size of the image that the node keeps in memory. InvalidRequest for a medium that can't be installed from."""
    medium = {} if "://" in name else resources.media(name)
    size = medium.get("facts", {}).get("image_bytes")
    version = str(medium.get("version", ""))
    if not isinstance(size, int) or medium.get("family") != "proxmox":
        raise refusal(
            "repo",
            f"pxed knows of no image of {release.title} behind {name}: prepare one (docs/os/proxmox.md), and add it with `pxed repo add`",
            "the name of a repository made of a prepared .iso",
        )
    if version.split(".")[0] not in release.media:
        raise refusal(
            "repo", f"the repository {name} holds Proxmox VE {version}, not {release.name}", f"one with Proxmox VE {release.name}"
        )
    if not medium["facts"].get("prepared"):
        raise refusal(
            "repo",
            f"the image behind {name} is not prepared, so its installer would ask questions: see docs/os/proxmox.md",
            "an image made by proxmox-auto-install-assistant prepare-iso",
        )
    return size


def _answer(options: ProxmoxOptions, urls: Urls) -> dict[str, Any]:
    """answer.toml: section > keys."""
    full = f"{options.hostname}.{options.domain or 'localdomain'}"
    return {
        "global": {
            "keyboard": KEYBOARDS[options.keyboard],
            "country": options.country,
            "fqdn": full,
            "mailto": options.mailto or f"root@{full}",
            "timezone": options.timezone,
            "root_password_hashed": options.rootPasswordHash or "!",
            "root_ssh_keys": options.rootSshKeys,
        },
        "network": _network(options),
        "disk-setup": _disk_setup(options),
        "first-boot": {"source": "from-url", "ordering": "fully-up", "url": urls.answer("firstboot.sh")},
        "post-installation-webhook": {"url": urls.notify("installed")},
    }


def _network(options: ProxmoxOptions) -> dict[str, Any]:
    """The management interface. InvalidRequest for more than one, and for what its installer cannot set."""
    if not options.networkDevices:
        return {"source": "from-dhcp"}
    if len(options.networkDevices) > 1:
        raise refusal("networkDevices", "the installer sets up one interface; scripts.firstboot can add others", "one interface")
    device = options.networkDevices[0]
    address, field = device.ipv4 or device.ipv6, "networkDevices.0"
    if address is None or (device.ipv4 and device.ipv6) or device.dhcp4 or device.dhcp6:
        raise refusal(field, "expected one static address, IPv4 or IPv6; without networkDevices the lease's is kept", "one static address")
    if address.gateway is None:
        raise refusal(field, "the installer wants a gateway", "a gateway")
    if address.vlanIds or address.mtu:
        raise refusal(field, "the installer sets up neither VLANs nor an MTU; scripts.firstboot can", "no vlanIds, no mtu")
    if not options.dnsServers:
        raise refusal("dnsServers", "the installer wants a name server beside a static address", "at least one address")
    return {
        "source": "from-answer",
        "cidr": f"{address.ipAddr}/{address.prefixlen}",
        "gateway": address.gateway,
        "dns": options.dnsServers[0],
        "filter": _interface(device),
    }


def _interface(device: NetworkDevice) -> dict[str, str]:
    """The udev property that only this interface has."""
    if ":" in device.device:
        return {"ID_NET_NAME_MAC": f"*{device.device.replace(':', '')}"}
    return {"INTERFACE": device.device}


def _disk_setup(options: ProxmoxOptions) -> dict[str, Any]:
    """InvalidRequest if there is no disk, or one that the installer could mistake for another."""
    spanning = options.filesystem in ("zfs", "btrfs")
    return {
        "filesystem": options.filesystem,
        **({options.filesystem: {"raid": "raid0"}} if spanning else {}),
        **_disk(options.disk or ANY_DISK, every=spanning),
    }


def _disk(disk: Disk, *, every: bool) -> dict[str, Any]:
    """`every`: the installer would take all disks that fit, not the first."""
    given = [name for name in ("path", "serial", "wwn", "model") if getattr(disk, name) is not None]
    if disk.size is not None or disk.index is not None or len(given) != 1:
        raise refusal("disk", "Proxmox's installer finds a disk by one of path, serial, wwn and model", "one of path, serial, wwn, model")
    if disk.path is not None:
        if disk.path.count("/") > 2:
            raise refusal("disk.path", "Proxmox's installer knows disks by their kernel names only; see serial", "a path like /dev/sda")
        return {"disk_list": [disk.path]}
    if disk.serial is not None:
        return {"filter": {"ID_SERIAL_SHORT": disk.serial}}
    if disk.wwn is not None:
        plain = disk.wwn.lower().removeprefix("wwn-").removeprefix("0x").removeprefix("naa.").removeprefix("eui.")
        return {"filter": {"ID_WWN": f"*{plain}"}}
    if every:
        raise refusal("disk.model", "with zfs and btrfs the installer would take every disk of this model", "path, serial or wwn")
    return {"filter": {"ID_MODEL": f"*{str(disk.model).replace(' ', '_')}*"}}


def _resolv(options: ProxmoxOptions) -> str:
    """/etc/resolv.conf, if it is to hold more than the installer writes there (the lease's servers, or the first of ours); else "".
    InvalidRequest for domains without servers."""
    if options.dnsSearch and not options.dnsServers:
        raise refusal("dnsServers", "the domains to search are written together with the name servers", "at least one address")
    more = options.dnsServers[1:] if options.networkDevices else options.dnsServers
    if not more and not options.dnsSearch:
        return ""
    search = [f"search {' '.join(options.dnsSearch)}"] if options.dnsSearch else []
    return "\n".join([*search, *(f"nameserver {server}" for server in options.dnsServers)])


def _release(name: str) -> Release:
    need = "an .iso prepared by proxmox-auto-install-assistant (docs/os/proxmox.md); 4 GB of memory: the image is kept there"
    return Release(name, f"Proxmox VE {name}", {"needs": need})


PROXMOX = Family(
    name="proxmox",
    title="Proxmox VE",
    releases={release.name: release for release in (_release("9"), _release("8"))},
    options=ProxmoxOptions,
    recipe=Recipe("proxmox", 1, install, MILESTONES),
    profile="boot/linux.ipxe.j2",
    files={ANSWER: "proxmox/answer.toml.j2", "firstboot.sh": "proxmox/firstboot.sh.j2"},
    made={"image.cpio": lambda given: cpio.head(IMAGE, given["image_bytes"])},
    context=context,
    boot=boot,
    loads=frozenset({"image.cpio"}),
    posted=frozenset({ANSWER}),
)
