"""What every Linux installer has in common: how its kernel is started, and the names that templates/linux/ uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pxed.node.identity import hex_hyphen
from pxed.oses import escape
from pxed.oses.disk import ANY_DISK
from pxed.oses.family import NodeView, Release, Urls
from pxed.oses.options import CommonOptions
from pxed.oses.strict import refusal

COMMAND_LINE = 2047
"""Kernels keep this many bytes of their command line (COMMAND_LINE_SIZE of x86 and arm64, less one)."""
SPARE = 100
"""Bytes of it for what may be longer than it was tried with: the appliance's address, GRUB's ``BOOT_IMAGE=``."""
FIRSTBOOT_HOME = "/usr/local/lib/pxed"
"""The folder of the installed system that holds the first boot's script; a context may name another (`firstboot_home`)."""


@dataclass(frozen=True, slots=True)
class LinuxBoot:
    """`kernel` and `initrds` are URLs (the initrds in the order in which they are unpacked).

    The command line is `arguments`, then ``BOOTIF=01-<mac>`` (the NIC that booted, unless the operator chose `boot_mac`, written with
    hyphens), then ``--- kept`` for installers that keep what is behind it for the installed system (not for None). Boot loaders add what
    they need themselves (iPXE: ``initrd=<name>``).
    """

    kernel: str
    initrds: tuple[str, ...]
    arguments: str
    boot_mac: str | None = None
    kept: str | None = None
    bios_only: bool = False
    """This kernel cannot be started by UEFI firmware; its boot script says so there instead of trying."""
    tells: bool = False
    """The boot script tells us `started` when kernel and initrd are in memory, for an installer that can't say so itself."""

    @property
    def initrd_names(self) -> tuple[str, ...]:
        """The last part of each initrd's path."""
        return tuple(url.rsplit("/", 1)[-1] for url in self.initrds)

    @property
    def named_initrds(self) -> tuple[tuple[str, str], ...]:
        """(name, URL) of each initrd."""
        return tuple(zip(self.initrd_names, self.initrds, strict=True))

    @property
    def line(self) -> str:
        """The whole command line, as iPXE writes it for some NIC."""
        kept = ["---", self.kept] if self.kept is not None else []
        return " ".join(
            [*(f"initrd={name}" for name in self.initrd_names), self.arguments, f"BOOTIF=01-{self.boot_mac or '0' * 17}", *kept]
        )


def refuse_long(line: str) -> None:
    """InvalidRequest if a kernel would cut the command line `line`, which holds what the operator gave."""
    if len(line) + SPARE > COMMAND_LINE:
        raise refusal(
            "kernelArgs",
            f"the kernel's command line would be too long ({len(line)} bytes, at most {COMMAND_LINE - SPARE})",
            "fewer or shorter kernel arguments",
        )


def boot_mac(options: CommonOptions) -> str | None:
    """`LinuxBoot.boot_mac` of an install: the MAC address of `installInterface`, None if that is a name or not given."""
    chosen = options.installInterface
    return hex_hyphen(chosen) if chosen is not None and ":" in chosen else None


def console_arguments(options: CommonOptions) -> list[str]:
    """Kernel arguments for the console: the screen stays, the serial line comes last and so is /dev/console."""
    return ["console=tty0", f"console={options.console.argument}"] if options.console else []


def linux_context(release: Release, options: CommonOptions, node: NodeView, urls: Urls) -> dict[str, Any]:
    """The names that templates/linux/ uses."""
    return {
        **_named(release, node, urls),
        "options": options,
        "answers": urls.answers,
        "notify": urls.answers + "/notify",
        "progress": urls.progress,
        "host": urls.host,
        "port": urls.port,
        "booted": urls.notify("booted"),
        "path": urls.notify("booted").removeprefix(urls.base),
        "disk": options.disk or ANY_DISK,
        "firstboot_home": FIRSTBOOT_HOME,
    }


def boot_context(release: Release, node: NodeView, urls: Urls, boot: LinuxBoot) -> dict[str, Any]:
    """The names that templates/boot/linux.ipxe.j2 and linux.grub.j2 use."""
    return {**_named(release, node, urls), "boot": boot}


def _named(release: Release, node: NodeView, urls: Urls) -> dict[str, Any]:
    return {"title": release.title, "label": escape.echo(node.name or node.mac), "notify_started": urls.notify("started")}
