"""`pxed install NODE OS`: gathers an install's options from everywhere they may come from, and orders it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from pxed.cli.client import Client
from pxed.cli.install_options import parse_assignments, parse_options_file, parse_ssh_keys
from pxed.cli.invocation import Invocation, json_option
from pxed.cli.output import clean, print_json
from pxed.cli.watch_command import watch_install
from pxed.errors import InvalidRequest

_MAX_FILE = 1 << 20


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


@click.command()
@click.argument("node", metavar="NODE")
@click.argument("os_name", metavar="OS")
@click.option("--release", metavar="R", help="Release of the OS (default: the first that `pxed os list` names).")
@click.option("-o", "--option", "assignments", multiple=True, metavar="KEY=VALUE",
              help="One option; KEY is a dotted path (users.0.name), VALUE is JSON or text, @FILE a file, - standard input.")  # fmt: skip
@click.option("--options-file", metavar="FILE", help="Options as a JSON or TOML file (- is JSON on standard input); -o goes over it.")
@click.option("--root-password-file", metavar="FILE", help="Root's password is this file's text (- is standard input).")
@click.option("--root-password-prompt", is_flag=True, help="Ask for root's password, twice, without showing it.")
@click.option(
    "--ssh-key",
    "ssh_keys",
    multiple=True,
    metavar="FILE",
    help="Public key that may log in as root, beside those of the option rootSshKeys; may be given several times.",
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
        warn(made)
        if not watching:
            return made, 0
        if not as_json:
            say_armed(made)
        return made, await watch_install(invocation, client, made["id"], as_json=as_json)

    made, status = invocation.call(create)
    if watching:
        sys.exit(status)
    if as_json:
        print_json(made)
    else:
        say_armed(made)


def gather(
    read: Reader, *, assignments: tuple[str, ...], options_file: str | None, root_password_file: str | None, root_password_prompt: bool,
    ssh_keys: tuple[str, ...],
) -> dict[str, Any]:  # fmt: skip
    """All sources of options as one tree: the file, then -o, then the root password; keys are added to those there. InvalidRequest."""
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
        _add_keys(options, keys)
    return options


def _add_keys(options: dict[str, Any], keys: list[str]) -> None:
    """Lay `keys` behind root's keys in `options` (a list, or one text with a line for each), each once. What is no list of texts is
    InvalidRequest: the appliance would not take it either, and nobody wants it replaced in silence."""
    name = next((each for each in ("rootSshKeys", "rootSshKey") if each in options), "rootSshKeys")
    there = options.get(name) or []
    if isinstance(there, str):
        there = [line for line in there.splitlines() if line.strip()]
    if not isinstance(there, list) or not all(isinstance(each, str) for each in there):
        raise InvalidRequest(f"options.{name} is no list of keys, so that --ssh-key can't add to it", field=f"options.{name}")
    options[name] = list(dict.fromkeys([*there, *keys]))


def warn(answer: dict[str, Any]) -> None:
    """The appliance's warnings, one line of standard error each."""
    for sentence in answer.get("warnings") or ():
        click.echo(f"Warning: {clean(sentence)}.", err=True)


def say_armed(made: dict[str, Any]) -> None:
    """Tell what was ordered and what comes next."""
    node = made.get("node") or {}
    what = f"{clean(made.get('os'))} {clean(made.get('release'))} on {clean(node.get('label'))}"
    click.echo(f"Install {clean(made.get('id'))} is armed: {what}. Network-boot the machine now.")
    click.echo(f"Follow it:  pxed watch {clean(made.get('id'))}")


def _preview(invocation: Invocation, body: dict[str, Any], as_json: bool) -> None:
    async def ask(client: Client) -> Any:
        return await client.post("preview", body=body)

    found = invocation.call(ask)
    warn(found)
    if as_json:
        print_json(found)
        return
    for name, text in found["files"].items():
        click.secho(f"==> {clean(name)} <==", bold=True)
        click.echo("\n".join(clean(line) for line in str(text).split("\n")).rstrip() + "\n")
