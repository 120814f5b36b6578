"""Red Hat's family: RHEL, CentOS, Rocky, Alma, Oracle and Fedora: anaconda, driven by a kickstart and three scripts that it fetches.

What the node does: kernel and initrd from the repository, `ks.cfg`, then `pre.sh` (tells us `started`, chooses the disk and writes the
commands that name it), `post.sh` (accounts, the operator's commands; tells us `installed`); after the reboot `firstboot.sh` tells us
`booted`. `failed.sh` runs if anaconda fails, and tells us what anaconda's logs say last.

One function makes all six families; a release is data: `el`, the generation of its anaconda. Sources: anaconda's documentation of boot
options and kickstart, pykickstart, dracut.cmdline(7).
Traps: EL9 and newer read only boot arguments that begin with ``inst.``; a locked root without an administrator makes the text mode ask for
one, so root gets a hash that no password has; anaconda forwards its log by TCP (``*.* @@HOST:PORT`` for its rsyslog), whatever its
documentation says of UDP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from pxed.oses.family import Family, NodeView, Release, Resources, Urls, repository
from pxed.oses.features import Bond, Bonds, Kvm, Security, Services
from pxed.oses.kickstart import Network, Syntax, command, partitions
from pxed.oses.linux import LinuxBoot, boot_context, boot_mac, console_arguments, linux_context
from pxed.oses.options import CommonOptions
from pxed.oses.redhat_progress import progress
from pxed.oses.sealing import Kept, Reversible, ReversibleUrl, plain
from pxed.oses.strict import Strict, listed, refusal
from pxed.workflow.recipe import HOUR, MINUTE, Milestone, Recipe, RecipeNode

# The deadlines stand in the journals of running installs: another value is another version of the recipe.
START = 30 * MINUTE
"""From the assignment to the %pre script: firmware, kernel, initrd and anaconda's own image."""
INSTALL = 2 * HOUR
BOOT = 30 * MINUTE

MILESTONES = (
    Milestone("started", 5, "The installer has its kickstart"),
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


RECIPE = Recipe("redhat", 1, install, MILESTONES)
RECIPE_OFF = Recipe("redhat-off", 1, install_and_stop, MILESTONES[:2])


def _group(value: str) -> str:
    if not re.fullmatch(r"@?\^?[A-Za-z0-9][A-Za-z0-9_.+-]{0,80}", value):
        raise ValueError("a package group's id, like core, or ^minimal-environment for an environment")
    return value.removeprefix("@")


def _repository_url(value: str) -> str:
    if not re.fullmatch(r"(?:https?|ftp)://[A-Za-z0-9\[][A-Za-z0-9._~/%+:@=\[\]$-]*", value):
        raise ValueError("the URL of a repository, like https://mirror.example.com/extras/")
    return value


def _activation_key(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_. -]{1,100}", value):
        raise ValueError("an activation key's name: letters, digits, blanks, '_', '.' and '-'")
    return value


class ExtraRepo(Strict):
    """One more repository of packages that the installer uses."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")]
    url: Annotated[str | Kept, ReversibleUrl(_repository_url)] = Field(repr=False, description="Kept sealed if it holds a password")


class RedHatOptions(Services, Security, Bonds, Kvm, CommonOptions):
    """What Red Hat's family adds to the common options."""

    refused: ClassVar[Mapping[str, str]] = {
        "patterns": "SUSE has patterns; see groups",
        "tasks": "Debian has tasks; see groups",
        "registration": "only RHEL itself has subscriptions",
        "fips": "FIPS mode is chosen with targetKernelArgs fips=1",
        "installType": "only Photon has it; see groups and packages",
    }

    groups: Annotated[list[Annotated[str, AfterValidator(_group)]], BeforeValidator(listed)] = Field(
        default_factory=lambda: ["core"],
        description="Package groups by id; an environment with ^ in front, like ^server-product-environment",
    )
    extraRepos: list[ExtraRepo] = Field(default_factory=list, description="Further repositories of packages for the installer")
    updates: Literal["none", "security", "all"] = Field(
        default="none", description="Update the new system before its first boot; needs a way to repositories with updates"
    )

    @field_validator("bonds")
    @classmethod
    def _named_nics(cls, bonds: list[Bond]) -> list[Bond]:
        if any(":" in nic for bond in bonds for nic in bond.nics):
            raise ValueError("interface names in nics: anaconda's bonds know no MAC addresses")
        return bonds


class Registration(Strict):
    """Red Hat's subscription, by activation key."""

    org: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    activationKey: Annotated[Kept, Reversible(_activation_key)] = Field(repr=False, description="Kept sealed")
    insights: bool = Field(default=False, description="Also connect to Red Hat Insights (EL8 and newer)")


class RhelOptions(RedHatOptions):
    """RHEL itself can be registered."""

    refused: ClassVar[Mapping[str, str]] = {name: why for name, why in RedHatOptions.refused.items() if name != "registration"}

    registration: Registration | None = None


def boot(family: str, release: Release, options: RedHatOptions, node: NodeView, urls: Urls, _resources: Resources) -> dict[str, Any]:
    """The names that the boot scripts use. InvalidRequest for what the release can't do."""
    syntax = Syntax(release.data["el"])
    _possible(syntax, family, release, options)
    tree = urls.tree(options.repo, repository(family, release, node.arch))
    linux = LinuxBoot(
        kernel=f"{tree}/images/pxeboot/vmlinuz",
        initrds=(f"{tree}/images/pxeboot/initrd.img",),
        arguments=" ".join(_arguments(syntax, tree, options, urls)),
        boot_mac=boot_mac(options),
        bios_only=not syntax.modern,
    )
    return boot_context(release, node, urls, linux)


def context(family: str, release: Release, options: RedHatOptions, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
    """The names that templates/redhat/ uses. InvalidRequest for what the release can't do."""
    syntax = Syntax(release.data["el"])
    tree = urls.tree(options.repo, repository(family, release, node.arch))
    proxied = options.proxy_url if not tree.startswith(urls.base + "/") else None
    full_name = ".".join(part for part in (options.hostname, options.domain) if part) if options.hostname else None
    named = options.installInterface
    network = Network(syntax, full_name, tuple(options.dnsServers), tuple(options.dnsSearch))
    return {
        **linux_context(release, options, node, urls),
        **boot(family, release, options, node, urls, resources),
        "syntax": syntax,
        "source": command("url", f"--url={tree}", *([f"--proxy={proxied}"] if proxied else [])),
        "repositories": _repositories(options, urls),
        "keyboard": _keyboard(syntax, options.keyboard),
        "clock": _clock(syntax, options),
        "network": network.commands(options.networkDevices, options.bonds, named or "bootif"),
        "services": _services(options),
        "chosen": [f"@{group}" for group in options.groups] + _packages(syntax, options),
        "bootloader": _bootloader(options),
        "parts": partitions(options.installPartitions, options.layout, syntax),
        "reqpart": bool(options.installPartitions) and syntax.modern,
        "has_esp": any(part.mountPoint == "/boot/efi" for part in options.installPartitions),
        "registration": _registration(options),
    }


def _possible(syntax: Syntax, family: str, release: Release, options: RedHatOptions) -> None:
    kinds = {part.fsType for part in options.installPartitions}
    if "btrfs" in kinds and syntax.el >= 8 and family not in ("fedora", "oracle"):
        raise refusal("installPartitions", f"{release.title} has no btrfs", "another fsType, like xfs")
    if not syntax.modern and any(bond.vlans for bond in options.bonds):
        raise refusal("bonds", f"{release.title} cannot put VLANs above a bond", "bonds without vlans")


def _arguments(syntax: Syntax, tree: str, options: RedHatOptions, urls: Urls) -> list[str]:
    """The kernel's command line. dracut's (EL7 and newer) and the old loader's (EL6) words differ."""
    named = options.installInterface if options.installInterface and ":" not in options.installInterface else None
    log = f"{'[' + urls.host + ']' if ':' in urls.host else urls.host}:{urls.syslog_port}"
    extra = [*console_arguments(options), *options.targetKernelArgs.split(), *options.kernelArgs.split()]
    if not syntax.modern:
        words = [f"ks={urls.answer('ks.cfg')}", f"method={tree}", f"ksdevice={named or 'bootif'}", "ip=dhcp"]
        return [*words, *([f"syslog={log}"] if options.remoteLogging else []), *extra]
    network = [f"ip={named}:dhcp", "rd.bootif=0"] if named else ["ip=dhcp"]
    words = [f"inst.ks={urls.answer('ks.cfg')}", f"inst.stage2={tree}", *network]
    return [*words, *([f"inst.syslog={log}"] if options.remoteLogging else []), *extra]


def _repositories(options: RedHatOptions, urls: Urls) -> list[str]:
    return [
        command(
            "repo",
            f"--name={repo.name}",
            f"--baseurl={url}",
            *([f"--proxy={options.proxy_url}"] if options.proxy_url and not url.startswith(urls.base + "/") else []),
        )
        for repo, url in ((each, plain(each.url)) for each in options.extraRepos)
    ]


def _registration(options: RedHatOptions) -> dict[str, Any] | None:
    given: Registration | None = getattr(options, "registration", None)
    return {"org": given.org, "key": plain(given.activationKey), "insights": given.insights} if given else None


def _keyboard(syntax: Syntax, keyboard: str) -> str:
    if not syntax.modern:
        return command("keyboard", keyboard)
    layout, _, variant = keyboard.partition("-")
    return command("keyboard", f"--vckeymap={keyboard}", f"--xlayouts={layout}{f' ({variant})' if variant else ''}")


def _clock(syntax: Syntax, options: RedHatOptions) -> list[str]:
    """Time zone and NTP servers; EL6 gets its servers in post.sh."""
    if syntax.el >= 9:
        return [
            command("timezone", options.timezone, "--utc"),
            *(command("timesource", f"--ntp-server={each}") for each in options.ntpServers),
        ]
    servers = [f"--ntpservers={','.join(options.ntpServers)}"] if options.ntpServers and syntax.modern else []
    return [command("timezone", options.timezone, "--isUtc", *servers)]


def _services(options: RedHatOptions) -> str | None:
    words = [
        f"--{verb}={','.join(names)}"
        for verb, names in (("enabled", options.enableServices), ("disabled", options.disableServices))
        if names
    ]
    return command("services", *words) if words else None


KVM = {
    6: ("@virtualization", "@virtualization-client", "@virtualization-platform", "@virtualization-tools"),
    7: ("@virtualization-hypervisor", "@virtualization-client", "@virtualization-platform", "@virtualization-tools"),
}
"""RackHD's groups where they were seen; later releases have renamed groups, but not these packages."""


def _packages(syntax: Syntax, options: RedHatOptions) -> list[str]:
    """The operator's packages, and those that other options and the first boot need."""
    needed = [
        "curl",
        *(["sudo"] if any(user.sudo for user in options.users) else []),
        *(["openssh-server"] if options.rootSshKeys or any(user.sshKeys for user in options.users) else []),
        *(["chrony" if syntax.modern else "ntp"] if options.ntpServers else []),
        *(KVM.get(syntax.el, ("qemu-kvm", "libvirt", "virt-install")) if options.kvm else ()),
    ]
    return list(dict.fromkeys([*options.packages, *needed]))


def _bootloader(options: RedHatOptions) -> str:
    kept = " ".join([*console_arguments(options), *options.targetKernelArgs.split()])
    return command("bootloader", "--location=mbr", *([f"--append={kept}"] if kept else []))


TITLES = {
    "rhel": "Red Hat Enterprise Linux",
    "centos": "CentOS",
    "rocky": "Rocky Linux",
    "alma": "AlmaLinux",
    "oracle": "Oracle Linux",
    "fedora": "Fedora",
}
NUMBERS = {
    "rhel": (10, 9, 8, 7, 6),
    "centos": (10, 9, 8, 7, 6),
    "rocky": (10, 9, 8),
    "alma": (10, 9, 8),
    "oracle": (10, 9, 8),
    "fedora": (45, 44, 43),
}
"""Family > its releases, the default first."""


def _release(family: str, number: int) -> Release:
    stream = " Stream" if family == "centos" and number >= 8 else ""
    fedora = family == "fedora"
    data = {"el": 10 if fedora else number, "pykickstart": f"F{number}" if fedora else f"RHEL{number}"}
    return Release(str(number), f"{TITLES[family]}{stream} {number}", data)


def _family(name: str) -> Family:
    """The family `name`; a minor release (``9.4``) is another name of its major one."""
    return Family(
        name=name,
        title=TITLES[name],
        releases={str(number): _release(name, number) for number in NUMBERS[name]},
        options=RhelOptions if name == "rhel" else RedHatOptions,
        recipe=RECIPE,
        recipe_off=RECIPE_OFF,
        profile="boot/linux.ipxe.j2",
        files={
            "ks.cfg": "redhat/answers.ks.j2",
            "pre.sh": "redhat/pre.sh.j2",
            "post.sh": "redhat/post.sh.j2",
            "failed.sh": "redhat/failed.sh.j2",
            "firstboot.sh": "linux/firstboot.sh.j2",
            "firstboot.service": "linux/firstboot.service.j2",
            "firstboot-init.sh": "redhat/firstboot-init.sh.j2",
        },
        context=partial(context, name),
        boot=partial(boot, name),
        plain_secrets=frozenset({"ks.cfg", "post.sh"}),
        aliases={f"{number}.{minor}": str(number) for number in NUMBERS[name] if name != "fedora" for minor in range(11)},
        progress=progress,
    )


FAMILIES = tuple(_family(name) for name in TITLES)
