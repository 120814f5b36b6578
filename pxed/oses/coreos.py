"""Flatcar and Fedora CoreOS: systems that are written to the disk as an image and made what they shall be by Ignition.

What the node does: the live system starts from the network and reads `live.ign`, whose one unit runs `install.sh`: it tells us `started`,
chooses the disk, has flatcar-install or coreos-installer write the image with `target.ign` in it, tells us `installed` and restarts. When
the installed system first runs, Ignition applies `target.ign`, and a unit in it tells us `booted`.

Sources: Flatcar's documents on booting by iPXE and flatcar-install itself; coreos-installer's documents (the live system of Fedora CoreOS
installs itself, without a network); Ignition's specification 3.3.0.
Traps: flatcar-install takes the image from BASE/VERSION/, so the tree is cut at its last slash; Flatcar's /usr can't be written, so
that the first boot's script lives in /opt there; kernel arguments by Ignition cost one more restart before anything else happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from pxed.errors import InvalidRequest
from pxed.oses import ignition
from pxed.oses.accounts import SshKeys
from pxed.oses.family import Family, NodeView, Release, Render, Resources, Urls, repository
from pxed.oses.features import Services
from pxed.oses.linux import FIRSTBOOT_HOME, LinuxBoot, boot_context, boot_mac, console_arguments, linux_context
from pxed.oses.netfiles import keyfiles, networkd
from pxed.oses.netplan import netplan
from pxed.oses.network import resolved
from pxed.oses.options import CommonOptions, Url
from pxed.oses.strict import refusal
from pxed.workflow.recipe import HOUR, MINUTE, Milestone, Recipe, RecipeNode

# The deadlines stand in the journals of running installs: another value is another version of the recipe.
START = 30 * MINUTE
"""From the assignment to the live system's first word: firmware, kernel and an image of up to 1 GB into memory."""
INSTALL = HOUR
"""From the first word to the last."""
BOOT = 30 * MINUTE
"""From the installer's last word to the installed system's first; its hook tries for 25 minutes."""

MILESTONES = (
    Milestone("started", 10, "The live system runs"),
    Milestone("installed", 90, "The image is on the disk; the node restarts from it"),
    Milestone("booted", 100, "The installed system runs"),
)

CHRONY = """\
driftfile /var/lib/chrony/drift
makestep 1.0 3
rtcsync
keyfile /etc/chrony.keys
ntsdumpdir /var/lib/chrony
leapsectz right/UTC
logdir /var/log/chrony
"""


async def install(node: RecipeNode) -> None:
    """Network boot, the image on the disk, boot from it, and the installed system says so itself."""
    await node.boot("installer")
    await node.notification("started", within=START)
    await node.notification("installed", within=INSTALL)
    await node.boot("disk")
    await node.notification("booted", within=BOOT)


async def install_and_stop(node: RecipeNode) -> None:
    """The same for a node that is switched off at the end: done when the live system says so."""
    await node.boot("installer")
    await node.notification("started", within=START)
    await node.notification("installed", within=INSTALL)
    await node.boot("disk")


_IMAGE = "the system is an image that is written as a whole"


class IgnitionOptions(Services, CommonOptions):
    """What both systems add to the common options."""

    refused: ClassVar[Mapping[str, str]] = {
        "packages": f"{_IMAGE}: there are no packages to choose; run containers, or see scripts.firstboot",
        "locale": f"{_IMAGE}: there are no locales to choose",
        "keyboard": f"{_IMAGE}: there are no keyboard layouts to choose",
        "layout": f"{_IMAGE}, with its partitions",
        "installPartitions": f"{_IMAGE}, with its partitions; a config of your own (ignitionScriptUri) can add some",
        "postInstallCommands": f"{_IMAGE}: nothing runs in it before it boots; use scripts.firstboot",
        "proxy": "the installer takes everything from this appliance; a config of your own (ignitionScriptUri) can set one up",
        "remoteLogging": "the live system has no syslog daemon; its hook tells pxed what goes wrong",
        "kvm": f"{_IMAGE}: there are no packages to choose",
    }

    hidden: ClassVar[tuple[str, ...]] = ("Scripts.post",)

    after: Literal["reboot", "poweroff"] = Field(default="reboot", description="What the node does when the image is on its disk")
    coreSshKeys: SshKeys = Field(default_factory=list, description="Keys of the user core, who exists and may become root")
    ignitionScriptUri: Url | None = Field(
        default=None,
        description="An Ignition config (3.0 to 3.3) of your own: the node fetches it at its first boot and merges it over pxed's",
    )

    @property
    def opens_by_itself(self) -> bool:
        """By a key of the user core; and a config of the operator's own may hold anything."""
        return bool(self.coreSshKeys or self.ignitionScriptUri)


class FlatcarOptions(IgnitionOptions):
    """Flatcar's."""

    refused: ClassVar[Mapping[str, str]] = {
        **IgnitionOptions.refused,
        "installInterface": "Flatcar's live system asks DHCP on every interface",
    }


class FcosOptions(IgnitionOptions):
    """Fedora CoreOS's. Its kernel arguments become those of a boot loader entry, which GRUB reads as a script; no shell does."""

    lost_in_arguments = CommonOptions.lost_in_arguments.replace('"', "")


def flatcar_boot(release: Release, options: FlatcarOptions, node: NodeView, urls: Urls, _resources: Resources) -> dict[str, Any]:
    """The names that Flatcar's boot scripts use. InvalidRequest: a tree without a folder."""
    tree = _tree("flatcar", release, options, node, urls)
    if not urlsplit(tree).path.strip("/"):
        raise refusal("repo", "expected a URL with a folder", "http://HOST/FOLDER")
    linux = LinuxBoot(
        kernel=f"{tree}/flatcar_production_pxe.vmlinuz",
        initrds=(f"{tree}/flatcar_production_pxe_image.cpio.gz",),
        arguments=_arguments(options, "flatcar.first_boot=1", f"ignition.config.url={urls.answer('live.ign')}"),
    )
    return boot_context(release, node, urls, linux)


def flatcar(release: Release, options: FlatcarOptions, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
    """The names that templates/coreos/ uses. InvalidRequest: commands that can't be run, a tree without a folder."""
    boot = flatcar_boot(release, options, node, urls, resources)
    base, _, folder = _tree("flatcar", release, options, node, urls).rpartition("/")
    clock = f"[Time]\nNTP={' '.join(options.ntpServers)}\n"
    clocks = [ignition.file("/etc/systemd/timesyncd.conf.d/pxed.conf", clock)] if options.ntpServers else []
    network = [ignition.file(path, text) for path, text in networkd(netplan(options.networkDevices)).items()]
    command = {"program": "flatcar-install", "base": base, "folder": folder}
    return _context(release, options, node, urls, resources, boot=boot, command=command, files=[*clocks, *network], home="/opt/pxed")


def fcos_boot(release: Release, options: FcosOptions, node: NodeView, urls: Urls, _resources: Resources) -> dict[str, Any]:
    """The names that Fedora CoreOS's boot scripts use."""
    tree = _tree("fcos", release, options, node, urls)
    named = options.installInterface if options.installInterface and ":" not in options.installInterface else None
    linux = LinuxBoot(
        kernel=f"{tree}/images/pxeboot/vmlinuz",
        initrds=(f"{tree}/images/pxeboot/initrd.img",),
        arguments=_arguments(
            options,
            f"coreos.live.rootfs_url={tree}/images/pxeboot/rootfs.img",
            f"ip={named}:dhcp" if named else "ip=dhcp",
            *("rd.neednet=1", "ignition.firstboot", "ignition.platform.id=metal"),
            f"ignition.config.url={urls.answer('live.ign')}",
        ),
        boot_mac=boot_mac(options),
    )
    return boot_context(release, node, urls, linux)


def fcos(release: Release, options: FcosOptions, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
    """The names that templates/coreos/ uses. InvalidRequest: commands that can't be run."""
    boot = fcos_boot(release, options, node, urls, resources)
    clock = "".join(f"server {server} iburst\n" for server in options.ntpServers) + CHRONY
    clocks = [ignition.file("/etc/chrony.conf", clock)] if options.ntpServers else []
    network = [ignition.file(path, text, 0o600) for path, text in keyfiles(netplan(options.networkDevices)).items()]
    command = {"program": "coreos-installer"}
    return _context(release, options, node, urls, resources, boot=boot, command=command, files=[*clocks, *network], home=FIRSTBOOT_HOME)


def _tree(family: str, release: Release, options: IgnitionOptions, node: NodeView, urls: Urls) -> str:
    return urls.tree(options.repo, repository(family, release, node.arch))


def _arguments(options: IgnitionOptions, *own: str) -> str:
    return " ".join([*own, *console_arguments(options), *options.kernelArgs.split(), *options.targetKernelArgs.split()])


def _context(
    release: Release,
    options: IgnitionOptions,
    node: NodeView,
    urls: Urls,
    resources: Resources,
    *,
    boot: Mapping[str, Any],
    command: Mapping[str, str],
    files: list[dict[str, Any]],
    home: str,
) -> dict[str, Any]:
    """`files`: what this system alone is given; `home`: where the first boot's script can live."""
    if options.scripts.post:
        reason = IgnitionOptions.refused["postInstallCommands"]
        raise InvalidRequest(f"options.scripts.post cannot be used here: {reason}", field="options.scripts.post", expected="no post")
    made = {**linux_context(release, options, node, urls), **boot, "command": command, "firstboot_home": home}
    unit = resources.render("coreos/install.service.j2", made)
    live = {
        "ignition": {"version": ignition.VERSION},
        "storage": {"files": [ignition.fetched("/etc/pxed/install.sh", urls.answer("install.sh"))]},
        "systemd": {"units": ignition.units([], [], {"pxed-install.service": unit})},
    }
    return {**made, "live": live, "target": _target(options, made, files, resources.render)}


def _target(options: IgnitionOptions, made: Mapping[str, Any], files: list[dict[str, Any]], render: Render) -> dict[str, Any]:
    """The installed system's Ignition config: it carries whole files inside."""
    arguments = [*console_arguments(options), *options.targetKernelArgs.split()]
    own = {"pxed-firstboot.service": render("linux/firstboot.service.j2", made)}
    script = ignition.file(f"{made['firstboot_home']}/firstboot", render("linux/firstboot.sh.j2", made), 0o700)
    merged = {"config": {"merge": [{"source": options.ignitionScriptUri}]}} if options.ignitionScriptUri else {}
    clock = {"links": [ignition.link("/etc/localtime", f"../usr/share/zoneinfo/{options.timezone}")]} if options.timezone != "UTC" else {}
    return {
        "ignition": {"version": ignition.VERSION, **merged},
        **({"kernelArguments": {"shouldExist": list(dict.fromkeys(arguments))}} if arguments else {}),
        "passwd": ignition.accounts(options.users, options.rootPasswordHash, options.rootSshKeys, options.coreSshKeys),
        "storage": {"files": [*_system(options), *files, *ignition.sudoers(options.users), script], **clock},
        "systemd": {"units": ignition.units(options.enableServices, options.disableServices, own)},
    }


def _system(options: IgnitionOptions) -> list[dict[str, Any]]:
    """Name and name servers, the same in both systems."""
    name = ".".join(part for part in (options.hostname, options.domain) if part) if options.hostname else ""
    servers = resolved(options)
    return [
        *([ignition.file("/etc/hostname", f"{name}\n")] if name else []),
        *([ignition.file("/etc/systemd/resolved.conf.d/pxed.conf", f"{servers}\n")] if servers else []),
    ]


FILES = {"live.ign": "coreos/live.json.j2", "target.ign": "coreos/target.json.j2", "install.sh": "coreos/install.sh.j2"}
RECIPE = Recipe("coreos", 1, install, MILESTONES)
RECIPE_OFF = Recipe("coreos-off", 1, install_and_stop, MILESTONES[:2])


def _release(family: str, title: str, name: str, memory: str, *, first: bool = False) -> Release:
    """One channel; the `first` one is what the repository without a channel in its name holds."""
    need = f"{memory} GB of memory: the live system runs from there"
    return Release(name, f"{title} {name}", {"repository": family if first else f"{family}-{name}", "needs": need})


FLATCAR = Family(
    name="flatcar",
    title="Flatcar",
    releases={name: _release("flatcar", "Flatcar", name, "3", first=name == "stable") for name in ("stable", "lts", "beta", "alpha")},
    options=FlatcarOptions,
    recipe=RECIPE,
    recipe_off=RECIPE_OFF,
    profile="boot/linux.ipxe.j2",
    files=FILES,
    context=flatcar,
    boot=flatcar_boot,
    aliases={"current": "stable"},
)
FCOS = Family(
    name="fcos",
    title="Fedora CoreOS",
    releases={name: _release("fcos", "Fedora CoreOS", name, "4", first=name == "stable") for name in ("stable", "testing", "next")},
    options=FcosOptions,
    recipe=RECIPE,
    recipe_off=RECIPE_OFF,
    profile="boot/linux.ipxe.j2",
    files=FILES,
    context=fcos,
    boot=fcos_boot,
)
FAMILIES = (FLATCAR, FCOS)
