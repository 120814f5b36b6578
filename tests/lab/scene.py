"""Everything put together: wires, DHCP server, relay, pxed, machines. Built in a second, gone after ``with``."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab.appliance import Appliance
from tests.lab.assets import Assets, cache_folder
from tests.lab.dhcpd import DhcpServer
from tests.lab.machine import Firmware, Machine
from tests.lab.network import Network
from tests.lab.process import alive, tail
from tests.lab.relay import Relay
from tests.lab.upstream import upstream
from tests.lab.wire import Wire

LOGS = ("*.log", "*.txt", "wire.pcap")

QUICK_UNDER_TCG = "norandmaps mitigations=off"
"""Kernel arguments for emulated processors. QEMU 7.2 translates a program anew for every address it is loaded at: with address space
randomisation each exec of a small program took 0.10 s, without it 0.02 s (Debian 12's kernel and busybox)."""


class Scene:
    """A context manager. After an exception its logs are kept in `artifacts` and their tails go to `say`.

    `router` and `site_boot` are the DHCP server's (`DhcpServer`): what this site's network is like. `config`: pxed's, in TOML.
    """

    def __init__(
        self,
        assets: Assets,
        *,
        name: str,
        say: Callable[[str], None],
        router: bool = True,
        site_boot: Sequence[str] = (),
        config: str = "",
    ) -> None:
        self._config = config
        self._router = router
        self._site_boot = site_boot
        self.assets = assets
        self.name = name
        self._say = say
        self._stack = ExitStack()
        self.machines: list[Machine] = []
        self.artifacts: Path | None = None

    def __enter__(self) -> Scene:
        with ExitStack() as stack:
            _sweep_folders()
            self.folder = Path(tempfile.mkdtemp(prefix=f"pxlab-{os.getpid()}-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.network = stack.enter_context(Network(label=_label()))
            self.wire = Wire(self.network, self.folder)
            stack.callback(self.wire.stop)
            self.dhcp = DhcpServer(self.network, self.folder, router=self._router, boot=self._site_boot)
            stack.callback(self.dhcp.stop)
            self.relay = Relay(upstream(), namespace=self.network.appliance, log=self.folder / "relay.log")
            stack.callback(self.relay.stop)
            self.appliance = Appliance(self.network, self.folder, layers=[self.assets.layer, self.relay.url], config=self._config)
            stack.callback(self.appliance.stop)
            stack.callback(self._switch_off)
            self.appliance.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._stack:
            if error is not None and not isinstance(error, KeyboardInterrupt):
                self.keep_artifacts()

    def _switch_off(self) -> None:
        for machine in self.machines:
            machine.power_off()

    def machine(self, firmware: Firmware, *, name: str = "", disk: Path | None = None) -> Machine:
        """A new machine, switched off. Its MAC address is locally administered and unique in the scene; its name too, unless given."""
        number = len(self.machines) + 1
        mac, name = f"52:54:00:77:00:{number:02x}", name or f"{firmware}{number}"
        made = Machine(self.network, self.folder, firmware=firmware, mac=mac, name=name, disk=disk)
        self.machines.append(made)
        return made

    def options(self, hostname: str) -> dict[str, Any]:
        """Options of a small, quick Debian: what a full install under emulation can bear, and what the stand-ins need."""
        extra = [
            "d-i base-installer/debootstrap_variant string minbase",
            "d-i base-installer/includes string debconf-i18n,systemd-sysv,ifupdown,isc-dhcp-client",
            "d-i base-installer/kernel/image string linux-image-cloud-amd64",
            "d-i base-installer/initramfs-tools/driver-policy select dep",
            "d-i base-installer/install-recommends boolean false",
        ]
        if not self.assets.stock:
            extra.append("d-i debian-installer/allow_unauthenticated boolean true")
        return {
            "hostname": hostname,
            "disk": "/dev/vda",
            "tasks": [],
            "console": "ttyS0",
            "kernelArgs": f"ipv6.disable=1 {QUICK_UNDER_TCG}",
            "targetKernelArgs": QUICK_UNDER_TCG,
            "rootPassword": secrets.token_urlsafe(12),
            "preseedExtra": extra,
        }

    def keep_artifacts(self) -> None:
        """Save the logs and say where; the tails of the talkative ones are printed."""
        with suppress(OSError):
            self.wire.write(self.folder / "wire.txt")
        place = Path(os.environ.get("PXED_LAB_ARTIFACTS") or cache_folder() / "artifacts") / f"{self.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        place.mkdir(parents=True, exist_ok=True)
        for pattern in LOGS:
            for path in self.folder.glob(pattern):
                shutil.copy(path, place)
        self.artifacts = place
        for path in [*sorted(place.glob("*.console.log")), place / "pxed.log", place / "wire.txt"]:
            self._say(f"---- the end of {path.name}")
            self._say(tail(path, 15))
        self._say(f"---- all logs: {place}")


def _sweep_folders() -> None:
    """Remove what killed labs have left in the temporary directory."""
    for path in Path(tempfile.gettempdir()).glob("pxlab-*-*"):
        owner = path.name.split("-")[1]
        if owner.isdigit() and not alive(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


def _label() -> str:
    """Lets one process have several scenes at a time."""
    return f"x{secrets.token_hex(2)}"
