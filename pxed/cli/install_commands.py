"""`pxed install NODE OS` and `pxed install list|show|cancel|retry`: one group whose first word, if it is no subcommand, is a node."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from pxed.cli.client import Client
from pxed.cli.install_options import parse_assignments, parse_options_file, parse_ssh_keys
from pxed.cli.invocation import Invocation, json_option
from pxed.cli.output import ago, clean, console, duration, local, print_fields, print_json, print_table, styled
from pxed.cli.watch_command import watch_install
from pxed.errors import InvalidRequest

STATES = ["running", "done", "failed", "cancelled", "parked"]
_MAX_FILE = 1 << 20


class InstallGroup(click.Group):
    """``install web1 debian`` is ``install start web1 debian``: whatever is no subcommand belongs to `start`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["start", *args]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return ["NODE OS [OPTIONS] | COMMAND [ARGS]..."]


@click.group(cls=InstallGroup, short_help="Install an OS onto a machine; list, show, cancel, retry.")
def install() -> None:
    """Install an OS onto a machine, and look after installs.

    \b
    pxed install NODE OS [OPTIONS]      arm an install (short for: pxed install start NODE OS)
    pxed install list                   all installs
    pxed install show INSTALL           one of them, step by step
    pxed install cancel INSTALL
    pxed install retry INSTALL

    NODE is an id, a name or a MAC address; a MAC that has not been seen yet is armed in advance. The install starts when the machine
    network-boots the next time. A node that is called like a subcommand is reached with `pxed install start`.

    \b
    Examples:
      pxed install 52:54:00:12:34:56 debian --ssh-key ~/.ssh/id_ed25519.pub
      pxed install web1 debian --release 12 -o hostname=web1 -o 'packages=["nginx"]' --watch
      pxed install NODE OS --help        every option
    """


class Reader:
    """Files and standard input for option values; standard input can be given out once."""

    def __init__(self) -> None:
        self._used = False

    def __call__(self, name: str) -> str:
        if name == "-":
            if self._used:
                raise InvalidRequest("standard input (-) can be used once only", field="-")
            self._used = True
            return str(sys.stdin.read(_MAX_FILE))
        try:
            path = Path(name).expanduser()
            if path.stat().st_size > _MAX_FILE:
                raise InvalidRequest(f"{name} is larger than 1 MiB", field=name)
            return path.read_text(encoding="utf-8")
        except OSError as e:
            raise InvalidRequest(f"can't read {name}: {e.strerror}", field=name) from e
        except UnicodeDecodeError as e:
            raise InvalidRequest(f"{name} is not UTF-8 text", field=name) from e


@install.command()
@click.argument("node", metavar="NODE")
@click.argument("os_name", metavar="OS")
@click.option("--release", metavar="R", help="Release of the OS (default: its newest; `pxed os list`).")
@click.option("-o", "--option", "assignments", multiple=True, metavar="KEY=VALUE",
              help="One option; KEY is a dotted path (users.0.name), VALUE is JSON or text, @FILE a file, - standard input.")  # fmt: skip
@click.option("--options-file", metavar="FILE", help="Options as a JSON or TOML file (- is JSON on standard input); -o goes over it.")
@click.option("--root-password-file", metavar="FILE", help="Root's password is this file's text (- is standard input).")
@click.option("--root-password-prompt", is_flag=True, help="Ask for root's password, twice, without showing it.")
@click.option(
    "--ssh-key", "ssh_keys", multiple=True, metavar="FILE", help="Public key that may log in as root; may be given several times."
)
@click.option("--dry-run", is_flag=True, help="Change nothing: print the boot script and answer files that the machine would get.")
@click.option("--watch", "watching", is_flag=True, help="Stay and follow the install to its end; exit status 0 only if it is done.")
@json_option
@click.pass_obj
def start(
    invocation: Invocation, /, *, node: str, os_name: str, release: str | None, dry_run: bool, watching: bool, as_json: bool, **given: Any
) -> None:
    """Arm an install of OS on NODE. It starts when the machine network-boots the next time.

    Secrets never stand on the command line, where every user of the host can read them: `-o rootPassword=...` is refused. Use
    --root-password-prompt, --root-password-file, `-o users.0.password=@FILE` or an --options-file. Which options: pxed os options OS

    \b
    Examples:
      pxed install web1 debian --release 12 -o hostname=web1 -o timezone=Europe/Berlin
      pxed install web1 debian -o users.0.name=ada -o users.0.password=@ada.txt
      pass show web1/root | pxed install web1 debian --root-password-file -
      pxed install web1 debian --options-file web1.toml --dry-run
      pxed install web1 debian --ssh-key ~/.ssh/id_ed25519.pub --watch
    """
    body: dict[str, Any] = {"node": node, "os": os_name, "options": gather(Reader(), **given)}
    if release is not None:
        body["release"] = release

    if dry_run:
        _preview(invocation, body, as_json)
        return

    async def create(client: Client) -> tuple[Any, int]:
        made = await client.post("installs", body=body)
        if not watching:
            return made, 0
        if not as_json:
            _armed(made)
        return made, await watch_install(invocation, client, made["id"], as_json=as_json)

    made, status = invocation.call(create)
    if watching:
        sys.exit(status)
    if as_json:
        print_json(made)
    else:
        _armed(made)


def gather(
    read: Reader, *, assignments: tuple[str, ...], options_file: str | None, root_password_file: str | None, root_password_prompt: bool,
    ssh_keys: tuple[str, ...],
) -> dict[str, Any]:  # fmt: skip
    """All sources of options as one tree: the file, then -o, then the root password and keys. InvalidRequest."""
    if root_password_file is not None and root_password_prompt:
        raise InvalidRequest("either --root-password-file or --root-password-prompt", field="rootPassword")
    below = parse_options_file(options_file, read(options_file)) if options_file is not None else {}
    options = parse_assignments(assignments, read, below)
    if root_password_file is not None:
        options["rootPassword"] = read(root_password_file).rstrip("\r\n")
    elif root_password_prompt:
        options["rootPassword"] = click.prompt("Root's password", hide_input=True, confirmation_prompt=True, err=True)
    keys = [key for name in ssh_keys for key in parse_ssh_keys(name, read(name))]
    if keys:
        options["rootSshKeys"] = keys
    return options


def _armed(made: dict[str, Any]) -> None:
    node = made.get("node") or {}
    what = f"{clean(made.get('os'))} {clean(made.get('release'))} on {clean(node.get('label'))}"
    click.echo(f"Install {clean(made.get('id'))} is armed: {what}. Network-boot the machine now.")
    click.echo(f"Follow it:  pxed watch {clean(made.get('id'))}")


def _preview(invocation: Invocation, body: dict[str, Any], as_json: bool) -> None:
    async def ask(client: Client) -> Any:
        return await client.post("preview", body=body)

    found = invocation.call(ask)
    if as_json:
        print_json(found)
        return
    for name, text in found["files"].items():
        click.secho(f"==> {clean(name)} <==", bold=True)
        click.echo("\n".join(clean(line) for line in str(text).split("\n")).rstrip() + "\n")


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
         f"{i.get('percent') or 0} %", i.get("progress") or i.get("reason"), ago(i.get("created_at"), now)]
        for i in installs
    ]  # fmt: skip
    print_table(["INSTALL", "NODE", "OS", "STATE", "DONE", "NOW", "STARTED"], rows, empty="There is no such install.")


@install.command()
@click.argument("install_id", metavar="INSTALL")
@json_option
@click.pass_obj
def show(invocation: Invocation, install_id: str, as_json: bool) -> None:
    """Show one install and its steps.

    \b
    Example:
      pxed install show 3f2a9c
    """

    async def ask(client: Client) -> Any:
        return await client.get("installs", install_id)

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
            "stage": found.get("stage"),
            "progress": f"{found.get('percent') or 0} %  {clean(found.get('progress'))}",
            "MAC": node.get("mac"),
            "created": local(found.get("created_at")),
            "finished": local(found.get("finished_at")) if found.get("finished_at") else "",
            "elapsed": duration(float(found.get("elapsed") or 0)),
            "deadline": local(found.get("deadline")) if found.get("deadline") and found.get("state") == "running" else "",
            "recipe": f"{clean(recipe.get('name'))} version {clean(recipe.get('version'))}",
            "retry of": found.get("retry_of"),
            "options": ", ".join(f"{name}={value}" for name, value in (found.get("options") or {}).items()),
            "id": found.get("id"),
        }
    )
    rows = [
        [s.get("position"), local(s.get("at")) if s.get("at") else "", s.get("step"), s.get("answer")] for s in found.get("steps") or []
    ]
    if rows:
        click.echo()
        print_table(["STEP", "AT", "WHAT", "ANSWER"], rows, empty="")


@install.command()
@click.argument("install_id", metavar="INSTALL")
@json_option
@click.pass_obj
def cancel(invocation: Invocation, install_id: str, as_json: bool) -> None:
    """Cancel a running install. The machine gets no offer from then on; what its installer has begun is not undone.

    \b
    Example:
      pxed install cancel 3f2a9c
    """
    _act(invocation, install_id, "cancel", as_json, "is {state}.")


@install.command()
@click.argument("install_id", metavar="INSTALL")
@json_option
@click.pass_obj
def retry(invocation: Invocation, install_id: str, as_json: bool) -> None:
    """Arm a new install like this one: same machine, OS and options.

    \b
    Example:
      pxed install retry 3f2a9c
    """
    _act(invocation, install_id, "retry", as_json, "")


def _act(invocation: Invocation, install_id: str, verb: str, as_json: bool, sentence: str) -> None:
    async def ask(client: Client) -> Any:
        return await client.post("installs", install_id, verb)

    found = invocation.call(ask)
    if as_json:
        print_json(found)
    elif sentence:
        click.echo(f"Install {clean(found.get('id'))} {sentence.format(state=clean(found.get('state')))}")
    else:
        _armed(found)
