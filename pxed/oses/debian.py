"""Debian: debian-installer from its netboot images, driven by preseed and three hooks.

What the node does: kernel and initrd from the repository, `preseed.cfg`, then `early.sh` (tells us `started`), `disk.sh` (which disk),
`late.sh` (accounts, network, the operator's commands; tells us `installed`); after the reboot `firstboot.sh` tells us `booted`.

Sources: the Debian installation guide, appendix B; debian-installer's own scripts (rootskel, preseed, netcfg, partman-auto,
finish-install).
Traps seen on the real installer: an early_command that ends with an error stops everything with a question; C.UTF-8 as locale makes it
ask for a continent; partman-auto without a disk among its answers takes the only one there is, whatever it holds; names from DHCP win
over `get_hostname`, hence `netcfg/hostname` on the kernel's command line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from pxed.oses import escape
from pxed.oses.debian_progress import progress
from pxed.oses.disk import PLACEHOLDER
from pxed.oses.family import ARM64, Family, NodeView, Release, Resources, Urls, repository
from pxed.oses.features import Kvm
from pxed.oses.ifupdown import stanzas
from pxed.oses.linux import LinuxBoot, boot_context, boot_mac, console_arguments, linux_context
from pxed.oses.options import CommonOptions
from pxed.oses.partman import expert_recipe, needed_megabytes
from pxed.oses.strict import lines, refusal
from pxed.workflow.recipe import HOUR, MINUTE, Milestone, Recipe, RecipeNode

# The deadlines stand in the journals of running installs: another value is another version of the recipe.
START = 30 * MINUTE
"""From the assignment to the installer's first word: firmware, DHCP, TFTP, kernel and initrd."""
INSTALL = 2 * HOUR
"""From the first word to the last."""
BOOT = 30 * MINUTE
"""From the installer's last word to the installed system's first; its hook tries for 25 minutes."""

EARLY = "/tmp/pxed-early.sh"  # noqa: S108  (on the installer's own RAM disk)
COMMAND_WORDS = 32
"""Words that the kernel doesn't know become init's environment: CONFIG_INIT_ENV_ARG_LIMIT; one more and it panics."""

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


_DEBCONF = re.compile(r"\S+[ \t]+(\S+)[ \t]+(string|boolean|select|multiselect|password|note|text|title|error|seen)(?:[ \t]+(.*))?")
_HOOKS = ("preseed/early_command", "preseed/late_command", "partman/early_command")


def _answer(line: str) -> str:
    found = _DEBCONF.fullmatch(line)
    try:
        escape.preseed(line)
    except escape.Unwritable:
        found = None
    if not found:
        raise ValueError("one line 'owner question type value', like 'd-i mirror/suite string trixie'")
    if found[1] in _HOOKS:
        raise ValueError("an answer other than pxed's own hooks; commands belong into scripts.post or scripts.firstboot")
    return line


def task(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]{0,60}", value):
        raise ValueError("the name of a tasksel task, like standard or ssh-server")
    return value


class DebianOptions(Kvm, CommonOptions):
    """What Debian adds to the common options."""

    refused: ClassVar[Mapping[str, str]] = {
        "bonds": "pxed's Debian profile does not set up bonds; scripts.post can",
        "bridges": "pxed's Debian profile does not set up bridges; scripts.post can",
        "switchDevices": "virtual switches exist on ESXi only",
        "esxSwitchName": "virtual switches exist on ESXi only",
        "clearDisk": "the chosen disk is always cleared, and no other; see disk",
        "enableServices": "Debian enables the services of the packages it installs; scripts.post can change that",
        "disableServices": "Debian enables the services of the packages it installs; scripts.post can change that",
        "installType": "only Photon has it; see tasks and packages",
        "selinux": "Debian installs without SELinux; packages and scripts.post can add it",
        "firewall": "Debian installs without a firewall; packages and scripts.post can add one",
        "fips": "Debian has no FIPS mode",
        "registration": "Debian has no subscription",
        "productkey": "only Windows has product keys",
        "ignitionScriptUri": "only Ignition installers have it",
    }

    tasks: Annotated[list[Annotated[str, AfterValidator(task)]], BeforeValidator(lines)] = Field(
        default_factory=lambda: ["standard", "ssh-server"], description="tasksel's tasks; [] for the base system only"
    )
    updates: Literal["none", "security", "all"] = Field(
        default="none", description="Debian's security (and stable) updates; needs a way to Debian's servers"
    )
    preseedExtra: Annotated[list[Annotated[str, AfterValidator(_answer)]], BeforeValidator(lines)] = Field(
        default_factory=list, description="Further answers, 'owner question type value'; the last one for a question wins"
    )


def context(release: Release, options: DebianOptions, node: NodeView, urls: Urls, _resources: Resources) -> dict[str, Any]:
    """The names that templates/debian/ uses."""
    tree = urls.tree(options.repo, repository("debian", release, node.arch))
    return {
        **preseeded(release, options, node, urls, tree=tree, images=tree + release.data["images"]),
        "udebs": release.data["codename"],
        "network_config": "ifupdown" if options.networkDevices else "",
        "further": (),
        "interfaces": stanzas(options.networkDevices),
        "hosts": _hosts(options),
        "resolv": "\n".join(
            ([f"search {' '.join(options.dnsSearch)}"] if options.dnsSearch else [])
            + [f"nameserver {server}" for server in options.dnsServers]
        ),
        "dhclient": _dhclient(options),
    }


def boot(release: Release, options: DebianOptions, node: NodeView, urls: Urls, _resources: Resources) -> dict[str, Any]:
    """The names that the boot scripts use."""
    tree = urls.tree(options.repo, repository("debian", release, node.arch))
    return boot_context(release, node, urls, _installer(options, node, urls, tree + release.data["images"]))


def preseeded(release: Release, options: DebianOptions, node: NodeView, urls: Urls, *, tree: str, images: str) -> dict[str, Any]:
    """What every debian-installer is told. `tree`: the mirror's URL; `images`: the URL of its netboot images, with ``{arch}``."""
    mirror = urlsplit(tree)
    lvm = options.layout == "lvm"
    early = urls.answer("early.sh")
    return {
        **linux_context(release, options, node, urls),
        "codename": release.data["codename"],
        "boot": _installer(options, node, urls, images),
        "mirror": {"protocol": mirror.scheme, "host": mirror.netloc, "directory": mirror.path or "/"},
        "services": {"none": "", "security": "security", "all": "security, updates"}[options.updates],
        "packages": _packages(options, release.data.get("clock", "systemd-timesyncd"), node),
        "placeholder": PLACEHOLDER,
        "layout": options.layout,
        "needed_megabytes": needed_megabytes(options.installPartitions, lvm=lvm),
        "recipes": {name: expert_recipe(options.installPartitions, uefi=name == "uefi", lvm=lvm) for name in ("uefi", "bios")}
        if options.installPartitions
        else None,
        "early_command": f"for n in 1 2 3 4 5; do wget -q -T 20 -O {EARLY} {early} && break; sleep 2; done; sh {EARLY}; true",
    }


def _installer(options: DebianOptions, node: NodeView, urls: Urls, images: str) -> LinuxBoot:
    images = images.replace("{arch}", "arm64" if node.arch in ARM64 else "amd64")
    return LinuxBoot(
        kernel=f"{images}/linux",
        initrds=(f"{images}/initrd.gz",),
        arguments=_installer_arguments(options, urls),
        boot_mac=boot_mac(options),
        kept=" ".join(_kept_arguments(options)),
    )


def _installer_arguments(options: DebianOptions, urls: Urls) -> str:
    """The kernel's command line up to ``---``, without BOOTIF. InvalidRequest if the kernel could not take it."""
    interface = options.installInterface if options.installInterface and ":" not in options.installInterface else "auto"
    host = urls.host
    words = [
        *("auto=true", "priority=critical", f"url={urls.answer('preseed.cfg')}", f"interface={interface}", "netcfg/dhcp_timeout=60"),
        *_lonely_network(options, host),
        *(f"locale={options.locale}", f"keymap={options.keyboard}"),
        *([f"hostname={options.hostname}", f"netcfg/hostname={options.hostname}"] if options.hostname else []),
        *([f"domain={options.domain}"] if options.domain else []),
        *([f"log_host={host}", f"log_port={urls.syslog_port}"] if options.remoteLogging and ":" not in host else []),
        *(["DEBIAN_FRONTEND=text"] if options.console else []),
        *options.kernelArgs.split(),
    ]
    kept = _kept_arguments(options)
    if len([word for word in [*words, *kept] if "." not in word.split("=")[0]]) + 3 > COMMAND_WORDS:
        raise refusal(
            "kernelArgs", f"the kernel's command line would be too long (at most {COMMAND_WORDS} words)", "fewer kernel arguments"
        )
    return " ".join(words)


def _lonely_network(options: DebianOptions, host: str) -> list[str]:
    """Answers for a DHCP lease without router or name servers: netcfg would ask for them before it can fetch any answer.

    What the lease does say wins. An empty `get_nameservers` is ignored on the command line, so without a name server we stand in: an
    address that refuses at once instead of one that is silent.
    """
    servers = [server for server in (*options.dnsServers, host) if ":" not in server]
    return ["netcfg/no_default_route=true", *(f"netcfg/get_nameservers={server}" for server in servers[:1])]


def _kept_arguments(options: DebianOptions) -> list[str]:
    """The words behind ``---``, which debian-installer also gives to the installed system."""
    return [*console_arguments(options), *options.targetKernelArgs.split()]


def kvm_packages(node: NodeView) -> list[str]:
    """What a host of virtual machines needs, in Debian's names and Ubuntu's."""
    return ["qemu-system-arm" if node.arch in ARM64 else "qemu-system-x86", "libvirt-daemon-system"]


def _packages(options: DebianOptions, clock: str, node: NodeView) -> list[str]:
    """The operator's packages, and those that other options need; `clock`: the package that ntpServers need, "" for none."""
    remote = bool(options.rootSshKeys or any(user.sshKeys for user in options.users))
    needed = [
        *(["openssh-server"] if remote else []),
        *(["sudo"] if any(user.sudo for user in options.users) else []),
        *([clock] if options.ntpServers and clock else []),
        *(kvm_packages(node) if options.kvm else []),
    ]
    return list(dict.fromkeys([*options.packages, *needed]))


def _hosts(options: DebianOptions) -> str:
    full = f"{options.hostname}.{options.domain} {options.hostname}" if options.domain else str(options.hostname)
    loopback = ("::1 localhost ip6-localhost ip6-loopback", "ff02::1 ip6-allnodes", "ff02::2 ip6-allrouters")
    return "\n".join(["127.0.0.1 localhost", f"127.0.1.1 {full}", "", *loopback])


def _dhclient(options: DebianOptions) -> str:
    """Statements of dhclient.conf(5) that keep the operator's name servers."""
    four = [server for server in options.dnsServers if ":" not in server]
    search = ", ".join(f'"{name}"' for name in options.dnsSearch)
    lines = [f"supersede domain-name-servers {', '.join(four)};"] if four else []
    return "\n".join(["# pxed: dnsServers", *lines, *([f"supersede domain-search {search};"] if search else [])])


IMAGES = "/dists/%s/main/installer-{arch}/current/images/netboot/debian-installer/{arch}"


def _release(number: str, codename: str) -> Release:
    data = {"codename": codename, "images": IMAGES % codename, "repository": "debian", "one_tree": True}
    return Release(number, f"Debian {number} ({codename})", data)


RELEASES = {release.name: release for release in (_release("13", "trixie"), _release("12", "bookworm"), _release("11", "bullseye"))}

FILES = {
    "preseed.cfg": "debian/answers.preseed.j2",
    "early.sh": "debian/early.sh.j2",
    "disk.sh": "debian/disk.sh.j2",
    "late.sh": "debian/late.sh.j2",
    "firstboot.sh": "linux/firstboot.sh.j2",
    "firstboot.service": "linux/firstboot.service.j2",
}

DEBIAN = Family(
    name="debian",
    title="Debian",
    releases=RELEASES,
    options=DebianOptions,
    recipe=Recipe("debian", 1, install, MILESTONES),
    recipe_off=Recipe("debian-off", 1, install_and_stop, MILESTONES[:2]),
    profile="boot/linux.ipxe.j2",
    files=FILES,
    plain_secrets=frozenset({"preseed.cfg"}),
    context=context,
    boot=boot,
    progress=progress,
    aliases={release.data["codename"]: release.name for release in RELEASES.values()},
)
