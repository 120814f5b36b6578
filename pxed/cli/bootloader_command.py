"""`pxed bootloaders`: the boot programs that firmware is given; works on the files, without an appliance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from pxed.cli.invocation import Invocation, json_option
from pxed.cli.output import print_json, print_table, size
from pxed.config import load, make_state_dir
from pxed.repo.bootprograms import MACHINE_OF, BootPrograms, Linked, link_host_programs, scan


@click.command()
@click.option(
    "--link/--list", "link", default=True, help="Take over what this host's packages have (the default), or only list what is there."
)
@click.option(
    "--tftproot",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The boot program root. Default: that of --config, else STATE_DIR/tftproot.",
)
@click.option(
    "--from",
    "host",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    default=Path("/"),
    help="Take them from packages unpacked here (dpkg -x) instead of from those that are installed.",
)
@click.option("--config", "-c", type=click.Path(path_type=Path), metavar="FILE", help="The appliance's configuration file.")
@json_option
@click.pass_obj
def bootloaders(invocation: Invocation, link: bool, tftproot: Path | None, host: Path, config: Path | None, as_json: bool) -> None:
    """Get iPXE, shim and GRUB from this host's packages, and list which firmware can be booted.

    Each program is filed by the machine in its own header, so no architecture is ever given another's. Files that you put there yourself
    are never replaced.

    \b
    Examples:
      pxed bootloaders                 link, then list
      pxed bootloaders --list --json
      pxed bootloaders --from ./unpacked
    """
    settings = load(config, {} if config is not None else {"state_dir": invocation.state_dir})
    if link and tftproot is None:
        make_state_dir(settings)  # as `pxed up` would, for nobody but its owner
    root = tftproot or settings.boot_root
    linked = link_host_programs(root, host=host.resolve()) if link else []
    programs = scan(root, chain=settings.dhcp.boot_chain)
    if as_json:
        print_json(_tree(root, programs, linked))
        return
    for each in linked:
        if each.outcome != "unchanged":
            click.echo(f"{each.outcome:<8} {each.path}  from {each.source}{f': {each.why}' if each.why else ''}")
    rows = [[p.path, p.machine, p.kind, "yes" if p.signed else "no", size(p.size), _served(p.path, programs)] for p in programs.all()]
    print_table(
        ["PROGRAM", "MACHINE", "KIND", "SIGNED", "SIZE", "GIVEN TO ARCHITECTURES"], rows, empty=f"There is no boot program in {root}."
    )
    for complaint in programs.complaints():
        click.echo(complaint)
    for missing in programs.missing():
        click.echo(f"none for {missing.name} (architecture {missing.arch}): {missing.remedy}")


def _served(path: str, programs: BootPrograms) -> str:
    """The option 93 codes that get this program unless a quirk or the node's own choice says otherwise."""
    codes = [code for code in MACHINE_OF if (found := programs.pick(code)) is not None and found.path == path]
    return ", ".join(str(code) for code in codes)


def _tree(root: Path, programs: BootPrograms, linked: Sequence[Linked]) -> dict[str, object]:
    return {
        "root": str(root),
        "programs": [asdict(each) for each in programs.all()],
        "linked": [asdict(each) for each in linked],
        "missing": [asdict(each) for each in programs.missing()],
        "complaints": programs.complaints(),
    }
