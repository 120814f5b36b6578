"""VMware ESXi 6, 7 and 8: the medium's own installer, driven by ks.cfg and four hooks.

What the node does: mboot reads `boot.cfg` (the medium's, rewritten) and loads the modules; the installer reads `ks.cfg`, whose %pre runs
`pre.sh` (tells us `started`, chooses the disk) and whose %post runs `post.sh` (tells us `installed`). After the restart %firstboot runs
`firstboot.sh` (network, accounts, the operator's commands; tells us `configured`), which puts `local.sh` into place and restarts once more;
`local.sh` tells us `booted` and removes itself.

With UEFI Secure Boot ESXi runs no %firstboot and no local.sh: nothing of these two happens then, and what shows that the system runs is
that its ports answer (443: web and API, 902: console and agents).

Sources: VMware's "Installation and Upgrade Script Commands" and "About the boot.cfg File"; esx-boot's mboot; RackHD's options.
Traps: mboot shows a fatal error for ever unless it is told otherwise, by ``-e`` (seen in esx-boot from 7.0 on) and by boot.cfg's
`errtimeout`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from pxed.oses import escape
from pxed.oses.bootcfg import network_boot
from pxed.oses.disk import ANY_DISK
from pxed.oses.esxi_network import full_name, management, network_commands
from pxed.oses.esxi_options import EsxiOptions
from pxed.oses.family import Family, NodeView, Release, Resources, Urls, repository
from pxed.oses.linux import boot_mac, linux_context, refuse_long
from pxed.oses.strict import refusal
from pxed.workflow.recipe import HOUR, MINUTE, InstallFailed, Milestone, Recipe, RecipeNode

# The deadlines stand in the journals of running installs: another value is another version of the recipe.
START = 30 * MINUTE
"""From the assignment to the installer's first word: firmware, boot program, some 400 MB of modules."""
INSTALL = HOUR
"""From the first word to the last."""
CONFIGURE = 40 * MINUTE
"""From the installer's last word to the end of the first boot; servers test their memory for a long time."""
BOOT = 30 * MINUTE
"""From there to `local.sh`, which tries for 25 minutes."""
PORTS = (443, 902)
"""What an ESXi that runs listens on; its installer doesn't."""

MILESTONES = (
    Milestone("started", 10, "The installer has its answers"),
    Milestone("installed", 70, "The installer has finished; the node restarts from its disk"),
    Milestone("configured", 90, "The first boot is over; the node restarts once more"),
    Milestone("booted", 100, "The installed system runs"),
)


async def install(node: RecipeNode) -> None:
    """Network boot, install, first boot, and one more. Where Secure Boot forbids the first boot's script, its ports have to do."""
    await node.boot("installer")
    await node.notification("started", within=START)
    await node.notification("installed", within=INSTALL)
    await node.boot("disk")
    seen = await node.evidence("configured", ports=PORTS, within=CONFIGURE)
    try:
        told = await node.notification("booted", within=BOOT)
    except InstallFailed:
        if not seen.proof:
            raise
        return
    if told.data.get("trouble"):
        raise InstallFailed(told.message)


PROBE = bytes.fromhex("b8ff4ccd21 b80100eb03 31c0c3 cb")
"""A COM32 program that ends well (``mov eax; mov eax; xor eax,eax; ret``, in 32 bits), and the same bytes as a raw PXE program that fails
(``mov ax; int 21h; mov ax,1; jmp; retf``, in 16 bits): what an iPXE without COMBOOT takes every small file for."""


def context(release: Release, options: EsxiOptions, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
    """The names that templates/esxi/ uses. InvalidRequest if the medium is not known or is another release."""
    name = options.repo or repository("esxi", release, node.arch)
    tree = urls.tree(options.repo, name)
    return {
        **linux_context(release, options, node, urls),
        "tree": tree,
        "boot_cfg": _boot_cfg(release, _boot_text(release, name, resources), options, tree, urls),
        "disk_lines": _disk_lines(options),
        "disk": options.disk or ANY_DISK,
        "serial_hex": options.disk.serial.encode().hex() if options.disk and options.disk.serial else "",
        "network_line": _line("network", *management(options)),
        "network_commands": network_commands(options, each_gateway=release.data["number"] >= (6, 5)),
        "keyboard": options.keyboard_name,
        "syslog": f"udp://{urls.host}:{urls.syslog_port}" if options.remoteLogging and ":" not in urls.host else "",
        "ntp_command": release.data["number"] >= (7, 0),
        **{f"fetch_{name}": _fetch(urls, f"{name}.sh", firewall=name == "firstboot") for name in ("pre", "post", "firstboot")},
        "full_name": full_name(options) if options.hostname else "",
        "boot_mac": boot_mac(options),
        "mboot_options": ["-e"] if release.data["number"] >= (7, 0) else [],
    }


def _boot_text(release: Release, name: str, resources: Resources) -> str:
    """The medium's own BOOT.CFG. InvalidRequest."""
    medium = {} if "://" in name else resources.media(name)
    text = medium.get("facts", {}).get("boot_cfg")
    if not text:
        what = "that a URL leads to" if "://" in name else f"behind the repository {name}"
        raise refusal(
            "repo",
            f"pxed does not know the medium {what}, and ESXi cannot be started without its BOOT.CFG: add the image with "
            f"`pxed repo add /path/to/{release.title.removeprefix('VMware ').replace(' ', '-')}.iso`",
            "the name of a repository made of an ESXi image",
        )
    version = str(medium.get("version", ""))
    if version and not any(version == each or version.startswith(f"{each}.") for each in release.media):
        raise refusal(
            "repo", f"the repository {name} holds ESXi {version}, not {release.name}", f"the name of a repository with ESXi {release.name}"
        )
    return str(text)


def _boot_cfg(release: Release, text: str, options: EsxiOptions, tree: str, urls: Urls) -> str:
    words = [f"ks={urls.answer('ks.cfg')}", *options.serial_arguments, *options.kernelArgs.split()]
    refuse_long(" ".join(words))  # what mboot takes is not documented; not more than the kernels of others
    try:
        return network_boot(text, prefix=tree, options=words)
    except ValueError as wrong:
        raise refusal("repo", f"the BOOT.CFG of this {release.title} medium cannot be used: {wrong}", "an ESXi image") from None


def _disk_lines(options: EsxiOptions) -> list[str] | None:
    """The lines of ks.cfg that say which disk; None if `pre.sh` has to choose it on the node."""
    if options.esx_disk is None or options.cleared is None:
        return None
    cleared = [] if options.vmfs == "preserve" else [_line("clearpart", options.cleared, "--overwritevmfs")]
    return [*cleared, _line("install", options.esx_disk, *options.install_words)]


def _fetch(urls: Urls, name: str, *, firewall: bool) -> str:
    """The one line of shell in ks.cfg that fetches a hook and runs it. An installed system's firewall has to let it out first."""
    file, url = f"/tmp/pxed-{name}", urls.answer(name)  # noqa: S108  (on the installer's own RAM disk)
    opened = "esxcli network firewall ruleset set -e true -r httpClient; " if firewall else ""
    return f"{opened}for n in 1 2 3 4 5 6 7 8 9; do wget -q -O {file} {url} && break; sleep 5; done; sh {file}"


def _line(*words: str) -> str:
    """One line of ks.cfg: read as a shell reads it, so only words that need quotes get them. Unwritable."""
    return shlex.join(escape.line(word) for word in words)


def _release(name: str, number: tuple[int, int]) -> Release:
    return Release(name, f"VMware ESXi {name}", {"number": number, "repository": f"esxi-{number[0]}"})


RELEASES: Mapping[str, Release] = {
    release.name: release
    for release in (_release("8", (8, 0)), _release("7", (7, 0)), _release("6.7", (6, 7)), _release("6.5", (6, 5)), _release("6.0", (6, 0)))
}

ESXI = Family(
    name="esxi",
    title="VMware ESXi",
    releases=RELEASES,
    options=EsxiOptions,
    recipe=Recipe("esxi", 1, install, MILESTONES),
    profile="esxi/boot.ipxe.j2",
    files={
        "boot.cfg": "esxi/boot.cfg.j2",
        "ks.cfg": "esxi/answers.ks.j2",
        "pre.sh": "esxi/pre.sh.j2",
        "post.sh": "esxi/post.sh.j2",
        "firstboot.sh": "esxi/firstboot.sh.j2",
        "local.sh": "esxi/local.sh.j2",
    },
    made={"probe.c32": lambda _context: PROBE + bytes(2048 - len(PROBE))},
    loads=frozenset({"boot.cfg", "probe.c32"}),
    context=context,
    aliases={"6": "6.7", "8.0": "8", "7.0": "7"},
    boots=3,
)
