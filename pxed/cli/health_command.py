"""`pxed health`: what the appliance says of itself."""

from __future__ import annotations

import sys
from typing import Any

import click

from pxed.cli.client import Client
from pxed.cli.invocation import Invocation, json_option
from pxed.cli.output import clean, duration, print_fields, print_json


@click.command()
@json_option
@click.pass_obj
def health(invocation: Invocation, as_json: bool) -> None:
    """Ask the appliance how it is. Exit status 0 only if it says ok.

    \b
    Example:
      pxed health --json | jq .services
    """

    async def ask(client: Client) -> Any:
        return await client.get("health")

    found = invocation.call(ask)
    if as_json:
        print_json(found)
    else:
        services = found.get("services")
        rows = services.items() if isinstance(services, dict) else ()
        print_fields(
            {
                "status": found.get("status"),
                "version": found.get("version"),
                "uptime": duration(float(found.get("uptime") or 0)),
                "store": _brief(found.get("store")),
                "interfaces": _brief(found.get("interfaces") or []) or "every one with an IPv4 address",
                **{f"service {clean(name)}": _brief(state) for name, state in rows},
            }
        )
    sys.exit(0 if found.get("status") == "ok" else 1)


def _brief(value: Any) -> str:
    """A value of any shape on one line; an object as names and values."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{clean(name)} {_brief(each)}" for name, each in value.items() if each not in (None, "", {}, []))
    if isinstance(value, list):
        return ", ".join(_brief(each) for each in value)
    return clean(value)
