"""Windows Server 2012 R2 to 2025, Windows 10 and 11: Windows PE from the medium's boot.wim, the image applied by DISM.

What the node does: iPXE starts wimboot with the medium's boot.wim and lays `winpeshl.ini`, `pxed.cmd` and `curl.exe` into its System32.
`pxed.cmd` tells us `started`, chooses and divides the disk, fetches the image (by HTTP, or it maps a share), applies it, makes it bootable,
puts `unattend.xml` and our scripts into the new system and tells us `installed`. From then on the node boots its disk: the specialize pass
(tells `specialized`, if the network is up by then), a restart, OOBE, and `SetupComplete.cmd`, which tells `configured`, runs the
operator's commands and tells `booted`.

Neither setup.exe nor a share is needed, and no Windows file is changed. Where Windows does not run SetupComplete.cmd (an image with an
OEM's product key), what shows that the system runs is that a port answers.

Sources: Microsoft's "Unattended Windows Setup Reference", "Apply Images Using DISM", "Add a custom script to Windows Setup",
"Winpeshl.ini Reference Files"; iPXE's wimboot (wimpatch.c: which injected files land in System32); RackHD's options.
Traps: cmd.exe loses labels in files that end their lines with LF; curl takes brackets for patterns (-g); a RunSynchronous command whose
exit code is not 0 stops Windows' setup.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from pxed.errors import InvalidRequest
from pxed.node.identity import hex_hyphen
from pxed.oses import escape
from pxed.oses.family import Family, NodeView, Release, Resources, Urls, repository
from pxed.oses.network import NetworkDevice
from pxed.oses.sealing import MASK, plain
from pxed.oses.strict import refusal
from pxed.oses.windows_names import KEYBOARDS, locale_name, time_zone
from pxed.oses.windows_options import WindowsOptions
from pxed.workflow.recipe import HOUR, MINUTE, InstallFailed, Milestone, Recipe, RecipeNode

# The deadlines stand in the journals of running installs: another value is another version of the recipe.
START = 30 * MINUTE
"""From the assignment to Windows PE's first word: firmware, boot program, some 500 MB of boot.wim."""
INSTALL = 3 * HOUR
"""From there until the image is fetched and applied."""
CONFIGURE = 90 * MINUTE
"""From there to the end of OOBE, one or two restarts later."""
BOOT = HOUR
"""For the operator's commands."""
PORTS = (445, 3389, 5985)
"""SMB, Remote Desktop, WinRM: what a Windows that runs may answer on, if its firewall lets us see it. Windows PE's own is off, but it
listens on none of them."""

MILESTONES = (
    Milestone("started", 10, "Windows PE runs"),
    Milestone("installed", 70, "The image is applied; the node restarts from its disk"),
    Milestone("configured", 90, "Windows' own setup is over"),
    Milestone("booted", 100, "The installed system runs"),
)


async def install(node: RecipeNode) -> None:
    """Windows PE, apply, and from then on the disk: specialize, restart, OOBE. Where SetupComplete.cmd is not run, a port has to do."""
    await node.boot("installer")
    await node.notification("started", within=START)
    await node.notification("installed", within=INSTALL)
    await node.boot("disk")
    seen = await node.evidence("configured", ports=PORTS, within=CONFIGURE)
    try:
        await node.notification("booted", within=BOOT)
    except InstallFailed:
        if not seen.proof:
            raise


async def install_and_stop(node: RecipeNode) -> None:
    """The same for a node that is switched off when the image is applied; Windows' own setup runs when somebody switches it on."""
    await node.boot("installer")
    await node.notification("started", within=START)
    await node.notification("installed", within=INSTALL)
    await node.boot("disk")


ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i386": "x86"}
"""Ours > Microsoft's."""
WIMBOOT = {"amd64": "windows/wimboot", "arm64": "windows/wimboot.arm64", "x86": "windows/wimboot"}
CURL = {"amd64": "windows/curl.exe", "arm64": "windows/curl-arm64.exe", "x86": "windows/curl-x86.exe"}
"""Programs that the operator puts below the boot program root (docs/os/windows.md)."""
CLASSES = (str.islower, str.isupper, str.isdigit, lambda letter: not letter.isalnum())
"""Of characters, of which Windows Server wants three in a password."""


def context(release: Release, options: WindowsOptions, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
    """The names that templates/windows/ uses. InvalidRequest if the medium does not fit, or a program or a password is missing."""
    name = options.repo or repository("windows", release, node.arch)
    medium = {} if "://" in name else resources.media(name)
    _right_medium(release, name, medium)
    architecture = ARCHITECTURES.get(str(medium.get("arch", "x86_64")), "amd64")
    programs = {"wimboot": WIMBOOT[architecture], "curl.exe": CURL[architecture]}
    _programs_there(programs, resources)
    _accounts_fit(release, options)
    return {
        "options": options,
        "title": release.title,
        "label": escape.echo(node.name or node.mac),
        "answers": urls.answers,
        "notify_started": urls.notify("started"),
        "programs": {program: urls.program(path) for program, path in programs.items()},
        "boot_wim": f"{urls.tree(options.repo, name)}/sources/boot.wim",
        "image": f"{urls.tree(options.repo, name)}/{_image_file(medium)}",
        "chosen": _chosen(release, options, medium),
        "disk_number": options.disk.index if options.disk is not None and options.disk.index is not None else 0,
        "disk_model": options.disk.model if options.disk is not None else None,
        "smb_password": plain(options.smbPassword),
        "commands": {"post": options.scripts.post, "firstboot": options.scripts.firstboot},
        "ntp": " ".join(f"{server},0x8" for server in options.ntpServers),
        "architecture": architecture,
        "server": release.data["server"],
        "product_key": plain(options.productkey),
        "time_zone": time_zone(options.timezone),
        "locale": locale_name(options.locale),
        "language": str(medium.get("facts", {}).get("language") or "") or "en-US",
        "input_locale": KEYBOARDS[options.keyboard],
        "devices": [_device(device) for device in options.networkDevices],
        "dns_interfaces": [_identifier(device) for device in options.networkDevices] or [hex_hyphen(node.mac).upper()],
        "administrator": _obfuscated(plain(options.rootPassword or options.password), "AdministratorPassword"),
        "accounts": [
            {"name": name, "password": _obfuscated(password, "Password"), "groups": groups, "full_name": full}
            for name, password, groups, full in options.accounts
        ],
    }


def _right_medium(release: Release, name: str, medium: Mapping[str, Any]) -> None:
    """InvalidRequest if what is known of the medium does not fit."""
    if medium and (medium.get("family") != "windows" or medium.get("release") not in release.media):
        raise refusal(
            "repo",
            f"the repository {name} holds {medium.get('title', 'something else')}, not {release.title}",
            f"the name of a repository with {release.title}",
        )
    if str(medium.get("facts", {}).get("image", "")).endswith(".swm"):
        raise refusal(
            "repo",
            f"the image of the repository {name} is split (install.swm); join it first: "
            "wimjoin install.wim install*.swm, in a directory that is added instead",
            "a medium with install.wim or install.esd",
        )


def _programs_there(programs: Mapping[str, str], resources: Resources) -> None:
    """InvalidRequest if the operator has not brought one of them yet."""
    missing = [path for path in programs.values() if not resources.holds(path)]
    if missing:
        raise InvalidRequest(
            f"Windows needs {' and '.join(missing)} below the boot program root, which pxed may not ship: see docs/os/windows.md",
            field="os",
            expected=f"{', '.join(missing)} in the boot program root",
        )


def _accounts_fit(release: Release, options: WindowsOptions) -> None:
    """InvalidRequest where Windows would stop with a question, or refuse a password."""
    administrator = plain(options.rootPassword or options.password)
    if release.data["server"] and not administrator:
        raise refusal(
            "rootPassword", f"{release.title} asks for the Administrator's password unless one is given", "the Administrator's password"
        )
    if not release.data["server"] and not options.accounts:
        raise refusal(
            "users",
            f"{release.title} asks for an account unless one is given (its Administrator is switched off)",
            "at least one user, or username and password",
        )
    for name, password in [("Administrator", administrator), *((each[0], each[1]) for each in options.accounts)]:
        if release.data["server"] and password not in ("", MASK) and not _strong(password, name):
            raise InvalidRequest(
                f"options: {release.title} would refuse the password of {name}",
                field="options.rootPassword" if name == "Administrator" else "options.users",
                expected="at least 6 characters of three of the kinds a, A, 1 and !, without the account's name",
            )


def _strong(password: str, name: str) -> bool:
    """Windows' rule "Password must meet complexity requirements", which servers have switched on."""
    kinds = sum(any(of(letter) for letter in password) for of in CLASSES)
    return len(password) >= 6 and kinds >= 3 and not (len(name) > 2 and name.lower() in password.lower())


def _image_file(medium: Mapping[str, Any]) -> str:
    """Path of the image in the tree."""
    return str(medium.get("facts", {}).get("image", "sources/install.wim"))


def _chosen(release: Release, options: WindowsOptions, medium: Mapping[str, Any]) -> str:
    """DISM's words for the image inside the file: ``/Index:2``, or ``/Name:...`` if nobody knows the medium. InvalidRequest."""
    wanted = options.edition or str(release.data["edition"])
    images = [] if options.smbRepo else medium.get("facts", {}).get("editions", [])
    if not images:
        default = f"{release.title} {release.data['edition']}".replace("Microsoft ", "")
        return f"/Index:{int(wanted)}" if wanted.isdigit() else f"/Name:{options.edition or default}"
    found = [each for each in images if wanted.lower() == each["name"].lower() or wanted == str(each["index"])]
    found = found or [each for each in images if each["name"].lower().endswith(f" {wanted.lower()}")]
    found = found or [each for each in images if wanted.lower() == str(each["edition"]).lower()]
    if len(found) != 1 and not (options.edition is None and len(images) == 1):
        listed = "; ".join(f"{each['index']}: {each['name']} ({each['edition']})" for each in images)
        raise refusal(
            "edition",
            f"{'several images' if found else 'no image'} of the medium can be meant by {wanted}. It holds {listed}",
            "the number or the name of one image",
        )
    return f"/Index:{int((found or images)[0]['index'])}"


def _identifier(device: NetworkDevice) -> str:
    """A MAC address as Windows writes it, or the connection's name."""
    return hex_hyphen(device.device).upper() if ":" in device.device else device.device


def _device(device: NetworkDevice) -> dict[str, Any]:
    """What unattend.xml says of one interface."""
    given = [each for each in (device.ipv4, device.ipv6) if each is not None]
    routes = [("::/0" if ":" in each.gateway else "0.0.0.0/0", each.gateway) for each in given if each.gateway]
    return {
        "identifier": _identifier(device),
        "dhcp4": device.asks_dhcp4,
        "dhcp6": device.dhcp6,
        "addresses": [f"{each.ipAddr}/{each.prefixlen}" for each in given],
        "routes": routes,
    }


def _obfuscated(password: str, element: str) -> str:
    """As Windows' own tools write a password with ``PlainText`` false: base64 of UTF-16 of it and the element's name. "" for none.

    It hides nothing from anybody.
    """
    return base64.b64encode((password + element).encode("utf-16-le")).decode("ascii") if password else ""


def commands(context: Mapping[str, Any]) -> dict[str, str]:
    """The operator's own commands, a batch file each: ``post-1.cmd``, ``firstboot-1.cmd`` ..., line ends as cmd.exe needs them."""
    return {
        f"{kind}-{number}.cmd": "\r\n".join([*text.splitlines(), ""])
        for kind, texts in context["commands"].items()
        for number, text in enumerate(texts, 1)
    }


def _release(name: str, title: str, *, server: bool) -> Release:
    return Release(name, title, {"server": server, "edition": "SERVERSTANDARD" if server else "Pro"})


RELEASES: Mapping[str, Release] = {
    release.name: release
    for release in (
        *(_release(year, f"Windows Server {year}", server=True) for year in ("2025", "2022", "2019", "2016")),
        _release("2012r2", "Windows Server 2012 R2", server=True),
        *(_release(number, f"Windows {number}", server=False) for number in ("11", "10")),
    )
}

WINDOWS = Family(
    name="windows",
    title="Windows",
    releases=RELEASES,
    options=WindowsOptions,
    recipe=Recipe("windows", 1, install, MILESTONES),
    recipe_off=Recipe("windows-off", 1, install_and_stop, MILESTONES[:2]),
    profile="windows/boot.ipxe.j2",
    files={
        "winpeshl.ini": "windows/winpeshl.ini.j2",
        "pxed.cmd": "windows/start.cmd.j2",
        "disk-uefi.txt": "windows/disk-uefi.ini.j2",
        "disk-bios.txt": "windows/disk-bios.ini.j2",
        "share.cmd": "windows/share.cmd.j2",
        "unattend.xml": "windows/unattend.xml.j2",
        "specialize.cmd": "windows/specialize.cmd.j2",
        "SetupComplete.cmd": "windows/setupcomplete.cmd.j2",
    },
    more=commands,
    context=context,
    aliases={"2012R2": "2012r2", "2012": "2012r2"} | {f"server-{each}": each for each in ("2025", "2022", "2019", "2016", "2012r2")},
    boots=4,
    plain_secrets=frozenset({"unattend.xml", "share.cmd"}),
    loads=frozenset({"winpeshl.ini", "pxed.cmd"}),
)
