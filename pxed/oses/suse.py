"""SLES 12 and 15, openSUSE Leap 15: linuxrc and YaST, driven by an AutoYaST profile and two scripts that it fetches.

What the node does: kernel and initrd from the repository; linuxrc downloads `autoinst.xml`; `pre.sh` (tells us `started`, chooses the disk
and writes it into the profile); YaST installs (stage 1); `post.sh` in the new system (accounts, the operator's commands; tells us
`installed`); a reboot, which must be from disk, though the node asks PXE first; YaST's stage 2 (services, network), and after it
`firstboot.sh` tells us `booted`.

Sources: SUSE's AutoYaST guides (scripts, /tmp/profile/modified.xml, second stage), linuxrc's reference of boot options.
Traps: AutoYaST has no hook for failures, so a broken install is known by its deadline; SLES's sudo asks for root's password (targetpw);
SLES 15 is split into modules, and only the Full medium holds them.
From release 16 on the same two names have another installer: `agama`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from pxed.oses.agama import agama
from pxed.oses.autoyast import interfaces, marks, ntp, partitioning, routes, written
from pxed.oses.disk import PLACEHOLDER
from pxed.oses.family import ARM64, Family, NodeView, Release, Resources, Urls, repository
from pxed.oses.linux import LinuxBoot, boot_context, boot_mac, console_arguments, linux_context
from pxed.oses.strict import refusal
from pxed.oses.suse_options import SlesOptions, SuseOptions
from pxed.workflow.recipe import HOUR, MINUTE, Milestone, Recipe, RecipeNode

# The deadlines stand in the journals of running installs: another value is another version of the recipe.
START = 30 * MINUTE
"""From the assignment to the pre-script: firmware, kernel, initrd and the installer's own image."""
INSTALL = 2 * HOUR
"""Stage 1, up to the reboot."""
BOOT = 45 * MINUTE
"""The reboot, stage 2 and the first boot's hook, which tries for 25 minutes."""

MILESTONES = (
    Milestone("started", 5, "The installer has its profile"),
    Milestone("installed", 85, "Stage 1 has finished; the node restarts from its disk"),
    Milestone("booted", 100, "Stage 2 has finished; the installed system runs"),
)


async def install(node: RecipeNode) -> None:
    """Network boot, stage 1, boot from disk, stage 2, and the installed system says so itself."""
    await node.boot("installer")
    await node.notification("started", within=START)
    await node.notification("installed", within=INSTALL)
    await node.boot("disk")
    await node.notification("booted", within=BOOT)


async def install_and_stop(node: RecipeNode) -> None:
    """The same for a node that is switched off after stage 1; stage 2 runs when it is switched on again."""
    await node.boot("installer")
    await node.notification("started", within=START)
    await node.notification("installed", within=INSTALL)
    await node.boot("disk")


RECIPE = Recipe("suse", 1, install, MILESTONES)
RECIPE_OFF = Recipe("suse-off", 1, install_and_stop, MILESTONES[:2])

KEYBOARDS: Mapping[str, str] = {
    "us": "english-us", "gb": "english-uk", "uk": "english-uk", "de": "german", "ch": "german-ch", "fr": "french", "es": "spanish",
    "it": "italian", "pt": "portugese", "br": "portugese-br", "se": "swedish", "no": "norwegian", "dk": "danish", "fi": "finnish",
    "nl": "dutch", "be": "belgian", "pl": "polish", "cz": "czech", "sk": "slovak", "hu": "hungarian", "ru": "russian", "jp": "japanese",
    "gr": "greek", "tr": "turkish",
}  # fmt: skip
"""Our name of a keyboard > YaST's (its spelling)."""


def boot(family: str, release: Release, options: SuseOptions, node: NodeView, urls: Urls, _resources: Resources) -> dict[str, Any]:
    """The names that the boot scripts use. InvalidRequest: a proxy with a password."""
    tree = urls.tree(options.repo, repository(family, release, node.arch))
    folder = f"{tree}/boot/aarch64" if node.arch in ARM64 else f"{tree}/boot/x86_64/loader"
    kept = [*console_arguments(options), *options.targetKernelArgs.split()]
    linux = LinuxBoot(
        kernel=f"{folder}/linux",
        initrds=(f"{folder}/initrd",),
        arguments=" ".join([*_arguments(tree, options, urls), *kept, *options.kernelArgs.split()]),
        boot_mac=boot_mac(options),
    )
    return boot_context(release, node, urls, linux)


def context(family: str, release: Release, options: SuseOptions, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
    """The names that templates/suse/ uses. InvalidRequest for what AutoYaST or the release can't do."""
    tree = urls.tree(options.repo, repository(family, release, node.arch))
    return {
        **linux_context(release, options, node, urls),
        **boot(family, release, options, node, urls, resources),
        "placeholder": PLACEHOLDER,
        "macs": marks(options.networkDevices),
        "sections": written(
            {
                "general": _general(options),
                "report": {kind: {"show": kind == "errors", "log": True, "timeout": 30} for kind in _REPORTS},
                **_system(release, options),
                "networking": _networking(release, options),
                "partitioning": partitioning(options.installPartitions, lvm=options.layout == "lvm"),
                "software": _software(release, options),
                **_add_ons(release, options, tree),
                "services-manager": _services(options),
                "users": [{"username": "root", "encrypted": True, "user_password": options.rootPasswordHash or "!"}],
                "scripts": {
                    "pre-scripts": [_script("pre", urls)],
                    "chroot-scripts": [{**_script("post", urls), "chrooted": True}],
                },
            }
        ),
    }


_REPORTS = ("messages", "warnings", "errors", "yesno_messages")


def _arguments(tree: str, options: SuseOptions, urls: Urls) -> list[str]:
    """linuxrc's words. InvalidRequest: a proxy with a password, which everybody could read there."""
    proxied = options.proxy_url if options.proxy_url and not tree.startswith(urls.base + "/") else None
    if proxied and urlsplit(proxied).password is not None:
        raise refusal(
            "proxy",
            "SUSE's installer takes its proxy from the kernel's command line, where a password is no secret",
            "a proxy without a password, or a repository of this appliance",
        )
    named = options.installInterface if options.installInterface and ":" not in options.installInterface else None
    log = options.remoteLogging and ":" not in urls.host and urls.syslog_port == 514  # loghost knows no other port
    return [
        f"install={tree}",
        f"autoyast={urls.answer('autoinst.xml')}",
        f"ifcfg={named}=dhcp" if named else "netsetup=dhcp",
        *("textmode=1", "self_update=0", "insecure=1"),
        *([f"loghost={urls.host}"] if log else []),
        *([f"proxy={proxied}"] if proxied else []),
    ]


def _fetched(urls: Urls, name: str) -> str:
    """The one line of shell in the profile: fetch a script, run it. It never fails."""
    file, get = f"/tmp/pxed-{name}", f"curl -fsS --noproxy '*' -m 30 -o /tmp/pxed-{name} '{urls.answer(name)}'"  # noqa: S108
    return f"for n in 1 2 3 4 5 6; do {get} && break; sleep $n; done; sh {file}; rm -f {file}; true"


def _script(name: str, urls: Urls) -> dict[str, Any]:
    return {"filename": f"pxed-{name}", "interpreter": "shell", "feedback": False, "source": _fetched(urls, f"{name}.sh")}


def _general(options: SuseOptions) -> dict[str, Any]:
    """Nothing asks; a repository that was put together by hand is taken like SUSE's own."""
    accepted = ("accept_unsigned_file", "accept_file_without_checksum", "accept_unknown_gpg_key", "import_gpg_key")
    return {
        "mode": {"confirm": False, "second_stage": True, "halt": options.after == "poweroff", "final_reboot": False},
        "signature-handling": {**dict.fromkeys(accepted, True), "accept_verification_failed": False},
    }


def _system(release: Release, options: SuseOptions) -> dict[str, Any]:
    """Language, keyboard, clock, boot loader, proxy, firewall. InvalidRequest: a keyboard that YaST does not know."""
    if options.keyboard not in KEYBOARDS:
        raise refusal("keyboard", f"pxed does not know YaST's name of {options.keyboard!r}", f"one of {', '.join(sorted(KEYBOARDS))}")
    chrony = release.data["chrony"]
    kept = " ".join([*console_arguments(options), *options.targetKernelArgs.split()])
    proxy = {"enabled": True, "http_proxy": options.proxy_url, "https_proxy": options.proxy_url, "no_proxy": "localhost,127.0.0.1"}
    return {
        "language": {"language": options.locale.split(".")[0]},
        "keyboard": {"keymap": KEYBOARDS[options.keyboard]},
        "timezone": {"hwclock": "UTC", "timezone": options.timezone},
        **({"ntp-client": ntp(options.ntpServers, chrony=chrony)} if options.ntpServers else {}),
        **({"bootloader": {"global": {"append": kept}}} if kept else {}),
        **({"proxy": proxy} if options.proxy_url else {}),
        **({"firewall": _firewall(release, on=options.firewall)} if options.firewall is not None else {}),
    }


def _firewall(release: Release, *, on: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"enable_firewall": on, "start_firewall": on}
    if on and release.data["chrony"]:
        return {**made, "default_zone": "public", "zones": [{"name": "public", "services": ["dhcpv6-client", "ssh"]}]}
    return {**made, "FW_CONFIGURATIONS_EXT": "sshd"} if on else made


def _networking(release: Release, options: SuseOptions) -> dict[str, Any]:
    dns = {
        "dhcp_hostname": options.hostname is None,
        **({"hostname": options.hostname} if options.hostname else {}),
        **({"domain": options.domain} if options.domain else {}),
        **({"nameservers": list(options.dnsServers)} if options.dnsServers else {}),
        **({"searchlist": list(options.dnsSearch)} if options.dnsSearch else {}),
    }
    if not options.networkDevices:
        return {"dns": dns, "keep_install_network": True}
    return {
        "dns": dns,
        "keep_install_network": False,
        "interfaces": interfaces(options.networkDevices, named=release.data["interface"]),
        "routing": {"ipv4_forward": False, "ipv6_forward": False, "routes": routes(options.networkDevices)},
    }


def _software(release: Release, options: SuseOptions) -> dict[str, Any]:
    needed = ["curl", "sudo", "openssh", *([release.data["clock"]] if options.ntpServers else [])]
    patterns = [*(options.patterns or release.data["patterns"]), *(["kvm_server", "kvm_tools"] if options.kvm else [])]
    return {
        **({"products": [release.data["product"]]} if release.data["product"] else {}),
        "install_recommended": True,
        "patterns": list(dict.fromkeys(patterns)),
        "packages": list(dict.fromkeys([*needed, *options.packages])),
    }


def _add_ons(release: Release, options: SuseOptions, tree: str) -> dict[str, Any]:
    chosen = getattr(options, "modules", None)
    if chosen is not None and not release.data["modules"]:
        raise refusal("modules", f"{release.title} is not split into modules", "nothing, or release 15")
    listed = [
        {"media_url": tree, "product": f"sle-module-{module.lower()}", "product_dir": f"/Module-{module}"}
        for module in chosen or release.data["modules"]
    ]
    return {"add-on": {"add_on_products": listed}} if listed else {}


def _services(options: SuseOptions) -> dict[str, Any]:
    enabled = list(dict.fromkeys(["sshd", *options.enableServices])) if "sshd" not in options.disableServices else options.enableServices
    return {"default_target": "multi-user", "services": {"enable": list(enabled), "disable": list(options.disableServices)}}


def _release(name: str, title: str, *, product: str = "", modules: tuple[str, ...] = (), needs: str) -> Release:
    """`product`: what the profile must name; `modules`: the ones of the medium that are used. SLES 12 has ntpd, and older element names."""
    modern = name != "12"
    data = {
        "product": product,
        "modules": modules,
        "needs": needs,
        "chrony": modern,
        "clock": "chrony" if modern else "ntp",
        "interface": "name" if modern else "device",
        "patterns": ("base",) if modern else ("Minimal", "base"),
    }
    return Release(name, title, data)


def _family(name: str, title: str, options: type[SuseOptions], *releases: Release) -> Family:
    return Family(
        name=name,
        title=title,
        releases={release.name: release for release in releases},
        options=options,
        recipe=RECIPE,
        recipe_off=RECIPE_OFF,
        profile="boot/linux.ipxe.j2",
        files={
            "autoinst.xml": "suse/autoinst.xml.j2",
            "pre.sh": "suse/pre.sh.j2",
            "post.sh": "suse/post.sh.j2",
            "firstboot.sh": "linux/firstboot.sh.j2",
            "firstboot.service": "linux/firstboot.service.j2",
        },
        plain_secrets=frozenset({"autoinst.xml"}),
        context=partial(context, name),
        boot=partial(boot, name),
        aliases={f"{release.name}.{minor}": release.name for release in releases for minor in range(8)},
        others=(agama(name, title, options),),
    )


FAMILIES = (
    _family(
        "sles",
        "SUSE Linux Enterprise Server",
        SlesOptions,
        _release(
            "15",
            "SUSE Linux Enterprise Server 15",
            product="SLES",
            modules=("Basesystem", "Server-Applications"),
            needs="the Full medium; 2 GB of memory",
        ),
        _release("12", "SUSE Linux Enterprise Server 12", needs="the Server DVD 1; 1 GB of memory"),
    ),
    _family("leap", "openSUSE Leap", SuseOptions, _release("15", "openSUSE Leap 15", needs="the DVD; 2 GB of memory")),
)
