"""`pxed up`: looks whether the appliance can start, says in one sentence each what is in the way, and hands over to twistd."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pxed.cli import host, preflight
from pxed.cli.findings import Finding
from pxed.cli.invocation import Invocation
from pxed.cli.output import clean
from pxed.config import Settings, load, named_repository, prepare_state
from pxed.errors import HostProblem
from pxed.oses.own import with_own
from pxed.repo.bootprograms import link_host_programs, scan

_PORTS = ("http", "dhcp", "pxe", "tftp", "syslog")


@click.command()
@click.option("--interface", "-i", "interfaces", multiple=True, metavar="IF", help="Serve this interface; may be given several times. "
              "Default: every interface with an IPv4 address.")  # fmt: skip
@click.option("--address", "-a", metavar="IP", help="IPv4 address in offers and URLs. Default: the interface's own.")
@click.option("--config", "-c", metavar="FILE", help="TOML file with the settings; options given here win.")
@click.option("--state-dir", metavar="DIR", help="Where database, token and caches live. Default: that of `pxed --state-dir`.")
@click.option("--tftproot", metavar="DIR", help="Directory of boot programs. Default: STATE_DIR/tftproot.")
@click.option("--repository", "repositories", multiple=True, metavar="NAME=LAYER[,LAYER...]",
              help="Installer files; a layer is a directory, an .iso, an http(s) URL, or 'apt' (this host's own mirror).")  # fmt: skip
@click.option("--http-port", type=int, help="TCP port of profiles, files and API. Default: 80.")
@click.option("--dhcp-port", type=int, help="UDP port of the DHCP side. Default: 67; only labs change it.")
@click.option("--pxe-port", type=int, help="UDP port of the PXE service. Default: 4011; only labs change it.")
@click.option("--tftp-port", type=int, help="UDP port of TFTP. Default: 69; only labs change it.")
@click.option("--syslog-port", type=int, help="UDP and TCP port of the syslog receiver. Default: 514.")
@click.option(
    "--link/--no-link", "link", default=True, help="Take over boot programs of this host's packages first, as `pxed bootloaders` does."
)
@click.option("--check", is_flag=True, help="Only look whether it could start.")
@click.pass_context
def up(ctx: click.Context, /, link: bool, check: bool, **given: Any) -> None:
    """Start the appliance and stay in the foreground; Ctrl-C stops it. Running installs go on at the next start.

    Everything that could keep it from starting is looked at first, and said in one sentence with its remedy (exit status 2).
    The same without those checks: `twistd -n pxed --interface eth1`.

    \b
    Examples:
      pxed up --interface eth1
      pxed up -i eth1 --repository debian=http://mirror.example/debian
      pxed up --config /etc/pxed.toml --check
    """
    invocation: Invocation = ctx.obj
    if given["state_dir"] is None and (given["config"] is None or _is_given(ctx.parent, "state_dir")):
        given["state_dir"] = str(invocation.state_dir)
    settings = load(Path(given["config"]) if given["config"] else None, overrides(given))
    with_own(settings.own_oses, must_exist=settings.os_dir is not None)
    problems = look(settings, link=link)
    for each in problems:
        click.echo(f"pxed: {each.text}{f'. {each.remedy}' if each.remedy else ''}", err=True)
    if any(each.level == "fail" for each in problems):
        sys.exit(2)
    if check:
        click.echo("pxed can start.")
        return
    run_twistd(plugin_arguments(given))


def _is_given(ctx: click.Context | None, name: str) -> bool:
    """Whether a global option was given, on the command line or in the environment."""
    return ctx is not None and ctx.get_parameter_source(name) != click.core.ParameterSource.DEFAULT


def overrides(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options > the shape that `pxed.config.load` lays over the file. ConfigError of `named_repository`."""
    tree: dict[str, Any] = {key: given[key] for key in ("address", "state_dir", "tftproot") if given[key] is not None}
    if given["interfaces"]:
        tree["interfaces"] = list(given["interfaces"])
    if given["repositories"]:
        tree["repository"] = [named_repository(text) for text in given["repositories"]]
    ports = {name: given[f"{name}_port"] for name in _PORTS if given[f"{name}_port"] is not None}
    if ports:
        tree["ports"] = ports
    return tree


def look(settings: Settings, *, link: bool) -> list[Finding]:
    """All that is not ``ok``. Makes the state directory and links boot programs on the way, unless something else is in the way already."""
    found = [
        *preflight.privileges(settings),
        *preflight.interfaces(settings, host.interfaces()),
        *preflight.ports(settings),
        *preflight.state_directory(settings.state_dir),
        *preflight.repositories(settings),
        *preflight.database(settings),
    ]
    if not any(each.level == "fail" for each in found):
        try:
            prepare_state(settings)
            if link:
                link_host_programs(settings.boot_root)
        except HostProblem as e:
            found.append(Finding("state", "fail", e.problem, e.remedy))
    there = scan(settings.boot_root, chain=settings.dhcp.boot_chain)
    programs = [each for each in preflight.boot_programs(settings.boot_root, there) if each.level == "fail"]
    # Before the state directory exists there is nothing to find in it: linking would have been tried later.
    blocked = link and any(each.level == "fail" for each in found)
    return [each for each in found if each.level != "ok"] + ([] if blocked else [*programs, *preflight.quirks(settings, there)])


def plugin_arguments(given: Mapping[str, Any]) -> list[str]:
    """The same options for the twistd plugin."""
    words: list[str] = []
    for name in ("config", "address", "state_dir", "tftproot", *(f"{each}_port" for each in _PORTS)):
        if given[name] is not None:
            words += [f"--{name.replace('_', '-')}", str(given[name])]
    for name, option in (("interfaces", "--interface"), ("repositories", "--repository")):
        for value in given[name]:
            words += [option, value]
    return words


def run_twistd(arguments: list[str]) -> None:
    """Become ``twistd -n pxed <arguments>`` in this process, so that a plain checkout, a wheel and ``-e`` all find the plugin."""
    from twisted.scripts.twistd import run

    click.echo(f"pxed starts: twistd -n pxed {clean(' '.join(arguments))}", err=True)
    sys.argv = ["twistd", "-n", "--pidfile=", "--logger=pxed.log.to_stdout", "pxed", *arguments]
    run()
