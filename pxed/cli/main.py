"""The `pxed` command itself: its global options, its commands, and what an exception becomes on the way out."""

from __future__ import annotations

import os
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import click

import pxed
from pxed.cli.endpoint import DEFAULT_STATE_DIR
from pxed.cli.invocation import Invocation, run_reactor
from pxed.cli.output import clean
from pxed.errors import ConfigError, HostProblem, InvalidRequest, PxedError

_COMMANDS = {
    "up": ("up_command:up", "Start the appliance."),
    "doctor": ("doctor_command:doctor", "Is this host ready? Each finding says what mends it."),
    "bootloaders": ("bootloader_command:bootloaders", "Get iPXE from this host's packages; list boot programs."),
    "node": ("node_commands:node", "Machines: list, show, add, name, program, localboot, dhcp, release, remove."),
    "repo": ("repo_commands:repo", "Repositories of installer files: list, show, add, remove, recognise."),
    "os": ("os_commands:os_group", "Operating systems: list them and their options, check your own."),
    "install": ("install_commands:install", "Install an OS onto a machine; list, show, cancel, retry, restart."),
    "watch": ("watch_command:watch", "Follow installs as they happen."),
    "events": ("event_command:events", "A machine's timeline: packets, files, installer lines."),
    "health": ("health_command:health", "Ask the appliance how it is."),
    "bench": ("bench_command:bench", "Boot many machines that don't exist."),
}
"""Name > (module:command, one line), in the order of a first day. A command's module is imported when it is called."""

_ENVIRONMENT = (ConfigError, HostProblem, InvalidRequest)


class Sentence(click.ClickException):
    """An expected error: one line on standard error and an exit status, never a traceback."""

    def __init__(self, cause: PxedError) -> None:
        expected = cause.expected if isinstance(cause, InvalidRequest) else ""
        super().__init__(clean(f"{cause} (expected: {expected})" if expected and expected not in str(cause) else cause))
        self.exit_code = 2 if isinstance(cause, _ENVIRONMENT) else 1  # type: ignore[misc] # click means it to be set so

    def show(self, file: Any = None) -> None:  # noqa: ARG002 - click's signature
        click.echo(f"pxed: {self.message}", err=True)


class Commands(click.Group):
    """The root group: turns what rooms raise into sentences, and lists commands in the order of a first day."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PxedError as e:
            raise Sentence(e) from e

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"pxed.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--state-dir", type=click.Path(path_type=Path), envvar="PXED_STATE_DIR", default=DEFAULT_STATE_DIR, show_default=True,
              help="The appliance's state directory: where its URL and token are found. [env: PXED_STATE_DIR]")  # fmt: skip
@click.option("--url", envvar="PXED_URL", metavar="URL", help="The appliance, e.g. http://10.0.0.1. [env: PXED_URL]")
@click.option("--token-file", type=click.Path(path_type=Path), metavar="FILE",
              help="File with the API token (the token itself may be in PXED_TOKEN, never on the command line).")  # fmt: skip
@click.version_option(pxed.__version__, prog_name="pxed", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, state_dir: Path, url: str | None, token_file: Path | None) -> None:
    """Install operating systems over the network, beside a DHCP server you don't own.

    \b
    A first day:
      pxed bootloaders                        get iPXE from this host's packages
      pxed doctor --interface eth1            is this host ready? each finding says what mends it
      pxed up --interface eth1                start the appliance (as root, stays in the foreground)
      pxed node list                          machines that network-booted
      pxed install 52:54:00:12:34:56 debian   arm an install; it starts at the next network boot
      pxed watch                              follow it to the end

    Exit status: 0 done, 1 failed or refused, 2 wrong use or environment (no appliance, wrong token, busy port).
    """
    if ctx.obj is None:
        ctx.obj = Invocation(state_dir, url, token_file, os.environ, time.time, run_reactor)


def main() -> None:
    """The console script."""
    cli(prog_name="pxed")
