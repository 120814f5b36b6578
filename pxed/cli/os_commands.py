"""`pxed os ...`: what can be installed, and with which options."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pxed.cli.client import Client
from pxed.cli.invocation import Invocation, json_option
from pxed.cli.output import clean, print_json, print_table
from pxed.config import load

_MAX_DEPTH = 6


@click.group("os")
def os_group() -> None:
    """Operating systems: list them, and the options each one takes."""


@os_group.command("list")
@json_option
@click.pass_obj
def list_(invocation: Invocation, as_json: bool) -> None:
    """List the families and releases that can be installed.

    \b
    Example:
      pxed os list
    """

    async def ask(client: Client) -> Any:
        return await client.get("oses")

    found = invocation.call(ask)
    if as_json:
        print_json(found)
        return
    rows = [[each.get("name"), each.get("title"), ", ".join(_releases(each))] for each in found["oses"]]
    print_table(["OS", "TITLE", "RELEASES"], rows, empty="This appliance can install nothing.")
    for origin, names in _origins(found["oses"]).items():
        click.echo(f"\nYours, from {clean(origin)}: {', '.join(names)}")
    for family in found["oses"]:
        for text, names in _needs(family).items():
            click.echo(f"\n{clean(family.get('title'))} {', '.join(names)} needs {text}.")


def _origins(families: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Files of the operator's > "os release" that come from there."""
    found: dict[str, list[str]] = {}
    for family in families:
        for each in family.get("releases") or []:
            if isinstance(each, Mapping) and each.get("origin", "pxed") != "pxed":
                found.setdefault(str(each["origin"]), []).append(f"{clean(family.get('name'))} {clean(each.get('name'))}")
    return found


def _needs(family: Mapping[str, Any]) -> dict[str, list[str]]:
    """What releases need of a machine, in words > those releases."""
    found: dict[str, list[str]] = {}
    for each in family.get("releases") or []:
        if isinstance(each, Mapping) and each.get("needs"):
            found.setdefault(clean(each["needs"]), []).append(clean(each.get("name")))
    return found


def _releases(family: Mapping[str, Any]) -> list[str]:
    releases = family.get("releases") or []
    return [clean(each.get("name") if isinstance(each, Mapping) else each) for each in releases]


@os_group.command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="[DIRECTORY]", required=False)
@click.option("--config", "-c", type=click.Path(path_type=Path), metavar="FILE", help="The appliance's configuration file.")
@json_option
@click.pass_obj
def check(invocation: Invocation, directory: Path | None, config: Path | None, *, as_json: bool) -> None:
    """Read your own releases and families as the appliance does at its start, and render every file of theirs. Asks no appliance.

    DIRECTORY: where the files are; default: `oses` beside the configuration file, or in the state directory. The first thing wrong is
    named with its file and field (exit status 2). docs/os/own.md says what the files hold.

    \b
    Examples:
      pxed os check /etc/pxed/oses
      pxed os check --config /etc/pxed/pxed.toml --json
    """
    from pxed.oses.own import with_own

    settings = load(config, {} if config is not None else {"state_dir": invocation.state_dir})
    own = with_own(directory or settings.own_oses, must_exist=directory is not None or settings.os_dir is not None)
    found = [
        {
            "os": family.name,
            "release": release.name,
            "title": release.title,
            "repository": family.repository(release),
            "recipe": family.recipe.name,
            "origin": release.origin,
            "untried": own.untried.get((family.name, release.name), ""),
        }
        for family, release in own.added()
    ]
    if as_json:
        print_json({"directory": str(directory or settings.own_oses), "releases": found})
        return
    rows = [[each["os"], each["release"], each["title"], each["repository"], each["recipe"], Path(each["origin"]).name] for each in found]
    print_table(
        ["OS", "RELEASE", "TITLE", "REPOSITORY", "RECIPE", "FILE"], rows, empty=f"There is nothing in {directory or settings.own_oses}."
    )
    for each in found:
        if each["untried"]:
            click.echo(f"\n{clean(each['title'])} could not be rendered yet: {clean(each['untried'])}")


@os_group.command()
@click.argument("family", metavar="FAMILY")
@click.option("--release", metavar="RELEASE", help="Of this release; default: the first one that `pxed os list` names.")
@json_option
@click.pass_obj
def options(invocation: Invocation, family: str, release: str | None, as_json: bool) -> None:
    """Show the options of an operating system, as `pxed install -o` takes them. --json prints the JSON Schema.

    \b
    Examples:
      pxed os options debian
      pxed os options ubuntu --release 18.04
      pxed os options debian --json > debian.schema.json
    """

    async def ask(client: Client) -> Any:
        return await client.get("oses", family, release=release)

    found = invocation.call(ask)
    if as_json:
        print_json(found["schema"])
        return
    rows = [[path, kind, default, text] for path, kind, default, text in describe(found["schema"])]
    print_table(["OPTION", "TYPE", "DEFAULT", "WHAT"], rows, empty=f"{clean(family)} has no options.")
    click.echo("\nN counts a list's entries from 0:  -o users.0.name=alice")
    click.echo("A secret comes from a file or standard input:  -o users.0.password=@FILE")


def describe(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """A JSON Schema > (dotted path, type, default, description) for each value that can be set; entries of a list are ``N``."""
    yield from _properties(schema, schema.get("$defs") or {}, "", 0)


def _properties(schema: Mapping[str, Any], defs: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str, str, str]]:
    required = set(schema.get("required") or ())
    for name, raw in (schema.get("properties") or {}).items():
        inner = _resolve(raw, defs)
        path = f"{prefix}{name}"
        default = "required" if name in required else _default(raw)
        text = str(raw.get("description") or inner.get("description") or "").split("\n\n")[0]
        item = _resolve(inner["items"], defs) if isinstance(inner.get("items"), Mapping) else None
        below = inner if inner.get("properties") else item if item is not None and item.get("properties") else None
        if below is not None and depth < _MAX_DEPTH:
            yield from _properties(below, defs, f"{path}." if below is inner else f"{path}.N.", depth + 1)
        else:
            yield path, kind_of(raw, defs), default, text


def _resolve(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Through ``$ref`` and through "or null" to what can be set."""
    for _ in range(_MAX_DEPTH):
        choices = [each for each in schema.get("anyOf") or schema.get("oneOf") or () if each.get("type") != "null"]
        if "$ref" in schema:
            schema = defs.get(str(schema["$ref"]).rpartition("/")[2], {})
        elif len(choices) == 1:
            schema = choices[0]
        else:
            break
    return schema


def kind_of(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """A type in words: ``text``, ``integer``, ``plain|lvm``, ``list of text`` ..."""
    schema = _resolve(schema, defs)
    choices = [each for each in schema.get("anyOf") or schema.get("oneOf") or () if each.get("type") != "null"]
    if choices:
        return " or ".join(dict.fromkeys(kind_of(each, defs) for each in choices))
    if "enum" in schema:
        return "|".join(str(each) for each in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type", "any")
    if kind == "array":
        items = schema.get("items")
        return f"list of {kind_of(items, defs)}" if isinstance(items, Mapping) else "list"
    return {"string": "secret" if schema.get("format") == "password" else "text", "object": "object", "number": "number"}.get(
        str(kind), str(kind)
    )


def _default(schema: Mapping[str, Any]) -> str:
    value = schema.get("default")
    return "" if value in (None, "", [], {}) else value if isinstance(value, str) else json.dumps(value)
