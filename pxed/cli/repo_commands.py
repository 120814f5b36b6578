"""`pxed repo ...`: where installer files come from."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from pxed.cli.client import Client, Refused
from pxed.cli.install_options import has_password
from pxed.cli.install_start import Reader
from pxed.cli.invocation import Invocation, json_option
from pxed.cli.output import clean, local, print_fields, print_json, print_table, size
from pxed.errors import InvalidRequest

_STAGES = {
    "looking": "looking at it",
    "downloading": "downloading",
    "reading": "reading the medium",
    "recognising": "asking the server what it holds",
    "storing": "storing",
}
_LONG_FACT = 200


@click.group("repo")
def repo() -> None:
    """Repositories, the trees of installer files: list, show, add, remove; recognise a medium."""


@repo.command("list")
@json_option
@click.pass_obj
def list_(invocation: Invocation, as_json: bool) -> None:
    """List the repositories, and what each one installs.

    \b
    Example:
      pxed repo list
    """

    async def ask(client: Client) -> Any:
        return await client.get("repositories")

    found = invocation.call(ask)
    if as_json:
        print_json(found)
        return
    rows = [
        [each["name"], (each.get("medium") or {}).get("title"), "configuration" if each.get("configured") else "added", each["sources"][0]]
        for each in found["repositories"]
    ]
    print_table(["NAME", "WHAT", "FROM", "SOURCE"], rows, empty="There is no repository. Add one: pxed repo add ISO-DIRECTORY-OR-URL")


@repo.command()
@click.argument("name", metavar="NAME")
@json_option
@click.pass_obj
def show(invocation: Invocation, name: str, as_json: bool) -> None:
    """Show a repository: its sources, what was recognised, its paths on the appliance.

    \b
    Example:
      pxed repo show rocky-9 --json
    """

    async def ask(client: Client) -> Any:
        return await client.get("repositories", name)

    found = invocation.call(ask)
    if as_json:
        print_json(found)
        return
    print_fields(
        {
            "name": found["name"],
            "from": "configuration" if found.get("configured") else f"added {local(found.get('added_at'))}",
            "sources": ", ".join(map(clean, found["sources"])),
            "path": found["path"],
            "image": found.get("image"),
            "note": found.get("note"),
        }
    )
    _show_medium(found.get("medium"))


@repo.command()
@click.argument("words", metavar="[NAME] SOURCE", nargs=-1, required=True)
@click.option("--replace", is_flag=True, help="Take the place of an added repository of this name.")
@json_option
@click.pass_obj
def add(invocation: Invocation, words: tuple[str, ...], replace: bool, as_json: bool) -> None:
    """Add a repository: SOURCE is an .iso or a directory of the appliance's host, or the URL of an .iso or of a server's tree.

    A URL with a password is given as @FILE or - (standard input): every user of a host can read its command lines.
    Without NAME it is called what pxed recognises, e.g. rocky-9, which is where an install of Rocky 9 looks. An image stays where it is;
    one that is given by URL is downloaded into the state directory. If this fails, a repository of that name stays as it was.

    \b
    Examples:
      pxed repo add /srv/iso/Rocky-9.4-x86_64-dvd.iso
      pxed repo add golden /srv/trees/golden
      pxed repo add https://mirror.example/rocky/9/BaseOS/x86_64/os/
      pxed repo add --replace ubuntu-24.04 https://mirror.example/ubuntu-24.04.2-live-server-amd64.iso
    """
    if len(words) > 2:
        raise InvalidRequest(f"{len(words)} words are too many", field="repo add", expected="[NAME] SOURCE")
    body: dict[str, Any] = {"source": _told(words[-1]), **({"name": words[0]} if len(words) == 2 else {}), "replace": replace}

    async def work(client: Client) -> Any:
        job = await client.post("repositories", body=body)
        job = await _followed(invocation, client, job, quiet=as_json)
        if job["state"] == "failed":
            raise Refused(str(job.get("error") or "The import failed without a reason"), status=409)
        return await client.get("repositories", job["repository"])

    found = invocation.call(work)
    if as_json:
        print_json(found)
        return
    medium = found.get("medium")
    what = clean(medium["title"]) if medium else "added; pxed does not know what it installs"
    click.echo(f"{clean(found['name'])}: {what}")
    for note in (medium or {}).get("notes") or ():
        click.echo(f"Note: {clean(note)}")


@repo.command()
@click.argument("name", metavar="NAME")
@json_option
@click.pass_obj
def remove(invocation: Invocation, name: str, as_json: bool) -> None:
    """Forget an added repository. An image or directory of yours stays; one that pxed downloaded is deleted.

    \b
    Example:
      pxed repo remove rocky-9
    """

    async def ask(client: Client) -> Any:
        return await client.delete("repositories", name)

    invocation.call(ask)
    if as_json:
        print_json({"removed": name})
    else:
        click.echo(f"{clean(name)} is removed.")


@repo.command()
@click.argument("source", metavar="SOURCE")
@json_option
@click.pass_obj
def recognise(invocation: Invocation, source: str, as_json: bool) -> None:
    """Say what an .iso, a directory or a server's tree installs; nothing is added.

    \b
    Example:
      pxed repo recognise /srv/iso/unknown.iso
    """

    async def ask(client: Client) -> Any:
        return await client.post("recognise", body={"source": _told(source)})

    found = invocation.call(ask)
    if as_json:
        print_json(found)
        return
    print_fields({"repository": found["repository"]})
    _show_medium(found["medium"])


def source_of(text: str) -> str:
    """A URL as it is; a path as an absolute one, as seen from here."""
    return text if text.startswith(("http://", "https://")) else os.path.abspath(Path(text).expanduser())


def _told(word: str) -> str:
    """SOURCE, out of a file if it says so. InvalidRequest."""
    if word == "-" or (word.startswith("@") and len(word) > 1):
        return source_of(Reader()(word.removeprefix("@")).strip())
    if has_password(word):
        raise InvalidRequest("A URL with a password isn't taken from the command line", field="SOURCE", expected="@FILE or -")
    return source_of(word)


async def _followed(invocation: Invocation, client: Client, job: Any, *, quiet: bool) -> Any:
    """The import once it has ended. On a terminal one line is written over and over, else a line per stage."""
    from twisted.internet.task import deferLater

    live, told = sys.stderr.isatty() and not quiet, ""
    while job["state"] == "running":
        text = progress(job)
        if live:
            click.echo(f"\r\033[K{text}", nl=False, err=True)
        elif not quiet and job["stage"] != told:
            click.echo(text, err=True)
        told = job["stage"]
        await deferLater(client.reactor, invocation.pace.redraw)
        job = await client.get("imports", job["id"])
    if live:
        click.echo("\r\033[K", nl=False, err=True)
    return job


def progress(job: Any) -> str:
    """``downloading 1 GiB of 2 GiB (50 %)``."""
    what = _STAGES.get(job["stage"], clean(job["stage"]))
    if job["stage"] != "downloading" or not job.get("received"):
        return f"{what} ..."
    received, whole = job["received"], job.get("size")
    return f"{what} {size(received)}" + (f" of {size(whole)} ({100 * received // whole} %)" if whole else "")


def _show_medium(medium: Any) -> None:
    if not medium:
        return
    facts = medium.get("facts") or {}
    plain = {name: value for name, value in facts.items() if isinstance(value, str | int) and len(str(value)) < _LONG_FACT}
    editions = [f"{each['index']} {each['name']}" for each in facts.get("editions") or ()]
    print_fields(
        {
            "medium": medium["title"],
            "family": medium["family"],
            "release": medium["release"],
            "version": medium["version"],
            "arch": medium["arch"],
            "volume id": medium["volume_id"],
            **plain,
            "editions": ", ".join(editions),
            "notes": " ".join(medium["notes"]),
        }
    )
