"""Other people's DHCP servers, and a client that leases from them in packets of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any

from tests.dhcp import clients
from tests.dhcp.decode import ACK, OFFER, Answer, decoded
from tests.dhcp.netns import inside
from tests.lab.process import Child, eventually, run

REPOSITORY = Path(__file__).parents[2]
POOL = ("10.93.0.100", "10.93.0.150")
PATIENCE = 30.0
"""Seconds for an answer that has to come: a busy host takes its time."""

_DHCPD = """authoritative; ddns-update-style none; default-lease-time 600; max-lease-time 600;
subnet 10.93.0.0 netmask 255.255.255.0 {{ range {0} {1}; }}
{extra}
"""


def missing(server: str) -> str | None:
    """The Debian package to install for `server`, None when it is here."""
    program, package = {
        "dnsmasq": ("dnsmasq", "dnsmasq-base"),
        "dnsmasq-bound": ("dnsmasq", "dnsmasq-base"),
        "dhcpd": ("dhcpd", "isc-dhcp-server"),
        "kea": ("kea-dhcp4", "kea-dhcp4-server"),
    }[server]
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return None if found else package


class LeaseServer:
    """`server`: ``dnsmasq`` (binds 0.0.0.0:67), ``dnsmasq-bound`` (bind-interfaces), ``dhcpd`` or ``kea``; `extra`: more configuration."""

    def __init__(self, server: str, namespace: str, folder: Path, extra: str = "") -> None:
        self.log = folder / f"{server}.log"
        argv, env = getattr(self, "_" + server.replace("-", "_"))(folder, extra)
        self._child = Child(server, argv, namespace=namespace, log=self.log, env={**os.environ, **env})
        word = {"dhcpd": "Sending on", "kea": "DHCP4_STARTED"}.get(server, "DHCP, IP range")
        eventually(f"{server}: {self.log}", lambda: self._ready(word), within=60.0, every=0.05)

    def _ready(self, word: str) -> bool:
        if not self._child.alive:
            raise AssertionError(self._child.tail(10))
        return word in self.log.read_text()

    @staticmethod
    def _dnsmasq(folder: Path, extra: str, *more: str) -> tuple[list[str], dict[str, str]]:
        conf = folder / "dnsmasq.conf"
        conf.write_text(extra)
        argv = ["dnsmasq", "--keep-in-foreground", f"--conf-file={conf}", "--port=0", "--no-ping", "--dhcp-authoritative", "--user=root"]
        argv += ["--interface=eth0", "--log-facility=-", f"--pid-file={folder / 'dnsmasq.pid'}", *more]
        argv += [f"--dhcp-leasefile={folder / 'dnsmasq.leases'}", f"--dhcp-range={POOL[0]},{POOL[1]},255.255.255.0,10m"]
        return argv, {}

    @classmethod
    def _dnsmasq_bound(cls, folder: Path, extra: str) -> tuple[list[str], dict[str, str]]:
        return cls._dnsmasq(folder, extra, "--bind-interfaces", "--except-interface=lo")

    @staticmethod
    def _dhcpd(folder: Path, extra: str) -> tuple[list[str], dict[str, str]]:
        conf, leases = folder / "dhcpd.conf", folder / "dhcpd.leases"
        conf.write_text(_DHCPD.format(*POOL, extra=extra))
        leases.touch()
        return ["dhcpd", "-4", "-f", "-d", "-cf", str(conf), "-lf", str(leases), "-pf", str(folder / "dhcpd.pid"), "eth0"], {}

    @staticmethod
    def _kea(folder: Path, extra: str) -> tuple[list[str], dict[str, str]]:
        conf = folder / "kea.json"
        dhcp4: dict[str, Any] = {
            "interfaces-config": {"interfaces": ["eth0"]},
            "lease-database": {"type": "memfile", "persist": False},
            "valid-lifetime": 600,
            "subnet4": [{"id": 1, "subnet": "10.93.0.0/24", "pools": [{"pool": f"{POOL[0]} - {POOL[1]}"}]}],
            "loggers": [{"name": "kea-dhcp4", "output_options": [{"output": "stdout"}], "severity": "INFO"}],
        }
        if extra:
            dhcp4 |= json.loads("{" + extra + "}")
        conf.write_text(json.dumps({"Dhcp4": dhcp4}))
        return ["kea-dhcp4", "-c", str(conf)], {"KEA_LOCKFILE_DIR": str(folder), "KEA_PIDFILE_DIR": str(folder)}

    def stop(self) -> None:
        self._child.stop()


class Pxed:
    """The responder as a process in a namespace; `events` is all that its timeline told."""

    def __init__(self, namespace: str, folder: Path, mac: str, *options: str) -> None:
        self.log = folder / f"pxed-{time.monotonic_ns()}.log"
        argv = [sys.executable, "-m", "tests.dhcp.appliance", "--arm", mac, *options]
        self._child = Child("pxed", argv, namespace=namespace, log=self.log, cwd=REPOSITORY)
        eventually("pxed", self._ready, within=90.0, every=0.05)

    def _ready(self) -> bool:
        if not self._child.alive:
            raise AssertionError(self._child.tail(20))
        return any(line.get("ready") for line in self.lines)

    @property
    def lines(self) -> list[dict[str, Any]]:
        text = self.log.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines() if line.startswith("{")]

    @property
    def raw(self) -> bool:
        return bool(self.lines[0]["raw"])

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("kind") == kind]

    @property
    def pid(self) -> int:
        return self._child.pid

    def kill(self) -> None:
        self._child.kill()

    def stop(self) -> None:
        self._child.stop()


class LeaseClient:
    """A PXE client in packets: DISCOVER, REQUEST, renewal by unicast."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.mac = run("ip", "-n", namespace, "-brief", "link", "show", "eth0").split()[2]
        self._xid = 1000

    def _socket(self, address: str = "0.0.0.0", port: int = 68) -> socket.socket:
        with inside(self.namespace):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            sock.bind((address, port))
        return sock

    def _ask(
        self,
        packet: bytes,
        to: tuple[str, int],
        *,
        seconds: float = PATIENCE,
        address: str = "0.0.0.0",
        port: int = 68,
        wanted: int = 1,
        more_within: float = 0.0,
    ) -> list[Answer]:
        """The answers: until there are `wanted`, for `seconds` at most, and then all that come `more_within` that."""
        found: list[Answer] = []
        with self._socket(address, port) as sock:
            sock.sendto(packet, to)
            deadline = time.monotonic() + seconds
            while (left := deadline - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    data, _ = sock.recvfrom(2048)
                except TimeoutError:
                    break
                answer = decoded(data)
                if answer.xid == self._xid and answer.op == 2:
                    found.append(answer)
                    if len(found) == wanted:
                        deadline = time.monotonic() + more_within
        return found

    def discover(
        self, *, wanted: int = 2, seconds: float = PATIENCE, more_within: float = 0.0, user: bytes = b"", arch: int = 7
    ) -> list[Answer]:
        """Broadcast a PXE DISCOVER; the OFFERs, as `_ask` collects them."""
        self._xid += 1
        how: dict[str, Any] = {"mac": self.mac, "xid": self._xid, "flags": 0x8000}  # without an address, broadcasts are all we hear
        make = clients.ipxe(arch, user=user, **how) if user else clients.rom(arch, **how)
        answers = self._ask(make, ("255.255.255.255", 67), seconds=seconds, wanted=wanted, more_within=more_within)
        return [each for each in answers if each.message == OFFER]

    def lease(self, offer: Answer) -> Answer:
        """Take an offered lease; the ACK. The address is then the interface's."""
        options = [(53, b"\x03"), (54, socket.inet_aton(offer[54])), (50, socket.inet_aton(offer.yiaddr)), (55, b"\x01\x03\x33")]
        (ack,) = self._ask(clients.packet(options, mac=self.mac, xid=self._xid), ("255.255.255.255", 67))
        assert ack.message == ACK
        run("ip", "-n", self.namespace, "address", "flush", "dev", "eth0", "scope", "global")
        run("ip", "-n", self.namespace, "address", "add", f"{ack.yiaddr}/24", "brd", "+", "dev", "eth0")
        return ack

    def renews(self, ack: Answer) -> bool:
        """Renew by unicast to the server, as a client does at half of its lease (RFC 2131 section 4.4.5): was it acknowledged?"""
        self._xid += 1
        packet = clients.packet([(53, b"\x03"), (55, b"\x01\x33")], mac=self.mac, xid=self._xid, ciaddr=ack.yiaddr, flags=0)
        answers = self._ask(packet, (ack[54], 67), address=ack.yiaddr)
        return [(each.message, each.yiaddr) for each in answers] == [(ACK, ack.yiaddr)]

    def boot_server(self, server: str, address: str, *, seconds: float = PATIENCE) -> Answer | None:
        """EDK2's REQUEST from port 4011 to port 4011; the ACK, None for none."""
        self._xid += 1
        packet = clients.pxe_request(7, mac=self.mac, xid=self._xid, ciaddr=address)
        answers = self._ask(packet, (server, 4011), seconds=seconds, address=address, port=4011)
        return answers[0] if answers else None
