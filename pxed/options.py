"""The command line of the twistd plugin."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

from twisted.python import usage

from pxed.config import Settings, load, named_repository
from pxed.errors import PxedError
from pxed.oses.own import with_own


class Options(usage.Options):
    """Command-line options of the twistd plugin; what they leave out comes from the configuration file, else from defaults."""

    synopsis = "[options]"
    longdesc = "An OS-provisioning appliance: proxy-DHCP, TFTP, HTTP and syslog beside a DHCP server that it does not own."
    optParameters: ClassVar[list[list[Any]]] = [
        ["config", "c", None, "TOML file with the settings"],
        ["address", "a", None, "IPv4 address in offers and URLs (default: the interface's own)"],
        ["state-dir", None, None, "where database, token and caches live (default /var/lib/pxed)"],
        ["tftproot", None, None, "directory of boot programs (default STATE_DIR/tftproot)"],
        ["http-port", None, None, "TCP port of profiles, files, API (default 80)"],
        ["dhcp-port", None, None, "UDP port of the DHCP server side (default 67; labs only)"],
        ["pxe-port", None, None, "UDP port of the PXE service (default 4011; labs only)"],
        ["tftp-port", None, None, "UDP port of TFTP (default 69; labs only)"],
        ["syslog-port", None, None, "UDP and TCP port of the syslog receiver (default 514)"],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["interfaces"] = []
        self["repositories"] = []

    def opt_interface(self, name: str) -> None:
        """Serve this interface; may be given several times (default: every interface with an IPv4 address)."""
        self["interfaces"].append(name)

    opt_i = opt_interface

    def opt_repository(self, text: str) -> None:
        """NAME=LAYER[,LAYER...]: installer files; a layer is a directory, an .iso, an http(s) URL, or 'apt' (this host's mirror)."""
        try:
            self["repositories"].append(named_repository(text))
        except PxedError as e:
            raise usage.UsageError(str(e)) from e

    def settings(self) -> Settings:
        """The validated settings. ConfigError as `pxed.config.load`."""
        over: dict[str, Any] = {}
        if self["interfaces"]:
            over["interfaces"] = self["interfaces"]
        if self["repositories"]:
            over["repository"] = self["repositories"]
        for option, key in (("address", "address"), ("state-dir", "state_dir"), ("tftproot", "tftproot")):
            if self[option] is not None:
                over[key] = self[option]
        ports = {name: self[f"{name}-port"] for name in ("http", "dhcp", "pxe", "tftp", "syslog") if self[f"{name}-port"] is not None}
        if ports:
            over["ports"] = ports
        return load(Path(self["config"]) if self["config"] else None, over)

    def postOptions(self) -> None:
        try:
            self["settings"] = settings = self.settings()
            self["families"] = with_own(settings.own_oses, must_exist=settings.os_dir is not None).families
        except PxedError as e:
            raise usage.UsageError(str(e)) from e

    def parseOptions(self, options: Any = None) -> None:
        """Wrong use is one sentence and status 2; twistd itself would print all of its usage and end with 1."""
        try:
            super().parseOptions(options)
        except usage.UsageError as e:
            print(f"pxed: {e}", file=sys.stderr)
            raise SystemExit(2) from e
