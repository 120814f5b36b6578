"""`pxed node ...`: the machines that were seen on the network."""

from __future__ import annotations

from typing import Any

import click

from pxed.cli.client import Client
from pxed.cli.invocation import Invocation, json_option
from pxed.cli.output import ago, clean, console, local, print_fields, print_json, print_table, styled
from pxed.errors import InvalidRequest


@click.group()
def node() -> None:
    """Machines: list, show, add, name, release, remove, lines for your DHCP server; what firmware is given, and how it goes on to the disk.

    A NODE is named by its id (or the beginning of it), its name, or its MAC address in any spelling.
    """


def show_arch(found: dict[str, Any]) -> str:
    """The ``arch`` of a node or "" before it ever said one."""
    arch = found.get("arch")
    return clean(arch.get("name")) if isinstance(arch, dict) else ""


def label(found: dict[str, Any]) -> str:
    macs = found.get("macs") or [""]
    return clean(found.get("name") or macs[0])


def state(found: dict[str, Any]) -> str:
    """The node's state, and in brackets why the boot guard refuses it, if it does."""
    refused = found.get("refused")
    held = f" ({clean(refused.get('reason'))})" if isinstance(refused, dict) else ""
    return f"{clean(found.get('state'))}{held}"


@node.command("list")
@click.option(
    "--state",
    "wanted",
    type=click.Choice(["new", "idle", "installing", "installed", "unproven", "failed"]),
    help="Only nodes in this state.",
)
@json_option
@click.pass_obj
def list_(invocation: Invocation, wanted: str | None, as_json: bool) -> None:
    """List all machines, the one seen last first.

    \b
    Examples:
      pxed node list
      pxed node list --state failed --json | jq -r '.nodes[].macs[0]'
    """

    async def ask(client: Client) -> Any:
        return await client.get("nodes")

    nodes = [each for each in invocation.call(ask)["nodes"] if wanted in (None, each.get("state"))]
    if as_json:
        print_json({"nodes": nodes})
        return
    nodes.sort(key=lambda each: str(each.get("last_seen")), reverse=True)
    now = invocation.now()
    rows = [
        [label(n), (n.get("macs") or [""])[0], show_arch(n), n.get("address"), state(n), ago(n.get("last_seen"), now), n.get("id")]
        for n in nodes
    ]
    empty = "No machine has been seen yet. Network-boot one; if it does not appear: pxed doctor"
    print_table(
        ["NODE", "MAC", "ARCHITECTURE", "ADDRESS", "STATE", "SEEN", "ID"], rows, empty=empty if wanted is None else f"No node is {wanted}."
    )


@node.command()
@click.argument("handle", metavar="NODE")
@json_option
@click.pass_obj
def show(invocation: Invocation, handle: str, as_json: bool) -> None:
    """Show one machine, and in one sentence where it stands and why it stopped there.

    \b
    Example:
      pxed node show web1
    """

    async def ask(client: Client) -> Any:
        return await client.get("nodes", handle)

    found = invocation.call(ask)
    if as_json:
        print_json(found)
        return
    running = found.get("install") or {}
    boot = found.get("boot") or {}
    facts = found.get("facts") or {}
    console().print(styled(label(found)), style="bold")
    print_fields(
        {
            "verdict": found.get("verdict"),
            "state": state(found),
            "boots next": boot.get("kind"),
            "architecture": show_arch(found),
            "firmware": found.get("firmware"),
            "MAC": ", ".join(clean(mac) for mac in found.get("macs") or []),
            "address": found.get("address"),
            "interface": found.get("interface"),
            "vendor class": found.get("vendor_class"),
            "UUID": found.get("uuid"),
            "product": " ".join(clean(facts[name]) for name in ("manufacturer", "product", "serial") if facts.get(name)),
            "boot program": found.get("boot_program"),
            "local boot": found.get("localboot"),
            "first seen": local(found.get("first_seen")),
            "last seen": f"{local(found.get('last_seen'))} ({ago(found.get('last_seen'), invocation.now())})",
            "install": _one_line(running),
            "id": found.get("id"),
        }
    )


def _one_line(running: dict[str, Any]) -> str:
    if not running:
        return ""
    what = f"{running.get('id')}: {running.get('os')} {running.get('release')}, {running.get('state')}, {running.get('percent')} %"
    return ", ".join(str(part) for part in (what, running.get("progress"), running.get("reason")) if part)


@node.command()
@click.argument("mac", metavar="MAC")
@click.option("--name", help="A name for it.")
@json_option
@click.pass_obj
def add(invocation: Invocation, mac: str, name: str | None, as_json: bool) -> None:
    """Make a machine known before it is first switched on.

    \b
    Example:
      pxed node add 52:54:00:12:34:56 --name web1
    """

    async def ask(client: Client) -> Any:
        return await client.post("nodes", body={"mac": mac, **({"name": name} if name else {})})

    found = invocation.call(ask)
    _report(found, as_json, f"is known as {clean(found.get('id'))}")


@node.command()
@click.argument("handle", metavar="NODE")
@click.argument("new_name", metavar="NAME")
@json_option
@click.pass_obj
def name(invocation: Invocation, handle: str, new_name: str, as_json: bool) -> None:
    """Give a machine a name; an empty one ('') takes it away.

    \b
    Example:
      pxed node name 52:54:00:12:34:56 web1
    """

    async def ask(client: Client) -> Any:
        return await client.patch("nodes", handle, body={"name": new_name or None})

    _report(invocation.call(ask), as_json, "is its name now")


@node.command()
@click.argument("handle", metavar="NODE")
@click.argument("how", metavar="HOW")
@json_option
@click.pass_obj
def localboot(invocation: Invocation, handle: str, how: str, as_json: bool) -> None:
    """Choose how an installed machine that still reaches iPXE leaves it for its disk.

    HOW is auto, or a way that this firmware understands: exit1, exit0, sanboot, grub, poweroff. Wrong ones are refused by the appliance,
    which names those it knows.

    \b
    Example:
      pxed node localboot web1 exit0
    """

    async def ask(client: Client) -> Any:
        return await client.patch("nodes", handle, body={"localboot": None if how == "auto" else how})

    _report(invocation.call(ask), as_json, f"leaves iPXE with {clean(how)}")


@node.command()
@click.argument("handle", metavar="NODE")
@click.argument("what", metavar="PROGRAM")
@json_option
@click.pass_obj
def program(invocation: Invocation, handle: str, what: str, as_json: bool) -> None:
    """Choose what this machine's firmware is given first; wins over the configuration and every quirk.

    PROGRAM is auto (the usual), a chain (ipxe, shim-grub, ipxe-signed), or one program's path below the boot program root, as
    `pxed bootloaders --list` shows it.

    \b
    Examples:
      pxed node program web1 shim-grub
      pxed node program web1 ipxe.efi
      pxed node program web1 auto
    """

    async def ask(client: Client) -> Any:
        return await client.patch("nodes", handle, body={"boot_program": None if what == "auto" else what})

    _report(invocation.call(ask), as_json, f"is given {'the usual boot program' if what == 'auto' else clean(what)}")


@node.command()
@click.argument("handle", metavar="NODE")
@click.option("--server", help="Only for this kind of server: the beginning of isc, kea, dnsmasq or windows.")
@json_option
@click.pass_obj
def dhcp(invocation: Invocation, handle: str, server: str | None, as_json: bool) -> None:
    """Print the lines that make your own DHCP server send this machine here (options 66 and 67).

    For firmware that follows no proxy offer: `pxed doctor` names such machines.

    \b
    Example:
      pxed node dhcp web1 --server kea
    """

    async def ask(client: Client) -> Any:
        return await client.get("nodes", handle, "dhcp")

    known = invocation.call(ask)["lines"]
    pieces = [each for each in known if str(each.get("server")).lower().startswith((server or "").lower())]
    if known and not pieces:
        there = ", ".join(clean(each.get("server")) for each in known)
        raise InvalidRequest(f"There are no lines for the server {server!r}; there are some for {there}", field="--server")
    if as_json:
        print_json({"lines": pieces})
        return
    click.echo(
        site_lines(pieces)
        or "There are none: no served interface has an address or there is no boot program for this machine (`pxed doctor` tells both), "
        "or its network card is not Ethernet's."
    )


def site_lines(pieces: list[dict[str, Any]]) -> str:
    """Lines for several kinds of DHCP server, each under its name and the file they belong into."""
    shown = []
    for each in pieces:
        text = "\n".join(clean(line) for line in str(each.get("text")).splitlines())
        shown.append(f"# {clean(each.get('server'))}: {clean(each.get('file'))}\n{text}")
    return "\n\n".join(shown)


@node.command()
@click.argument("handle", metavar="NODE")
@json_option
@click.pass_obj
def release(invocation: Invocation, handle: str, as_json: bool) -> None:
    """Let a machine boot from the network again that was quarantined (it went round in circles) or is asked to wait.

    \b
    Example:
      pxed node release web1
    """

    async def ask(client: Client) -> Any:
        return await client.post("nodes", handle, "release")

    _report(invocation.call(ask), as_json, "may boot from the network")


@node.command()
@click.argument("handle", metavar="NODE")
@json_option
@click.pass_obj
def remove(invocation: Invocation, handle: str, as_json: bool) -> None:
    """Forget a machine. Refused while an install runs on it; it comes back as new when it network-boots again.

    \b
    Example:
      pxed node remove web1
    """

    async def ask(client: Client) -> Any:
        return await client.delete("nodes", handle)

    found = invocation.call(ask)
    if as_json:
        print_json(found if isinstance(found, dict) else {"removed": handle})
    else:
        click.echo(f"{clean(handle)} is forgotten.")


def _report(found: dict[str, Any], as_json: bool, sentence: str) -> None:
    if as_json:
        print_json(found)
    else:
        click.echo(f"{label(found)} {sentence}.")
