"""How an installer's kernel is started, whatever the boot loader: the one value that iPXE's and GRUB's scripts are both written from."""

from __future__ import annotations

from dataclasses import dataclass


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

    @property
    def initrd_names(self) -> tuple[str, ...]:
        """The last part of each initrd's path."""
        return tuple(url.rsplit("/", 1)[-1] for url in self.initrds)
