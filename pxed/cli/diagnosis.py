"""What facts about host and network mean for an appliance: pure judgements, facts in, findings out (secrets and entropy read two files)."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

from pxed.cli.findings import Finding
from pxed.cli.probe import Offer

_MIN_TOKEN = 32
_MIN_ENTROPY = 200


def routes(default: Sequence[tuple[str, IPv4Address]]) -> list[Finding]:
    """A default route is how the appliance reaches mirrors; an air-gapped one needs none."""
    if not default:
        text = "There is no default route: mirrors outside this network can't be reached"
        return [Finding("route", "warn", text, "Fine with local repositories only; else: ip route add default via GATEWAY")]
    return [Finding("route", "ok", "Default route via " + ", ".join(f"{gateway} on {name}" for name, gateway in default))]


def secrets(state_dir: Path, token_file: Path) -> list[Finding]:
    """That nobody but the owner reads the API token or the state directory, and that the token is long enough."""
    try:
        found = _token(token_file) + _state(state_dir)
    except OSError as e:
        return [Finding("secrets", "warn", f"{e.filename} can't be looked at: {e.strerror}", "Run as root")]
    return found or [Finding("secrets", "ok", "API token and state directory are the owner's only")]


def _token(token_file: Path) -> list[Finding]:
    """OSError if it can't be looked at."""
    try:
        info = token_file.stat()
    except FileNotFoundError:
        return [Finding("secrets", "ok", "There is no API token yet; the first start makes one")]
    found = []
    if stat.S_IMODE(info.st_mode) & 0o077:
        text = f"{token_file} can be read by others (mode {stat.S_IMODE(info.st_mode):04o})"
        found.append(Finding("secrets", "fail", text, f"chmod 600 {token_file}; then replace the token: rm {token_file} and restart"))
    try:
        length = len(token_file.read_bytes().strip())
    except OSError:
        length = _MIN_TOKEN
    if length < _MIN_TOKEN:
        text = f"The API token is short ({length} characters, {_MIN_TOKEN} or more are wanted)"
        found.append(Finding("secrets", "fail", text, f"Let pxed make one: rm {token_file} and restart"))
    return found


def _state(state_dir: Path) -> list[Finding]:
    """Nothing of one that is still to be made. OSError if it can't be looked at."""
    try:
        mode = stat.S_IMODE(state_dir.stat().st_mode)
    except FileNotFoundError:
        return []
    if not mode & 0o077:
        return []
    text = f"The state directory {state_dir} is open to others (mode {mode:04o}); password hashes are kept in it"
    return [Finding("secrets", "warn", text, f"chmod 700 {state_dir}")]


def entropy(proc: Path = Path("/proc")) -> list[Finding]:
    """Whether the kernel has randomness for tokens; unreadable counts as fine, since the kernel blocks until it has."""
    try:
        available = int((proc / "sys" / "kernel" / "random" / "entropy_avail").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return []
    if available < _MIN_ENTROPY:
        text = f"The kernel has little randomness ({available} bits): making tokens may hang"
        return [Finding("entropy", "warn", text, "apt install rng-tools5, or give the virtual machine a virtio-rng device")]
    return [Finding("entropy", "ok", f"The kernel has randomness ({available} bits)")]


def dhcp(interface: str, offers: Sequence[Offer], *, own: IPv4Address | None, wait: float, named: bool) -> list[Finding]:
    """Who leases on this link and who else speaks PXE on it. `own`: this host's address there; `named`: the operator asked for it."""
    leasing = sorted({each.server for each in offers if each.lease is not None})
    found = [_leases(interface, leasing, wait, named=named)]
    for server in leasing:
        files = {each.arch: each for each in offers if each.server == server and each.lease is not None and (each.file or each.is_pxe)}
        if files:
            found.append(_competing(interface, server, list(files.values())))
    for server in sorted({each.server for each in offers if each.lease is None and each.is_pxe}):
        if server == own:
            found.append(Finding("dhcp", "ok", f"The appliance's own proxy offer is seen on {interface}"))
        else:
            found.append(_foreign(interface, server, [each for each in offers if each.server == server and each.lease is None]))
    return found


def _leases(interface: str, leasing: Sequence[IPv4Address], wait: float, *, named: bool) -> Finding:
    if not leasing:
        text = f"No DHCP server answered on {interface} within {wait:g} s: machines get no address there, and pxed leases none"
        return Finding("dhcp", "fail" if named else "warn", text, "Check cable and VLAN, start the network's DHCP server, or try --wait 10")
    if len(leasing) > 1:
        text = f"{len(leasing)} DHCP servers answer on {interface}: {', '.join(map(str, leasing))}"
        return Finding("dhcp", "warn", text, "Fine if they share one address plan; else stop those that don't belong there")
    return Finding("dhcp", "ok", f"DHCP server {leasing[0]} leases addresses on {interface}")


def _competing(interface: str, server: IPv4Address, offers: Sequence[Offer]) -> Finding:
    text = (
        f"The DHCP server {server} on {interface} hands out a boot file itself: {_files(offers)}; firmware may take that instead of pxed's"
    )
    return Finding("dhcp", "warn", text, f"Take next-server, filename and the options 60, 66, 67 out of the configuration of {server}")


def _foreign(interface: str, server: IPv4Address, offers: Sequence[Offer]) -> Finding:
    text = f"A foreign PXE server (proxy DHCP) answers on {interface} at {server}: {_files(offers)}; each firmware picks one of the two"
    return Finding("dhcp", "warn", text, f"Stop it ({server}: WDS, dnsmasq proxy, FOG, MAAS ...), or keep the machines of each apart")


def _files(offers: Sequence[Offer]) -> str:
    names = {0: "BIOS", 7: "UEFI"}
    told = [f"{each.file or 'no file'} for {names.get(each.arch, each.arch)}" for each in sorted(offers, key=lambda each: each.arch)]
    return ", ".join(dict.fromkeys(told))
