"""`pxed doctor`: is this host, and this network, ready? Each finding is ok, warn or fail, with the command that mends it."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from pxed.cli import appliance_view, diagnosis, firewall, host, preflight, probe
from pxed.cli.client import Client
from pxed.cli.findings import Finding, worst
from pxed.cli.invocation import Invocation, json_option
from pxed.cli.output import STYLES, clean, console, print_json
from pxed.config import Settings, load
from pxed.errors import HostProblem, PxedError
from pxed.repo.bootprograms import scan

MOST_LINES = 5
"""Machines for which lines are printed that the site's own DHCP server needs."""


@click.command()
@click.option(
    "--interface", "-i", "interfaces", multiple=True, metavar="IF", help="Look at this interface. Default: every one with an IPv4 address."
)
@click.option("--config", "-c", type=click.Path(path_type=Path), metavar="FILE", help="The appliance's configuration file.")
@click.option("--tftproot", type=click.Path(path_type=Path), metavar="DIR", help="The boot program root, if it is not the usual one.")
@click.option("--wait", type=click.FloatRange(0.1, 60), default=5.0, show_default=True, help="Seconds to wait for DHCP offers.")
@click.option("--probe/--no-probe", "probing", default=True, help="Send a DHCPDISCOVER to see who answers (takes no lease).")
@json_option
@click.pass_obj
def doctor(
    invocation: Invocation,
    *,
    interfaces: tuple[str, ...],
    config: Path | None,
    tftproot: Path | None,
    wait: float,
    probing: bool,
    as_json: bool,
) -> None:
    """Look whether this host and its network are ready, before or while the appliance runs.

    Ports and who holds them, which DHCP servers answer and whether a foreign PXE server does, boot programs per architecture, addresses,
    packet filter, secrets, room, and the appliance itself. Exit status 1 if anything is a fail.

    \b
    Examples:
      sudo pxed doctor --interface eth1
      sudo pxed doctor -i eth1 --json | jq '.findings[] | select(.level != "ok")'
    """
    over: dict[str, Any] = {"interfaces": list(interfaces)} if interfaces else {}
    settings = load(config, over if config is not None else {**over, "state_dir": invocation.state_dir})
    root = tftproot or settings.boot_root
    found = [
        *look(settings, root),
        *_appliance(invocation),
        *(_probe(settings, wait, named=bool(interfaces)) if probing else []),
    ]
    if as_json:
        print_json({"result": worst(found), "findings": [asdict(each) for each in found]})
    else:
        show(found)
    sys.exit(1 if worst(found) == "fail" else 0)


def look(settings: Settings, root: Path) -> list[Finding]:
    """All that can be seen on the host itself."""
    present = host.interfaces()
    names = [each.name for each in preflight.served(settings, present)]
    wanted = [(protocol, number) for _, protocol, number in preflight.port_list(settings)]
    programs = scan(root, chain=settings.dhcp.boot_chain)
    return [
        *preflight.privileges(settings),
        *preflight.interfaces(settings, present),
        *diagnosis.routes(host.default_routes()),
        *preflight.ports(settings, running_is_fine=True),
        *firewall.findings(firewall.read_host(), names, wanted),
        *preflight.boot_programs(root, programs),
        *preflight.quirks(settings, programs),
        *preflight.state_directory(settings.state_dir),
        *preflight.database(settings),
        *preflight.own_oses(settings),
        *preflight.repositories(settings),
        *diagnosis.secrets(settings.state_dir, settings.token_file),
        *diagnosis.entropy(),
    ]


def _appliance(invocation: Invocation) -> list[Finding]:
    async def ask(client: Client) -> Any:
        found = await client.get("health")
        lines = {}
        for each in appliance_view.ignoring(found)[:MOST_LINES]:
            with suppress(PxedError):  # it was removed just now, or the appliance is of another version
                lines[str(each.get("node"))] = (await client.get("nodes", str(each.get("node")), "dhcp")).get("lines")
        return found, lines

    try:
        found, lines = invocation.call(ask)
    except HostProblem as e:
        return [Finding("appliance", "warn", e.problem, e.remedy)]
    except PxedError as e:
        return [Finding("appliance", "fail", str(e))]
    status = clean(found.get("status"))
    text = f"The appliance answers: {status}, version {clean(found.get('version'))}"
    told = Finding("appliance", "ok" if status == "ok" else "fail", text, "" if status == "ok" else "pxed health")
    return [told, *appliance_view.findings(found, lines, invocation.now())]


def _probe(settings: Settings, wait: float, *, named: bool) -> list[Finding]:
    present = [each for each in preflight.served(settings, host.interfaces()) if each.up and each.ethernet]
    try:
        offers = probe.ask([each.name for each in present], wait=wait) if present else []
    except HostProblem as e:
        return [Finding("dhcp", "warn", e.problem, e.remedy)]
    return [
        finding
        for each in present
        for finding in diagnosis.dhcp(each.name, [o for o in offers if o.interface == each.name], own=each.address, wait=wait, named=named)
    ]


def show(found: list[Finding]) -> None:
    """One line per finding, the remedy below what is not ok, the sum at the end."""
    out = console()
    for each in found:
        out.print(Text.assemble((f"{each.level:<5}", STYLES[each.level]), (f"{each.check:<14}", "bold"), clean(each.text)))
        if each.remedy and each.level != "ok":
            out.print(Text(f"{'':<19}> {clean(each.remedy)}", style="dim"))
        for line in each.detail.splitlines():
            out.print(Text(f"{'':<21}{clean(line)}", style="dim"), soft_wrap=True)
    counts = {level: sum(each.level == level for each in found) for level in ("ok", "warn", "fail")}
    out.print(Text("  ".join(f"{number} {level}" for level, number in counts.items()), style="bold"))
