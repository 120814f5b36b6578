"""What can be installed, as the API and the command line show it: families with their releases, and the options of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pxed.oses.family import Family
from pxed.oses.options import SECRETS, CommonOptions

PXED = "pxed"
"""The origin of a family or release that is no operator's."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"
"""That of pydantic's schemas. Only a name: nothing is fetched from there."""


def listing(families: Iterable[Family]) -> list[dict[str, Any]]:
    """Families and their releases as JSON values; the first release is the default. What is said of the family of recipe, boots and
    milestones is said of each release, too: they may have other installers."""
    return [
        {
            "name": family.name,
            "title": family.title,
            "releases": [release for installer in family.installers for release in _releases(installer)],
            "origin": family.origin or PXED,
            **_course(family),
        }
        for family in families
    ]


def _releases(installer: Family) -> list[dict[str, Any]]:
    return [
        {
            "name": release.name,
            "title": release.title,
            "repository": installer.repository(release),
            **_course(installer),
            "needs": str(release.data.get("needs", "")),
            "origin": release.origin or PXED,
        }
        for release in installer.releases.values()
    ]


def _course(installer: Family) -> dict[str, Any]:
    """How an install by `installer` goes on: its recipe, how often the node boots, and what it tells on the way."""
    milestones = [{"phase": each.phase, "percent": each.percent, "text": each.text} for each in installer.recipe.milestones]
    return {"recipe": installer.recipe.name, "boots": installer.boots, "milestones": milestones}


def schema(options: type[CommonOptions]) -> dict[str, Any]:
    """JSON Schema of `options`, canonical names: without what is always refused, and without a default that is a secret."""
    made: dict[str, Any] = options.model_json_schema(by_alias=True)
    for hidden in options.hidden:
        model, _, field = hidden.partition(".")
        made["$defs"][model]["properties"].pop(field)
    made["properties"] = {
        name: {key: value for key, value in each.items() if key != "default" or name not in SECRETS}
        for name, each in made["properties"].items()
        if name not in options.refused
    }
    return {"$schema": DIALECT, **made}
