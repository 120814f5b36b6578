"""`pxed bench`: a boot storm of fake nodes that speak real packets, against the appliance on this host."""

from __future__ import annotations

import socket
import struct
from fcntl import ioctl
from ipaddress import IPv4Network
from itertools import islice
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pxed.cli.invocation import json_option
from pxed.cli.output import console, print_json, print_table, size
from pxed.cli.storm.driver import Storm, Summary
from pxed.cli.storm.node import PHASES
from pxed.cli.storm.where import ends_here
from pxed.errors import HostProblem, InvalidRequest

_SIOCGIFADDR = 0x8915
MOST_NODES = 20_000


@click.command()
@click.option(
    "--interface", "-i", required=True, metavar="IF", help="Where the fake nodes are plugged in: an interface in the appliance's segment."
)
@click.option("--nodes", "-n", type=click.IntRange(1, MOST_NODES), default=100, show_default=True, help="Machines that boot.")
@click.option("--at-once", type=click.IntRange(1, 2000), default=100, show_default=True, help="How many boot at the same time.")
@click.option("--seconds", type=click.FloatRange(1, 600), default=60.0, show_default=True, help="Give up after this time.")
@click.option(
    "--addresses", metavar="NETWORK", help="Let the nodes use the addresses of NETWORK, 10.0.8.0/24 say, in turn; routed to this host."
)
@click.option("--elsewhere", is_flag=True, help="The appliance is another host (its network sees the storm).")
@click.option("--i-run-that-network", is_flag=True, help="Said twice on purpose: both switches are needed for a target outside this host.")
@json_option
def bench(
    interface: str,
    nodes: int,
    at_once: int,
    seconds: float,
    addresses: str | None,
    elsewhere: bool,
    i_run_that_network: bool,
    as_json: bool,
) -> None:
    """Boot many machines that don't exist, and see how long they take.

    Each fake node does what UEFI firmware and iPXE do: DISCOVER, the PXE service on 4011, its boot program by TFTP, DISCOVER as iPXE, the
    boot profile, and the initial RAM disk that the profile names. Their MAC addresses are 02:70:78:00:00:00 and up: nodes that nobody
    armed get no offer, so arm them first (with a test install each); nothing is ever written to a disk.

    Downloads are told apart by address: give the nodes a network of their own, free addresses of the appliance's segment, with
    --addresses, after `ip route add local NETWORK dev IF`. Without it they share this host's address, and an appliance that finds one
    machine downloading again and again (pxed's guard against boot loops, limits for one client) refuses some. Nodes that booted three times
    and whose installer never called back are quarantined, real or not: `pxed node release NODE`, or a new install.

    Every packet goes to a network namespace or loopback of this host unless you say --elsewhere and --i-run-that-network: a node that is
    sent on to another server (by an offer, or by the profile's initial RAM disk) does not ask it, and the summary says so.

    \b
    Examples:
      pxed bench -i lab0 --nodes 200
      pxed bench -i lab0 --nodes 1000 --at-once 200 --addresses 10.0.8.0/24 --json
    """
    if elsewhere != i_run_that_network:
        raise InvalidRequest("a storm outside this host needs both --elsewhere and --i-run-that-network", field="--elsewhere")
    if not elsewhere and not ends_here(interface):
        raise HostProblem(
            f"{interface} leads to a network outside this host, whose machines would see {nodes} fake ones",
            "Use a veth, bridge, dummy or loopback interface; or say --elsewhere --i-run-that-network if that network is yours",
        )
    own = [_address(interface)] if addresses is None else _usable(addresses)
    storm = Storm(interface, own, nodes=nodes, at_once=at_once, node_seconds=min(30.0, seconds), total_seconds=seconds, elsewhere=elsewhere)
    if as_json:
        summary = storm.run()
        print_json(_tree(summary))
    else:
        columns = (TextColumn("booting"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console(stderr=True), transient=True) as bar:
            task = bar.add_task("nodes", total=nodes)
            summary = storm.run(lambda done, _total: bar.update(task, completed=done))
        _print(summary)
    if summary.passed < nodes:
        raise SystemExit(1)


def _usable(network: str) -> list[str]:
    """The hosts' addresses of `network`, at most 4096, if this host may send from them. InvalidRequest, HostProblem."""
    try:
        hosts = [str(host) for host in islice(IPv4Network(network).hosts(), 4096)]
    except ValueError as e:
        raise InvalidRequest(f"{network!r} is no network: {e}", field="--addresses", expected="like 10.0.8.0/24") from e
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((hosts[0], 0))
        except OSError as e:
            raise HostProblem(f"this host can't send from {hosts[0]}: {e.strerror}", f"`ip route add local {network} dev IF`") from e
    return hosts


def _address(interface: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = ioctl(sock, _SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
        except OSError as e:
            raise HostProblem(f"{interface} has no IPv4 address", f"Give it one: `ip addr add 10.0.0.9/24 dev {interface}`") from e
    return socket.inet_ntoa(answer[20:24])


def _tree(summary: Summary) -> dict[str, Any]:
    phases = {
        name: {
            "passed": len(summary.phases.get(name, [])),
            **{f"p{int(s * 100)}": round(summary.percentile(name, s), 4) for s in (0.5, 0.99)},
        }
        for name in PHASES
    }
    return {
        "nodes": summary.nodes,
        "passed": summary.passed,
        "seconds": round(summary.seconds, 3),
        "bytes": summary.bytes,
        "phases": phases,
        "failures": summary.failures,
    }


def _print(summary: Summary) -> None:
    rows = [
        (
            name,
            len(values),
            *(f"{seconds * 1000:.1f} ms" for seconds in (summary.percentile(name, 0.5), summary.percentile(name, 0.99), values[-1])),
        )
        for name in PHASES
        if (values := summary.phases.get(name))
    ]
    print_table(("phase", "nodes", "half within", "99 % within", "slowest"), rows, empty="No node got an answer.")
    rate = summary.bytes / summary.seconds if summary.seconds else 0.0
    click.echo(f"\n{summary.passed} of {summary.nodes} nodes in {summary.seconds:.1f} s, {size(summary.bytes)} ({size(int(rate))}/s)")
    for why, count in sorted(summary.failures.items(), key=lambda item: -item[1]):
        click.echo(f"  {count} x {why}")
