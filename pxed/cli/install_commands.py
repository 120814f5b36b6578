"""`pxed install NODE OS` and `pxed install list|show|cancel|retry`: one group whose first word, if it is no subcommand, is a node."""

from __future__ import annotations

import json
from typing import Any

import click

from pxed.cli.client import Client
from pxed.cli.install_start import say_armed, start, warn
from pxed.cli.invocation import Invocation, json_option
from pxed.cli.output import ago, clean, console, duration, local, print_fields, print_json, print_table, styled
from pxed.cli.resolve import find_install
from pxed.cli.watch_view import now_text

STATES = ["running", "done", "unproven", "failed", "cancelled", "parked"]


class InstallGroup(click.Group):
    """``install web1 debian`` is ``install start web1 debian``: whatever is no subcommand belongs to `start`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["start", *args]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return ["NODE OS [OPTIONS] | COMMAND [ARGS]..."]


@click.group(cls=InstallGroup)
def install() -> None:
    """Install an OS onto a machine, and look after installs.

    \b
    pxed install NODE OS [OPTIONS]      arm an install (short for: pxed install start NODE OS)
    pxed install list                   all installs
    pxed install show INSTALL           one of them, step by step
    pxed install cancel INSTALL         it gets no offer from then on
    pxed install retry INSTALL          a new one like it
    pxed install restart INSTALL        a parked one goes on where it stopped

    INSTALL is an id, the beginning of one, or a node (its latest install).
    NODE is an id, a name or a MAC address; a MAC that has not been seen yet is armed in advance. The install starts when the machine
    network-boots the next time. A node that is called like a subcommand is reached with `pxed install start`.

    \b
    Examples:
      pxed install 52:54:00:12:34:56 debian --ssh-key ~/.ssh/id_ed25519.pub
      pxed install web1 debian --release 12 -o hostname=web1 -o 'packages=["nginx"]' --watch
      pxed install NODE OS --help        every option
    """


install.add_command(start)


@install.command("list")
@click.option("--node", metavar="NODE", help="Only those of this node.")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@json_option
@click.pass_obj
def list_(invocation: Invocation, node: str | None, state: str | None, as_json: bool) -> None:
    """List installs, the newest first.

    \b
    Examples:
      pxed install list --state running
      pxed install list --node web1 --json
    """

    async def ask(client: Client) -> Any:
        return await client.get("installs", node=node, state=state)

    found = invocation.call(ask)
    if as_json:
        print_json(found)
        return
    now = invocation.now()
    installs = sorted(found["installs"], key=lambda each: str(each.get("created_at")), reverse=True)
    rows = [
        [i.get("id"), (i.get("node") or {}).get("label"), f"{clean(i.get('os'))} {clean(i.get('release'))}", i.get("state"),
         f"{i.get('percent') or 0} %", now_text(i), ago(i.get("created_at"), now)]
        for i in installs
    ]  # fmt: skip
    print_table(["INSTALL", "NODE", "OS", "STATE", "DONE", "NOW", "STARTED"], rows, empty="There is no such install.")


@install.command()
@click.argument("handle", metavar="INSTALL")
@json_option
@click.pass_obj
def show(invocation: Invocation, handle: str, as_json: bool) -> None:
    """Show one install and its steps.

    \b
    Example:
      pxed install show 3f2a9c01d4
    """

    async def ask(client: Client) -> Any:
        return await client.get("installs", (await find_install(client, handle))["id"])

    found = invocation.call(ask)
    if as_json:
        print_json(found)
        return
    node = found.get("node") or {}
    recipe = found.get("recipe") or {}
    console().print(styled(f"{clean(found.get('os'))} {clean(found.get('release'))} on {clean(node.get('label'))}"), style="bold")
    print_fields(
        {
            "state": found.get("state"),
            "reason": found.get("reason"),
            "proof": found.get("proof"),
            "stage": found.get("stage"),
            "progress": f"{found.get('percent') or 0} %  {clean(found.get('progress'))}",
            "MAC": node.get("mac"),
            "created": local(found.get("created_at")),
            "finished": local(found.get("finished_at")) if found.get("finished_at") else "",
            "elapsed": duration(float(found.get("elapsed") or 0)),
            "deadline": local(found.get("deadline")) if found.get("deadline") and found.get("state") == "running" else "",
            "recipe": f"{clean(recipe.get('name'))} version {clean(recipe.get('version'))}",
            "retry of": found.get("retry_of"),
            "options": ", ".join(
                f"{name}={_as_given(value)}" for name, value in (found.get("options") or {}).items() if value not in ([], {}, "", None)
            ),
            "id": found.get("id"),
        }
    )
    for line in found.get("last_lines") or []:
        click.echo(f"  log: {clean(line)}")
    rows = [
        [s.get("position"), local(s.get("at")) if s.get("at") else "", s.get("step"), s.get("answer")] for s in found.get("steps") or []
    ]
    if rows:
        click.echo()
        print_table(["STEP", "AT", "WHAT", "ANSWER"], rows, empty="")


def _as_given(value: Any) -> str:
    """As ``-o`` takes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@install.command()
@click.argument("handle", metavar="INSTALL")
@json_option
@click.pass_obj
def cancel(invocation: Invocation, handle: str, as_json: bool) -> None:
    """Cancel a running install. The machine gets no offer from then on; what its installer has begun is not undone.

    \b
    Example:
      pxed install cancel 3f2a9c01d4
    """
    _act(invocation, handle, "cancel", as_json, "is {state}.")


@install.command()
@click.argument("handle", metavar="INSTALL")
@json_option
@click.pass_obj
def retry(invocation: Invocation, handle: str, as_json: bool) -> None:
    """Arm a new install like this one: same machine, OS and options.

    One that is running must be cancelled first, unless its machine was restarted while the installer was at work.

    \b
    Example:
      pxed install retry 3f2a9c01d4
    """
    _act(invocation, handle, "retry", as_json, "")


@install.command()
@click.argument("handle", metavar="INSTALL")
@json_option
@click.pass_obj
def restart(invocation: Invocation, handle: str, as_json: bool) -> None:
    """Let a parked install go on where it stopped, once what parked it is mended.

    `pxed install show` says why it was parked. To install from the beginning instead: `pxed install retry`.

    \b
    Example:
      pxed install restart 3f2a9c01d4
    """
    _act(invocation, handle, "restart", as_json, "is {state} again.")


def _act(invocation: Invocation, handle: str, verb: str, as_json: bool, sentence: str) -> None:
    async def ask(client: Client) -> Any:
        return await client.post("installs", (await find_install(client, handle))["id"], verb)

    found = invocation.call(ask)
    warn(found)
    if as_json:
        print_json(found)
    elif sentence:
        click.echo(f"Install {clean(found.get('id'))} {sentence.format(state=clean(found.get('state')))}")
    else:
        say_armed(found)
