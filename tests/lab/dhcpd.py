"""Somebody else's DHCP server: dnsmasq that leases addresses and knows nothing of network boot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.lab.network import DHCP_SERVER, POOL, Network
from tests.lab.process import Child, LabProblem, eventually


class DhcpServer:
    """dnsmasq in its own namespace. `boot`: further options, for a site whose own server sends machines somewhere.

    `no-ping`, else it holds each lease back for 3 s. It names itself as router and name server, as such a box does, though it is neither:
    there is no way out. `router` False is a network of its own, without either.
    """

    def __init__(self, network: Network, folder: Path, *, router: bool = True, boot: Sequence[str] = ()) -> None:
        self.leases = folder / "dnsmasq.leases"
        self.log = folder / "dnsmasq.log"
        argv = [
            *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--no-ping", "--dhcp-authoritative"),
            *("--interface=eth0", "--bind-interfaces", "--except-interface=lo", "--user=root", "--log-dhcp", "--log-facility=-"),
            *(f"--pid-file={folder / 'dnsmasq.pid'}", f"--dhcp-leasefile={self.leases}"),
            f"--dhcp-range={POOL[0]},{POOL[1]},255.255.255.0,12h",
            *(f"--dhcp-option=option:{name},{DHCP_SERVER}" for name in ("router", "dns-server") if router),
            *(() if router else ("--dhcp-option=option:router",)),
            *boot,
        ]
        self._child = Child("dnsmasq", argv, namespace=network.dhcp, log=self.log)
        try:
            eventually("dnsmasq", lambda: self._ready(), within=10.0, every=0.05)
        except TimeoutError as error:
            raise LabProblem(f"dnsmasq does not start: {self._child.tail(5)}") from error

    def _ready(self) -> bool:
        if not self._child.alive:
            raise LabProblem(f"dnsmasq ended: {self._child.tail(5)}")
        return "DHCP, IP range" in self._child.tail(200)

    def lease(self, mac: str) -> str | None:
        """The address that `mac` holds."""
        for line in self.leases.read_text().splitlines() if self.leases.exists() else []:
            _, owner, address, *_ = line.split()
            if owner.lower() == mac.lower():
                return address
        return None

    def stop(self) -> None:
        self._child.stop()
